//! From a `reqwest::Error` to an `Error`: connections, TLS, time-outs.

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Io};
use std::sync::Arc;

#[cfg(feature = "rustls")]
use crate::client::certificate;
use crate::client::classify::{CUT_SHORT, MAYBE_HTTPS};
use crate::client::request::Call;
use crate::error::{Details, Error, ErrorKind};

impl Call<'_> {
    pub(super) fn transport(&self, error: reqwest::Error) -> Error {
        let is_https = self.address.scheme() == "https";
        let hint = if is_https { String::new() } else { format!("; {MAYBE_HTTPS}") };
        let (kind, summary) = if error.is_timeout() && error.is_connect() {
            let limit = self.client.0.settings.connect_timeout;
            let summary = format!("no connection within {limit:?} (`connect_timeout`)");
            (ErrorKind::Timeout, summary)
        } else if error.is_timeout() {
            return self.timed_out();
        } else if error.is_decode() || error.is_body() {
            (ErrorKind::BodyCutShort, CUT_SHORT.to_owned())
        } else if is_https && is_tls(&error) {
            return self.tls(&error);
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
            return Details { attempts: 0, ..self.details(ErrorKind::HttpSetup, summary) }.into();
        } else {
            let reason = io_error(&error).map(|error| format!(": {}", error.kind()));
            let reason = reason.unwrap_or_default();
            let summary =
                format!("no connection{reason}; is the server up, and are host and port right?");
            (ErrorKind::Connect, summary)
        };
        let source = Some(Arc::new(error.without_url()));
        Details { source, ..self.details(kind, summary) }.into()
    }

    /// Without the transport's own error: it shows the names in a certificate, which are the
    /// peer's.
    fn tls(&self, error: &reqwest::Error) -> Error {
        #[cfg(feature = "rustls")]
        if let Some((summary, suggested_address)) =
            find(error).and_then(|error| certificate::problem(error, self.address))
        {
            let details = self.details(ErrorKind::Tls, summary);
            return Details { suggested_address, ..details }.into();
        }
        let summary = if io_error(error).is_some_and(is_hang_up) {
            "the server closed the connection during the TLS handshake: the port may need `http`"
        } else {
            "no secure connection: the certificate must be valid for this host, and the port must \
             speak TLS"
        };
        self.details(ErrorKind::Tls, summary).into()
    }
}

/// Whether it was the TLS layer that failed. With rustls that is an `io::Error` of a kind that
/// comes from no system call while connecting, with other libraries none at all.
fn is_tls(error: &reqwest::Error) -> bool {
    if !error.is_connect() || error.is_dns() || has_no_tls_library(error) {
        return false;
    }
    let is_proxy = || chain(error).any(|error| error.to_string().contains("tunnel"));
    io_error(error)
        .map_or_else(|| !is_proxy(), |error| error.kind() == Io::InvalidData || is_hang_up(error))
}

fn is_hang_up(error: &io::Error) -> bool {
    use Io::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// reqwest's connector then refuses every scheme but `http`; it has no other way to say so.
fn has_no_tls_library(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.to_string().contains("scheme is not http"))
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

/// The innermost: those around it are of kind `Other`.
fn io_error(error: &reqwest::Error) -> Option<&io::Error> {
    chain(error).filter_map(|error| error.downcast_ref()).last()
}
