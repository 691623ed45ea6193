//! Reads the body of a response: within a limit into one buffer, and with the fallbacks for a body
//! that is not plain JSON.

use std::fmt;
use std::time::Duration;

use futures_util::stream;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Response, ResponseBuilderExt as _};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::wire::repair;
use super::xml;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body is refused. It is the source of the `reqwest::Error` of a read, where
/// `explain::transport` finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BodyError {
    TooLarge(usize),
    Compressed,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => {
                write!(f, "the response is larger than {limit} bytes (`max_response_bytes`)")
            }
            Self::Compressed => f.write_str(
                "the response is compressed, which was not asked for: a proxy in front of the \
                 server may do it",
            ),
        }
    }
}

impl std::error::Error for BodyError {}

/// The same response, with a body that is collected into one buffer of at most `max_bytes`.
/// reqwest's own body keeps a whole read buffer alive for every small chunk.
///
/// What goes wrong becomes an error of the new body: [`BodyError`], or reqwest's own.
pub(super) async fn within(mut response: Response, max_bytes: usize) -> Response {
    let body = match collect(&mut response, max_bytes).await {
        Ok(read) => reqwest::Body::from(read),
        Err(error) => reqwest::Body::wrap_stream(stream::iter([Err::<Vec<u8>, _>(error)])),
    };
    // Keeps the URL. Without it, reqwest would parse a placeholder.
    let builder = http::Response::builder().url(response.url().clone());
    builder.body(body).unwrap_or_default().into()
}

async fn collect(response: &mut Response, max_bytes: usize) -> Result<Vec<u8>, BoxError> {
    if is_compressed(response.headers()) {
        return Err(BodyError::Compressed.into());
    }
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > max_bytes.saturating_sub(read.len()) {
            return Err(BodyError::TooLarge(max_bytes).into());
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// The first 64 KiB of an error's body, or as much as arrives within 2 seconds.
pub(crate) async fn beginning(response: &mut Response) -> Vec<u8> {
    const MAX_BYTES: usize = 64 * 1024;
    const MAX_TIME: Duration = Duration::from_secs(2);

    let mut read = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let left = MAX_BYTES.saturating_sub(read.len());
            read.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
            if chunk.len() >= left {
                break;
            }
        }
    };
    let _ = timeout(MAX_TIME, reading).await;
    read
}

/// Whether the body has a `Content-Encoding`. The client asks for none.
pub(crate) fn is_compressed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    Empty,
    Html,
    CutShort,
    /// Valid JSON or XML of another structure. Line and column for JSON.
    Shape(Option<(usize, usize)>),
    Syntax(Option<(usize, usize)>),
}

/// The fallbacks for a body that is not plain JSON: a byte order mark, XML, bytes that are not
/// UTF-8, and characters that JSON does not allow. Each such character is replaced.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Undecodable> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
    let text = String::from_utf8_lossy(body);
    if text.is_empty() {
        return Err(Undecodable::Empty);
    }
    if is_html(&text) {
        return Err(Undecodable::Html);
    }
    if text.starts_with('<') {
        return T::deserialize(xml::to_json(&text)?).map_err(|_| Undecodable::Shape(None));
    }
    serde_json::from_str(&text).or_else(|error| {
        // Report the position in the original text.
        let position = Some((error.line(), error.column()));
        serde_json::from_str(&repair(&text)).map_err(|error| match error.classify() {
            Category::Eof if text.starts_with(['{', '[']) => Undecodable::CutShort,
            Category::Data => Undecodable::Shape(position),
            _ => Undecodable::Syntax(position),
        })
    })
}

/// Whether a body is an HTML page.
pub(crate) fn is_html(text: &str) -> bool {
    let starts = |with: &str| text.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    starts("<html") || starts("<!doctype html")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_character_that_json_does_not_allow_is_replaced() {
        for (json, name) in [
            (&b"[\"K\xE4the\"]"[..], "K\u{fffd}the"),
            (b"\xEF\xBB\xBF[\"a\"]", "a"),
            (b"[\"a\x1b\x00b\"]", "a  b"),
            (br#"["a\ud83d"]"#, "a\u{fffd}"),
            (br#"["\udcfa\ud83d b"]"#, "\u{fffd}\u{fffd} b"),
            (br#"["\ud83d\ud83d\udcfa"]"#, "\u{fffd}\u{1f4fa}"),
            (br#"["\\ud83d \"\ud83d"]"#, "\\ud83d \"\u{fffd}"),
        ] {
            let read: Value = decode(json).unwrap();
            assert_eq!(read[0], name, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        use Undecodable::*;

        for (body, problem) in [
            ("", Empty),
            ("\u{feff} \n", Empty),
            ("<!DOCTYPE html><p>", Html),
            ("[\"a\"", CutShort),
            ("<a", CutShort),
            ("<a><b/>", CutShort),
            ("<a></b>", Syntax(None)),
            ("<a b='c'/>", Shape(None)),
            ("[1]", Shape(Some((1, 2)))),
            ("[nope]", Syntax(Some((1, 3)))),
            ("\"\\", Syntax(Some((1, 2)))),
            ("\"\\ä", Syntax(Some((1, 3)))),
        ] {
            assert_eq!(decode::<Vec<String>>(body.as_bytes()), Err(problem), "{body}");
        }
    }
}
