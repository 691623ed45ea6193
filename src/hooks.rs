//! What happens to each request on its way out, and to each response on its way in.

use std::time::Instant;

use http_body_util::Limited;
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Body, Request, Response, StatusCode};

use crate::generated;

/// What the hooks need to know. `Debug` shows no token: the header's value is marked sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) headers: HeaderMap,
    pub(crate) max_response_bytes: usize,
}

/// Why a hook refused an answer of status 200 before its body was read. Progenitor lets a hook
/// return no more than a string.
pub(crate) const TOO_LARGE: &str = "too large";
pub(crate) const ENCODED: &str = "encoded";

type Outcome<E> = Result<(), progenitor_client::Error<E>>;

impl ClientHooks<Inner> for generated::Client {
    /// The headers are replaced, not added to: progenitor sends an `api-version`, unknown to PMS.
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Outcome<E> {
        *request.headers_mut() = self.inner.headers.clone();
        Ok(())
    }

    async fn exec(&self, request: Request, _: &OperationInfo) -> reqwest::Result<Response> {
        let told = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.url().path().to_owned(), Instant::now()));
        let result = self.client.execute(request).await;
        if let Some((method, path, started)) = told {
            let status = result.as_ref().ok().map(|response| response.status().as_u16());
            let elapsed = started.elapsed();
            tracing::debug!(%method, path, status, ?elapsed, "tried");
        }
        let mut response = bounded(result?, self.inner.max_response_bytes);
        if response.status() == StatusCode::OK && !is_encoded(response.headers()) {
            // Progenitor would copy them for a caller that reads none.
            *response.headers_mut() = HeaderMap::new();
        }
        Ok(response)
    }

    async fn post<E>(&self, result: &reqwest::Result<Response>, _: &OperationInfo) -> Outcome<E> {
        let Ok(response) = result else { return Ok(()) };
        if response.status() != StatusCode::OK {
            return Ok(());
        }
        let refused = if is_encoded(response.headers()) {
            ENCODED
        } else if response.content_length() > Some(self.inner.max_response_bytes as u64) {
            TOO_LARGE
        } else {
            return Ok(());
        };
        Err(progenitor_client::Error::Custom(refused.to_owned()))
    }
}

/// Whether the body is compressed, which nobody asked for.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}

/// A body whose length is not known beforehand ends with an error where it passes the limit. One
/// with a length can't pass it, and `post` looks at that.
fn bounded(response: Response, max_bytes: usize) -> Response {
    if response.content_length().is_some() {
        return response;
    }
    let (parts, body) = http::Response::<Body>::from(response).into_parts();
    let body = Body::wrap(Limited::new(body, max_bytes));
    Response::from(http::Response::from_parts(parts, body))
}
