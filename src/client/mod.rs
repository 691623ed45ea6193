//! `Client`: the calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Url};
use tokio::time::Instant;

use crate::address;
use crate::api::generated::types::{GetTransientTokenScope, GetTransientTokenType};
use crate::api::{self, Inner, generated};
use crate::error::{Error, ErrorKind};
use crate::source::{Device, Identity, Source};
use crate::token::{IntoToken, Token, TransientToken};

mod attempts;
mod builder;
mod explain;
mod resolver;

pub(crate) use attempts::{Call, Retries, after, check_runtime};
pub use builder::ClientBuilder;
#[cfg(feature = "test-util")]
pub(crate) use explain::meaning;
pub(crate) use explain::{Context, Operation};

/// A client of one Plex Media Server, with one token.
///
/// Cheap to clone; clones share connections and settings. Every call ends within its time-out, with
/// a result or an [`Error`]. Calls need a tokio runtime with IO and time enabled: without a runtime
/// they return an error; in a runtime without IO or time, tokio panics.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), plex_auth::Error> {
/// let client = plex_auth::Client::builder("http://192.168.1.20:32400")
///     .token("xxxx")
///     .client_identifier("living-room-remote-7f3c")
///     .build()?;
/// let token = client.transient_token().await?;
/// println!("valid for {:?} at most", token.time_left());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) api: generated::Client,
    pub(crate) address: Url,
    pub(crate) token: Token,
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_response_bytes: usize,
    pub(crate) max_retries: u32,
    pub(crate) allow_insecure_http: bool,
}

impl Client {
    fn from_parts(
        http: reqwest::Client,
        mut headers: HeaderMap,
        address: Url,
        token: Token,
        settings: Settings,
    ) -> Self {
        headers.insert(api::TOKEN, token.header_value());
        let inner = Inner { headers, max_response_bytes: settings.max_response_bytes };
        let base = address.as_str().trim_end_matches('/');
        let api = generated::Client::new_with_client(base, http, inner);
        Self(Arc::new(Shared { api, address, token, settings }))
    }

    /// The same client for another address and token: same connections, headers and settings.
    pub(crate) fn bind(&self, address: Url, token: Token) -> Self {
        let Shared { api, settings, .. } = &*self.0;
        let (http, headers) = (api.client.clone(), api.inner.headers.clone());
        Self::from_parts(http, headers, address, token, settings.clone())
    }

    /// The server's address.
    pub fn address(&self) -> &Url {
        &self.0.address
    }

    /// The same client with another token: same server, connections and settings.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    ///
    /// [`InvalidToken`]: crate::ErrorKind::InvalidToken
    pub fn with_token(&self, token: impl IntoToken) -> Result<Self, Error> {
        Ok(self.bind(self.0.address.clone(), token.into_token()?))
    }

    /// Gets a transient token: temporary, with the access level of the client's own token.
    ///
    /// Any valid token may do this, a transient one too. `POST /security/token`; source:
    /// `getTransientToken` in [Plex's API description](https://github.com/LukeHagar/plex-api-spec).
    ///
    /// # Errors
    ///
    /// - [`Unauthorized`]: the server does not accept the token;
    /// - [`Forbidden`]: it refuses to make a transient one;
    /// - [`NoToken`]: it returned none, as an unclaimed server does;
    /// - those of any request: [`NoRuntime`], [`HttpSetup`], [`Connect`], [`Tls`], [`Timeout`],
    ///   [`Protocol`], [`BadRequest`], [`NotFound`], [`TooManyRequests`], [`Unavailable`],
    ///   [`Proxy`], [`Redirect`], [`Status`], [`BodyTooLarge`], [`BodyCutShort`], [`Decode`].
    ///
    /// [`BadRequest`]: crate::ErrorKind::BadRequest
    /// [`BodyCutShort`]: crate::ErrorKind::BodyCutShort
    /// [`BodyTooLarge`]: crate::ErrorKind::BodyTooLarge
    /// [`Connect`]: crate::ErrorKind::Connect
    /// [`Decode`]: crate::ErrorKind::Decode
    /// [`Forbidden`]: crate::ErrorKind::Forbidden
    /// [`HttpSetup`]: crate::ErrorKind::HttpSetup
    /// [`NoRuntime`]: crate::ErrorKind::NoRuntime
    /// [`NoToken`]: crate::ErrorKind::NoToken
    /// [`NotFound`]: crate::ErrorKind::NotFound
    /// [`Protocol`]: crate::ErrorKind::Protocol
    /// [`Proxy`]: crate::ErrorKind::Proxy
    /// [`Redirect`]: crate::ErrorKind::Redirect
    /// [`Status`]: crate::ErrorKind::Status
    /// [`Timeout`]: crate::ErrorKind::Timeout
    /// [`Tls`]: crate::ErrorKind::Tls
    /// [`TooManyRequests`]: crate::ErrorKind::TooManyRequests
    /// [`Unauthorized`]: crate::ErrorKind::Unauthorized
    /// [`Unavailable`]: crate::ErrorKind::Unavailable
    #[doc(alias = "GetTransientToken")]
    pub async fn transient_token(&self) -> Result<TransientToken, Error> {
        let (scope, kind) = (GetTransientTokenScope::All, GetTransientTokenType::Delegation);
        let call = self.call(Operation::TransientToken);
        let request = || self.0.api.get_transient_token(scope, kind);
        call.run(request, TransientToken::from_wire).await
    }

