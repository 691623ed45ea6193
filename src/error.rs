//! What went wrong, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::BodyKind;

/// What went wrong.
///
/// Cheap to clone. Its texts say what happened and what to do; none holds a token, a header or a
/// byte of a good answer. [`source()`](std::error::Error::source) is the transport's own error,
/// without its URL.
///
/// | question | answer |
/// |---|---|
/// | which status did the server send? | [`status()`](Self::status) |
/// | when to come back? | [`retry_after()`](Self::retry_after) |
/// | is it a failure that the crate itself tries again? | [`is_retryable()`](Self::is_retryable) |
/// | is another token needed? | [`is_auth()`](Self::is_auth) |
/// | all that is known of a failed call? | [`failure()`](Self::failure) |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting or an argument is missing or wrong. Nothing was sent.
    #[non_exhaustive]
    Invalid {
        /// The setting or argument: `token`, `address`, `source` and so on.
        what: &'static str,
        /// What is wrong with it, and what would be right.
        problem: Arc<str>,
    },
    /// `reqwest` could not set itself up; the source says why.
    HttpSetup(Arc<reqwest::Error>),
    /// The call was made outside a `tokio` runtime. Nothing was sent.
    NoRuntime,
    /// No connection, or it was closed before an answer came.
    Connection(Failure),
    /// No secure connection: a certificate that doesn't fit, or no TLS at the other end.
    Tls(Failure),
    /// The call took longer than `timeout`, or a connection longer than `connect_timeout`.
    Timeout(Failure),
    /// The answer is not HTTP.
    Protocol(Failure),
    /// 400: the server refuses a query parameter.
    BadRequest(Failure),
    /// 401: the token is unknown, or has expired.
    Unauthorized(Failure),
    /// 403: the token is known, but may not do this.
    Forbidden(Failure),
    /// 404: the server has no such endpoint, or the address has the wrong path.
    NotFound(Failure),
    /// 429: the server wants fewer requests.
    TooManyRequests(Failure),
    /// 503: the server is starting, or in maintenance.
    Unavailable(Failure),
    /// 3xx: the server points somewhere else, where no token is sent.
    Redirect(Failure),
    /// Any other status than 200.
    UnexpectedStatus(Failure),
    /// The answer is larger than `max_response_bytes`.
    BodyTooLarge(Failure),
    /// The answer ended before it was complete.
    BodyCutShort(Failure),
    /// The answer's status is 200, but it is not JSON.
    NotJson(Failure),
    /// The answer is JSON of another shape than was expected.
    UnexpectedJson(Failure),
    /// The answer has the expected shape, but no token in it that could be used.
    NoToken(Failure),
    /// The answer holds no device, or several of which none is the source.
    NoMatchingDevice(Failure),
}

impl Error {
    pub(crate) fn invalid(what: &'static str, problem: impl Into<Arc<str>>) -> Self {
        Self::Invalid { what, problem: problem.into() }
    }

    /// What is known of a call that was made and failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Invalid { .. } | Self::HttpSetup(_) | Self::NoRuntime => None,
            Self::Connection(failure)
            | Self::Tls(failure)
            | Self::Timeout(failure)
            | Self::Protocol(failure)
            | Self::BadRequest(failure)
            | Self::Unauthorized(failure)
            | Self::Forbidden(failure)
            | Self::NotFound(failure)
            | Self::TooManyRequests(failure)
            | Self::Unavailable(failure)
            | Self::Redirect(failure)
            | Self::UnexpectedStatus(failure)
            | Self::BodyTooLarge(failure)
            | Self::BodyCutShort(failure)
            | Self::NotJson(failure)
            | Self::UnexpectedJson(failure)
            | Self::NoToken(failure)
            | Self::NoMatchingDevice(failure) => Some(failure),
        }
    }

    /// The status of the server's answer, if one came.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.failure()?.0.status
    }

    /// How long the server asked to wait before the next try, by its `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure()?.0.retry_after
    }

    /// Whether this is a failure that the crate itself tries again, and that a later call may not
    /// meet: no connection, 429, 502, 503, 504. Not a time-out: the call has had its time.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::TooManyRequests(_) | Self::Unavailable(_) => true,
            Self::UnexpectedStatus(failure) => matches!(
                failure.0.status,
                Some(StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
            ),
            _ => false,
        }
    }

    /// Whether the server refused the token: 401 or 403.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Forbidden(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { what, problem } => write!(f, "`{what}` can't be used: {problem}"),
            Self::HttpSetup(_) => f.write_str(
                "HTTP could not be set up; where no CA certificates are installed, install them \
                 or name some with `configure_http`",
            ),
            Self::NoRuntime => {
                f.write_str("the call was made outside a tokio runtime: await it inside one")
            }
            _ => match self.failure() {
                Some(failure) => failure.fmt(f),
                None => Ok(()),
            },
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::HttpSetup(source) => Some(&**source),
            _ => self.failure()?.0.source.as_deref().map(|source| source as _),
        }
    }
}

