//! Explains a `reqwest::Error`: connection, TLS, timeout, truncated body.

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Io};

use super::{CUT_SHORT, Context, MAYBE_HTTPS, NOT_SECURE, timed_out};
use crate::api::body::BodyError;
use crate::client::resolver::NotLocal;
use crate::error::{Details, Error, ErrorKind};

pub(crate) fn explain(error: reqwest::Error, context: &Context<'_>) -> Error {
    // Checks types before texts, because a text may be peer-supplied.
    if let Some(refused) = find::<BodyError>(&error) {
        let kind = match refused {
            BodyError::TooLarge(_) => ErrorKind::BodyTooLarge,
            BodyError::Compressed => ErrorKind::Decode,
            BodyError::NotLocal => ErrorKind::InvalidAddress,
        };
        return Error::unusable(kind, refused.to_string());
    }
    if let Some(not_local) = find::<NotLocal>(&error) {
        return Error::new(ErrorKind::InvalidAddress, not_local.to_string());
    }
    let io = io_error(&error);
    let is_https = context.address.scheme() == "https";
    let hint = if is_https { String::new() } else { format!("; {MAYBE_HTTPS}") };
    // ETIMEDOUT of `tcp_user_timeout`: sent data was not acknowledged.
    let is_dead = !error.is_connect()
        && io.is_some_and(|io| io.kind() == Io::TimedOut && io.raw_os_error().is_some());
    let (kind, summary) = if error.is_timeout() && error.is_connect() {
        let limit = context.connect_timeout;
        let summary = format!("no connection within {limit:?} (`connect_timeout`)");
        (ErrorKind::Timeout, summary + default_port(context))
    } else if error.is_timeout() && !is_dead {
        return timed_out(context);
    } else if error.is_decode() || error.is_body() {
        (ErrorKind::BodyCutShort, CUT_SHORT.to_owned())
    } else if let Some(error) = tls(&error, context) {
        return error;
    } else if find(&error).is_some_and(hyper::Error::is_parse) {
        let summary = format!("the response is not HTTP, or its head is too large{hint}");
        (ErrorKind::Protocol, summary)
    } else if !error.is_connect() {
        let summary = format!("the connection was closed before a response came{hint}");
        (ErrorKind::Connect, summary)
    } else if error.is_dns() {
        let summary = "the host's name could not be resolved (DNS servers with rebinding \
                       protection refuse `plex.direct` names)";
        (ErrorKind::Connect, summary.to_owned())
    } else if is_https && has_no_tls_library(&error) {
        let summary = "there is no TLS library for `https`: switch on the feature `rustls` of \
                       plex-auth, or `native-tls` or `rustls-no-provider` of reqwest 0.13";
        (ErrorKind::HttpSetup, summary.to_owned())
    } else {
        // Not every error of the system has a kind, "Too many open files" for example.
        let reason = io.map(|error| match error.raw_os_error() {
            Some(_) if error.kind() != Io::ConnectionRefused => format!(": {error}"),
            _ => format!(": {}", error.kind()),
        });
        let reason = reason.unwrap_or_default();
        let summary =
            format!("no connection{reason}; is the server up, and are host and port right?");
        (ErrorKind::Connect, summary + default_port(context))
    };
    Details { source: Some(error.without_url()), ..Details::new(kind, summary) }.into()
}

/// A hint if the address has no port.
fn default_port(context: &Context<'_>) -> &'static str {
    match (context.address.port(), context.address.scheme()) {
        (None, "https") => "; the address has no port, so 443 was tried: a PMS has 32400",
        (None, _) => "; the address has no port, so 80 was tried: a PMS has 32400",
        (Some(_), _) => "",
    }
}

/// A TLS failure. Its source is dropped, because it contains the certificate's names, which are
/// peer-supplied.
fn tls(error: &reqwest::Error, context: &Context<'_>) -> Option<Error> {
    #[cfg(feature = "rustls")]
    if let Some(error) = find(error) {
        return Some(super::tls::explain(error, context.address));
    }
    let is_connect = error.is_connect() && !error.is_dns();
    let summary = match io_error(error) {
        _ if context.address.scheme() != "https" => return None,
        Some(error) if is_connect && is_hang_up(error) => {
            "the server closed the connection during the TLS handshake: the port may need `http`"
        }
        // Other TLS libraries return `InvalidData`, which no system call does, or no `io::Error`.
        Some(error) if error.kind() == Io::InvalidData => NOT_SECURE,
        None if !cfg!(feature = "rustls")
            && is_connect
            && !has_no_tls_library(error)
            && !is_tunnel(error) =>
        {
            NOT_SECURE
        }
        _ => return None,
    };
    Some(Error::new(ErrorKind::Tls, summary))
}

fn is_hang_up(error: &io::Error) -> bool {
    use Io::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Without a TLS library, reqwest's connector refuses `https`. Only the text of the last cause says
/// so.
fn has_no_tls_library(error: &reqwest::Error) -> bool {
    !cfg!(feature = "rustls")
        && io_error(error).is_none()
        && chain(error).last().is_some_and(|last| last.to_string().contains("scheme is not http"))
}

/// A proxy from `configure_http` did not open a tunnel.
fn is_tunnel(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.to_string().starts_with("tunnel"))
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
