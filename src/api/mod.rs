//! Everything that touches generated code: the client that `build.rs` generates from
//! `openapi/plex-auth.json`, and the hooks that run for each request.

use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, Response, Url};

use crate::address::is_local_ip;
use crate::error::ErrorKind;

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

/// How much is read of a server that is not verified yet. An identity has 200 bytes.
const MAX_UNVERIFIED_BYTES: usize = 16 * 1024;

/// Data for the hooks, progenitor's "inner type". `Debug` redacts the token, because its header
/// value is marked as sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    /// Token, client headers, `Accept`, `Accept-Encoding` and `User-Agent`.
    pub(crate) headers: HeaderMap,
    pub(crate) max_response_bytes: usize,
    /// Whether over plain `http` only a local peer may answer: nothing else verifies it.
    pub(crate) is_candidate: bool,
}

impl ClientHooks<Inner> for generated::Client {
    /// Sends the headers that the operation's description names, and not progenitor's
    /// `api-version`, which a PMS does not know.
    async fn pre<E>(
        &self,
        request: &mut Request,
        operation: &OperationInfo,
    ) -> Result<(), progenitor_client::Error<E>> {
        let described = generated::headers(operation.operation_id);
        let needs_token = described.contains(&TOKEN.as_str());
        let is_sent = |name: &HeaderName| {
            needs_token
                || [ACCEPT, ACCEPT_ENCODING, USER_AGENT].contains(name)
                || described.contains(&name.as_str())
        };
        // Proxies answer 411 to a request that may have a body and does not say that it has none.
        let is_empty = request.body().is_none() && !request.method().is_safe();
        let headers = request.headers_mut();
        headers.clear();
        headers.reserve(self.inner.headers.len());
        let sent = self.inner.headers.iter().filter(|(name, _)| is_sent(name));
        headers.extend(sent.map(|(name, value)| (name.clone(), value.clone())));
        if is_empty {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(())
    }

    /// Limits the body of a success: the generated code reads no other.
    async fn exec(&self, request: Request, operation: &OperationInfo) -> reqwest::Result<Response> {
        let needs_token = generated::headers(operation.operation_id).contains(&TOKEN.as_str());
        let most = if needs_token { usize::MAX } else { MAX_UNVERIFIED_BYTES };
        let response = self.client.execute(request).await?;
        let is_exposed = self.inner.is_candidate && response.url().scheme() == "http";
        let is_local = || response.remote_addr().is_some_and(|peer| is_local_ip(peer.ip()));
        if !response.status().is_success() {
            Ok(response)
        } else if is_exposed && !is_local() {
            let summary = "plain `http` led to an address that is not local, which would send the \
                           token unencrypted";
            Box::pin(body::refuse(ErrorKind::InvalidAddress, summary.to_owned())).await
        } else {
            body::within(response, self.inner.max_response_bytes, most).await
        }
    }
}

impl generated::Client {
    /// The same client for a candidate's address.
    pub(crate) fn at(&self, address: &Url) -> Self {
        let base = address.as_str().trim_end_matches('/');
        let inner = Inner { is_candidate: true, ..self.inner.clone() };
        Self::new_with_client(base, self.client.clone(), inner)
    }
}

#[cfg(test)]
mod tests {
    use httpmock::MockServer;
    use reqwest::Method;

    use super::*;

    const OPERATION: OperationInfo = OperationInfo { operation_id: "get_transient_token" };

    fn client(server: &MockServer) -> crate::Client {
        let builder = crate::Client::builder(server.base_url()).token("t").client_identifier("c");
        builder.max_response_bytes(1024).build().unwrap()
    }

    #[tokio::test]
    async fn every_success_is_limited() {
        let server = MockServer::start_async().await;
        let api = &client(&server).0.api;
        for status in [200, 201, 206, 299] {
            for (size, is_read) in [(1024, true), (1025, false)] {
                let mock = server
                    .mock_async(|_, then| _ = then.status(status).body("a".repeat(size)))
                    .await;
                let request = Request::new(Method::GET, server.base_url().parse().unwrap());
                let body = async { api.exec(request, &OPERATION).await?.bytes().await };
                assert_eq!(body.await.is_ok(), is_read, "{status} with {size} bytes");
                mock.delete_async().await;
            }
        }
    }

    #[tokio::test]
    async fn a_request_without_a_body_has_content_length_0() {
        let server = MockServer::start_async().await;
        let api = &client(&server).0.api;
        for (method, length) in [
            (Method::GET, None),
            (Method::HEAD, None),
            (Method::POST, Some("0")),
            (Method::PUT, Some("0")),
            (Method::PATCH, Some("0")),
            (Method::DELETE, Some("0")),
        ] {
            let mut request = Request::new(method, server.base_url().parse().unwrap());
            api.pre::<()>(&mut request, &OPERATION).await.unwrap();
            let sent = request.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!(sent, length, "{}", request.method());
        }
    }
}