/// What a call tried to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    TransientToken,
    Source,
}

impl Operation {
    /// What a good answer holds.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::TransientToken => "MediaContainer.token",
            Self::Source => "MediaContainer.Device",
        }
    }

    pub(crate) fn on_bad_request(self) -> &'static str {
        match self {
            Self::TransientToken => {
                "the server refuses a query parameter, `type` or `scope`, though Plex knows no \
                 other values: is this a Plex Media Server?"
            }
            Self::Source => {
                "the server refuses a query parameter, most likely `source`: check its identifier"
            }
        }
    }

    pub(crate) fn on_forbidden(self) -> &'static str {
        match self {
            Self::TransientToken => "the token is known, but no transient token is made for it",
            Self::Source => {
                "the token is known, but may not do this: an admin's token is needed, or a \
                 transient token made from one"
            }
        }
    }

    pub(crate) fn on_not_found(self) -> &'static str {
        match self {
            Self::TransientToken => {
                "the address has the wrong path, or is not a Plex Media Server's"
            }
            Self::Source => {
                "the server may be older than 1.15.4, or the address has the wrong path"
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TransientToken => "minting a transient token",
            Self::Source => "looking up a source",
        })
    }
}

/// A call that was made and failed: what is known of it.
///
/// `Display` is the whole story in one line.
#[derive(Clone, Debug)]
pub struct Failure(Arc<Details>);

#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) operation: Operation,
    pub(crate) origin: String,
    pub(crate) tries: u32,
    pub(crate) elapsed: Duration,
    pub(crate) summary: Cow<'static, str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body_kind: Option<BodyKind>,
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) source: Option<Arc<reqwest::Error>>,
}

impl From<Details> for Failure {
    fn from(details: Details) -> Self {
        Self(Arc::new(details))
    }
}

impl Failure {
    /// The origin that was asked: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// How many times it was tried, 1 or more.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// How long it took, from the first try to the failure of the last.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// What kind of body came with the answer, whatever its `Content-Type` said.
    #[must_use]
    pub fn body_kind(&self) -> Option<BodyKind> {
        self.0.body_kind
    }

    /// The server's own number for the error: 1000 for a bad request, 1001 for a refused token.
    /// Only with an error in JSON or XML.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        self.0.code
    }

    /// The server's own words, from an error in JSON or XML: at most 256 characters, control
    /// characters escaped, and whatever could be a token masked.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        write!(f, "{} at {}: ", details.operation, details.origin)?;
        if let Some(status) = details.status.filter(|status| *status != StatusCode::OK) {
            write!(f, "{status}: ")?;
        }
        f.write_str(&details.summary)?;
        match (&details.message, details.code) {
            (Some(message), Some(code)) => write!(f, "; the server says: {message} ({code})")?,
            (Some(message), None) => write!(f, "; the server says: {message}")?,
            (None, Some(code)) => write!(f, "; the server's code is {code}")?,
            (None, None) => {}
        }
        if let Some(wait) = details.retry_after {
            write!(f, "; it asks to come back in {} s", wait.as_secs())?;
        }
        if details.tries > 1 {
            write!(f, " (tried {} times in {:.1?})", details.tries, details.elapsed)?;
        }
        Ok(())
    }
}
