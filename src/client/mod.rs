//! `Client`: the calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use progenitor_client::ResponseValue;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, Url};
use tokio::time::Instant;

use crate::address;
use crate::api::generated::types::{GetTransientTokenScope, GetTransientTokenType};
use crate::api::wire::{TransientTokenBody, TransientTokenContainer};
use crate::api::{self, Inner, Raw, generated};
use crate::error::{Details, Error, ErrorKind};
use crate::source::{Device, Identity, Source};
use crate::token::{Timestamp, Token, TransientToken};

mod attempts;
mod builder;
mod explain;
mod resolver;

pub(crate) use attempts::{Call, after, check_runtime, ms, waits};
pub use builder::ClientBuilder;
use builder::Http;
#[cfg(feature = "test-util")]
pub(crate) use explain::meaning;
pub(crate) use explain::{Context, Operation, is_proxy_login};

/// A client of one Plex Media Server, with one token.
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
///
/// Cheap to clone; clones share connections and settings.
///
/// A call makes attempts until one succeeds, fails for good, or its deadline passes; then the last
/// answer is the error. An attempt without an answer is joined by another one over a new
/// connection, every [`connect_timeout`](ClientBuilder::connect_timeout), three in all. The first
/// answer wins.
///
/// Calls need a tokio runtime with IO and time enabled: without a runtime they return an error; in
/// a runtime without IO or time, tokio panics.
///
/// Source of the three requests: `getTransientToken`, `getSourceConnectionInformation` and
/// `getIdentity` in [Plex's API description](https://github.com/LukeHagar/plex-api-spec).
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Shared>);

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) api: generated::Client,
    pub(crate) address: Url,
    pub(crate) token: Token,
    pub(crate) settings: Settings,
    /// To build another `reqwest::Client`.
    http: Http,
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
        client: reqwest::Client,
        mut headers: HeaderMap,
        address: Url,
        token: Token,
        settings: Settings,
        http: Http,
    ) -> Self {
        headers.insert(api::TOKEN, token.header_value());
        let max_response_bytes = settings.max_response_bytes;
        let inner = Inner { headers, max_response_bytes, is_candidate: false };
        let base = address.as_str().trim_end_matches('/');
        let api = generated::Client::new_with_client(base, client, inner);
        Self(Arc::new(Shared { api, address, token, settings, http }))
    }

    /// The same client for another address and token: same connections, headers and settings.
    pub(crate) fn bind(&self, address: Url, token: Token) -> Self {
        let Shared { api, settings, http, .. } = &*self.0;
        let (client, headers) = (api.client.clone(), api.inner.headers.clone());
        Self::from_parts(client, headers, address, token, settings.clone(), http.clone())
    }

    /// The same client with connections of its own, or with its old ones where that fails: there
    /// may be no certificates after a chroot, or no file descriptors.
    pub(crate) fn fresh(&self) -> Self {
        let mut shared = Shared::clone(&self.0);
        if let Ok(client) = shared.http.build(&shared.settings) {
            shared.api.client = client;
        }
        Self(Arc::new(shared))
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
    pub fn with_token(
        &self,
        token: impl TryInto<Token, Error: Into<Error>>,
    ) -> Result<Self, Error> {
        let token = token.try_into().map_err(Into::into)?;
        Ok(self.bind(self.0.address.clone(), token))
    }

    /// Gets a transient token: temporary, with the access level of the client's own token.
    ///
    /// Any valid token may do this, a transient one too. The request is `POST /security/token`.
    ///
    /// # Errors
    ///
    /// - [`Unauthorized`]: the server does not accept the token;
    /// - [`Forbidden`]: it refuses to make a transient one;
    /// - [`NoToken`]: it returned none, as an unclaimed server does;
    /// - those of any request: [`NoRuntime`], [`InvalidAddress`] for a local name that leads to a
    ///   public address, [`HttpSetup`], [`Connect`], [`Tls`], [`Timeout`],
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
    /// [`InvalidAddress`]: crate::ErrorKind::InvalidAddress
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
        self.transient_token_within(self.0.settings.timeout).await
    }

    pub(crate) async fn transient_token_within(
        &self,
        time: Duration,
    ) -> Result<TransientToken, Error> {
        let call = self.call(self.address(), Operation::TransientToken, time);
        call.run(get_transient_token, read_transient_token).await
    }

    /// The same in one attempt, for a connection that was just verified.
    pub(crate) async fn try_token(&self) -> Result<TransientToken, Error> {
        let call = self.call(self.address(), Operation::TransientToken, self.0.settings.timeout);
        let token = call.attempt(get_transient_token(self.clone()), read_transient_token).await;
        token.map_err(|error| call.add_to(error, 1))
    }

    /// Looks up a source's connections and access token in the server's cache.
    ///
    /// Needs an admin's token, or a transient one made from it, and PMS 1.15.4 or newer. The request
    /// is `GET /security/resources`.
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
        self.look_up(source, false, self.0.settings.timeout).await
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
        self.look_up(source, true, self.0.settings.timeout).await
    }

    /// Returns the server's identity (`GET /identity`, without the token): the identifier that
    /// [`Source::server`] takes, and the version.
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
        let call = self.call(self.address(), Operation::Identity, self.0.settings.timeout);
        let request = |client: Client| async move { client.0.api.get_identity().await };
        call.run(request, |_, body| Ok(Identity::from_wire(body))).await
    }

    /// The URL of another path of this server, such as `/library/parts/1/file.mkv`: below the path of
    /// [`address()`](Self::address), without the token. For a player or another HTTP client.
    ///
    /// ```
    /// # fn example(client: plex_auth::Client, transient: plex_auth::TransientToken)
    /// # -> Result<(), plex_auth::Error> {
    /// let mut url = client.url("/library/parts/1/file.mkv")?;
    /// url.query_pairs_mut().append_pair("X-Plex-Token", transient.expose_secret());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`](crate::ErrorKind::InvalidAddress), as for [`request`](Self::request).
    pub fn url(&self, path: &str) -> Result<Url, Error> {
        address::below(self.address(), path)
    }

    /// A request to another path of this server, such as `/library/sections?type=1`: below the path
    /// of [`address()`](Self::address), with the token, the client headers, `Accept:
    /// application/json`, `Accept-Encoding: identity` and `User-Agent`, over the client's
    /// connections and within its time-outs. You can add headers, a query and a body. `header(..)`
    /// adds a second value to a header that is already set, `headers(..)` replaces it.
    ///
    /// The client's [`timeout`](ClientBuilder::timeout) includes the body, so it cuts off a film.
    /// `.timeout(Duration::MAX)` of the request lifts it; any other value replaces it.
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
    /// [`InvalidAddress`](crate::ErrorKind::InvalidAddress): the path does not begin with one `/`, or
    /// has a segment `.` or `..`, a fragment, a backslash, a control character, or white space at its
    /// end.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        let url = self.url(path)?;
        let Shared { api, settings, .. } = &*self.0;
        let request = api.client.request(method, url).headers(api.inner.headers.clone());
        Ok(request.timeout(settings.timeout))
    }

    /// Sends a request that was made by [`request`](Self::request). Any response is a success.
    pub(crate) async fn execute(&self, request: RequestBuilder) -> Result<Response, Error> {
        check_runtime()?;
        let (client, request) = request.build_split();
        let request = request.map_err(|error| {
            let source = Some(error.without_url().into());
            let summary = "the request of `send` has an invalid header, query or body";
            Error::from(Details { source, ..Details::new(ErrorKind::InvalidSetting, summary) })
        })?;
        let timeout = request.timeout().copied().unwrap_or(self.0.settings.timeout);
        let call = self.call(self.address(), Operation::Send, timeout);
        let sent_at = Instant::now();
        let result = client.execute(request).await;
        let result = result.map_err(|error| explain::transport(error, &call.context));
        let status = result.as_ref().map_or_else(Error::status, |response| Some(response.status()));
        call.log(status, result.as_ref().err(), sent_at);
        result.map_err(|error| call.add_to(error, 1))
    }

    pub(crate) async fn look_up(
        &self,
        source: &Source,
        refresh: bool,
        time: Duration,
    ) -> Result<Device, Error> {
        let call = self.call(self.address(), Operation::Source, time);
        let (refresh, source_id) = (refresh.then_some(&1), source.as_ref());
        let request = |client: Client| async move {
            client.0.api.get_source_connection_information(refresh, source_id).await
        };
        call.run(request, |_, body| Device::from_wire(body, source)).await
    }

    /// Verifies in one attempt that the source answers at an address.
    pub(crate) async fn verify(&self, uri: &Url, source: &Source) -> Result<(), Error> {
        let call = self.call(uri, Operation::Identity, self.0.settings.timeout);
        let read = |_, body| match source.matches(&Identity::from_wire(body).machine_identifier) {
            true => Ok(()),
            false => Err(Error::unusable(ErrorKind::WrongServer, "another server answers there")),
        };
        let answer = call.attempt(self.0.api.at(uri).get_identity(), read).await;
        answer.map_err(|error| call.add_to(error, 1))
    }

    /// A call to this address, which errors name, within this time from now on.
    pub(crate) fn call<'a>(
        &'a self,
        address: &'a Url,
        operation: Operation,
        timeout: Duration,
    ) -> Call<'a> {
        let Shared { token, settings, .. } = &*self.0;
        let connect_timeout = settings.connect_timeout;
        let context = Context { operation, address, token, connect_timeout, timeout };
        Call { client: self, context, deadline: after(Instant::now(), timeout) }
    }
}

fn read_transient_token(
    sent_at: Timestamp,
    body: TransientTokenBody,
) -> Result<TransientToken, Error> {
    let TransientTokenBody { media_container: TransientTokenContainer { token } } = body;
    let token = Token::from_server(token.map(|token| token.0), "MediaContainer.token")?;
    Ok(TransientToken::new(token, sent_at))
}

async fn get_transient_token(client: Client) -> Result<ResponseValue<TransientTokenBody>, Raw> {
    let (scope, kind) = (GetTransientTokenScope::All, GetTransientTokenType::Delegation);
    client.0.api.get_transient_token(scope, kind).await
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.0.address.as_str()).finish_non_exhaustive()
    }
}
