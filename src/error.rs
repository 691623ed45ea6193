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
    /// The call was made outside a `tokio` runtime, or in one that is shutting down. Nothing was
    /// sent.
    NoRuntime,
    /// From [`TokenKeeper::token`](crate::TokenKeeper::token): the last tokens were all refused
    /// within 10 seconds of their mint, so the next mint waits. Nothing was sent.
    #[non_exhaustive]
    RefusedWhenNew {
        /// How long until the next mint, up to 5 minutes.
        wait: Duration,
    },
    /// No connection, or it was closed before an answer came.
    Connection(Arc<Failure>),
    /// No secure connection: a certificate that doesn't fit, or no TLS at the other end.
    Tls(Arc<Failure>),
    /// The call took longer than `timeout`, or a connection longer than `connect_timeout`.
    Timeout(Arc<Failure>),
    /// The answer is not HTTP.
    Protocol(Arc<Failure>),
    /// 400: the server refuses a query parameter.
    BadRequest(Arc<Failure>),
    /// 401: the token is unknown, or has expired.
    Unauthorized(Arc<Failure>),
    /// 403: the token is known, but may not do this.
    Forbidden(Arc<Failure>),
    /// 404: the server has no such endpoint, or the address has the wrong path.
    NotFound(Arc<Failure>),
    /// 429: the server wants fewer requests.
    TooManyRequests(Arc<Failure>),
    /// 503: the server is starting, or in maintenance.
    Unavailable(Arc<Failure>),
    /// 3xx: the server points somewhere else, where no token is sent.
    Redirect(Arc<Failure>),
    /// Any other status than 200.
    UnexpectedStatus(Arc<Failure>),
    /// The answer is larger than `max_response_bytes`.
    BodyTooLarge(Arc<Failure>),
    /// The answer ended before it was complete.
    BodyCutShort(Arc<Failure>),
    /// The answer's status is 200, but it is not JSON.
    NotJson(Arc<Failure>),
    /// The answer is JSON of another shape than was expected.
    UnexpectedJson(Arc<Failure>),
    /// The answer has the expected shape, but no token in it that could be used.
    NoToken(Arc<Failure>),
    /// The answer holds no device, or several of which none is the source.
    NoMatchingDevice(Arc<Failure>),
    /// Another server than the one that was looked for answers there.
    WrongServer(Arc<Failure>),
    /// None of a device's connections leads to it.
    NoConnection(Arc<NoConnection>),
}

impl Error {
    pub(crate) fn invalid(what: &'static str, problem: impl Into<Arc<str>>) -> Self {
        Self::Invalid { what, problem: problem.into() }
    }

    /// What is known of a call that was made and failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Invalid { .. }
            | Self::HttpSetup(_)
            | Self::NoRuntime
            | Self::NoConnection(_)
            | Self::RefusedWhenNew { .. } => None,
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
            | Self::NoMatchingDevice(failure)
            | Self::WrongServer(failure) => Some(failure),
        }
    }

    /// The status of the server's answer, if one came.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.failure()?.status
    }

    /// How long to wait before the next try: what the server asked for by its `Retry-After`, or the
    /// wait of [`RefusedWhenNew`](Self::RefusedWhenNew).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RefusedWhenNew { wait } => Some(*wait),
            _ => self.failure()?.retry_after,
        }
    }

    /// Whether this is a failure that the crate itself tries again, and that a later call may not
    /// meet: no connection, 429, 502, 503, 504. Not a time-out: the call has had its time. Of a
    /// [`NoConnection`], whether one of its attempts failed in such a way.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::TooManyRequests(_) | Self::Unavailable(_) => true,
            Self::UnexpectedStatus(failure) => matches!(
                failure.status,
                Some(StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
            ),
            Self::NoConnection(none) => {
                none.attempts.iter().any(|attempt| attempt.error.is_retryable())
            }
            _ => false,
        }
    }

    /// Whether the token was refused: 401 or 403, or [`RefusedWhenNew`](Self::RefusedWhenNew).
    #[must_use]
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Forbidden(_) | Self::RefusedWhenNew { .. })
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
            Self::NoConnection(none) => none.fmt(f),
            Self::NoRuntime => {
                f.write_str("no tokio runtime, or one that is shutting down: await the call in one")
            }
            Self::RefusedWhenNew { wait } => write!(
                f,
                "every new transient token is refused; the next one is minted in {wait:.1?}: does \
                 it go to the server that minted it?"
            ),
            _ => self.failure().map_or(Ok(()), |failure| failure.fmt(f)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::HttpSetup(source) => Some(&**source),
            Self::NoConnection(none) => none.refresh.as_ref().map(|error| error as _),
            _ => self.failure()?.source.as_deref().map(|source| source as _),
        }
    }
}

