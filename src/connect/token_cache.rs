//! `TokenCache`: a transient token that is fetched when it is needed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::flight::{Flight, SPACING, Turn};
use crate::client::{Client, after};
use crate::connect::Connected;
use crate::error::{Error, ErrorKind};
use crate::token::{Token, TransientToken};

/// A token with less time left is refreshed. One hour is longer than one use takes, and short
/// compared with 48 hours.
const MIN_TIME_LEFT: Duration = Duration::from_secs(60 * 60);
/// How long a caller waits for a fetch while the old token is usable.
const LONGEST_REFRESH: Duration = Duration::from_secs(5);
/// The wait after a failed fetch, which doubles with each failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is respected.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Caches a transient token, and fetches a new one when it expires soon or was refused.
///
/// - A token with more than 1 hour left is returned from the cache. With less, a new one is
///   fetched: callers wait 5 seconds for it at most, and then get the old token. A failure is
///   logged while the old token is usable.
/// - All callers share a fetch, as they share a [reconnection](Connected::reconnect). It takes the
///   client's [`timeout`](crate::ClientBuilder::timeout) at most, and goes on when its callers
///   leave.
/// - After a failed fetch none starts for 1 second, doubling to 30 seconds, or for the server's
///   `Retry-After`, up to an hour. Until then callers get the old token, if usable, or the last
///   error at once.
/// - After [`invalidate`](Self::invalidate) callers may wait for the next fetch, up to 1 second.
/// - A token expires 48 hours after the request for it was sent, by the monotonic or the wall clock,
///   whichever is earlier.
///
/// Clones share one cache.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
/// # async fn cast(_: &str) -> u16 { 200 }
/// let cache = plex_auth::TokenCache::new(client);
/// let token = cache.token().await?;
/// if cast(token.expose_secret()).await == 401 {
///     cache.invalidate(&token); // the next call fetches
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Shared>);

struct Shared {
    origin: Origin,
    flight: Flight<Cached, TransientToken>,
}

/// Where tokens come from.
#[derive(Clone, Debug)]
enum Origin {
    Client(Client),
    Source(Connected),
}

#[derive(Default)]
struct Cached {
    token: Option<TransientToken>,
    /// How many fetches in a row have failed, how the last one did, and when the next may start.
    failures: u32,
    error: Option<Error>,
    not_before: Option<Instant>,
}

impl Cached {
    /// The token while it is usable.
    fn usable(&self) -> Option<&TransientToken> {
        self.token.as_ref().filter(|token| !token.time_left().is_zero())
    }

    /// What a caller gets, whose fetch may take `time`.
    fn turn(&self, is_fetching: bool, time: Duration) -> Turn<TransientToken> {
        let usable = self.usable();
        if let Some(fresh) = usable.filter(|token| token.time_left() > MIN_TIME_LEFT) {
            return Turn::Answer(Ok(fresh.clone()));
        }
        let is_early = !is_fetching && self.not_before > Some(Instant::now());
        match (usable, &self.error) {
            (Some(old), _) if is_early => Turn::Answer(Ok(old.clone())),
            (Some(_), _) => Turn::Wait(LONGEST_REFRESH),
            (None, Some(error)) if is_early => Turn::Answer(Err(error.clone())),
            (None, _) => Turn::Wait(time.saturating_add(SPACING)),
        }
    }

    fn land(&mut self, result: Result<TransientToken, Error>) -> Result<TransientToken, Error> {
        match &result {
            Ok(token) => *self = Self { token: Some(token.clone()), ..Self::default() },
            Err(error) => {
                if self.usable().is_some() {
                    tracing::warn!(%error, "token not refreshed");
                }
                let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
                let asked = error.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
                let wait = wait.min(LONGEST_WAIT).max(asked);
                self.not_before = Some(after(Instant::now(), wait));
                self.failures = self.failures.saturating_add(1);
                self.error = Some(error.clone());
            }
        }
        result
    }
}

impl TokenCache {
    /// A cache of `client`'s transient tokens.
    pub fn new(client: Client) -> Self {
        Self::starting_with(None, Origin::Client(client))
    }

    /// A cache of a source's transient tokens. If the source no longer accepts its access token,
    /// because it restarted, a fetch [reconnects](Connected::reconnect) once and tries again.
    ///
    /// The first one starts with the token that connecting has fetched.
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client, source: plex_auth::Source)
    /// # -> Result<(), plex_auth::Error> {
    /// let server = client.connect(&source).await?;
    /// let cache = plex_auth::TokenCache::of_source(&server);
    /// let token = cache.token().await?; // survives restarts of the source
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_source(server: &Connected) -> Self {
        Self::starting_with(server.take_token(), Origin::Source(server.clone()))
    }

    fn starting_with(token: Option<TransientToken>, origin: Origin) -> Self {
        let flight = Flight::new(Cached { token, ..Cached::default() });
        Self(Arc::new(Shared { origin, flight }))
    }

    /// The token, cached or fetched.
    ///
    /// # Errors
    ///
    /// Those of [`Client::transient_token`], if there is no usable token, and of
    /// [`Connected::reconnect`] for a cache [of a source](Self::of_source). The error of the last
    /// fetch is returned again until the next fetch.
    pub async fn token(&self) -> Result<TransientToken, Error> {
        let Shared { origin, flight } = &*self.0;
        let time = origin.timeout();
        let turn = |cached: &mut Cached, is_fetching| cached.turn(is_fetching, time);
        let fetch = || origin.clone().fetch(time);
        let joined = flight.join(turn, fetch, Cached::land).await;
        let no_result = "no transient token in time: the runtime may be blocked";
        let joined = joined.unwrap_or_else(|| Err(Error::new(ErrorKind::Timeout, no_result)));
        joined.or_else(|error| {
            // Unless it was refused or has expired in the meantime.
            flight.with(|cached| cached.usable().cloned()).ok_or(error)
        })
    }

    /// Drops this token from the cache, because a server answered 401. Does nothing if the cache
    /// has another token by now.
    pub fn invalidate(&self, token: impl TryInto<Token>) {
        let Ok(refused) = token.try_into() else { return };
        self.0.flight.with(|cached| {
            cached.token.take_if(|token| token.expose_secret() == refused.expose_secret());
        });
    }
}

impl Origin {
    fn timeout(&self) -> Duration {
        match self {
            Self::Client(client) => client.0.settings.timeout,
            Self::Source(server) => server.client().0.settings.timeout,
        }
    }

    /// A fetch that takes `time` as a whole.
    async fn fetch(self, time: Duration) -> Result<TransientToken, Error> {
        let deadline = after(Instant::now(), time);
        let server = match self {
            Self::Client(client) => return client.transient_token_within(time).await,
            Self::Source(server) => server,
        };
        let refused = match server.client().transient_token_within(time).await {
            Err(error) if error.kind() == ErrorKind::Unauthorized => error,
            result => return result,
        };
        match timeout_at(deadline, server.reconnect()).await {
            Err(_) => return Err(refused),
            Ok(result) => result?,
        }
        if let Some(token) = server.take_token() {
            return Ok(token);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        server.client().transient_token_within(left).await
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("origin", &self.0.origin).finish_non_exhaustive()
    }
}
