//! `Error` and `ErrorKind`: what happened, and what to do.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{StatusCode, Url};

/// Why a call failed, or why nothing was sent.
///
/// [`kind()`](Self::kind) says what happened, the other methods give details. `Display` is one line
/// that says what happened, where, and what to do; `Debug` is the kind and the same line. Neither
/// they nor [`source()`](std::error::Error::source), the transport's own error without its URL,
/// contain a token, a header or a byte of a good response. Cheap to clone.
///
/// ```
/// use plex_auth::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::Unauthorized => "sign in again",
///         ErrorKind::Unavailable => "the server is starting, wait a moment",
///         _ if error.is_retryable() => "try again later",
///         _ => "see the log",
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Details>);

/// Makes `ErrorKind` and `ErrorKind::ALL` of one list.
macro_rules! error_kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What happened. Each variant says what to do. `Display` and `Serialize` give the
        /// variant's name, for metrics and logs.
        ///
        /// ```
        /// assert_eq!(plex_auth::ErrorKind::NoDevice.to_string(), "NoDevice");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// All kinds, for a table of texts or of metrics.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];
        }
    };
}

error_kinds! {
    /// The address is invalid, or a token must not be sent there. Nothing was sent: correct it as
    /// the text says.
    InvalidAddress,
    /// The token is missing or invalid. Nothing was sent: correct it as the text says.
    InvalidToken,
    /// The source is not `server://IDENTIFIER` or `provider://IDENTIFIER`. Nothing was sent.
    InvalidSource,
    /// A setting is missing or invalid. Nothing was sent: the text names it.
    InvalidSetting,
    /// The call was made outside a tokio runtime. Nothing was sent: await it inside one.
    NoRuntime,
    /// This process can't send requests: no CA certificates, no TLS library for `https`, or no
    /// support for a SOCKS proxy. Nothing was sent.
    HttpSetup,
    /// No connection, or it was closed during the TLS handshake or before the response. Check
    /// that the server is up, its host and port, and a proxy of `configure_http`.
    Connect,
    /// No secure connection. The text says whether the certificate has expired, comes from an
    /// unknown issuer or is for another name, or that the port does not speak TLS; see also
    /// [`Error::suggested_address`].
    Tls,
    /// The call took longer than `timeout`, or a connection longer than `connect_timeout`.
    Timeout,
    /// The response is not HTTP. Check the port, and whether it needs `https`.
    Protocol,
    /// 400: the server refuses a query parameter, or the port needs `https`.
    BadRequest,
    /// 401: the server does not accept the token. Get a new one.
    Unauthorized,
    /// 403: the token may not do this. Use an admin's token to look up a source.
    Forbidden,
    /// 404: no such endpoint. Check the address's path, and the server's age.
    NotFound,
    /// 429: wait for [`Error::retry_after`] before the next call.
    TooManyRequests,
    /// 408, 502, 503, 504, and 520 to 524 and 530 of Cloudflare: the server is starting or busy,
    /// or a proxy in front of it can't reach it. Wait.
    Unavailable,
    /// A proxy in front of the server, or the proxy of `configure_http`, refused, or asks for a
    /// login of its own: a 403 that is not the server's, a 401 with `WWW-Authenticate`, 407, and
    /// any 401 or 403 for [`Client::identity`](crate::Client::identity). A new token does not
    /// help: let the proxy pass Plex's paths, or give it what it asks for.
    Proxy,
    /// 3xx: the server, or a proxy in front of it, points to another address, where no token is
    /// sent.
    Redirect,
    /// Any other status except 200. See [`Error::status`].
    Status,
    /// The response is larger than `max_response_bytes`.
    BodyTooLarge,
    /// The response has status 200, and ended before it was complete. Try again.
    BodyCutShort,
    /// The response has status 200, but is neither the JSON nor the XML that was expected. Check
    /// that there is a Plex Media Server at this address.
    Decode,
    /// The response has no usable token. An unclaimed server returns none.
    NoToken,
    /// The response has no device with the source's identifier: the server does not know it.
    NoDevice,
    /// Candidates of `connect` only: another server answers at this address.
    WrongServer,
    /// `connect` only: no connection of the source works. See [`Error::candidates`].
    Unreachable,
    /// Candidates of `connect` only: the connection was not tried, for the reason in the text.
    Skipped,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Everything an [`Error`] knows.
#[derive(Clone)]
pub(crate) struct Details {
    pub(crate) kind: ErrorKind,
    /// What happened and what to do.
    pub(crate) summary: String,
    /// What was attempted, for the text.
    pub(crate) operation: String,
    pub(crate) origin: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) server_code: Option<i64>,
    pub(crate) server_message: Option<String>,
    pub(crate) suggested_address: Option<Url>,
    pub(crate) candidates: Vec<CandidateError>,
    pub(crate) source: Option<Arc<reqwest::Error>>,
}

