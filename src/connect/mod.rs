//! Connects to a `Source` at a verified address.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;

use crate::client::{Client, is_proxy_login};
use crate::error::{CandidateError, Error, ErrorKind};
use crate::source::{Connection, Device, Source};
use crate::token::TransientToken;

mod candidates;
mod find;
mod flight;
mod race;
mod token_cache;

use candidates::Only;
use find::{Start, find};
use flight::{Flight, SPACING, Turn};
pub use token_cache::TokenCache;

/// A connection to a source that is about to be made, from [`Client::connect`]. Await it.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client, remembered: plex_auth::reqwest::Url)
/// # -> Result<(), plex_auth::Error> {
/// use std::time::Duration;
///
/// let source = plex_auth::Source::server("243b471948ace337a8f92f129ec97d1902fcb1df")?;
/// let server = client
///     .connect(&source)
///     .prefer(&remembered)
///     .only(|connection| !connection.relay)
///     .timeout(Duration::from_secs(8))
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected until this is awaited"]
pub struct Connect {
    /// The client of the server that looks the source up.
    server: Client,
    source: Source,
    device: Option<Device>,
    prefer: Option<Url>,
    options: Options,
}

/// Options that reconnections keep.
#[derive(Clone)]
pub(crate) struct Options {
    only: Arc<Only>,
    timeout: Duration,
}

impl Options {
    /// The defaults.
    pub(crate) fn of(client: &Client) -> Self {
        Self { only: Arc::new(|_| true), timeout: client.0.settings.timeout }
    }
}

impl Connect {
    /// The source's device, if the app has it already: from the last time, or from plex.tv's list
    /// of resources, which is all that a user without admin rights can get. Its connections are
    /// tried at once, with its token. The source is looked up, with `refresh=1`, only when each has
    /// failed once, after 3 s, or when the source does not accept the token. Default: none, so the
    /// source is looked up first.
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client, source: plex_auth::Source, token: plex_auth::Token)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use plex_auth::{Connection, Device};
    ///
    /// let uri = "https://10-0-2-123.93b10b279ff8456686414add109854cd.plex.direct:32400".parse()?;
    /// let device = Device::new(source.identifier(), token, vec![Connection::new(uri)]);
    /// let server = client.connect(&source).device(device).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// The address to try first: usually that of the last connection. Ignored if the source's
    /// connections don't include it. One that goes through a relay is still tried last, so that no
    /// app stays on a relay. Default: none.
    pub fn prefer(mut self, uri: &Url) -> Self {
        self.prefer = Some(uri.clone());
        self
    }

    /// Which connections may be used: no relay, remote ones only, certain networks. Default: all.
    /// It also applies to reconnections.
    pub fn only(
        mut self,
        is_allowed: impl Fn(&Connection) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options.only = Arc::new(is_allowed);
        self
    }

    /// How long it may take as a whole, look-ups included. Default: the client's
    /// [`timeout`](crate::ClientBuilder::timeout). Reconnections have the same timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }
}

impl IntoFuture for Connect {
    type Output = Result<Connected, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { server, source, device, prefer, options } = self;
            let invalid = |problem| Err(Error::new(ErrorKind::InvalidSource, problem));
            if source.is_provider() {
                return invalid(
                    "a provider has nothing that could be verified: use \
                     `source_connection_information`",
                );
            }
            if device.as_ref().is_some_and(|device| !source.matches(&device.client_identifier)) {
                return invalid("the device of `.device(..)` has another client identifier");
            }
            if options.timeout.is_zero() {
                return Err(Error::setting(
                    "timeout",
                    "it is zero, so no connection could be made",
                ));
            }
            let start = device.map_or(Start::LookUp, Start::Device);
            let found = find(&server, &source, &options, prefer.as_ref(), start).await?;
            Ok(Connected::from_parts(server, source, options, found))
        })
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A client of a source at a verified address, from [`Client::connect`]. Clones share their state.
///
/// The source has accepted its access token. When it restarts, or the network changes,
/// [`reconnect`](Self::reconnect) connects again. [`send`](Self::send) and
/// [`TokenCache::of_source`] do so by themselves, when the source no longer accepts the token.
#[derive(Clone)]
pub struct Connected(Arc<Handle>);

