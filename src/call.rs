//! One call: what its failures are called, and what a person should know of them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use http_body_util::LengthLimitError;
use progenitor_client::Error as Raw;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use crate::answer::{self, BodyKind, Words};
use crate::client::Settings;
use crate::resolver::is_plex_direct;
use crate::{Error, Failure, Token, address, hooks, retry};

/// What a call is for, in the words of its errors.
pub(crate) struct Operation {
    name: &'static str,
    expected: &'static str,
    parameters: &'static str,
}

pub(crate) static TRANSIENT_TOKEN: Operation = Operation {
    name: "minting a transient token",
    expected: "MediaContainer.token",
    parameters: "`type` or `scope`, though Plex knows no other values",
};

pub(crate) static SOURCE: Operation = Operation {
    name: "looking up a source",
    expected: "MediaContainer.Device",
    parameters: "`source`: check its identifier",
};

pub(crate) static IDENTITY: Operation = Operation {
    name: "asking who is there",
    expected: "MediaContainer.machineIdentifier",
    parameters: "though it has none",
};

/// What an error needs to know of the call that it ends.
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static Operation,
    pub(crate) address: &'a Url,
    pub(crate) token: &'a Token,
    pub(crate) settings: &'a Settings,
    pub(crate) started: Instant,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) tries: AtomicU32,
}

type Variant = fn(Arc<Failure>) -> Error;