impl Details {
    pub(crate) fn new(kind: ErrorKind, summary: impl Into<String>) -> Self {
        Self {
            kind,
            summary: summary.into(),
            operation: String::new(),
            origin: None,
            attempts: 0,
            status: None,
            retry_after: None,
            server_code: None,
            server_message: None,
            suggested_address: None,
            candidates: Vec::new(),
            source: None,
        }
    }

    /// The text without operation and origin.
    fn fmt_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status.filter(|status| *status != StatusCode::OK) {
            write!(f, "{status}: ")?;
        }
        f.write_str(&self.summary)?;
        if let Some(message) = &self.server_message {
            let who = if self.kind == ErrorKind::Proxy { "it" } else { "the server" };
            write!(f, "; {who} says: {message}")?;
        }
        if let Some(code) = self.server_code {
            write!(f, " (code {code})")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; `Retry-After` is {} s", wait.as_secs())?;
        }
        if self.attempts > 1 {
            write!(f, " ({} attempts)", self.attempts)?;
        }
        Ok(())
    }

    fn fmt_candidates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 10;
        for (index, candidate) in self.candidates.iter().take(MOST).enumerate() {
            write!(f, "{} {candidate}", if index == 0 { ":" } else { ";" })?;
        }
        match self.candidates.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl From<Details> for Error {
    fn from(details: Details) -> Self {
        Self(Arc::new(details))
    }
}

