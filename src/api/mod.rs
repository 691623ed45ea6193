//! Everything that touches generated code: the client that `build.rs` generates from
//! `openapi/plex-auth.json`, and the hooks that run for each request.

use progenitor_client::{ClientHooks, OperationInfo, ResponseValue};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Request, Response, StatusCode, Url};

pub(crate) mod body;
#[cfg(feature = "httpmock")]
pub mod mock;
#[cfg_attr(
    not(any(feature = "httpmock", feature = "schemars")),
    allow(unreachable_pub, reason = "public with these features only")
)]
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

pub(crate) type Raw = progenitor_client::Error<()>;

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-plex-token");
pub(crate) const CLIENT_IDENTIFIER: HeaderName =
    HeaderName::from_static("x-plex-client-identifier");

/// Data for the hooks, progenitor's "inner type". `Debug` redacts the token, because its header
/// value is marked as sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    /// The headers of every request: token, client headers, `Accept`, `Accept-Encoding` and
    /// `User-Agent`. `/identity` gets only the last three.
    pub(crate) headers: HeaderMap,
    pub(crate) max_response_bytes: usize,
}

impl ClientHooks<Inner> for generated::Client {
    /// The headers are replaced, not added to: progenitor sends an `api-version`, which a PMS does
    /// not know.
    async fn pre<E>(
        &self,
        request: &mut Request,
        _: &OperationInfo,
    ) -> Result<(), progenitor_client::Error<E>> {
        let is_post = request.method() == Method::POST;
        let headers = request.headers_mut();
        headers.clear();
        let common = self.inner.headers.iter();
        headers.extend(common.map(|(name, value)| (name.clone(), value.clone())));
        if is_post {
            // Proxies answer 411 to a POST without it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(())
    }

    /// Limits the body of a 200: the generated code reads no other.
    async fn exec(&self, request: Request, _: &OperationInfo) -> reqwest::Result<Response> {
        let response = self.client.execute(request).await?;
        Ok(match response.status() {
            StatusCode::OK => body::within(response, self.inner.max_response_bytes).await?,
            _ => response,
        })
    }
}

impl generated::Client {
    /// `GET /identity` below `base`. The server is not verified yet, so the token and the client
    /// headers are not sent. Source: `getIdentity` in Plex's API description.
    pub(crate) async fn get_identity(
        &self,
        base: &Url,
    ) -> Result<ResponseValue<wire::IdentityBody>, Raw> {
        const MAX_BYTES: usize = 16 * 1024;

        let mut url = base.clone();
        url.set_path(&format!("{}/identity", base.path().trim_end_matches('/')));
        let mut request = Request::new(Method::GET, url);
        for name in [ACCEPT, ACCEPT_ENCODING, USER_AGENT] {
            let value = self.inner.headers.get(&name).cloned();
            request.headers_mut().extend(value.map(|value| (name, value)));
        }
        let response = self.client.execute(request).await?;
        match response.status() {
            StatusCode::OK => {
                let max_bytes = self.inner.max_response_bytes.min(MAX_BYTES);
                ResponseValue::from_response(body::within(response, max_bytes).await?).await
            }
            _ => Err(Raw::UnexpectedResponse(response)),
        }
    }
}
