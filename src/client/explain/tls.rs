//! Explains a TLS failure, and suggests the address that a certificate is valid for.

use std::net::Ipv4Addr;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError as Reason, Error};

use super::NOT_SECURE;
use crate::address::{self, origin};
use crate::error::{Details, Error as Failure, ErrorKind};

/// Shows nothing from a certificate except the suggested address, because its names are
/// peer-supplied.
pub(super) fn explain(error: &Error, address: &Url) -> Failure {
    let (summary, suggested_address) = match error {
        Error::InvalidCertificate(reason) => certificate(reason, address),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            let summary = "the server, or a proxy in front of it, asks for a client certificate: \
                           `configure_http` can give one";
            (summary.to_owned(), None)
        }
        Error::AlertReceived(alert) => {
            let name = match alert {
                AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
                _ => alert.as_str().map_or_else(|| u8::from(*alert).to_string(), snake_case),
            };
            let summary = format!(
                "no secure connection: the server, or a proxy in front of it, refused with the TLS \
                 alert `{name}`"
            );
            (summary, None)
        }
        _ => (NOT_SECURE.to_owned(), None),
    };
    Details { suggested_address, ..Details::new(ErrorKind::Tls, summary) }.into()
}

fn certificate(reason: &Reason, address: &Url) -> (String, Option<Url>) {
    let is_direct = address.host_str().is_some_and(|host| address::plex_direct(host).is_some());
    let is_unnamed = address::is_ip_address(address) || address.host_str() == Some("localhost");
    // The certificate's names are read here, and never shown.
    let hash = match reason {
        Reason::NotValidForNameContext { presented, .. } => {
            presented.iter().find_map(|name| hash(name))
        }
        _ => None,
    };
    let suggested = hash.filter(|_| is_unnamed).and_then(|hash| suggest(address, hash));
    if let Some(url) = suggested {
        return (format!("the certificate is for another name: use {}", origin(&url)), Some(url));
    }
    let summary = match reason {
        Reason::Expired
        | Reason::ExpiredContext { .. }
        | Reason::NotValidYet
        | Reason::NotValidYetContext { .. } => {
            "the certificate has expired, or is not valid yet: the server renews it when it can \
             reach plex.tv; check this machine's clock, too"
        }
        // `Other` is usually a self-signed CA certificate, which OpenSSL makes by default.
        Reason::UnknownIssuer | Reason::Other(_) if is_direct => {
            "the certificate is from an unknown issuer: something on the way replaces \
             certificates, such as an antivirus or a company's proxy"
        }
        Reason::UnknownIssuer | Reason::Other(_) => {
            "the certificate is from an unknown issuer: use the server's plex.direct name, let the \
             proxy send its whole certificate chain, or add the issuer with `configure_http`"
        }
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } if is_unnamed => {
            "the certificate is for another name: use the server's plex.direct name, \
             `https://ADDRESS.HASH.plex.direct:PORT`"
        }
        Reason::NotValidForNameContext { .. } if hash.is_some() && !is_direct => {
            "the certificate is the server's own, which Plex issues for its plex.direct name: use \
             that name, or a proxy with a certificate for this one"
        }
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => {
            "the certificate is for another name: use the name that it was issued for"
        }
        _ => NOT_SECURE,
    };
    (summary.to_owned(), None)
}

/// The 32 hexadecimal digits of `*.HASH.plex.direct`. rustls writes a name as `DnsName("..")`.
fn hash(presented: &str) -> Option<&str> {
    let name = presented.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
    let hash = name.unwrap_or(presented).strip_prefix("*.")?.strip_suffix(".plex.direct")?;
    (hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)
}

/// The plex.direct address for an IP address or `localhost`.
fn suggest(address: &Url, hash: &str) -> Option<Url> {
    let ip = address::ip(address).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut suggested = address.clone();
    suggested.set_host(Some(&address::plex_direct_name(ip, hash))).ok()?;
    Some(suggested)
}

/// An alert's name as RFC 8446 writes it: `UnknownCA` is `unknown_ca`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for char in name.chars() {
        if char.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = !char.is_ascii_uppercase();
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_its_standard_name() {
        for (alert, name) in [
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::ProtocolVersion, "protocol_version"),
            (AlertDescription::UnrecognisedName, "unrecognized_name"),
            (AlertDescription::NoApplicationProtocol, "no_application_protocol"),
            (AlertDescription::Unknown(200), "200"),
        ] {
            let address = Url::parse("https://host").unwrap();
            let error = explain(&Error::AlertReceived(alert), &address).to_string();
            assert!(error.ends_with(&format!("`{name}`")), "{error}");
        }
    }
}