    /// Looks up a source's connections and access token in the server's cache.
    ///
    /// Needs an admin's token, or a transient one made from it, and PMS 1.15.4 or newer.
    /// `GET /security/resources`; source: `getSourceConnectionInformation` in
    /// [Plex's API description](https://github.com/LukeHagar/plex-api-spec).
    ///
    /// # Errors
    ///
    /// - [`Unauthorized`]: the server does not accept the token;
    /// - [`Forbidden`]: the token is not an admin's;
    /// - [`NoDevice`]: the server does not know the source;
    /// - [`NoToken`]: it returned no access token for it;
    /// - [`NotFound`]: it is too old, or the address's path is wrong;
    /// - those of any request, as for [`transient_token`](Self::transient_token).
    ///
    /// [`Forbidden`]: crate::ErrorKind::Forbidden
    /// [`NoDevice`]: crate::ErrorKind::NoDevice
    /// [`NoToken`]: crate::ErrorKind::NoToken
    /// [`NotFound`]: crate::ErrorKind::NotFound
    /// [`Unauthorized`]: crate::ErrorKind::Unauthorized
    #[doc(alias = "GetSourceConnectionInformation")]
    pub async fn source_connection_information(&self, source: &Source) -> Result<Device, Error> {
        self.look_up(self.call(Operation::Source), source, false).await
    }

    /// As [`source_connection_information`](Self::source_connection_information), but the server
    /// refreshes its cache first (`refresh=1`), which takes longer. A source that restarted no
    /// longer accepts the cached access token; this returns a new one.
    ///
    /// # Errors
    ///
    /// Those of [`source_connection_information`](Self::source_connection_information).
    pub async fn refresh_source_connection_information(
        &self,
        source: &Source,
    ) -> Result<Device, Error> {
        self.look_up(self.call(Operation::Source), source, true).await
    }

    /// Returns the server's identity (`GET /identity`, without the token): the identifier that
    /// [`Source::server`] takes, and the version. Source: `getIdentity` in
    /// [Plex's API description](https://github.com/LukeHagar/plex-api-spec).
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
    /// let identity = client.identity().await?;
    /// println!("{} {:?}", identity.machine_identifier, identity.version);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of any request, as for [`transient_token`](Self::transient_token).
    pub async fn identity(&self) -> Result<Identity, Error> {
        let call = self.call(Operation::Identity);
        let request = || self.0.api.get_identity(self.address());
        call.run(request, |_, body| Ok(Identity::from_wire(body))).await
    }

    /// A request to another path of this server, such as `/library/sections?type=1`: below the path
    /// of [`address()`](Self::address), with the token, the client headers, `Accept:
    /// application/json`, `Accept-Encoding: identity` and `User-Agent`, over the client's
    /// connections and within its time-outs. You can add headers, a query, a body and a shorter
    /// timeout. `header(..)` adds a second value to a header that is already set, `headers(..)`
    /// replaces it.
    ///
    /// Redirects are not followed. Unlike the other calls, it has no retries, no limit on the body
    /// and no log event, and an error status is not an error. If a proxy answers 411 to a `POST`
    /// without a body, add `Content-Length: 0`.
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use plex_auth::reqwest::Method;
    ///
    /// let response = client.request(Method::GET, "/library/sections?type=1")?.send().await?;
    /// println!("{}", response.error_for_status()?.text().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`](crate::ErrorKind::InvalidAddress): the path does not begin with one `/`,
    /// leads above the address's path, or has a fragment, a backslash or a control character.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        let url = address::below(self.address(), path)?;
        let Inner { headers, .. } = &self.0.api.inner;
        Ok(self.0.api.client.request(method, url).headers(headers.clone()))
    }

    /// Verifies in one attempt that the source answers at an address. The caller sets the deadline.
    pub(crate) async fn verify(
        &self,
        uri: &Url,
        source: &Source,
        number: u32,
        until: Option<Instant>,
    ) -> Result<(), Error> {
        let call = self.call_to(uri, Operation::Identity);
        let read = |_, body| match source.matches(&Identity::from_wire(body).machine_identifier) {
            true => Ok(()),
            false => Err(Error::unusable(ErrorKind::WrongServer, "another server answers there")),
        };
        call.attempt(number, until, self.0.api.get_identity(uri), read).await
    }

    pub(crate) async fn look_up(
        &self,
        call: Call<'_>,
        source: &Source,
        refresh: bool,
    ) -> Result<Device, Error> {
        let refresh = refresh.then_some(&1);
        let request = || self.0.api.get_source_connection_information(refresh, source.as_ref());
        call.run(request, |_, body| Device::from_wire(body, source)).await
    }

    /// A call to this server, within `timeout`.
    pub(crate) fn call(&self, operation: Operation) -> Call<'_> {
        self.call_to(self.address(), operation)
    }

    /// Like `call`, for another address, which errors name.
    pub(crate) fn call_to<'a>(&'a self, address: &'a Url, operation: Operation) -> Call<'a> {
        let Shared { token, settings, .. } = &*self.0;
        let Settings { connect_timeout, timeout, max_retries, .. } = *settings;
        let context = Context { operation, address, token, connect_timeout, timeout };
        let deadline = after(Instant::now(), timeout);
        Call { context, max_retries, deadline, first_until: None }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.0.address.as_str()).finish_non_exhaustive()
    }
}
