//! The servers of an operation: the address that the user configures, or others.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::document::Node;
use crate::reader::{Read, Reader};

impl<'a> Reader<'a> {
    /// The servers that a node lists, if any. The list is empty when one of them can be the address
    /// that the user configures.
    pub(crate) fn servers(&mut self, holder: &Node<'a>) -> Read<Option<Vec<Value>>> {
        let listed = self.list(holder, "servers")?;
        let urls = listed.iter().map(|server| Ok((server, self.text(server, "url")?)));
        let urls = urls.collect::<Read<Vec<_>>>()?;
        let is_users = urls.iter().any(|(server, url)| is_users_address(server, url));
        let urls = urls.iter().filter(|_| !is_users).map(|(_, url)| json!({ "url": url }));
        Ok((!listed.is_empty()).then(|| urls.collect()))
    }
}

/// Whether a URL can be the address that the user configures: its host is variable or loopback, and
/// it has no path.
fn is_users_address(server: &Node<'_>, url: &str) -> bool {
    let (authority, path) = match url.split_once("//") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None if url.starts_with('{') => url.split_at(url.find('/').unwrap_or(url.len())),
        None => ("", url),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let end = if host.starts_with('[') { ']' } else { ':' };
    let host = host.trim_start_matches('[').split(end).next().unwrap_or_default();
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    let is_users_host = matches!(&*host.to_ascii_lowercase(), "" | "localhost")
        || host.contains('{')
        || host.parse().is_ok_and(is_loopback);
    let is_empty = |segment: &str| {
        let variable = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        let default = variable.map(|name| &server.value["variables"][name]["default"]);
        matches!(segment, "" | ".") || default.is_some_and(|it| it == "" || it == "/")
    };
    is_users_host && path.split('/').all(is_empty)
}
