//! One call: what its failures are called, and what a person should know of them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use http_body_util::LengthLimitError;
use progenitor_client::Error as Raw;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use crate::answer::{self, BodyKind, Words};
use crate::client::Settings;
use crate::error::{Details, Operation};
use crate::{Error, Token, address, hooks, retry};

/// What an error needs to know of the call that it ends.
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) address: &'a Url,
    pub(crate) token: &'a Token,
    pub(crate) settings: &'a Settings,
    pub(crate) started: Instant,
    pub(crate) tries: AtomicU32,
}

impl Call<'_> {
    pub(crate) fn details(&self, summary: impl Into<Cow<'static, str>>) -> Details {
        Details {
            operation: self.operation,
            origin: self.address.origin().ascii_serialization(),
            tries: self.tries.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
            summary: summary.into(),
            status: None,
            retry_after: None,
            body_kind: None,
            code: None,
            message: None,
            source: None,
        }
    }

    /// Of an answer with status 200 that is of no use.
    pub(crate) fn ok_details(
        &self,
        kind: BodyKind,
        summary: impl Into<Cow<'static, str>>,
    ) -> Details {
        Details { status: Some(StatusCode::OK), body_kind: Some(kind), ..self.details(summary) }
    }

    /// The generator's error, taken apart: its own text would show headers and bodies.
    pub(crate) async fn error(&self, raw: Raw) -> Error {
        match raw {
            Raw::CommunicationError(error) | Raw::InvalidUpgrade(error) => self.transport(error),
            Raw::ResponseBodyError(error) => self.body(error),
            Raw::InvalidResponsePayload(body, error) => self.payload(&body, &error),
            Raw::UnexpectedResponse(response) => self.status(response).await,
            Raw::Custom(reason) if reason == hooks::TOO_LARGE => self.too_large(),
            Raw::Custom(_) => self.not_json(BodyKind::Compressed),
            // Not made by this client: no error is declared to the generator, nothing is validated.
            Raw::ErrorResponse(_) | Raw::InvalidRequest(_) => {
                Error::Protocol(self.details("the answer could not be read").into())
            }
        }
    }

    pub(crate) fn timed_out(&self) -> Error {
        let limit = self.settings.timeout;
        Error::Timeout(
            self.details(format!("no complete answer within {limit:?} (`timeout`)")).into(),
        )
    }

    fn transport(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out();
        }
        let (variant, summary): (fn(_) -> _, Cow<'static, str>) = if error.is_timeout() {
            let limit = self.settings.connect_timeout;
            (Error::Timeout, format!("no connection within {limit:?} (`connect_timeout`)").into())
        } else if !error.is_connect() {
            match find::<hyper::Error>(&error) {
                Some(error) if error.is_parse_too_large() => {
                    (Error::Protocol, "the head of the answer is too large".into())
                }
                Some(error) if error.is_parse() => (
                    Error::Protocol,
                    "the answer is not HTTP; a port that speaks TLS needs `https`".into(),
                ),
                _ => (Error::Connection, "the connection was closed before an answer came".into()),
            }
        } else if is_dns(&error) {
            (Error::Connection, "the host's name could not be resolved".into())
        } else if self.address.scheme() == "https" && is_tls(&error) {
            let hint = if address::is_bare(self.address) {
                "Plex's certificates name `plex.direct` hosts, not addresses: use the server's \
                 `https://ADDRESS.HASH.plex.direct:PORT`"
            } else {
                "the certificate must be valid for this host, and the port must speak TLS"
            };
            (Error::Tls, format!("no secure connection: {hint}").into())
        } else {
            let reason = find::<io::Error>(&error).map(|error| error.kind().to_string());
            let reason = reason.unwrap_or_else(|| "the connection failed".to_owned());
            (
                Error::Connection,
                format!("no connection: {reason}; is the server up, and host and port right?")
                    .into(),
            )
        };
        let source = Some(error.without_url().into());
        variant(Details { source, ..self.details(summary) }.into())
    }

    /// The head came, with status 200, the body did not.
    fn body(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() {
            self.timed_out()
        } else if find::<LengthLimitError>(&error).is_some() {
            self.too_large()
        } else {
            self.cut_short(Some(error))
        }
    }

    fn too_large(&self) -> Error {
        let limit = self.settings.max_response_bytes;
        let summary = format!("the answer is larger than {limit} bytes (`max_response_bytes`)");
        let status = Some(StatusCode::OK);
        Error::BodyTooLarge(Details { status, ..self.details(summary) }.into())
    }

    fn cut_short(&self, source: Option<reqwest::Error>) -> Error {
        Error::BodyCutShort(
            Details {
                status: Some(StatusCode::OK),
                source: source.map(|error| error.without_url().into()),
                ..self.details("the answer ended before it was complete")
            }
            .into(),
        )
    }

    fn not_json(&self, kind: BodyKind) -> Error {
        let expected = self.operation.expected();
        let hint = match kind {
            BodyKind::Html | BodyKind::Empty => "; is there a Plex Media Server at this address?",
            BodyKind::Xml => "; a proxy in between may drop the `Accept` header",
            _ => "",
        };
        let summary = format!("expected a JSON object with `{expected}`, got {kind}{hint}");
        Error::NotJson(self.ok_details(kind, summary).into())
    }

    /// serde's own text quotes values: only category, line and column are kept.
    fn payload(&self, body: &[u8], error: &serde_json::Error) -> Error {
        let kind = BodyKind::of(body);
        if error.is_data() {
            return self.unexpected_json(format!(
                "wrong at line {} column {}",
                error.line(),
                error.column()
            ));
        }
        let is_object = body.trim_ascii_start().starts_with(b"{");
        match kind {
            BodyKind::Text | BodyKind::Binary if is_object && error.is_eof() => {
                self.cut_short(None)
            }
            _ => self.not_json(kind),
        }
    }

    pub(crate) fn unexpected_json(&self, problem: String) -> Error {
        let expected = self.operation.expected();
        let summary =
            format!("expected JSON with `{expected}`, got JSON of another shape: {problem}");
        Error::UnexpectedJson(self.ok_details(BodyKind::Json, summary).into())
    }

    async fn status(&self, response: Response) -> Error {
        let status = response.status();
        let retry_after = retry::retry_after(response.headers(), SystemTime::now());
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let location = location.and_then(|to| self.address.join(to).ok());
        let words = Words::read(response, self.token).await;
        let kind = words.kind;
        let at = self.operation;
        let (variant, summary): (fn(_) -> _, Cow<'static, str>) = match status.as_u16() {
            300..=399 => (Error::Redirect, redirect(location.as_ref(), self.token).into()),
            400 => (Error::BadRequest, at.on_bad_request().into()),
            401 => (
                Error::Unauthorized,
                "the token is unknown or has expired: a transient token lives for 48 hours at \
                 most, and dies when its server restarts"
                    .into(),
            ),
            403 => (Error::Forbidden, at.on_forbidden().into()),
            404 => (Error::NotFound, at.on_not_found().into()),
            429 => {
                (Error::TooManyRequests, "the server wants fewer requests: come back later".into())
            }
            503 => (
                Error::Unavailable,
                "the server is starting, in maintenance or overloaded: come back later".into(),
            ),
            _ => {
                let kind = kind.unwrap_or(BodyKind::Empty);
                (
                    Error::UnexpectedStatus,
                    format!("not a status that was expected, with {kind} as its body").into(),
                )
            }
        };
        variant(
            Details {
                status: Some(status),
                retry_after,
                body_kind: kind,
                code: words.code,
                message: words.message,
                ..self.details(summary)
            }
            .into(),
        )
    }
}

fn redirect(to: Option<&Url>, token: &Token) -> String {
    let Some(to) = to else {
        return "a redirect that points nowhere".to_owned();
    };
    let origin = answer::shown(&to.origin().ascii_serialization(), token);
    format!(
        "it points to {origin}, which is not followed, because the token would go along; if that \
         is the server, use it as the address"
    )
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

fn find<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn is_dns(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.to_string().starts_with("dns error"))
}

/// Whether it was the TLS layer that refused: with rustls an `InvalidData` that no system call
/// returned, with other backends no `io::Error` at all.
fn is_tls(error: &reqwest::Error) -> bool {
    match find::<io::Error>(error) {
        Some(error) => error.kind() == io::ErrorKind::InvalidData,
        None => !chain(error).any(|error| error.to_string().contains("tunnel")),
    }
}
