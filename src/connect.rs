//! From a `Source` to a client that answers: the race of a device's connections.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use progenitor_client::{ClientHooks as _, Error as Raw, OperationInfo, ResponseValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

use crate::call::{Call, IDENTITY};
use crate::error::{Attempt, NoConnection};
use crate::resolver::plex_direct;
use crate::{Client, Connection, Device, Error, Source, SourceKind, Token, address, headers};

/// How long a connection has before the next one is tried too: the `Connection Attempt Delay` that
/// RFC 8305 recommends in section 5.
const STAGGER: Duration = Duration::from_millis(250);
/// How long the direct ways have before a relay, which is slow, is tried too.
const RELAYS_AFTER: Duration = Duration::from_secs(3);
/// How long a connection has to prove itself.
const PROBE: Duration = Duration::from_secs(5);
/// How many connections of a device are looked at. A longer list would make this client search
/// somebody's network.
const MOST: usize = 100;

/// A client of a device at an address that has proved to lead there; made by [`Client::connect`].
///
/// Cheap to clone. `Debug` shows no token.
#[derive(Clone, Debug)]
pub struct Connected {
    asked: Client,
    client: Client,
    device: Arc<Device>,
    connection: Connection,
}

impl Connected {
    /// The device's client: bound to [`connection`](Self::connection), with the device's own access
    /// token; headers, settings and pooled connections are those of the client that connected.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The way that was taken.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the way leads through a relay, which is slow.
    #[must_use]
    pub fn is_relay(&self) -> bool {
        self.connection.relay
    }

    /// What is known of the device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Connects to the same device anew, for when the network has changed: as
    /// [`Client::connect_device`] does, on the client that connected first.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect_device`].
    pub async fn reconnect(&self) -> Result<Self, Error> {
        self.asked.connect_device(&self.device).await
    }
}

impl Client {
    /// Finds a way to a source, and returns a client for it that has the source's own access token.
    ///
    /// Asks this server for the source, as
    /// [`source_connection_information`](Self::source_connection_information) does, and then races
    /// its connections as RFC 8305 does. The best comes first: local, then remote, then relayed; the
    /// next one starts after 250 ms, or at once when one fails; the first that proves itself wins,
    /// and the others are dropped. Relays start when every direct way has failed, or after 3 s;
    /// [`relay(false)`](crate::ClientBuilder::relay) leaves them out. Each has 5 s, and is not
    /// retried. All of it together has the client's [`timeout`](crate::ClientBuilder::timeout), the
    /// first round at most half of it. If none works, for another reason than the rules below, the
    /// server looks the source up anew (`refresh=1`), and there is a second round.
    ///
    /// # Proof before the token
    ///
    /// No token goes to an address that has not proved itself: by a TLS certificate that is valid
    /// for its name, and by its answer to `GET /identity`, asked without a token, whose
    /// `machineIdentifier` must be the device's `clientIdentifier` (source: `getIdentity` in Plex's
    /// published description, which needs no token). What is skipped:
    ///
    /// - `http`, because the identifier is public and so proves nothing there: it is taken on a
    ///   loopback address, or everywhere after
    ///   [`allow_insecure_http`](crate::ClientBuilder::allow_insecure_http). It comes after every
    ///   direct `https` way, and never where the same address is listed with `https`;
    /// - link-local addresses (169.254.0.0/16, fe80::/10), also as `plex.direct` names;
    /// - what the builder would not take as an address, and any with a path;
    /// - what comes after the first 100 connections.
    ///
    /// A `provider://` source has no `/identity`, so none of its addresses is tried: the client is
    /// bound to the first `https` connection with a host name, never to a bare address. Its proof is
    /// the certificate, which is checked before the first call sends the token.
    ///
    /// # Errors
    ///
    /// Those of the look-up, and [`Error::NoConnection`], which tells of each connection why it is
    /// of no use.
    pub async fn connect(&self, source: &Source) -> Result<Connected, Error> {
        let started = Instant::now();
        let device = self.source_connection_information(source).await?;
        self.reach(device, started).await
    }

