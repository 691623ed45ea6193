//! Reads the body of a response into one buffer within a limit, and decodes what is not plain JSON.

use std::time::Duration;

use futures_util::stream;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Response, ResponseBuilderExt as _};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::xml;
use crate::error::{Error, ErrorKind};

/// The same response, with its body in one buffer, whose size is limited by a setting and by the
/// kind of call. reqwest's own body keeps a whole read buffer alive for every small chunk.
pub(super) async fn within(
    mut response: Response,
    max_response_bytes: usize,
    of_call: usize,
) -> reqwest::Result<Response> {
    if is_compressed(response.headers()) {
        let summary = "the response is compressed, which was not asked for: a proxy in front of \
                       the server may do it";
        return Box::pin(refuse(ErrorKind::Decode, summary.to_owned())).await;
    }
    let most = max_response_bytes.min(of_call);
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > most.saturating_sub(read.len()) {
            let setting = if most < of_call { " (`max_response_bytes`)" } else { "" };
            let summary = format!("the response is larger than {most} bytes{setting}");
            return Box::pin(refuse(ErrorKind::BodyTooLarge, summary)).await;
        }
        read.extend_from_slice(&chunk);
    }
    // Keeps the URL. Without it, reqwest would parse a placeholder.
    let builder = http::Response::builder().status(response.status()).url(response.url().clone());
    Ok(builder.body(reqwest::Body::from(read)).unwrap_or_default().into())
}

/// A hook can only fail with a `reqwest::Error`. Reading a body that fails is the one way to make one.
/// `explain` finds our own error in it. Boxed by the callers, because it is rare.
pub(super) async fn refuse(kind: ErrorKind, summary: String) -> reqwest::Result<Response> {
    let error = Error::unusable(kind, summary);
    let failing = reqwest::Body::wrap_stream(stream::iter([Err::<Vec<u8>, _>(error)]));
    let mut response = Response::from(http::Response::new(failing));
    response.chunk().await.map(|_| response)
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
    let codings = headers.get(CONTENT_ENCODING).map_or(&b""[..], HeaderValue::as_bytes);
    let mut codings = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    Empty,
    Html,
    /// Valid JSON or XML of another structure.
    Shape,
    Syntax,
}

/// Decodes a body that is not plain JSON: it may have a byte order mark, be XML, or not be UTF-8.
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
        let json = xml::to_json(&text).ok_or(Undecodable::Syntax)?;
        return T::deserialize(json).map_err(|_| Undecodable::Shape);
    }
    serde_json::from_str(&text).map_err(|error| match error.classify() {
        Category::Data => Undecodable::Shape,
        _ => Undecodable::Syntax,
    })
}

/// Whether a body is an HTML page.
pub(crate) fn is_html(text: &str) -> bool {
    let starts = |with: &str| text.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    starts("<html") || starts("<!doctype html")
}
