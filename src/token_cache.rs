//! `TokenCache`: a transient token that is fetched when it is needed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::client::{Client, after, check_runtime};
use crate::error::{Details, Error, ErrorKind};
use crate::token::{LIFETIME, TransientToken};

/// More than any one use of a token takes, and a small part of its 48 hours.
const MIN_TIME_LEFT: Duration = Duration::from_secs(60 * 60);
/// How long a caller waits for a new token while the old one is usable.
const MAX_REFRESH: Duration = Duration::from_secs(5);
/// How long after a failed fetch the next one is sent, doubled with each failure in a row. Also the
/// time between the starts of two fetches after a token was refused.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// Keeps a transient token, and fetches a new one when it expires soon or was refused.
///
/// - A token with more than the minimum time left (1 hour) comes from memory. With less, one caller
///   fetches; the others get the old token while it is usable, and wait when it is not.
/// - A fetch takes at most 5 seconds of a caller's time while the old token is usable; its failure
///   is logged, not returned.
/// - After a failed fetch no request is sent for 1 second, doubling to 5 minutes, or for what the
///   server's `Retry-After` says if that is longer. Until then callers get the old token, if usable,
///   or the last error at once.
/// - After [`invalidate`](Self::invalidate), fetches start at least 1 second apart.
/// - A token expires 48 hours after the request for it was sent, by the monotonic or the wall clock,
///   whichever says so first.
///
/// Clones share one cache. It has no task of its own: dropping a caller's future is safe, the next
/// waiting caller fetches.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
/// # async fn cast(_: &str) -> u16 { 200 }
/// let cache = plex_auth::TokenCache::new(client);
/// let token = cache.token().await?;
/// if cast(token.expose_secret()).await == 401 {
///     cache.invalidate(token.expose_secret()); // the next call fetches
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Shared>);

struct Shared {
    client: Client,
    min_time_left: Duration,
    /// Held by the caller who fetches.
    fetching: tokio::sync::Mutex<()>,
    /// Held for a few instructions at a time.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<TransientToken>,
    /// When the last fetch was started.
    started: Option<Instant>,
    /// No fetch starts before this.
    not_before: Option<Instant>,
    /// The last error, and how many there were in a row.
    failure: Option<(Error, u32)>,
}

impl TokenCache {
    /// A cache of tokens that `client` gets, with at least 1 hour left.
    pub fn new(client: Client) -> Self {
        Self::build(client, MIN_TIME_LEFT)
    }

    /// As [`new`](Self::new), with another minimum of the time left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`] for 48 hours or more: every token would be too old.
    pub fn with_min_time_left(client: Client, min_time_left: Duration) -> Result<Self, Error> {
        if min_time_left >= LIFETIME {
            let problem = "it is 48 hours or more, and no token is valid for longer";
            return Err(Error::setting("min_time_left", problem));
        }
        Ok(Self::build(client, min_time_left))
    }

    fn build(client: Client, min_time_left: Duration) -> Self {
        let (fetching, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { client, min_time_left, fetching, state }))
    }

    /// The token, from memory or fetched.
    ///
    /// # Errors
    ///
    /// Those of [`Client::transient_token`], when there is no usable token. The error of the last
    /// fetch is returned again while no new one is sent.
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
        match (self.cached(), self.failure()) {
            (Some((token, true)), _) | (Some((token, false)), Some(_)) => Ok(token),
            (None, Some(error)) => Err(error),
            (None, None) => {
                check_runtime()?;
                self.fetch().await
            }
            (Some((_, false)), None) => {
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
        }
    }

    /// Drops this token from the cache, because a server answered 401 to it. Another token, such as
    /// one that was replaced in the meantime, changes nothing.
    pub fn invalidate(&self, token: &str) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|cached| cached.expose_secret() == token) {
            state.token = None;
            let spaced = state.started.map(|started| after(started, FIRST_WAIT));
            state.not_before = state.not_before.max(spaced);
        }
    }

    /// The token while it is usable, and whether it has enough time left.
    fn cached(&self) -> Option<(TransientToken, bool)> {
        let token = self.state().token.clone()?;
        let left = token.time_left();
        (!left.is_zero()).then_some((token, left > self.0.min_time_left))
    }

    /// The last error, while it is too early for another fetch.
    fn failure(&self) -> Option<Error> {
        let state = self.state();
        let (error, _) = state.failure.as_ref()?;
        (Instant::now() < state.not_before?).then(|| error.clone())
    }

    async fn fetch(&self) -> Result<TransientToken, Error> {
        let not_before = self.state().not_before;
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        self.state().started = Some(Instant::now());
        let token = self.0.client.transient_token().await.or_else(|error| self.failed(error))?;
        let mut state = self.state();
        *state = State { token: Some(token.clone()), started: state.started, ..State::default() };
        Ok(token)
    }

    /// Remembers a failure of a fetch, and how long to wait until the next one.
    fn failed(&self, error: Error) -> Result<TransientToken, Error> {
        let mut state = self.state();
        let failures = state.failure.take().map_or(0, |(_, failures)| failures);
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT);
        let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
        state.not_before = Some(after(Instant::now(), wait));
        state.failure = Some((error.clone(), failures.saturating_add(1)));
        Err(error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("client", &self.0.client).finish_non_exhaustive()
    }
}
