//! Everything that touches generated code: the client that `build.rs` makes of
//! `openapi/plex-auth.json`, and the hooks through which each of its requests passes.

use std::time::Duration;

use progenitor_client::{ClientHooks, OperationInfo, ResponseValue};
use reqwest::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, USER_AGENT,
};
use reqwest::{Method, Request, Response, ResponseBuilderExt as _, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

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
        clippy::pedantic,
        reason = "generated code, in progenitor's style"
    )]

    #[cfg(feature = "codegen")]
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
    #[cfg(not(feature = "codegen"))]
    include!("../../openapi/generated/client.rs");

    #[cfg(feature = "httpmock")]
    pub mod mocks {
        #[cfg(feature = "codegen")]
        include!(concat!(env!("OUT_DIR"), "/mocks.rs"));
        #[cfg(not(feature = "codegen"))]
        include!("../../openapi/generated/mocks.rs");
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

/// Why a hook refused a response of status 200. Progenitor lets a hook return no more than a string.
#[derive(Clone, Copy)]
struct Refused(&'static str);

pub(crate) const TOO_LARGE: &str = "too large";
const ENCODED: &str = "the response is compressed, which was not asked for: a proxy in front of the \
                       server may do it";

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

    async fn exec(&self, request: Request, info: &OperationInfo) -> reqwest::Result<Response> {
        let started = Instant::now();
        let result = self.client.execute(request).await;
        let status = result.as_ref().ok().map(|response| response.status().as_u16());
        let (operation, elapsed) = (info.operation_id, started.elapsed());
        tracing::debug!(operation, status, ?elapsed, "request sent");
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
    ) -> Result<ResponseValue<wire::IdentityBody>, progenitor_client::Error> {
        const INFO: OperationInfo = OperationInfo { operation_id: "getIdentity" };
        let mut url = base.clone();
        url.set_path(&format!("{}/identity", base.path().trim_end_matches('/')));
        let mut request = Request::new(Method::GET, url);
        for name in [ACCEPT, USER_AGENT] {
            let value = self.inner.headers.get(&name).cloned();
            request.headers_mut().extend(value.map(|value| (name, value)));
        }
        let result = self.exec(request, &INFO).await;
        self.post(&result, &INFO).await?;
        match result? {
            response if response.status() == StatusCode::OK => {
                ResponseValue::from_response(response).await
            }
            response => Err(progenitor_client::Error::UnexpectedResponse(response)),
        }
    }
}

/// Replaces a response by one with its body in one buffer. The original keeps the read buffer of
/// every piece alive, however small the pieces are.
async fn read(mut response: Response, max_bytes: usize) -> reqwest::Result<Response> {
    const MAX_ERROR_BYTES: usize = 64 * 1024;
    const MAX_ERROR_TIME: Duration = Duration::from_secs(2);

    // With its URL, or reqwest would parse a placeholder.
    let mut read = http::Response::builder().status(response.status()).url(response.url().clone());
    let mut body = Vec::new();
    let is_encoded = is_encoded(response.headers());
    if response.status() != StatusCode::OK {
        if !is_encoded {
            // It may be endless, or never come: what has arrived until then is used.
            let copying = Box::pin(copy(&mut response, &mut body, MAX_ERROR_BYTES));
            let _ = timeout(MAX_ERROR_TIME, copying).await;
        }
        if let Some(headers) = read.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
    } else if is_encoded {
        read = read.extension(Refused(ENCODED));
    } else if response.content_length() > Some(max_bytes as u64)
        || !copy(&mut response, &mut body, max_bytes).await?
    {
        read = read.extension(Refused(TOO_LARGE));
    }
    Ok(read.body(body).unwrap_or_default().into())
}

/// Appends so much of a response's body, and returns whether that was all of it.
async fn copy(
    response: &mut Response,
    body: &mut Vec<u8>,
    max_bytes: usize,
) -> reqwest::Result<bool> {
    while let Some(chunk) = response.chunk().await? {
        let left = max_bytes.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
        if chunk.len() > left {
            return Ok(false);
        }
    }
    Ok(true)
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
