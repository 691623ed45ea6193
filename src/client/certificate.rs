//! Why a server's certificate was refused, and the address that it is valid for.

use std::net::Ipv4Addr;

use reqwest::Url;
use rustls::CertificateError as Reason;

use crate::address::{self, origin};
use crate::dns;

/// What to say about it, and the address to use instead. Nothing else of the certificate, whose
/// names are the peer's, is shown.
pub(super) fn problem(error: &rustls::Error, address: &Url) -> Option<(String, Option<Url>)> {
    let rustls::Error::InvalidCertificate(reason) = error else { return None };
    let is_local = address::is_ip_address(address) || address.host_str() == Some("localhost");
    let suggested = match reason {
        Reason::NotValidForNameContext { presented, .. } if is_local => {
            presented.iter().find_map(|name| suggest(address, name))
        }
        _ => None,
    };
    let summary = match reason {
        Reason::Expired
        | Reason::ExpiredContext { .. }
        | Reason::NotValidYet
        | Reason::NotValidYetContext { .. } => {
            "the certificate has expired, or is not valid yet: the server renews it when it can \
             reach plex.tv; check this machine's clock, too"
        }
        // `Other` is above all a self-signed one that may sign others, as OpenSSL makes them.
        Reason::UnknownIssuer | Reason::Other(_) => {
            "the certificate is from an unknown issuer: use the server's plex.direct name, or add \
             the issuer with `configure_http`"
        }
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => match &suggested {
            Some(url) => &format!("the certificate is for another name: use {}", origin(url)),
            None if is_local => {
                "the certificate is for another name: use the server's plex.direct name, \
                 `https://ADDRESS.HASH.plex.direct:PORT`"
            }
            None => "the certificate is for another name: use the name that it was issued for",
        },
        _ => return None,
    };
    Some((summary.to_owned(), suggested))
}

/// The address that a certificate for `*.HASH.plex.direct`, with 32 hexadecimal digits, is valid
/// for. rustls presents a name in quotes.
fn suggest(address: &Url, presented: &str) -> Option<Url> {
    let name = presented.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
    let hash = name.unwrap_or(presented).strip_prefix("*.")?.strip_suffix(".plex.direct")?;
    if hash.len() != 32 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let ip = address::ip(address).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut suggested = address.clone();
    suggested.set_host(Some(&dns::plex_direct_name(ip, hash))).ok()?;
    Some(suggested)
}
