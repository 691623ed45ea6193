//! Converts the errors of the generated client to `Error`s. Their own texts are not used, because
//! they contain headers and bodies.

use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::api::Raw;
use crate::api::body::{self, Undecodable};
use crate::error::{Error, ErrorKind, escape};
use crate::token::Token;

mod status;
#[cfg(feature = "rustls-no-provider")]
mod tls;
mod transport;

#[cfg(feature = "test-util")]
pub(crate) use status::meaning;
pub(super) use transport::no_files_left;

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    TransientToken,
    Source,
    Identity,
}

impl Operation {
    /// In the text of an error.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TransientToken => "getting a transient token",
            Self::Source => "looking up a source",
            Self::Identity => "asking for the identity",
        }
    }

    /// In the log: the method of `Client`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TransientToken => "transient_token",
            Self::Source => "source_connection_information",
            Self::Identity => "identity",
        }
    }
}

/// The request, as far as error texts depend on it.
pub(crate) struct Context<'a> {
    pub(crate) operation: Operation,
    pub(crate) address: &'a Url,
    pub(crate) token: &'a Token,
    pub(crate) connect_timeout: Duration,
    /// How long the call may take.
    pub(crate) timeout: Duration,
}

const MAYBE_HTTPS: &str = "the port may need `https`";
const NOT_SECURE: &str = "no secure connection: the certificate must be valid for this host, and \
                          the port must speak TLS";

/// Decodes a body that is not plain JSON, or explains the failure.
pub(crate) async fn fallback<T: DeserializeOwned>(
    raw: Raw,
    context: &Context<'_>,
) -> Result<T, Error> {
    Err(match raw {
        Raw::InvalidResponsePayload(body, _) => {
            return body::decode(&body).map_err(|problem| undecodable(problem, &body, context));
        }
        Raw::CommunicationError(error)
        | Raw::InvalidUpgrade(error)
        | Raw::ResponseBodyError(error) => transport::explain(error, context),
        Raw::UnexpectedResponse(response) => status::explain(response, context).await,
        // Never returned: `build.rs` removes the error responses before it generates the client.
        Raw::ErrorResponse(_) | Raw::InvalidRequest(_) | Raw::Custom(_) => {
            Error::new(ErrorKind::Protocol, "the response could not be read")
        }
    })
}

/// The call's deadline has passed.
pub(crate) fn timed_out(context: &Context<'_>) -> Error {
    let summary = format!("no complete response within {:?} (`timeout`)", context.timeout);
    Error::new(ErrorKind::Timeout, summary)
}

/// The first attempt took too long; the call has time left.
pub(crate) fn no_answer() -> Error {
    Error::new(ErrorKind::Connect, "no response yet: the connection may be dead")
}

/// A complete body of status 200 that cannot be decoded.
fn undecodable(problem: Undecodable, body: &[u8], context: &Context<'_>) -> Error {
    let got = match problem {
        Undecodable::Empty => "an empty body",
        Undecodable::Html => "HTML",
        Undecodable::Shape(_) => "another shape",
        Undecodable::Syntax(_) | Undecodable::CutShort => "a body that can't be read",
    };
    let title = page_title(&String::from_utf8_lossy(body), context);
    let summary = format!(
        "expected JSON or XML of a Plex Media Server, got {got}{title}: is there one at this \
         address? Otherwise a proxy may have answered, with a login page for example"
    );
    Error::unusable(ErrorKind::Decode, summary)
}

/// The title of an HTML page, in one line and in parentheses, or nothing.
fn page_title(body: &str, context: &Context<'_>) -> String {
    let title = title(body).map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "));
    let title = title.filter(|title| !title.is_empty());
    title.map(|title| format!(" ({})", clean(&title, 100, context))).unwrap_or_default()
}

/// What stands in `<title>`. A doctype, a comment or an XML declaration may stand before it.
fn title(body: &str) -> Option<&str> {
    if !body.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        return None;
    }
    let lower = body.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag.checked_add(lower.get(tag..)?.find('>')?)?;
    let end = start.checked_add(lower.get(start..)?.find("</title")?)?;
    body.get(start..end)?.strip_prefix('>')
}

/// Peer-supplied text, with the caller's token redacted, escaped, and cut.
fn clean(text: &str, most: usize, context: &Context<'_>) -> String {
    const REDACTED: &str = "[redacted]";
    let token = context.token.expose_secret();
    // The host of a URL is in lower case.
    let lower = Zeroizing::new(token.to_ascii_lowercase());
    let text = text.replace(token, REDACTED).replace(lower.as_str(), REDACTED);
    escape(&text, most)
}