impl Call<'_> {
    pub(crate) fn failure(&self, summary: impl Into<Cow<'static, str>>) -> Failure {
        Failure {
            operation: self.operation.name,
            origin: self.address.origin().ascii_serialization(),
            tries: self.tries.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
            summary: summary.into(),
            ..Failure::default()
        }
    }

    /// Of an answer with status 200 that is of no use.
    pub(crate) fn of_no_use(&self, body_kind: Option<BodyKind>, summary: &str) -> Arc<Failure> {
        let status = Some(StatusCode::OK);
        Arc::new(Failure { status, body_kind, ..self.failure(summary.to_owned()) })
    }

    /// The generator's error, taken apart: its own text would show headers and bodies.
    pub(crate) async fn error(&self, raw: Raw) -> Error {
        match raw {
            Raw::CommunicationError(error) | Raw::InvalidUpgrade(error) => self.transport(error),
            Raw::ResponseBodyError(error) if error.is_timeout() => self.timed_out(),
            Raw::ResponseBodyError(error) if find::<LengthLimitError>(&error).is_some() => {
                self.too_large()
            }
            Raw::ResponseBodyError(error) => self.cut_short(Some(error)),
            Raw::InvalidResponsePayload(body, error) => self.payload(&body, &error),
            Raw::UnexpectedResponse(response) => self.status(response).await,
            Raw::Custom(reason) if reason == hooks::TOO_LARGE => self.too_large(),
            Raw::Custom(_) => self.not_json(BodyKind::Compressed),
            // Not made by this client: the generator is told of no error and has nothing to check.
            Raw::ErrorResponse(_) | Raw::InvalidRequest(_) => {
                Error::Protocol(self.failure("the answer could not be read").into())
            }
        }
    }

    pub(crate) fn timed_out(&self) -> Error {
        let limit = self.settings.timeout;
        let summary = format!("no complete answer within {limit:?} (`timeout`)");
        Error::Timeout(self.failure(summary).into())
    }

    fn transport(&self, error: reqwest::Error) -> Error {
        let (variant, summary): (Variant, Cow<'static, str>) = if error.is_timeout() {
            if !error.is_connect() {
                return self.timed_out();
            }
            let limit = self.settings.connect_timeout;
            (Error::Timeout, format!("no connection within {limit:?} (`connect_timeout`)").into())
        } else if !error.is_connect() {
            if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
                let summary = "the answer is not HTTP, or its head is too large; a port for TLS \
                               needs `https`";
                (Error::Protocol, summary.into())
            } else {
                (Error::Connection, "the connection was closed before an answer came".into())
            }
        } else if is_dns(&error) {
            let hint = if self.address.host_str().is_some_and(is_plex_direct) {
                ": DNS servers with rebinding protection refuse `plex.direct` names; exempt them \
                 there, or ask another DNS server"
            } else {
                ""
            };
            (Error::Connection, format!("the host's name could not be resolved{hint}").into())
        } else if self.address.scheme() == "https" && is_tls(&error) {
            let hint = if address::is_bare(self.address) {
                "Plex's certificates name `plex.direct` hosts, not addresses: use the server's \
                 `https://ADDRESS.HASH.plex.direct:PORT`"
            } else {
                "the certificate must be valid for this host, and the port must speak TLS"
            };
            (Error::Tls, format!("no secure connection: {hint}").into())
        } else {
            let reason = io_error(&error).map(|error| format!(": {}", error.kind()));
            let reason = reason.unwrap_or_default();
            let hint = "is the server up, and are host and port right?";
            (Error::Connection, format!("no connection{reason}; {hint}").into())
        };
        let source = Some(error.without_url().into());
        variant(Failure { source, ..self.failure(summary) }.into())
    }

    fn too_large(&self) -> Error {
        let limit = self.settings.max_response_bytes;
        let summary = format!("the answer is larger than {limit} bytes (`max_response_bytes`)");
        Error::BodyTooLarge(self.of_no_use(None, &summary))
    }

    fn cut_short(&self, source: Option<reqwest::Error>) -> Error {
        let failure = self.failure("the answer ended before it was complete");
        let source = source.map(|error| error.without_url().into());
        Error::BodyCutShort(Failure { status: Some(StatusCode::OK), source, ..failure }.into())
    }

    fn not_json(&self, kind: BodyKind) -> Error {
        let expected = self.operation.expected;
        let hint = match kind {
            BodyKind::Html | BodyKind::Empty => "; is there a Plex Media Server at this address?",
            BodyKind::Xml => "; a proxy in between may drop the `Accept` header",
            _ => "",
        };
        let summary = format!("expected a JSON object with `{expected}`, got {kind}{hint}");
        Error::NotJson(self.of_no_use(Some(kind), &summary))
    }

    /// serde's own text quotes values: only category, line and column are kept.
    fn payload(&self, body: &[u8], error: &serde_json::Error) -> Error {
        let is_nested = matches!(body.trim_ascii_start(), [b'{' | b'[', ..]);
        match BodyKind::of(body) {
            // serde takes a number that is too large, or what is nested too deep, for wrong syntax.
            kind if kind == BodyKind::Json || is_nested && error.is_data() => {
                let (line, column) = (error.line(), error.column());
                self.unexpected_json(&format!("it is wrong at line {line}, column {column}"))
            }
            BodyKind::Text | BodyKind::Binary if is_nested && error.is_eof() => {
                self.cut_short(None)
            }
            kind => self.not_json(kind),
        }
    }

    pub(crate) fn unexpected_json(&self, problem: &str) -> Error {
        let expected = self.operation.expected;
        let summary = format!("expected `{expected}`, got JSON of another shape: {problem}");
        Error::UnexpectedJson(self.of_no_use(Some(BodyKind::Json), &summary))
    }

    /// Of an answer of which no more may be told.
    pub(crate) fn bare_status(&self, status: StatusCode) -> Error {
        let (variant, summary): (Variant, _) = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (Error::Unavailable, "the server is starting or busy")
            }
            _ => (Error::UnexpectedStatus, "a Plex Media Server answers 200 here"),
        };
        variant(Failure { status: Some(status), ..self.failure(summary) }.into())
    }

    async fn status(&self, response: Response) -> Error {
        let status = response.status();
        let retry_after = retry::retry_after(response.headers(), SystemTime::now());
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let redirect = redirect(location.and_then(|to| self.address.join(to).ok()), self.token);
        let Words { kind, code, message } = Words::read(response, self.token, self.deadline).await;
        let (variant, summary): (Variant, Cow<'static, str>) = match status.as_u16() {
            300..=399 => (Error::Redirect, redirect.into()),
            400 => {
                let parameters = self.operation.parameters;
                let summary = format!("the server refuses a query parameter, maybe {parameters}");
                (Error::BadRequest, summary.into())
            }
            401 => (Error::Unauthorized, UNAUTHORIZED.into()),
            403 => (Error::Forbidden, FORBIDDEN.into()),
            404 => (Error::NotFound, NOT_FOUND.into()),
            429 => (Error::TooManyRequests, "too many requests: come back later".into()),
            503 => (Error::Unavailable, "the server is starting or busy: come back later".into()),
            _ => {
                let kind = kind.unwrap_or(BodyKind::Empty);
                (Error::UnexpectedStatus, format!("an unexpected status, with {kind}").into())
            }
        };
        let (status, body_kind) = (Some(status), kind);
        let failure = self.failure(summary);
        variant(Failure { status, retry_after, body_kind, code, message, ..failure }.into())
    }
}

const UNAUTHORIZED: &str = "the token is unknown or has expired: a transient token lives for 48 \
                            hours at most, and dies when its server restarts";
const FORBIDDEN: &str = "the token is known, but may not do this; a source is for an admin's token \
                         only, or a transient token made from one";
const NOT_FOUND: &str = "the address may have the wrong path; for a source the server must not be \
                         older than 1.15.4";

fn redirect(to: Option<Url>, token: &Token) -> String {
    let Some(to) = to else {
        return "a redirect that points nowhere".to_owned();
    };
    let origin = answer::shown(&to.origin().ascii_serialization(), token);
    format!(
        "it points to {origin}, which is not followed, because the token would go along; if that \
         is the server, use it as the address"
    )
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

fn is_dns(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.to_string().starts_with("dns error"))
}

/// Whether it was the TLS layer that refused: with rustls an `InvalidData` that no system call
/// returned, with other backends no `io::Error` at all.
fn is_tls(error: &reqwest::Error) -> bool {
    match io_error(error) {
        Some(error) => error.kind() == io::ErrorKind::InvalidData,
        None => !chain(error).any(|error| error.to_string().contains("tunnel")),
    }
}