    /// As [`connect`](Self::connect), for a device that was looked up before. This server is asked
    /// for it only when none of its connections works, with `refresh=1`.
    ///
    /// # Errors
    ///
    /// [`Error::NoConnection`], which tells of each connection why it is of no use, and
    /// [`Error::Invalid`] for a device without an identifier.
    pub async fn connect_device(&self, device: &Device) -> Result<Connected, Error> {
        self.reach(device.clone(), Instant::now()).await
    }

    async fn reach(&self, device: Device, started: Instant) -> Result<Connected, Error> {
        if Handle::try_current().is_err() {
            return Err(Error::NoRuntime);
        }
        if device.client_identifier.is_empty() {
            return Err(Error::invalid("device", "its client identifier is empty"));
        }
        let left = || self.0.settings.timeout.saturating_sub(started.elapsed());

        let half = left().checked_div(2).unwrap_or_default();
        let mut attempts = match self.round(&device, half).await {
            Ok(connection) => return self.connected(device, connection),
            Err(attempts) => attempts,
        };
        let ruled_out = |attempt: &Attempt| matches!(attempt.error, Error::Invalid { .. });
        let mut refresh = None;
        if attempts.is_empty() || !attempts.iter().all(ruled_out) {
            let anew = self.refresh_source_connection_information(&device.source);
            match timeout(left(), anew).await {
                Ok(Ok(anew)) if anew.client_identifier == device.client_identifier => {
                    match self.round(&anew, left()).await {
                        Ok(connection) => return self.connected(anew, connection),
                        Err(mut latest) => {
                            attempts
                                .retain(|old| latest.iter().all(|new| new.origin != old.origin));
                            latest.append(&mut attempts);
                            attempts = latest;
                        }
                    }
                }
                Ok(Err(error)) => refresh = Some(error),
                // No time is left, or the server knows another device by this name.
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        let source = device.source.to_string();
        Err(Error::NoConnection(Arc::new(NoConnection { attempts, source, refresh })))
    }

    fn connected(&self, device: Device, connection: Connection) -> Result<Connected, Error> {
        let client = self.bound_to(connection.uri.clone(), device.access_token.clone())?;
        Ok(Connected { asked: self.clone(), client, device: device.into(), connection })
    }

    /// The first connection that proves itself in this time, or what became of all.
    async fn round(&self, device: &Device, time: Duration) -> Result<Connection, Vec<Attempt>> {
        let mut ways = self.ways(device);
        let found = if device.source.kind() == SourceKind::Provider {
            ways.iter().find(|way| way.error.is_none()).map(|way| way.connection)
        } else {
            timeout(time, self.race(&mut ways, &device.client_identifier)).await.unwrap_or(None)
        };
        found.cloned().ok_or_else(|| ways.into_iter().map(|way| self.attempt(way)).collect())
    }

    /// A device's connections in the order to try them, each address once, those with an error that
    /// the rules leave out.
    fn ways<'a>(&self, device: &'a Device) -> Vec<Way<'a>> {
        let is_http = |connection: &Connection| connection.uri.scheme() == "http";
        let mut listed: Vec<_> = device.connections.iter().take(MOST).collect();
        listed.sort_by_key(|connection| (connection.relay, is_http(connection)));
        let mut ways: Vec<Way<'a>> = Vec::with_capacity(listed.len());
        for connection in listed {
            if ways.iter().all(|way| way.connection.uri != connection.uri) {
                let origin = match self.leaks(device, connection) {
                    true => "(an address with a piece of a token in it)".to_owned(),
                    false => connection.uri.origin().ascii_serialization(),
                };
                let error = self.check(device, connection).err();
                ways.push(Way { connection, origin, started: None, error });
            }
        }
        let usable = ways.iter().filter(|way| way.error.is_none() && !is_http(way.connection));
        let secure: Vec<_> = usable.map(|way| place(&way.connection.uri)).collect();
        for way in ways.iter_mut().filter(|way| way.error.is_none() && is_http(way.connection)) {
            if secure.contains(&place(&way.connection.uri)) {
                let problem = "plain `http`, where the same address is listed with `https`";
                way.error = Some(Error::invalid("connection", problem));
            }
        }
        ways
    }

