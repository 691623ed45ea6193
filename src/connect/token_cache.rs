//! `TokenCache`: a transient token that is fetched when it is needed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::client::{Client, after, check_runtime};
use crate::connect::Connected;
use crate::error::{Details, Error, ErrorKind};
use crate::token::{Token, TransientToken};

/// A token with less time left is refreshed. One hour is longer than one use takes, and short
/// compared with 48 hours.
const MIN_TIME_LEFT: Duration = Duration::from_secs(60 * 60);
/// How long a caller waits for a new token while the old one is usable.
const MAX_REFRESH: Duration = Duration::from_secs(5);
/// The minimum time between fetches after a refused token, and the first backoff after a failure,
/// which doubles with each failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest `Retry-After` that is respected.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Caches a transient token, and fetches a new one when it expires soon or was refused.
///
/// - A token with more than 1 hour left is returned from the cache. With less, one caller fetches;
///   the others get the old token while it is usable, and wait otherwise.
/// - While the old token is usable, a caller waits at most 5 seconds for a fetch; its failure is
///   logged, not returned.
/// - After a failed fetch no request is sent for 1 second, doubling to 5 minutes, or for the
///   server's `Retry-After`, up to an hour, if that is longer. Until then callers get the old
///   token, if usable, or the last error at once. A fetch whose future was dropped counts as failed
///   since its start. It has no error, so callers without a usable token wait.
/// - After [`invalidate`](Self::invalidate), fetches start at least 1 second apart.
/// - A token expires 48 hours after the request for it was sent, by the monotonic or the wall clock,
///   whichever is earlier.
///
/// Clones share one cache. It spawns no task: dropping a caller's future is safe, the next waiting
/// caller fetches.
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
    /// Held by the caller who fetches.
    fetching: tokio::sync::Mutex<()>,
    /// Never held across an await.
    state: Mutex<State>,
}

/// Where tokens come from.
#[derive(Debug)]
enum Origin {
    Client(Client),
    Source(Connected),
}

#[derive(Default)]
struct State {
    token: Option<TransientToken>,
    /// When the last fetch was started.
    started: Option<Instant>,
    /// No fetch starts before this.
    not_before: Option<Instant>,
    /// The number of consecutive failed fetches, including one in progress.
    failures: u32,
    error: Option<Error>,
}

impl State {
    /// Delays the next fetch by the backoff for the failures so far, or by `Retry-After` if longer.
    fn wait(&mut self, asked: Option<Duration>) {
        let doublings = self.failures.saturating_sub(1);
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT);
        let asked = asked.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.not_before = Some(after(Instant::now(), wait.max(asked)));
    }
}

impl TokenCache {
    /// A cache of `client`'s transient tokens.
    pub fn new(client: Client) -> Self {
        Self::from_origin(Origin::Client(client))
    }

    /// A cache of a source's transient tokens. If the source no longer accepts its access token,
    /// because it restarted, a fetch [reconnects](Connected::reconnect) once and tries again. If
    /// that fails, too, it is one failed fetch.
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
        Self::from_origin(Origin::Source(server.clone()))
    }

    fn from_origin(origin: Origin) -> Self {
        let (fetching, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { origin, fetching, state }))
    }

    /// The token, cached or fetched.
    ///
    /// # Errors
    ///
    /// Those of [`Client::transient_token`], if there is no usable token, and of
    /// [`Connected::reconnect`] for a cache [of a source](Self::of_source). The error of the last
    /// fetch is returned again until the next fetch.
    pub async fn token(&self) -> Result<TransientToken, Error> {
        let _fetching = match self.cached() {
            Some((token, true)) => return Ok(token),
            Some((token, false)) => match self.0.fetching.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(token),
            },
            None => self.0.fetching.lock().await,
        };
        // Another caller may have fetched in the meantime.
        let (is_early, error) = self.early();
        match self.cached() {
            Some((token, is_fresh)) if is_fresh || is_early => Ok(token),
            Some(_) => {
                check_runtime()?;
                let fetched = timeout(MAX_REFRESH, self.fetch()).await.unwrap_or_else(|_| {
                    let summary = format!("no transient token within {MAX_REFRESH:?}");
                    let details = Details::new(ErrorKind::Timeout, summary);
                    self.failed(Details { attempts: 1, ..details }.into())
                });
                fetched.or_else(|error| {
                    tracing::warn!(%error, "token not refreshed");
                    // Unless it was refused or has expired in the meantime.
                    self.cached().map(|(old, _)| old).ok_or(error)
                })
            }
            None => match error.filter(|_| is_early) {
                Some(error) => Err(error),
                None => {
                    check_runtime()?;
                    self.fetch().await
                }
            },
        }
    }

    /// Drops this token from the cache, because a server answered 401. Does nothing if the cache
    /// has another token by now.
    pub fn invalidate(&self, token: impl TryInto<Token>) {
        let Ok(refused) = token.try_into() else { return };
        let mut state = self.state();
        let is_cached = |cached: &TransientToken| cached.expose_secret() == refused.expose_secret();
        if state.token.as_ref().is_some_and(is_cached) {
            state.token = None;
            let spaced = state.started.map(|started| after(started, FIRST_WAIT));
            state.not_before = state.not_before.max(spaced);
        }
    }

    /// The token while it is usable, and whether it has enough time left.
    fn cached(&self) -> Option<(TransientToken, bool)> {
        let token = self.state().token.clone()?;
        let left = token.time_left();
        (!left.is_zero()).then_some((token, left > MIN_TIME_LEFT))
    }

    /// Whether it is too early for another fetch, and the last error.
    fn early(&self) -> (bool, Option<Error>) {
        let state = self.state();
        (state.not_before > Some(Instant::now()), state.error.clone())
    }

    async fn fetch(&self) -> Result<TransientToken, Error> {
        let not_before = self.state().not_before;
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        {
            // It counts as failed until it succeeds, because the caller may drop it.
            let mut state = self.state();
            state.started = Some(Instant::now());
            state.failures = state.failures.saturating_add(1);
            state.error = None;
            state.wait(None);
        }
        let token = self.0.origin.fetch().await.or_else(|error| self.failed(error))?;
        let mut state = self.state();
        *state = State { token: Some(token.clone()), started: state.started, ..State::default() };
        Ok(token)
    }

    /// Remembers the failure of a fetch.
    fn failed(&self, error: Error) -> Result<TransientToken, Error> {
        let mut state = self.state();
        state.wait(error.retry_after());
        state.error = Some(error.clone());
        Err(error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    async fn fetch(&self) -> Result<TransientToken, Error> {
        match self {
            Self::Client(client) => client.transient_token().await,
            Self::Source(server) => match server.client().transient_token().await {
                Err(error) if error.kind() == ErrorKind::Unauthorized => {
                    server.reconnect().await?;
                    server.client().transient_token().await
                }
                result => result,
            },
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("origin", &self.0.origin).finish_non_exhaustive()
    }
}
