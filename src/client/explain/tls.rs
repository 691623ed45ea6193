//! Explains a TLS failure, and suggests the address that a certificate is valid for.

use std::net::Ipv4Addr;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError as Reason, Error, InvalidMessage};

use super::NOT_SECURE;
use super::transport::HANDSHAKE_CLOSED;
use crate::address::{self, origin};
use crate::error::{Details, ErrorKind};

/// Shows nothing from a certificate except the suggested address, because its names are
/// peer-supplied.
pub(super) fn explain(error: &Error, address: &Url) -> Details {
    let summary = match error {
        Error::InvalidCertificate(reason) => {
            let (summary, suggested_address) = certificate(reason, address);
            return Details { suggested_address, ..Details::new(ErrorKind::Tls, summary) };
        }
        // Caddy sends it while it has no certificate for this name.
        Error::AlertReceived(AlertDescription::InternalError) => {
            return Details::new(ErrorKind::Connect, HANDSHAKE_CLOSED);
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server, or a proxy in front of it, asks for a client certificate: \
             `configure_http` can give one"
                .to_owned()
        }
        Error::AlertReceived(alert) => format!(
            "no secure connection: the server, or a proxy in front of it, refused with the TLS \
             alert `{alert:?}`"
        ),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS: a PMS there takes `http`".to_owned()
        }
        _ => NOT_SECURE.to_owned(),
    };
    Details::new(ErrorKind::Tls, summary)
}

fn certificate(reason: &Reason, address: &Url) -> (String, Option<Url>) {
    let is_direct = address.host_str().is_some_and(|host| address::plex_direct(host).is_some());
    // An IP address or `localhost`, for which few servers have a valid certificate.
    let is_unnamed = address.domain().is_none_or(|name| name == "localhost");
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
             reach plex.tv; or this machine's clock is wrong, or this system's root certificates \
             are out of date"
        }
        // `Other` is usually a self-signed CA certificate, which OpenSSL makes by default.
        Reason::UnknownIssuer | Reason::Other(_) if is_direct => {
            "the certificate is from an unknown issuer: something on the way replaces \
             certificates, such as an antivirus or a company's proxy, or this system's root \
             certificates are out of date"
        }
        Reason::UnknownIssuer | Reason::Other(_) => {
            "the certificate is from an unknown issuer: use the server's plex.direct name, let the \
             proxy send its whole certificate chain, or add the issuer with `configure_http`; a \
             proxy may have no certificate for this name, or this system's root certificates are \
             out of date"
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
            "the certificate is for another name: use the name that it was issued for; a proxy may \
             have no certificate for this name"
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