    /// The rules that a connection must keep to be tried at all.
    fn check(&self, device: &Device, connection: &Connection) -> Result<(), Error> {
        let (uri, settings) = (&connection.uri, &self.0.settings);
        address::parse(uri.as_str())?;
        address::check_scheme(uri, settings.allow_insecure_http)?;
        let (ip, is_bare) = (ip(uri), address::is_bare(uri));
        let is_http = uri.scheme() == "http";
        let is_provider = device.source.kind() == SourceKind::Provider;
        let problem = if uri.path() != "/" {
            "it has a path"
        } else if self.leaks(device, connection) {
            "DNS servers and logs would see it"
        } else if ip.is_some_and(is_link_local) {
            "a link-local address leads to something else on each network"
        } else if is_provider && (is_http || is_bare) {
            "a provider is reached by `https` and a host name only"
        } else if is_http
            && !settings.allow_insecure_http
            && !(is_bare && ip.is_some_and(|ip| ip.is_loopback()))
        {
            "plain `http` proves nothing about who answers: it is taken on a loopback address, or \
             after `.allow_insecure_http()`"
        } else if connection.relay && !settings.relay {
            "relays are turned off by `.relay(false)`"
        } else {
            return Ok(());
        };
        Err(Error::invalid("connection", problem))
    }

    fn leaks(&self, device: &Device, connection: &Connection) -> bool {
        [&self.0.token, &device.access_token].into_iter().any(|token| holds(&connection.uri, token))
    }

    async fn race<'a>(&self, ways: &mut [Way<'a>], identifier: &str) -> Option<&'a Connection> {
        let now = Instant::now();
        let usable = ways.iter_mut().filter(|way| way.error.is_none());
        let (relayed, direct) = usable.partition(|way| way.connection.relay);
        let mut direct = Lane { waiting: direct, running: 0, begun: false, next: now };
        let relays_at = after(now, RELAYS_AFTER);
        let mut relayed = Lane { waiting: relayed, running: 0, begun: false, next: relays_at };
        let mut probes = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            if direct.is_over() && !relayed.begun {
                relayed.next = now;
            }
            for lane in [&mut direct, &mut relayed] {
                if let Some(way) = lane.start(now) {
                    probes.push(self.probe(way, identifier));
                }
            }
            let ended = match [&direct, &relayed].into_iter().filter_map(Lane::next_start).min() {
                Some(next) => timeout_at(next, probes.next()).await,
                None => Ok(probes.next().await),
            };
            match ended {
                Ok(Some(Ok(connection))) => return Some(connection),
                Ok(Some(Err(Failed { relay }))) => {
                    let lane = if relay { &mut relayed } else { &mut direct };
                    lane.running = lane.running.saturating_sub(1);
                    lane.next = Instant::now();
                }
                Ok(None) => return None,
                Err(_time_for_the_next) => {}
            }
        }
    }

    async fn probe<'a>(
        &self,
        way: &mut Way<'a>,
        identifier: &str,
    ) -> Result<&'a Connection, Failed> {
        way.started = Some(std::time::Instant::now());
        let uri = &way.connection.uri;
        let proof = match timeout(PROBE, self.prove(uri, identifier)).await {
            Ok(proof) => proof,
            Err(_) => Err(self.too_late(way, format!("no answer within {PROBE:?}"))),
        };
        let relay = way.connection.relay;
        tracing::debug!(relay, proved = proof.is_ok(), "asked a connection for its identity");
        proof.map(|()| way.connection).map_err(|error| {
            way.error = Some(error);
            Failed { relay }
        })
    }

    /// Whether the device answers there; asked without a token and without a word about the client.
    async fn prove(&self, uri: &Url, identifier: &str) -> Result<(), Error> {
        let call = Call { address: uri, tries: AtomicU32::new(1), ..self.start(&IDENTITY) };
        match self.identity(uri).await {
            Ok(body) if body.container.machine_identifier == identifier => Ok(()),
            Ok(_) => Err(Error::WrongServer(call.of_no_use(None, "another server answers there"))),
            // What such an answer says more may be a stranger's words.
            Err(Raw::UnexpectedResponse(answer)) => Err(call.bare_status(answer.status())),
            Err(raw) => Err(call.error(raw).await),
        }
    }

    async fn identity(&self, uri: &Url) -> Result<IdentityBody, Raw> {
        const OPERATION: OperationInfo = OperationInfo { operation_id: "getIdentity" };

        let mut url = uri.clone();
        url.set_path("/identity");
        let mut request = Request::new(Method::GET, url);
        *request.headers_mut() = headers::base();
        let api = &self.0.api;
        let answer = api.exec(request, &OPERATION).await;
        api.post(&answer, &OPERATION).await?;
        match answer? {
            answer if answer.status() == StatusCode::OK => {
                Ok(ResponseValue::<IdentityBody>::from_response(answer).await?.into_inner())
            }
            answer => Err(Raw::UnexpectedResponse(answer)),
        }
    }

    fn too_late(&self, way: &Way<'_>, summary: impl Into<Cow<'static, str>>) -> Error {
        let (address, tries) = (&way.connection.uri, u32::from(way.started.is_some()).into());
        let started = way.started.unwrap_or_else(std::time::Instant::now);
        let call = Call { address, started, tries, ..self.start(&IDENTITY) };
        Error::Timeout(call.failure(summary).into())
    }

    fn attempt(&self, way: Way<'_>) -> Attempt {
        let error = way.error.clone().unwrap_or_else(|| {
            let summary = match way.started {
                Some(_) => "no answer before the time was up",
                None => "not tried before the time was up",
            };
            self.too_late(&way, summary)
        });
        Attempt { origin: way.origin, relay: way.connection.relay, error }
    }
}

