//! Connects to a `Source` at a verified address.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, Operation, Settings, after, check_runtime};
use crate::error::Error;
use crate::source::{Connection, Device, Source};

mod candidates;
mod race;
mod token_cache;

use candidates::{Chooser, Only};
use race::Race;
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
    /// The address to try first, with a head start of 250 ms: usually that of the last connection.
    /// Ignored if the source's connections don't include it. Default: none.
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
            let Self { server, source, prefer, options } = self;
            if options.timeout.is_zero() {
                return Err(Error::setting(
                    "timeout",
                    "it is zero, so no connection could be made",
                ));
            }
            let found = find(&server, &source, &options, prefer, false).await?;
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
/// A source that restarted no longer accepts the access token that the first server has cached:
/// `connect` succeeds, and the first call fails with 401. [`reconnect`](Self::reconnect) gets a new
/// token. [`TokenCache::of_source`](crate::TokenCache::of_source) does so automatically.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client, source: plex_auth::Source)
/// # -> Result<plex_auth::TransientToken, plex_auth::Error> {
/// let server = client.connect(&source).await?;
/// let mut token = server.client().transient_token().await;
/// if token.as_ref().is_err_and(|error| error.kind() == plex_auth::ErrorKind::Unauthorized) {
///     server.reconnect().await?;
///     token = server.client().transient_token().await;
/// }
/// # token
/// # }
/// ```
#[derive(Clone)]
pub struct Connected(Arc<Handle>);

struct Handle {
    server: Client,
    source: Source,
    options: Options,
    /// Never held across an await.
    current: Mutex<Found>,
    /// Held by the caller who reconnects.
    last: tokio::sync::Mutex<Last>,
}

/// When the last reconnection started, and when and how it ended, unless it was dropped.
#[derive(Default)]
struct Last {
    started: Option<Instant>,
    ended: Option<(Instant, Result<(), Error>)>,
}

/// The result of a race.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) client: Client,
    pub(crate) device: Device,
    pub(crate) connection: Connection,
}

/// The minimum time between the starts of two reconnections.
const SPACING: Duration = Duration::from_secs(1);

impl Connected {
    pub(crate) fn from_parts(
        server: Client,
        source: Source,
        options: Options,
        found: Found,
    ) -> Self {
        let (current, last) = (Mutex::new(found), tokio::sync::Mutex::default());
        Self(Arc::new(Handle { server, source, options, current, last }))
    }

    /// The source's client, for all calls to it: at [`connection`](Self::connection), with the
    /// source's own access token. Headers, settings and pooled connections are those of the client
    /// that connected. It does not change when the handle reconnects: call this again.
    pub fn client(&self) -> Client {
        self.current().client.clone()
    }

    /// The connection that was verified.
    pub fn connection(&self) -> Connection {
        self.current().connection.clone()
    }

    /// The source's device, from the last look-up.
    pub fn device(&self) -> Device {
        self.current().device.clone()
    }

    /// Connects to the same source again, when the network has changed or the source no longer
    /// accepts its token: looks it up with `refresh=1`, and then does as [`Client::connect`], with
    /// the same [`only`](Connect::only) and [`timeout`](Connect::timeout). It prefers the last
    /// connection, unless that was a relay. On success all clones use the new connection; on
    /// failure they keep the old one.
    ///
    /// Callers who call during a reconnection, or within a second after it succeeded, share its
    /// result. Reconnections start at least a second apart. Dropping a caller's future is safe: the
    /// next caller starts over.
    ///
    /// A pooled connection may be dead. So the first attempt of the look-up takes at most
    /// [`connect_timeout`](crate::ClientBuilder::connect_timeout), and a candidate's first attempt
    /// at most 500 ms; the next attempts do not use that connection.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`].
    pub async fn reconnect(&self) -> Result<(), Error> {
        check_runtime()?;
        let Handle { server, source, options, last, .. } = &*self.0;
        let (mut last, has_waited) = match last.try_lock() {
            Ok(last) => (last, false),
            Err(_) => (last.lock().await, true),
        };
        match &last.ended {
            Some((_, result)) if has_waited => return result.clone(),
            Some((at, Ok(()))) if at.elapsed() < SPACING => return Ok(()),
            _ => {}
        }
        last.ended = None;
        if let Some(started) = last.started {
            sleep_until(after(started, SPACING)).await;
        }
        last.started = Some(Instant::now());
        let Connection { uri, relay, .. } = self.connection();
        let found = find(server, source, options, Some(uri).filter(|_| !relay), true).await;
        let result = found.map(|found| *self.current() = found);
        last.ended = Some((Instant::now(), result.clone()));
        result
    }

    fn current(&self) -> MutexGuard<'_, Found> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        Connect { server, source, prefer: None, options }
    }
}

async fn find(
    server: &Client,
    source: &Source,
    options: &Options,
    prefer: Option<Url>,
    is_reconnection: bool,
) -> Result<Found, Error> {
    let Settings { connect_timeout, allow_insecure_http, .. } = server.0.settings;
    // After a change of network, the look-up's pooled connection may be dead.
    let first = if is_reconnection { connect_timeout } else { options.timeout };
    let call = server.call(Operation::Source).within(options.timeout, first);
    let deadline = call.deadline;
    let device = server.look_up(call, source, is_reconnection).await?;

    let (is_provider, prefer) = (source.is_provider(), prefer.as_ref());
    let chooser = Chooser::new(allow_insecure_http, is_provider, prefer, &*options.only);
    let race = Race::new(server, source, device, is_reconnection, chooser, deadline);
    let (device, connection) = race.run().await?;
    let client = server.bind(connection.uri.clone(), device.access_token.clone());
    Ok(Found { client, device, connection })
}
