//! `Client`: the two calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use progenitor_client::{Error as Raw, ResponseValue};
use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::time::timeout_at;

use crate::answer::BodyKind;
use crate::call::{Call, Operation, SOURCE, TRANSIENT_TOKEN};
use crate::generated;
use crate::generated::types::{GetTransientTokenScope, GetTransientTokenType};
use crate::hooks::Inner;
use crate::source::WireProblem;
use crate::token::Moment;
use crate::{ClientBuilder, Device, Error, Source, Token, TransientToken, headers, retry};

/// A client of one Plex Media Server, with one token.
///
/// Cheap to clone; clones share connections and settings. Every call ends within its time-out with
/// an answer or an [`Error`]. Calls need a tokio runtime with IO and time enabled: without one they
/// are an error, in one without these tokio panics.
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_response_bytes: 1024 * 1024,
            max_retries: 2,
            allow_insecure_http: false,
            relay: true,
        }
    }
}

impl Client {
    /// Starts to build a client of the server at `address`.
    ///
    /// The address is an `http` or `https` URL, without credentials, query and fragment. A path
    /// prefix is kept (`https://host/plex`). Plain `http` is taken for hosts in the machine or the
    /// home only, see [`ClientBuilder::allow_insecure_http`].
    pub fn builder(address: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(address.into())
    }

    pub(crate) fn new(
        address: Url,
        http: reqwest::Client,
        mut headers: HeaderMap,
        token: Token,
        settings: Settings,
    ) -> Result<Self, Error> {
        headers::set_token(&mut headers, &token)?;
        let inner = Inner { headers, max_response_bytes: settings.max_response_bytes };
        let base = address.as_str().trim_end_matches('/');
        let api = generated::Client::new_with_client(base, http, inner);
        Ok(Self(Arc::new(Shared { api, address, token, settings })))
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &Url {
        &self.0.address
    }

    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.settings.timeout
    }

    /// The same client with another token: same server, connections and settings, another identity.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the token can't be one.
    pub fn with_token<T>(&self, token: T) -> Result<Self, Error>
    where
        T: TryInto<Token>,
        T::Error: Into<Error>,
    {
        self.bound_to(self.0.address.clone(), token.try_into().map_err(Into::into)?)
    }

    /// The same client for another address and token: same connections, headers and settings.
    pub(crate) fn bound_to(&self, address: Url, token: Token) -> Result<Self, Error> {
        let mut api = self.0.api.clone();
        headers::set_token(&mut api.inner.headers, &token)?;
        api.baseurl = address.as_str().trim_end_matches('/').to_owned();
        let settings = self.0.settings.clone();
        Ok(Self(Arc::new(Shared { api, address, token, settings })))
    }

    /// Mints a transient token: temporary, with the access level of the client's own token.
    ///
    /// Any valid token may do this, a transient one too. `POST /security/token`; source: Plex's
    /// description of the endpoint.
    ///
    /// # Errors
    ///
    /// Every [`Error`] but [`Error::NoMatchingDevice`].
    #[doc(alias = "GetTransientToken")]
    pub async fn transient_token(&self) -> Result<TransientToken, Error> {
        let call = self.start(&TRANSIENT_TOKEN);
        let api = &self.0.api;
        let attempt = || {
            api.get_transient_token(GetTransientTokenScope::All, GetTransientTokenType::Delegation)
        };
        let (sent_at, body) = self.run(&call, attempt).await?;
        let no_token = |problem| {
            let summary = format!("`MediaContainer.token` is of no use: {problem}");
            Error::NoToken(call.of_no_use(Some(BodyKind::Json), &summary))
        };
        let token = body.media_container.token.ok_or_else(|| no_token("it is missing"))?;
        let token = token.into_token().map_err(no_token)?;
        Ok(TransientToken::new(token, sent_at))
    }

    /// Asks how to reach a source, as the server remembers it.
    ///
    /// Needs an admin's token, or a transient one made from it, and PMS 1.15.4 or newer.
    /// `GET /security/resources`; source: Plex's description of the endpoint.
    ///
    /// # Errors
    ///
    /// Every [`Error`].
    #[doc(alias = "GetSourceConnectionInformation")]
    pub async fn source_connection_information(&self, source: &Source) -> Result<Device, Error> {
        self.look_up(source, None).await
    }

    /// As [`source_connection_information`](Self::source_connection_information), but makes the
    /// server look the source up anew (`refresh=1`), which takes it longer.
    ///
    /// # Errors
    ///
    /// Every [`Error`].
    pub async fn refresh_source_connection_information(
        &self,
        source: &Source,
    ) -> Result<Device, Error> {
        self.look_up(source, Some(&1)).await
    }

    async fn look_up(&self, source: &Source, refresh: Option<&u8>) -> Result<Device, Error> {
        let call = self.start(&SOURCE);
        let api = &self.0.api;
        let attempt = || api.get_source_connection_information(refresh, source.as_str());
        let (_, body) = self.run(&call, attempt).await?;
        let mut devices = body.media_container.device.map(|devices| devices.0).unwrap_or_default();
        let device = match devices.len() {
            0 | 1 => devices.pop(),
            _ => devices
                .into_iter()
                .find(|device| device.client_identifier.as_deref() == Some(source.identifier())),
        };
        let device = device.ok_or_else(|| {
            let summary = "the answer holds no device, or several and none with the identifier \
                           that was asked for: does this server know the source?";
            Error::NoMatchingDevice(call.of_no_use(Some(BodyKind::Json), summary))
        })?;
        Device::from_wire(device, source).map_err(|problem| match problem {
            WireProblem::NoClientIdentifier => {
                call.unexpected_json("`Device.clientIdentifier` is missing")
            }
            WireProblem::AccessToken(problem) => {
                let summary = format!("`Device.accessToken` is of no use: {problem}");
                Error::NoToken(call.of_no_use(Some(BodyKind::Json), &summary))
            }
        })
    }

    pub(crate) fn start(&self, operation: &'static Operation) -> Call<'_> {
        let started = Instant::now();
        Call {
            operation,
            address: &self.0.address,
            token: &self.0.token,
            settings: &self.0.settings,
            started,
            deadline: retry::deadline(started, self.0.settings.timeout),
            tries: AtomicU32::new(0),
        }
    }

    /// Makes a call within its time, with its retries. Also tells when the try that succeeded
    /// began.
    async fn run<T, F>(
        &self,
        call: &Call<'_>,
        attempt: impl Fn() -> F,
    ) -> Result<(Moment, T), Error>
    where
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::NoRuntime);
        }
        let mut waits = retry::waits(self.0.settings.max_retries);
        loop {
            let is_first = call.tries.fetch_add(1, Ordering::Relaxed) == 0;
            let sent_at = Moment::now();
            // What reqwest was told bounds one try, so it bounds the first: one timer less. What is
            // not on the way to a good answer is boxed: what a future holds, it copies.
            let tried = match is_first {
                true => attempt().await,
                false => match timeout_at(call.deadline, Box::pin(attempt())).await {
                    Ok(tried) => tried,
                    Err(_) => return Err(call.timed_out()),
                },
            };
            let error = match tried {
                Ok(value) => return Ok((sent_at, value.into_inner())),
                Err(raw) => Box::pin(call.error(raw)).await,
            };
            let Some(wait) = retry::wait(&error, &mut waits, call.deadline) else {
                return Err(error);
            };
            Box::pin(tokio::time::sleep(wait)).await;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.0.address.as_str())
            .field("token", &self.0.token)
            .finish_non_exhaustive()
    }
}
