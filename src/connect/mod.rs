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

/// A connection to a source that is about to be made, from [`Client::connect`]. Await it, or spawn
/// it: `tokio::spawn(client.connect(&source).into_future())`. Dropping the future cancels it.
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
    /// let uri = "https://203-0-113-7.93b10b279ff8456686414add109854cd.plex.direct:32400".parse()?;
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
    /// app stays on a relay; don't remember one. Default: none.
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
    /// [`timeout`](crate::ClientBuilder::timeout), which is 30 seconds unless set. Reconnections have
    /// the same timeout.
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
/// A connection has a `reqwest::Client` of its own. A reconnection is the same again, with the
/// last known device where the look-up fails, because the asked server is down for example.
///
/// When the source restarts, or the network changes, [`reconnect`](Self::reconnect) connects again.
/// [`send`](Self::send) and [`TokenCache::of_source`] do so by themselves, when the source no longer
/// accepts the token.
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

    /// The source's device, from the last look-up. An app can keep its identifier, its connections
    /// (with serde) and its token (in a keychain), and start with them the next time: see
    /// [`Connect::device`].
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
    /// accepts its token: a look-up with `refresh=1`, and then as [`Client::connect`], with the same
    /// [`only`](Connect::only) and [`timeout`](Connect::timeout). It prefers the last connection,
    /// unless that was a relay. On success all clones use the new connection; on failure they keep
    /// the old one.
    ///
    /// It is one task for all who want its result: they wait for it, each with its own timeout, and
    /// share how it ended. The next one starts a second after the last one started. Within a second
    /// after a success that is the result.
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
                let last = this.connection().uri;
                find(server, source, options, Some(&last), Start::Again(this.device())).await
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
    /// Looks a server up, and connects to the first of its connections that is verified: a client
    /// with the server's own access token. Await the returned value, or set its options first.
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
    /// It is a look-up and a race; when that fails, or after 3 s beside it, a fresh look-up
    /// (`refresh=1`) and a race of its new addresses. It ends with a verified address and a token
    /// that the source accepts.
    ///
    /// A token is sent only to a verified address: its TLS certificate must be valid, and
    /// `GET /identity`, requested without a token, must return the device's `machineIdentifier`. Over
    /// plain `http` only the identity is checked; it needs
    /// [`allow_insecure_http`](crate::ClientBuilder::allow_insecure_http), and a local host. If the
    /// certificate of a bare IP address gives its plex.direct name, the candidate continues with that.
    ///
    /// A race takes one list: each candidate starts at its class's time, is asked until its patience
    /// ends (8 s, or `connect_timeout` if that is longer, and 6 attempts), and may win from its
    /// class's time on.
    ///
    /// | class | starts | may win |
    /// |---|---|---|
    /// | [preferred](Connect::prefer) | at once | at once |
    /// | `https`, local (flagged so, and a local address) | from 100 ms on, 10 ms apart | at once |
    /// | `https`, remote | after them, 10 ms apart, from 100 ms on | from 300 ms on |
    /// | `http` | from 750 ms on; where there is no `https`, from 100 ms on | at once |
    /// | relay | from 500 ms on | from 1 s on, or a quarter of the timeout if that is shorter |
    ///
    /// The first candidate of this order starts at once. The others start sooner when all before them
    /// have failed, and may win sooner when all of the earlier classes have failed. So a slow LAN
    /// loses: where it needs 400 ms and a remote address 40 ms, the remote one wins after 300 ms.
    /// [`only`](Connect::only) and [`prefer`](Connect::prefer) decide otherwise.
    ///
    /// Addresses that [`only`](Connect::only) excludes or the builder would refuse are skipped, and so
    /// are all after the first 64 direct ones, 10 relays, and 4 to one address and port. An `http`
    /// one that may not be used as such is tried as `https`.
    ///
    /// # Errors
    ///
    /// - [`Unreachable`](ErrorKind::Unreachable): no connection works;
    ///   [`candidates()`](Error::candidates) say why;
    /// - [`Unauthorized`](ErrorKind::Unauthorized): the source accepts neither the access token nor
    ///   that of a fresh look-up;
    /// - [`InvalidSource`](ErrorKind::InvalidSource): it is a provider, which has no identity that
    ///   could be verified: use
    ///   [`source_connection_information`](Self::source_connection_information). Or the
    ///   [device](Connect::device) is another one;
    /// - [`InvalidSetting`](ErrorKind::InvalidSetting): a timeout of zero;
    /// - those of [`source_connection_information`](Self::source_connection_information).
    pub fn connect(&self, source: &Source) -> Connect {
        let (server, source, options) = (self.clone(), source.clone(), Options::of(self));
        Connect { server, source, device: None, prefer: None, options }
    }
}