/// A connection of the device that is being reached, and what has become of it.
struct Way<'a> {
    connection: &'a Connection,
    origin: String,
    started: Option<std::time::Instant>,
    error: Option<Error>,
}

struct Failed {
    relay: bool,
}

/// The direct ways, or the relayed ones: each lane starts its ways one after another.
struct Lane<'r, 'a> {
    waiting: VecDeque<&'r mut Way<'a>>,
    running: usize,
    begun: bool,
    next: Instant,
}

impl<'r, 'a> Lane<'r, 'a> {
    fn start(&mut self, now: Instant) -> Option<&'r mut Way<'a>> {
        if self.next > now {
            return None;
        }
        let way = self.waiting.pop_front()?;
        self.next = after(now, STAGGER);
        self.running = self.running.saturating_add(1);
        self.begun = true;
        Some(way)
    }

    fn next_start(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }
}

/// What `GET /identity` answers. Source: `getIdentity` in Plex's published description.
#[derive(Deserialize)]
struct IdentityBody {
    #[serde(rename = "MediaContainer")]
    container: Identity,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "machineIdentifier")]
    machine_identifier: String,
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// The address that a URL leads to without asking anybody.
fn ip(uri: &Url) -> Option<IpAddr> {
    match uri.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.to_canonical()),
        Host::Domain(name) => plex_direct(name).map(|ip| ip.to_canonical()),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The machine that a URL leads to. Whoever can break `https` to one of its ports can break it to
/// all, but within this machine a port is a server of its own.
fn place(uri: &Url) -> String {
    match ip(uri) {
        Some(ip) if ip.is_loopback() => format!("{ip} {:?}", uri.port_or_known_default()),
        Some(ip) => ip.to_string(),
        None => uri.host_str().unwrap_or_default().to_owned(),
    }
}

/// Whether a piece of a token stands in a URL, which keeps the host in small letters.
fn holds(uri: &Url, token: &Token) -> bool {
    const PIECE: usize = 8;

    let mut pieces = token.expose_secret().as_bytes().windows(PIECE);
    pieces.any(|piece| {
        uri.as_str().as_bytes().windows(PIECE).any(|at| at.eq_ignore_ascii_case(piece))
    })
}
