//! Everything that touches generated code: the client that `build.rs` makes of
//! `openapi/plex-auth.json`, and the hooks through which each of its requests passes.

use std::time::Duration;

use progenitor_client::{ClientHooks, OperationInfo, ResponseValue};
use reqwest::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Request, Response, ResponseBuilderExt as _, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::error::escape;

#[cfg(feature = "httpmock")]
pub mod mock;
pub mod wire;
mod xml;

pub(crate) mod generated {
    #![allow(
        missing_debug_implementations,
        missing_docs,
        unreachable_pub,
        unused,
        rust_2018_idioms,
        clippy::all,
        clippy::unwrap_used,
        clippy::uninlined_format_args,
        reason = "generated code, in progenitor's style"
    )]

    include!(concat!(env!("OUT_DIR"), "/client.rs"));

    #[cfg(feature = "httpmock")]
    pub mod mocks {
        include!(concat!(env!("OUT_DIR"), "/mocks.rs"));
    }
}

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-plex-token");
pub(crate) const CLIENT_IDENTIFIER: HeaderName =
    HeaderName::from_static("x-plex-client-identifier");

/// What the hooks need to know. `Debug` shows no token: the header's value is marked as sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    /// Of every request, the token among them.
    pub(crate) headers: HeaderMap,
    pub(crate) max_response_bytes: usize,
}

/// The headers that every request has. A PMS returns XML unless `Accept` asks for JSON.
pub(crate) fn base_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        // Of a POST only: proxies answer 411 to one without it.
        (CONTENT_LENGTH, HeaderValue::from_static("0")),
        (USER_AGENT, HeaderValue::from_static(concat!("plex-auth/", env!("CARGO_PKG_VERSION")))),
    ])
}

/// Why a hook refused a response of status 200. Progenitor lets a hook return no more than a string.
#[derive(Clone, Copy)]
struct Refused(&'static str);

pub(crate) const TOO_LARGE: &str = "too large";
const ENCODED: &str = "encoded";

type Outcome<E> = Result<(), progenitor_client::Error<E>>;

impl ClientHooks<Inner> for generated::Client {
    /// The headers are replaced, not added to: progenitor sends an `api-version`, which a PMS does
    /// not know.
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Outcome<E> {
        *request.headers_mut() = self.inner.headers.clone();
        if request.method() != Method::POST {
            request.headers_mut().remove(CONTENT_LENGTH);
        }
        Ok(())
    }

    async fn exec(&self, request: Request, _: &OperationInfo) -> reqwest::Result<Response> {
        let logged = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), escape(request.url().path(), 100), Instant::now()));
        let result = self.client.execute(request).await;
        if let Some((method, path, started)) = logged {
            let status = result.as_ref().ok().map(|response| response.status().as_u16());
            let elapsed = started.elapsed();
            tracing::debug!(%method, path, status, ?elapsed, "request sent");
        }
        read(result?, self.inner.max_response_bytes).await
    }

    async fn post<E>(&self, result: &reqwest::Result<Response>, _: &OperationInfo) -> Outcome<E> {
        match result.as_ref().ok().and_then(|response| response.extensions().get()) {
            Some(Refused(reason)) => Err(progenitor_client::Error::Custom((*reason).to_owned())),
            None => Ok(()),
        }
    }
}

impl generated::Client {
    /// `GET /identity` under a base address: asked without the token and the client headers, whose
    /// server is not verified yet. Source: `getIdentity` in Plex's API description.
    pub(crate) async fn get_identity(
        &self,
        base: &Url,
    ) -> Result<wire::IdentityBody, progenitor_client::Error> {
        const INFO: OperationInfo = OperationInfo { operation_id: "getIdentity" };
        let mut url = base.clone();
        url.set_path(&format!("{}/identity", base.path().trim_end_matches('/')));
        let mut request = Request::new(Method::GET, url);
        let sent = [ACCEPT, USER_AGENT].map(|name| (self.inner.headers.get(&name).cloned(), name));
        let sent = sent.into_iter().filter_map(|(value, name)| Some((name, value?)));
        request.headers_mut().extend(sent);
        let result = self.exec(request, &INFO).await;
        self.post(&result, &INFO).await?;
        match result? {
            response if response.status() == StatusCode::OK => {
                ResponseValue::from_response(response).await.map(ResponseValue::into_inner)
            }
            response => Err(progenitor_client::Error::UnexpectedResponse(response)),
        }
    }
}

/// Copies a body into one buffer as it arrives. A response keeps the read buffer of every piece
/// alive, however small the pieces are.
async fn read(mut response: Response, max_bytes: usize) -> reqwest::Result<Response> {
    let mut body = Vec::new();
    let mut refused = is_encoded(response.headers()).then_some(Refused(ENCODED));
    if response.status() != StatusCode::OK {
        if refused.is_none() {
            Box::pin(read_error(&mut response, &mut body)).await;
        }
        let (mut parts, _) = http::Response::<reqwest::Body>::from(response).into_parts();
        parts.extensions = http::Extensions::new();
        return Ok(http::Response::from_parts(parts, body).into());
    }
    if response.content_length() > Some(max_bytes as u64) {
        refused = Some(Refused(TOO_LARGE));
    }
    while refused.is_none()
        && let Some(chunk) = response.chunk().await?
    {
        if chunk.len() > max_bytes.saturating_sub(body.len()) {
            refused = Some(Refused(TOO_LARGE));
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    // Without the headers, which progenitor would copy and nobody reads.
    // With its URL, or reqwest would parse a placeholder.
    let mut read = http::Response::builder().url(response.url().clone());
    if let Some(refused) = refused {
        read = read.extension(refused);
    }
    Ok(read.body(body).unwrap_or_default().into())
}

/// Reads as much of an error's body as can matter. It may be endless, or never come: what has
/// arrived until then is used.
async fn read_error(response: &mut Response, body: &mut Vec<u8>) {
    const MAX_BYTES: usize = 64 * 1024;
    const MAX_TIME: Duration = Duration::from_secs(2);

    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let left = MAX_BYTES.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
            if body.len() >= MAX_BYTES {
                break;
            }
        }
    };
    let _ = timeout(MAX_TIME, reading).await;
}

/// Whether the body is compressed, which this crate never asks for.
fn is_encoded(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// A body that the generated code could not read: JSON behind a byte order mark, or a PMS's XML.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let body = without_mark(body);
    serde_json::from_slice(body).or_else(|error| {
        let text = std::str::from_utf8(body).ok().filter(|_| error.is_syntax());
        text.and_then(xml::to_json).map_or(Err(error), serde_json::from_value)
    })
}

/// A body without the byte order mark that it may begin with.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}
