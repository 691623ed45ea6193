//! From a `Source` to a client of it, at an address that was verified.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::address;
use crate::client::{Client, Operation, after};
use crate::error::{CandidateError, Details, Error, ErrorKind, escape};
use crate::source::{Connection, Device, Source, SourceKind};

mod candidates;
mod race;

use candidates::{Candidate, candidates};

/// A client of a source at an address that was verified, from [`Client::connect`].
///
/// Cheap to clone. A source that restarted no longer accepts the access token that the asked server
/// remembers: `connect` succeeds, and the first call fails with 401. [`reconnect`](Self::reconnect)
/// brings a new token:
///
/// ```no_run
/// # async fn example(client: plex_auth::Client, source: plex_auth::Source)
/// # -> Result<plex_auth::TransientToken, plex_auth::Error> {
/// let mut server = client.connect(&source).await?;
/// let mut token = server.client().transient_token().await;
/// if token.as_ref().is_err_and(|error| error.is_auth()) {
///     server = server.reconnect().await?;
///     token = server.client().transient_token().await;
/// }
/// # token
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connected {
    asked: Client,
    source: Source,
    client: Client,
    device: Arc<Device>,
    connection: Connection,
}

impl Connected {
    /// The source's client: bound to [`connection`](Self::connection), with the source's own access
    /// token; headers, settings and pooled connections are those of the client that connected.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The connection that was verified.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the connection goes through a relay, which is slow.
    pub fn is_relay(&self) -> bool {
        self.connection.relay
    }

    /// What is known of the source.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Connects to the same source again, when the network has changed or the source no longer
    /// accepts its token: looks it up with `refresh=1`, and then does as [`Client::connect`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`].
    pub async fn reconnect(&self) -> Result<Self, Error> {
        Box::pin(self.asked.connect_with(&self.source, true)).await
    }
}

impl Client {
    /// Looks a source up, and returns a client for the first of its connections that is verified,
    /// with the source's own access token.
    ///
    /// No token goes to an address that was not verified: by a TLS certificate that is valid for its
    /// name, and by `GET /identity`, asked without a token, whose `machineIdentifier` must be the
    /// device's (source: `getIdentity` in
    /// [Plex's API description](https://github.com/LukeHagar/plex-api-spec)).
    ///
    /// - **Candidates**: direct before relayed, `https` before `http`, local before remote. Skipped
    ///   are addresses that the builder would refuse, link-local ones, `http` unless
    ///   [`allow_insecure_http`](crate::ClientBuilder::allow_insecure_http) is set, `http` to public
    ///   hosts even then, relays after [`relay(false)`](crate::ClientBuilder::relay), and all beyond
    ///   100.
    /// - **Starts**: the next candidate starts when one fails, or after 250 ms; in a long list
    ///   sooner, so that every direct one has been started after 2 seconds, or half the round. Relays
    ///   start when every direct one has failed, or after 3 seconds or half the round.
    /// - **Time**: a candidate that is starting or does not answer is asked again while the round
    ///   lasts. The first round has at most half of the client's
    ///   [`timeout`](crate::ClientBuilder::timeout); then the source is looked up with `refresh=1`,
    ///   and a second round has the rest.
    /// - **Providers** have no `/identity`: the first `https` connection with a host name is taken,
    ///   and its certificate is checked at the first call.
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
    /// let source = plex_auth::Source::server("243b471948ace337a8f92f129ec97d1902fcb1df")?;
    /// let server = client.connect(&source).await?;
    /// println!("{} (relayed: {})", server.connection().uri, server.is_relay());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`source_connection_information`](Self::source_connection_information), and
    /// [`ErrorKind::Unreachable`], whose [`candidates()`](Error::candidates) say why each connection
    /// failed.
    pub async fn connect(&self, source: &Source) -> Result<Connected, Error> {
        Box::pin(self.connect_with(source, false)).await
    }

    async fn connect_with(&self, source: &Source, refresh: bool) -> Result<Connected, Error> {
        let deadline = after(Instant::now(), self.0.settings.timeout);
        let device = self.look_up(source, refresh).await?;
        let now = Instant::now();
        let half = deadline.saturating_duration_since(now).checked_div(2).unwrap_or_default();
        let first = match self.round(source, device, after(now, half)).await {
            Ok(connected) => return Ok(connected),
            Err(failed) => failed,
        };
        let (last, problem) = match timeout_at(deadline, self.look_up(source, true)).await {
            Ok(Ok(device)) => match self.round(source, device, deadline).await {
                Ok(connected) => return Ok(connected),
                Err(failed) => (failed, String::new()),
            },
            Ok(Err(error)) => (vec![], format!(", and looking it up again failed ({error})")),
            Err(_) => (vec![], ", and there was no time to look it up again".to_owned()),
        };
        let mut seen = HashSet::new();
        let failed = last.into_iter().chain(first);
        let failed = failed.filter(|failed| seen.insert(failed.connection.uri.clone()));
        Err(unreachable(source, &problem, failed.map(|failed| self.failure(failed)).collect()))
    }

    /// A client for the first verified connection, or why each candidate failed.
    async fn round(
        &self,
        source: &Source,
        device: Device,
        deadline: Instant,
    ) -> Result<Connected, Vec<Candidate>> {
        let kind = source.kind();
        let mut candidates = candidates(device.connections.clone(), kind, &self.0.settings);
        let found = if kind == SourceKind::Provider {
            let mut usable = candidates.iter().filter(|candidate| candidate.error.is_none());
            usable.next().map(|candidate| candidate.connection.clone())
        } else {
            race::race(self, source, &mut candidates, deadline).await
        };
        let Some(connection) = found else { return Err(candidates) };
        let client = self.bind(connection.uri.clone(), device.access_token.clone());
        let (asked, source, device) = (self.clone(), source.clone(), device.into());
        Ok(Connected { asked, source, client, device, connection })
    }

    fn failure(&self, Candidate { connection, error }: Candidate) -> CandidateError {
        let call = self.call(Operation::Identity).to(&connection.uri, Instant::now());
        let untried =
            || call.details(ErrorKind::Timeout, "not tried before the time was up").into();
        let origin = address::origin(&connection.uri);
        CandidateError { origin, relay: connection.relay, error: error.unwrap_or_else(untried) }
    }
}

fn unreachable(source: &Source, problem: &str, candidates: Vec<CandidateError>) -> Error {
    let summary = match candidates.is_empty() {
        true => format!("it has no connections{problem}: is it running, and signed in to plex.tv?"),
        false => format!("no connection works{problem}"),
    };
    let attempts = candidates.iter().map(|candidate| candidate.error.attempts());
    let attempts = attempts.fold(0, u32::saturating_add);
    let operation = format!("connecting to {}", escape(source.as_ref(), 100));
    let details = Details::new(ErrorKind::Unreachable, summary);
    Details { operation, attempts, candidates, ..details }.into()
}
