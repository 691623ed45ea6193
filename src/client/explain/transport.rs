//! Explains a `reqwest::Error`: connection, proxy, TLS, timeout, truncated body.

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Io};
use std::sync::Arc;

use reqwest::StatusCode;

use super::status::FORWARD_PROXY_LOGIN;
use super::{Context, MAYBE_HTTPS, NOT_SECURE, timed_out};
use crate::address;
use crate::error::{Details, Error, ErrorKind};

pub(crate) fn explain(error: reqwest::Error, context: &Context<'_>) -> Error {
    // Checks types before texts, because a text may be peer-supplied.
    // Our own is from the hooks or the resolver.
    if let Some(own) = find::<Error>(&error) {
        return own.clone();
    }
    let io = io_error(&error);
    let is_https = context.address.scheme() == "https";
    let hint = if is_https { String::new() } else { format!("; {MAYBE_HTTPS}") };
    // ETIMEDOUT of TCP keep-alive: the network is gone.
    let is_dead = !error.is_connect()
        && io.is_some_and(|io| io.kind() == Io::TimedOut && io.raw_os_error().is_some());
    let details = if error.is_timeout() && error.is_connect() {
        let limit = context.connect_timeout;
        let summary = format!("no connection within {limit:?} (`connect_timeout`)");
        Details::new(ErrorKind::Timeout, summary + default_port(context))
    } else if error.is_timeout() && !is_dead {
        return timed_out(context);
    } else if error.is_builder() {
        let summary = "the URL is too long, or has a character in it that no request can have";
        return Error::new(ErrorKind::InvalidAddress, summary);
    } else if error.is_decode() || error.is_body() {
        Details { status: Some(StatusCode::OK), ..incomplete(io) }
    } else if let Some((kind, summary)) = connector(&error, is_https) {
        let is_login = kind == ErrorKind::Proxy;
        let status = is_login.then_some(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        Details { status, ..Details::new(kind, summary) }
    } else if let Some(details) = tls(&error, context) {
        details
    } else if find(&error).is_some_and(hyper::Error::is_parse) {
        let summary = format!("the response is not HTTP, or its head is too large{hint}");
        Details::new(ErrorKind::Protocol, summary)
    } else if !error.is_connect() {
        let summary = format!("the connection was closed before a response came{hint}");
        Details::new(ErrorKind::Connect, summary)
    } else if error.is_dns() {
        let summary = format!("the host's name could not be resolved ({})", name_hint(context));
        Details::new(ErrorKind::Connect, summary)
    } else {
        // Not every error of the system has a kind, "Too many open files" for example.
        let reason = io.map(|error| match error.raw_os_error() {
            Some(_) if error.kind() != Io::ConnectionRefused => format!(": {error}"),
            _ => format!(": {}", error.kind()),
        });
        let reason = reason.unwrap_or_default();
        let advice = advice(io, address::is_local(context.address));
        let summary = format!("no connection{reason}; {advice}{}", default_port(context));
        Details::new(ErrorKind::Connect, summary)
    };
    // A TLS failure's source contains the certificate's names, which are peer-supplied.
    let is_safe = details.kind != ErrorKind::Tls;
    let source = is_safe.then(|| Arc::new(error.without_url()));
    Details { source, ..details }.into()
}

/// A body that is shorter than its framing, or whose chunks are not HTTP.
fn incomplete(io: Option<&io::Error>) -> Details {
    if io.is_some_and(|io| io.kind() == Io::InvalidInput) {
        return Details::new(ErrorKind::Protocol, "the response's body is not HTTP");
    }
    Details::new(ErrorKind::BodyCutShort, "the response ended before it was complete")
}

/// What only the texts of reqwest's connectors say, because their types are private: the one place
/// that reads texts. None of these texts begins with what a peer sent.
fn connector(error: &reqwest::Error, is_https: bool) -> Option<(ErrorKind, &'static str)> {
    if !error.is_connect() {
        return None;
    }
    let texts: Vec<_> = chain(error).map(ToString::to_string).collect();
    let last = texts.last()?;
    let tunnel = texts.iter().find_map(|text| text.strip_prefix("tunnel error: "));
    // hyper-util's and hyper-rustls' texts for a scheme that they don't support.
    let is_not_http = last == "invalid URL, scheme is not http";
    if is_not_http && is_https {
        return Some((ErrorKind::HttpSetup, NO_TLS_LIBRARY));
    } else if is_not_http || last.starts_with("unsupported scheme socks") {
        return Some((ErrorKind::HttpSetup, NO_SOCKS));
    }
    Some(match tunnel? {
        "proxy authorization required" => (ErrorKind::Proxy, FORWARD_PROXY_LOGIN),
        "failed to create underlying connection" if is_tls(error) => {
            (ErrorKind::Tls, PROXY_NOT_SECURE)
        }
        "failed to create underlying connection" => (ErrorKind::Connect, NO_PROXY),
        _ => (ErrorKind::Connect, PROXY_REFUSES),
    })
}

const NO_TLS_LIBRARY: &str = "\
     there is no TLS library for `https`: switch on the feature `rustls` or \
     `rustls-no-provider` of plex-auth, or `native-tls` of reqwest 0.13";
const NO_SOCKS: &str = "\
     there is no support for a SOCKS proxy: switch on the feature `socks` of reqwest 0.13";
const NO_PROXY: &str =
    "the proxy of `configure_http` can't be reached: is it up, and is its address right?";
const PROXY_REFUSES: &str = "the proxy of `configure_http` refuses, or can't reach the server";
const PROXY_NOT_SECURE: &str = "\
     no secure connection to the proxy of `configure_http`: check its address and its certificate";
pub(super) const HANDSHAKE_CLOSED: &str = "\
     the server closed the connection during the TLS handshake: it may not be up yet, the port may \
     need `http`, or a proxy in front of it does not know this name";

/// Why a name may have no address.
fn name_hint(context: &Context<'_>) -> &'static str {
    let host = context.address.host_str().unwrap_or_default().trim_end_matches('.');
    if host.ends_with(".plex.direct") {
        "DNS servers with rebinding protection refuse `plex.direct` names"
    } else if host.ends_with(".local") {
        "a `.local` name needs mDNS, which this system or container may not have"
    } else {
        "is it spelt right, and does this system's DNS server know it?"
    }
}

/// What to check when there is no connection.
fn advice(io: Option<&io::Error>, is_local: bool) -> &'static str {
    use Io::{HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied};
    match io.map(io::Error::kind) {
        Some(HostUnreachable | InvalidInput | NetworkUnreachable | PermissionDenied)
            if is_local =>
        {
            "this system's permission for the local network (macOS), a VPN or a firewall may be in \
             the way"
        }
        _ => "is the server up, and are host and port right?",
    }
}

/// A hint if the address has no port.
fn default_port(context: &Context<'_>) -> &'static str {
    match (context.address.port(), context.address.scheme()) {
        (None, "https") => "; the address has no port, so 443 was tried: a PMS has 32400",
        (None, _) => "; the address has no port, so 80 was tried: a PMS has 32400",
        (Some(_), _) => "",
    }
}

/// A TLS failure.
fn tls(error: &reqwest::Error, context: &Context<'_>) -> Option<Details> {
    let is_https = context.address.scheme() == "https";
    #[cfg(feature = "rustls-no-provider")]
    if let Some(error) = find(error).filter(|_| is_https) {
        return Some(super::tls::explain(error, context.address));
    }
    let is_connect = error.is_connect() && !error.is_dns();
    let (kind, summary) = match io_error(error) {
        _ if !is_https && is_tls(error) => (ErrorKind::Tls, PROXY_NOT_SECURE),
        _ if !is_https => return None,
        Some(io) if is_connect && is_hang_up(io) => (ErrorKind::Connect, HANDSHAKE_CLOSED),
        // Other TLS libraries return `InvalidData`, which no system call does, or no `io::Error`.
        Some(io) if io.kind() == Io::InvalidData => (ErrorKind::Tls, NOT_SECURE),
        None if !cfg!(feature = "rustls-no-provider") && is_connect => (ErrorKind::Tls, NOT_SECURE),
        _ => return None,
    };
    Some(Details::new(kind, summary))
}

/// Whether rustls failed.
#[cfg(feature = "rustls-no-provider")]
fn is_tls(error: &reqwest::Error) -> bool {
    find::<rustls::Error>(error).is_some()
}

#[cfg(not(feature = "rustls-no-provider"))]
fn is_tls(_: &reqwest::Error) -> bool {
    false
}

fn is_hang_up(error: &io::Error) -> bool {
    use Io::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// The error and its causes. An `io::Error` hides the one that it wraps from `source()`.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| {
        match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => error.source(),
        }
    })
}

fn find<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The innermost `io::Error`: the outer ones have kind `Other`.
fn io_error(error: &reqwest::Error) -> Option<&io::Error> {
    chain(error).filter_map(|error| error.downcast_ref()).last()
}
