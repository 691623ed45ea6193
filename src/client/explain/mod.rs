//! Converts the errors of the generated client to `Error`s. Their own texts are not used, because
//! they contain headers and bodies.

use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

use crate::api::Raw;
use crate::api::body::Undecodable;
use crate::client::ms;
use crate::error::{Error, ErrorKind, escape};
use crate::token::Token;

mod status;
#[cfg(feature = "rustls-no-provider")]
mod tls;
mod transport;

pub(crate) use status::is_proxy_login;
#[cfg(feature = "test-util")]
pub(crate) use status::meaning;
pub(crate) use transport::explain as transport;

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    TransientToken,
    Source,
    Identity,
    Send,
}

impl Operation {
    /// In the text of an error.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TransientToken => "getting a transient token",
            Self::Source => "looking up a source",
            Self::Identity => "asking for the identity",
            Self::Send => "sending a request",
        }
    }

    /// In the log: the method of `Client`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TransientToken => "transient_token",
            Self::Source => "source_connection_information",
            Self::Identity => "identity",
            Self::Send => "send",
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

/// Why there is no body to decode.
pub(crate) async fn explain(raw: Raw, context: &Context<'_>) -> Error {
    match raw {
        Raw::CommunicationError(error)
        | Raw::InvalidUpgrade(error)
        | Raw::ResponseBodyError(error) => transport::explain(error, context),
        Raw::UnexpectedResponse(response) => status::explain(response, context).await,
        // Never returned: `build.rs` removes the error responses before it generates the client.
        // The caller decodes an `InvalidResponsePayload`.
        _ => Error::new(ErrorKind::Protocol, "the response could not be read"),
    }
}

/// The call's deadline has passed.
pub(crate) fn timed_out(context: &Context<'_>) -> Error {
    let timeout = Duration::from_millis(ms(context.timeout));
    let summary = format!("no complete response within {timeout:?} (`timeout`)");
    Error::new(ErrorKind::Timeout, summary)
}

/// A complete body of status 200 that cannot be decoded.
pub(crate) fn undecodable(problem: Undecodable, body: &[u8], context: &Context<'_>) -> Error {
    let got = match problem {
        Undecodable::Empty => "an empty body",
        Undecodable::Html => "HTML",
        Undecodable::Shape => "another shape",
        Undecodable::Syntax => "a body that can't be read",
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