/// For conversions that can't fail, such as a [`Token`](crate::Token) to itself.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, summary: impl Into<String>) -> Self {
        Details::new(kind, summary).into()
    }

    /// An unusable response of status 200.
    pub(crate) fn unusable(kind: ErrorKind, summary: impl Into<String>) -> Self {
        Details { status: Some(StatusCode::OK), ..Details::new(kind, summary) }.into()
    }

    /// Changes an error, but not its clones.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Details)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// A setting of the builder that is missing or invalid.
    pub(crate) fn setting(name: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidSetting, format!("`{name}`: {problem}"))
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status of the server's response, if one came.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The wait that the server asked for in `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether this is a transient failure, which is retried and may not happen again:
    /// [`ErrorKind::Connect`], [`BodyCutShort`](ErrorKind::BodyCutShort),
    /// [`TooManyRequests`](ErrorKind::TooManyRequests) and
    /// [`Unavailable`](ErrorKind::Unavailable). A time-out is not: the call has used its time. For
    /// [`ErrorKind::Unreachable`], whether a candidate failed transiently, or did not answer.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::TooManyRequests | ErrorKind::Unavailable)
            || self.is_connection_failure()
            || self.candidates().iter().any(|candidate| {
                candidate.error.is_retryable() || candidate.error.kind() == ErrorKind::Timeout
            })
    }

    /// Whether there was no connection, or it ended before the response was complete.
    pub(crate) fn is_connection_failure(&self) -> bool {
        matches!(self.kind(), ErrorKind::Connect | ErrorKind::BodyCutShort)
    }

    /// Whether there was a connection, which ended before the response was complete.
    pub(crate) fn is_closed(&self) -> bool {
        let is_open = |source: &Arc<reqwest::Error>| !source.is_connect();
        self.is_connection_failure() && self.0.source.as_ref().is_some_and(is_open)
    }

    /// The origin of the request: scheme, host and port.
    pub fn origin(&self) -> Option<&str> {
        self.0.origin.as_deref()
    }

    /// How many requests were attempted. 0: nothing was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The server's own explanation, from JSON or XML: the caller's token redacted, control
    /// characters escaped, at most 256 characters.
    pub fn server_message(&self) -> Option<&str> {
        self.0.server_message.as_deref()
    }

    /// The address to use instead of a bare IP address or `localhost`, if the server's certificate
    /// gives it. The certificate is for `*.HASH.plex.direct`, so `https://10.0.2.123:32400` becomes
    /// `https://10-0-2-123.HASH.plex.direct:32400`. Needs the feature `rustls` or
    /// `rustls-no-provider`. Not available on macOS and Windows, where the system's verifier does
    /// not return a certificate's names.
    pub fn suggested_address(&self) -> Option<&Url> {
        self.0.suggested_address.as_ref()
    }

    /// `connect` only: why each connection of the source failed or was skipped, in the order of
    /// their classes, those of the second look-up last. `Display` shows the first ten.
    pub fn candidates(&self) -> &[CandidateError] {
        &self.0.candidates
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        // `InvalidAddress` is "invalid address".
        if let Some(what) = details.kind.to_string().strip_prefix("Invalid") {
            write!(f, "invalid {}: ", what.to_lowercase())?;
        }
        match &details.origin {
            Some(origin) => write!(f, "{} at {}: ", details.operation, shorten(origin, 100))?,
            None if !details.operation.is_empty() => write!(f, "{}: ", details.operation)?,
            None => {}
        }
        details.fmt_reason(f)?;
        details.fmt_candidates(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Why a connection of a source failed or was skipped. From [`Error::candidates`].
#[derive(Clone, Debug)]
pub struct CandidateError {
    pub(crate) origin: String,
    pub(crate) local: bool,
    pub(crate) relay: bool,
    pub(crate) error: Error,
}

impl CandidateError {
    /// Scheme, host and port of the connection.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is flagged local: in the source's own network.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether it goes through a relay.
    pub fn is_relay(&self) -> bool {
        self.relay
    }

    /// What happened: [`ErrorKind::Skipped`], with the reason, if it was not tried.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relay = if self.relay { " (relay)" } else { "" };
        let skipped = if self.error.kind() == ErrorKind::Skipped { "skipped: " } else { "" };
        write!(f, "{}{relay}: {skipped}", shorten(&self.origin, 100))?;
        self.error.0.fmt_reason(f)
    }
}

/// Escapes the control characters of peer-supplied text, and cuts it to `most` characters.
pub(crate) fn escape(text: &str, most: usize) -> String {
    let mut escaped = String::new();
    // Escaping never shortens, so more than `most` characters can't be needed.
    for char in text.chars().take(most.saturating_add(1)) {
        match char {
            '"' | '\'' | '\\' => escaped.push(char),
            _ => escaped.extend(char.escape_debug()),
        }
    }
    shorten(&escaped, most).into_owned()
}

fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().nth(most).is_none() {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let text = "\u{1b}[31mred\u{202e}\n\"ü\" \\";
        assert_eq!(escape(text, 256), "\\u{1b}[31mred\\u{202e}\\n\"ü\" \\");
    }

    #[test]
    fn text_is_cut_after_it_was_escaped() {
        let escaped = escape(&"ü\u{7}".repeat(300), 256);
        assert_eq!(escaped.chars().count(), 256);
        assert!(escaped.ends_with('…'));
    }

    #[test]
    fn ten_candidates_are_shown_with_100_characters_each() {
        let candidate = CandidateError {
            origin: format!("https://{}", "a".repeat(10_000)),
            local: false,
            relay: true,
            error: Error::new(ErrorKind::Skipped, "it is far"),
        };
        let details = Details::new(ErrorKind::Unreachable, "no connection works");
        let error = Error::from(Details { candidates: vec![candidate; 101], ..details });
        let text = error.to_string();
        assert!(text.starts_with("no connection works: https://aaa"), "{text}");
        assert_eq!(text.matches("… (relay): skipped: it is far").count(), 10);
        assert!(text.ends_with("; and 91 more") && text.len() < 2_000, "{text}");
        assert_eq!(error.candidates().len(), 101);
    }

    #[test]
    fn debug_is_one_line_with_kind_and_text() {
        let error = Error::new(ErrorKind::NoRuntime, "await it in a runtime");
        assert_eq!(format!("{error:?}"), "NoRuntime: await it in a runtime");
        assert_eq!(format!("{error:#?}"), "NoRuntime: await it in a runtime");
    }
}