struct Handle {
    server: Client,
    source: Source,
    options: Options,
    flight: Flight<Current, ()>,
}

/// The last connection, and when a reconnection made it.
struct Current {
    found: Found,
    reconnected: Option<Instant>,
}

/// What was found by connecting.
pub(crate) struct Found {
    pub(crate) client: Client,
    pub(crate) device: Device,
    pub(crate) connection: Connection,
    /// Why the others were not used.
    pub(crate) candidates: Vec<CandidateError>,
    /// From trying the access token. The first cache takes it.
    pub(crate) token: Option<TransientToken>,
}

impl Connected {
    pub(crate) fn from_parts(
        server: Client,
        source: Source,
        options: Options,
        found: Found,
    ) -> Self {
        let flight = Flight::new(Current { found, reconnected: None });
        Self(Arc::new(Handle { server, source, options, flight }))
    }

    /// The source's client, for all calls to it: at [`connection`](Self::connection), with the
    /// source's own access token. Headers and settings are those of the client that connected;
    /// pooled connections and cookies are its own. It does not change when the handle reconnects:
    /// call this again.
    pub fn client(&self) -> Client {
        self.0.flight.with(|current| current.found.client.clone())
    }

    /// The connection that was verified.
    pub fn connection(&self) -> Connection {
        self.0.flight.with(|current| current.found.connection.clone())
    }

    /// The source's device, from the last look-up.
    pub fn device(&self) -> Device {
        self.0.flight.with(|current| current.found.device.clone())
    }

    /// Why each other connection was not used: its error, or [`Skipped`](ErrorKind::Skipped) with
    /// the reason, for example that another one was verified first. As [`Error::candidates`].
    pub fn candidates(&self) -> Vec<CandidateError> {
        self.0.flight.with(|current| current.found.candidates.clone())
    }

    /// The transient token of the last connection, once.
    fn take_token(&self) -> Option<TransientToken> {
        self.0.flight.with(|current| current.found.token.take())
    }

    /// Sends a request to the source: the one that `request` makes of the current
    /// [`client`](Self::client), for example by [`Client::request`]. When the source answers 401, it
    /// reconnects, and sends what `request` makes then. Every other response, and a second 401, is
    /// returned. There are no other retries, and no limit on the body.
    ///
    /// ```no_run
    /// # async fn example(server: plex_auth::Connected) -> Result<(), plex_auth::Error> {
    /// use plex_auth::reqwest::Method;
    ///
    /// let sections = server.send(|client| client.request(Method::GET, "/library/sections")).await?;
    /// println!("{}", sections.status());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// That of `request`, those of any request ([`Connect`](ErrorKind::Connect),
    /// [`Timeout`](ErrorKind::Timeout) and so on), and those of [`reconnect`](Self::reconnect).
    pub async fn send(
        &self,
        request: impl Fn(&Client) -> Result<RequestBuilder, Error>,
    ) -> Result<Response, Error> {
        let client = self.client();
        let response = client.execute(request(&client)?).await?;
        if !is_token_refused(&response) {
            return Ok(response);
        }
        self.reconnect().await?;
        let client = self.client();
        client.execute(request(&client)?).await
    }