/// A call that was made and failed: what is known of it.
///
/// `Display` is the whole story in one line.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Failure {
    /// The origin that was asked: scheme, host and port.
    pub origin: String,
    /// How many times it was tried, 1 or more.
    pub tries: u32,
    /// How long it took, from the first try to the failure of the last.
    pub elapsed: Duration,
    /// The status of the server's answer, if one came.
    pub status: Option<StatusCode>,
    /// How long the server asked to wait before the next try.
    pub retry_after: Option<Duration>,
    /// What kind of body came with the answer, whatever its `Content-Type` said.
    pub body_kind: Option<BodyKind>,
    /// The server's own number for the error, from JSON or XML: 1000 for a bad request, 1001 for a
    /// refused token.
    pub code: Option<i64>,
    /// The server's own words, from JSON or XML: at most 256 characters, control characters
    /// escaped, and whatever could be a token masked.
    pub message: Option<String>,
    pub(crate) operation: &'static str,
    pub(crate) summary: Cow<'static, str>,
    pub(crate) source: Option<Arc<reqwest::Error>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.operation, self.origin)?;
        self.tell(f)
    }
}

impl Failure {
    /// What happened, without what was tried and where.
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, tries, elapsed, .. } = self;
        if let Some(status) = self.status.filter(|status| *status != StatusCode::OK) {
            write!(f, "{status}: ")?;
        }
        f.write_str(summary)?;
        if let Some(message) = &self.message {
            write!(f, "; the server says: {message}")?;
        }
        if let Some(code) = self.code {
            write!(f, " (its code {code})")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; it asks to come back in {} s", wait.as_secs())?;
        }
        if *tries > 1 {
            write!(f, " (tried {tries} times in {elapsed:.1?})")?;
        }
        Ok(())
    }
}

/// None of a device's connections leads to it: what became of each.
///
/// `Display` is a list, a line for each connection. [`Error::source`](std::error::Error::source) is
/// the failure of the look-up with `refresh=1`, where that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NoConnection {
    /// Best first, as they were tried. Empty when the device has no connections.
    pub attempts: Vec<Attempt>,
    pub(crate) source: String,
    pub(crate) refresh: Option<Error>,
}

/// A connection of a device that was skipped, or failed.
///
/// `Display` is the whole story in one line, without a byte of any answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Scheme, host and port.
    pub origin: String,
    /// Whether it leads through a relay.
    pub relay: bool,
    /// Why it is of no use: [`Error::Invalid`] when it was skipped, and nothing was sent there.
    pub error: Error,
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {} can be used", self.source)?;
        if self.attempts.is_empty() {
            f.write_str(": it has none; is it running, and known to the server that was asked?")?;
        }
        self.attempts.iter().try_for_each(|attempt| write!(f, "\n  {attempt}"))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relay = if self.relay { " (relay)" } else { "" };
        write!(f, "{}{relay}: ", self.origin)?;
        match (&self.error, self.error.failure()) {
            (Error::Invalid { problem, .. }, _) => write!(f, "skipped: {problem}"),
            (_, Some(failure)) => failure.tell(f),
            (error, None) => error.fmt(f),
        }
    }
}
