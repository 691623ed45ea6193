//! `Client`: the two calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::api::generated::types::{GetTransientTokenScope, GetTransientTokenType};
use crate::api::{self, Inner, generated, wire};
use crate::error::{Error, ErrorKind};
use crate::source::{Device, Source, SourceKind};
use crate::token::{IntoToken, Token, TransientToken};

mod builder;
#[cfg(feature = "rustls")]
mod certificate;
mod classify;
mod request;
mod transport;

pub use builder::ClientBuilder;
pub(crate) use request::{Operation, after, backoff, check_runtime};

/// A client of one Plex Media Server, with one token.
///
/// Cheap to clone; clones share connections and settings. Every call ends within its time-out, with
/// a result or an [`Error`]. Calls need a tokio runtime with IO and time enabled: without a runtime
/// they are an error, in one without IO or time tokio panics.
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
    pub(crate) relay: bool,
}

impl Client {
    /// Starts to build a client of the server at `address`.
    ///
    /// The address is an `http` or `https` URL, without credentials, query and fragment. A path
    /// prefix is kept (`https://host/plex`). Plain `http` is accepted for hosts in the machine, the
    /// home or a VPN only, see [`ClientBuilder::allow_insecure_http`].
    pub fn builder(address: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(address.into())
    }

    fn new(
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
        Self::new(http, headers, address, token, settings.clone())
    }

    /// The server's address.
    pub fn address(&self) -> &Url {
        &self.0.address
    }

    /// The same client with another token: same server, connections and settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidToken`].
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
    /// - [`Unauthorized`](ErrorKind::Unauthorized): the server does not accept the token;
    /// - [`Forbidden`](ErrorKind::Forbidden): it refuses to make a transient one;
    /// - [`NoToken`](ErrorKind::NoToken): it returned none, as an unclaimed server does;
    /// - [`Connect`](ErrorKind::Connect), [`Tls`](ErrorKind::Tls), [`Timeout`](ErrorKind::Timeout),
    ///   [`Unavailable`](ErrorKind::Unavailable) and the others from `NoRuntime` to `Decode`, as any
    ///   request.
    #[doc(alias = "GetTransientToken")]
    pub async fn transient_token(&self) -> Result<TransientToken, Error> {
        let call = self.call(Operation::TransientToken);
        let (scope, kind) = (GetTransientTokenScope::All, GetTransientTokenType::Delegation);
        let (requested_at, body) = call.run(|| self.0.api.get_transient_token(scope, kind)).await?;
        let token = body.media_container.token.ok_or("it is missing; an unclaimed server has none");
        let token = token.and_then(wire::WireToken::into_token).map_err(|problem| {
            let summary = format!("`MediaContainer.token` is unusable: {problem}");
            call.unusable(ErrorKind::NoToken, summary)
        })?;
        Ok(TransientToken::new(token, requested_at))
    }

    /// Looks up how to reach a source, as the server remembers it.
    ///
    /// Needs an admin's token, or a transient one made from it, and PMS 1.15.4 or newer.
    /// `GET /security/resources`; source: `getSourceConnectionInformation` in
    /// [Plex's API description](https://github.com/LukeHagar/plex-api-spec).
    ///
    /// # Errors
    ///
    /// - [`Unauthorized`](ErrorKind::Unauthorized): the server does not accept the token;
    /// - [`Forbidden`](ErrorKind::Forbidden): the token is not an admin's;
    /// - [`NoDevice`](ErrorKind::NoDevice): the server does not know the source;
    /// - [`NoToken`](ErrorKind::NoToken): it returned no access token for it;
    /// - [`NotFound`](ErrorKind::NotFound): it is too old, or the address's path is wrong;
    /// - [`Connect`](ErrorKind::Connect), [`Tls`](ErrorKind::Tls), [`Timeout`](ErrorKind::Timeout),
    ///   [`Unavailable`](ErrorKind::Unavailable) and the others from `NoRuntime` to `Decode`, as any
    ///   request.
    #[doc(alias = "GetSourceConnectionInformation")]
    pub async fn source_connection_information(&self, source: &Source) -> Result<Device, Error> {
        self.look_up(source, false).await
    }

    /// As [`source_connection_information`](Self::source_connection_information), but the server
    /// looks the source up again (`refresh=1`), which takes longer. A source that restarted no
    /// longer accepts the access token that the server remembers; this brings a new one.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn refresh_source_connection_information(
        &self,
        source: &Source,
    ) -> Result<Device, Error> {
        self.look_up(source, true).await
    }

    pub(crate) async fn look_up(&self, source: &Source, refresh: bool) -> Result<Device, Error> {
        let call = self.call(Operation::Source);
        let refresh = refresh.then_some(&1);
        let request = || self.0.api.get_source_connection_information(refresh, source.as_ref());
        let (_, body) = call.run(request).await?;
        let mut devices = body.media_container.device.0;
        let identifier = |device: &wire::Device| device.client_identifier.clone()?.0;
        let is_source = |device: &wire::Device| {
            identifier(device).is_some_and(|identifier| source.matches(&identifier))
        };
        let device = match &*devices {
            // One without an identifier is an error of its own.
            [only] if source.kind() == SourceKind::Provider || identifier(only).is_none() => {
                devices.pop()
            }
            _ => devices.into_iter().find(is_source),
        };
        let device =
            device.ok_or_else(|| call.unusable(ErrorKind::NoDevice, request::NO_DEVICE))?;
        Device::try_from(device)
            .map_err(|problem| call.unusable(problem.kind(), problem.to_string()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.0.address.as_str()).finish_non_exhaustive()
    }
}