    /// Connects to the same source again, when the network has changed or the source no longer
    /// accepts its token: with connections of its own, a look-up with `refresh=1`, and then as
    /// [`Client::connect`], with the same [`only`](Connect::only) and
    /// [`timeout`](Connect::timeout). Where the look-up fails, because the asked server is down for
    /// example, the last device is used. It prefers the last connection, unless that was a relay.
    /// On success all clones use the new connection; on failure they keep the old one.
    ///
    /// Callers share a reconnection, which is a task of its own: one who is dropped or not polled
    /// holds up nobody. Reconnections start at least a second apart: who calls earlier waits for
    /// the next one, and within a second after a success gets that.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`].
    pub async fn reconnect(&self) -> Result<(), Error> {
        let patience = self.0.options.timeout.saturating_add(SPACING);
        let turn = |current: &mut Current, _| match current.reconnected {
            Some(at) if at.elapsed() < SPACING => Turn::Answer(Ok(())),
            _ => Turn::Wait(patience),
        };
        let run = || {
            let this = self.clone();
            async move {
                let Handle { server, source, options, .. } = &*this.0;
                let Connection { uri, relay, .. } = this.connection();
                let prefer = Some(&uri).filter(|_| !relay);
                find(server, source, options, prefer, Start::Again(this.device())).await
            }
        };
        let land = |current: &mut Current, result| {
            let found = result?;
            *current = Current { found, reconnected: Some(Instant::now()) };
            Ok(())
        };
        let joined = self.0.flight.join(turn, run, land).await;
        joined.unwrap_or_else(|| {
            let summary = "no result of the reconnection: its runtime may be blocked";
            Err(Error::new(ErrorKind::Timeout, summary))
        })
    }
}

/// Whether the source, and not a proxy in front of it, refused the token.
fn is_token_refused(response: &Response) -> bool {
    response.status() == StatusCode::UNAUTHORIZED && !is_proxy_login(response.headers())
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.connection();
        f.debug_struct("Connected")
            .field("source", &self.0.source)
            .field("connection", &connection)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Looks a source up, and connects to the first of its connections that is verified: a client
    /// with the source's own access token. Await the returned value, or set its options first.
    ///
    /// A token is sent only to a verified address: its TLS certificate must be valid, and
    /// `GET /identity`, requested without a token, must return the device's `machineIdentifier`
    /// (source: `getIdentity` in
    /// [Plex's API description](https://github.com/LukeHagar/plex-api-spec)). Over plain `http`,
    /// which needs [`allow_insecure_http`](crate::ClientBuilder::allow_insecure_http), only the
    /// identity is checked.
    ///
    /// - **Classes**: the [preferred](Connect::prefer) address; direct `https`; direct `http`, to
    ///   local hosts and only with
    ///   [`allow_insecure_http`](crate::ClientBuilder::allow_insecure_http); relays. Within a class:
    ///   local before remote. Addresses that the builder would refuse or [`only`](Connect::only)
    ///   excludes are skipped, and so are all after the first 100 direct ones, 10 relays, and 4 per
    ///   host and port.
    /// - **Starts**: the first candidate at once; the other direct `https` after 250 ms, 10 ms apart
    ///   (RFC 8305); `http` after 750 ms; relays after 1.5 s or a quarter of the timeout, whichever
    ///   is shorter. A class without candidates takes no time. If no running candidate can still
    ///   succeed, the next one starts at once.
    /// - **The first verified one wins.** A remote one waits up to 150 ms for a local `https` one
    ///   that was started before it. If the certificate of a bare IP address gives its plex.direct
    ///   address, the candidate continues with that.
    /// - **A transient failure** or a time-out is retried after 250 ms, doubling to 4 s, without
    ///   jitter, with at most 6 attempts. When only such candidates are left, the race ends 5 s
    ///   after the last candidate first failed, or after the second look-up if that was later.
    /// - **A second look-up**, with `refresh=1`, is made when every candidate has failed, or after
    ///   3 s, in parallel with the race. Its new addresses are tried at once, and its access token
    ///   is used.
    /// - **Providers** have no `/identity`: the first `https` connection with a host name is used,
    ///   and its certificate is checked at the first call.
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
    /// let source = plex_auth::Source::server("243b471948ace337a8f92f129ec97d1902fcb1df")?;
    /// let server = client.connect(&source).await?;
    /// println!("{}", server.connection().uri);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`source_connection_information`](Self::source_connection_information), and
    /// [`Unreachable`](crate::ErrorKind::Unreachable), whose [`candidates()`](Error::candidates) say
    /// why each connection failed.
    pub fn connect(&self, source: &Source) -> Connect {
        let (server, source, options) = (self.clone(), source.clone(), Options::of(self));
        Connect { server, source, device: None, prefer: None, options }
    }
}
