//! Which connections of a device are tried, and in what order.

use std::collections::HashSet;

use crate::address;
use crate::client::Settings;
use crate::error::{Error, ErrorKind};
use crate::source::{Connection, SourceKind};

/// How many connections are tried. A longer list would make this client scan somebody's network.
const MOST: usize = 100;

/// A connection to try, or why it was skipped or failed.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) connection: Connection,
    pub(super) error: Option<Error>,
}

/// Direct before relayed, `https` before `http`, local before remote, the server's order within.
/// Each URI once.
pub(super) fn candidates(
    mut connections: Vec<Connection>,
    kind: SourceKind,
    settings: &Settings,
) -> Vec<Candidate> {
    // A device's connections are sorted otherwise.
    connections.sort_by_key(|connection| (connection.relay, connection.uri.scheme() == "http"));
    let mut seen = HashSet::new();
    connections.retain(|connection| seen.insert(connection.uri.clone()));
    let mut tried: usize = 0;
    let to_candidate = |connection| {
        let mut reason = reason_to_skip(&connection, kind, settings);
        if reason.is_none() {
            tried = tried.saturating_add(1);
            reason = (tried > MOST).then_some("only the first 100 connections are tried");
        }
        let error = reason.map(|reason| Error::new(ErrorKind::InvalidAddress, reason));
        Candidate { connection, error }
    };
    connections.into_iter().map(to_candidate).collect()
}

fn reason_to_skip(
    connection: &Connection,
    kind: SourceKind,
    settings: &Settings,
) -> Option<&'static str> {
    let uri = &connection.uri;
    let is_http = uri.scheme() == "http";
    if let Some(problem) = address::check(uri) {
        return Some(problem);
    }
    if kind == SourceKind::Provider && (is_http || address::is_ip_address(uri)) {
        Some("a provider is reached by `https` and a host name only")
    } else if is_http && !settings.allow_insecure_http {
        Some(
            "plain `http` does not prove who answers: it is used after \
             `.allow_insecure_http(true)` only",
        )
    } else if is_http && !address::is_local(uri) {
        Some("plain `http` to a host that is not local would send the token unencrypted")
    } else if connection.relay && !settings.relay {
        Some("relays are turned off by `.relay(false)`")
    } else {
        None
    }
}
