//! `TokenKeeper`: a transient token that is always good.
//!
//! [`State`] holds the rules. It has neither clock nor task: it is told what time it is and says
//! what to do next. [`TokenKeeper`] does it.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::token::{LIFETIME, Moment};
use crate::{Client, Error, TransientToken};

#[cfg(test)]
mod tests;

/// An hour is more than any one use of a token takes, and a small part of its 48.
const MIN_TIME_LEFT: Duration = Duration::from_secs(60 * 60);

/// How long a caller waits for a new token while the old one is good.
const REFRESH_PATIENCE: Duration = Duration::from_secs(5);

/// A token that is refused sooner after its mint says that the next one will be, too.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

/// The wait before the next mint, doubled with each failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// A caller without a token waits that long for the next mint to begin; longer than that, and it is
/// better told at once.
const WAIT_PATIENCE: Duration = Duration::from_secs(30);

/// A mint ends within its client's time-out. One that is later than this is not run any more.
const GRACE: Duration = Duration::from_secs(1);

/// A caller starts a second mint when its first is lost. A runtime that shuts down drops what it is
/// given: it would drop every one.
const MAX_MINTS: u8 = 2;

const COPIES: usize = 8;

/// Keeps a transient token that is good, and mints a new one when it is time.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
/// let keeper = plex_auth::TokenKeeper::new(client);
/// let token = keeper.token().await?; // from memory, when there is a good one
/// # Ok(())
/// # }
/// ```
///
/// Clones share one keeper. There is nothing to shut down: it sends a request only when a caller
/// asks for a token, and a mint under way ends within the client's time-out.
///
/// # When it mints
///
/// - Without a good token, and with less than [`min_time_left`](TokenKeeperBuilder::min_time_left)
///   of the token's 48 hours. Callers share one mint, however many they are. While the old token is
///   good only the caller who started the mint waits for it, 5 seconds at most; when it fails then,
///   that is a `tracing` warning, not an error.
/// - A token is expired when the monotonic or the wall clock says so, counted from the moment its
///   request was sent: the one stands still while a machine sleeps, the other can be set back.
/// - After a failed mint the next one waits 1 second, doubling up to 5 minutes with each failure in
///   a row, or what the server's `Retry-After` says, if that is longer than a second. So it does
///   when a token is refused within 10 seconds of its mint.
///
/// A mint is a task of its own on the runtime of the caller who started it, so it goes on when that
/// caller is cancelled. When its runtime ends before it does, the callers who wait on another one
/// start a new mint there.
#[derive(Clone)]
pub struct TokenKeeper(Arc<Shared>);

struct Shared {
    mint: Box<Mint>,
    clock: fn() -> Moment,
    rules: Rules,
    /// Held for a few instructions at a time, never while something is waited for.
    state: Mutex<State>,
    /// Written with `state` locked, so that none outlives the token that it is a copy of.
    copies: Copies,
}

type Mint =
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<TransientToken, Error>> + Send>> + Send + Sync;

impl TokenKeeper {
    /// A keeper of tokens that `client` mints, with the defaults of
    /// [`builder`](Self::builder).
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::of_client(client, MIN_TIME_LEFT)
    }

    /// Starts to build a keeper of tokens that `client` mints.
    pub fn builder(client: Client) -> TokenKeeperBuilder {
        TokenKeeperBuilder { client, min_time_left: MIN_TIME_LEFT }
    }

    fn of_client(client: Client, min_time_left: Duration) -> Self {
        let longest_mint = client.timeout().saturating_add(GRACE);
        let mint = move || {
            let client = client.clone();
            async move { client.transient_token().await }
        };
        Self::with(mint, Moment::now, Rules { min_time_left, longest_mint })
    }

    fn with<F>(
        mint: impl Fn() -> F + Send + Sync + 'static,
        clock: fn() -> Moment,
        rules: Rules,
    ) -> Self
    where
        F: Future<Output = Result<TransientToken, Error>> + Send + 'static,
    {
        let mint: Box<Mint> = Box::new(move || Box::pin(mint()));
        Self(Arc::new(Shared {
            mint,
            clock,
            rules,
            state: Mutex::default(),
            copies: Copies::default(),
        }))
    }

    /// A good token: the one in memory, or a new one.
    ///
    /// With a good token in memory it returns at once, but for the caller that renews the token,
    /// see [above](Self#when-it-mints). Without one it takes as long as a mint, at most the
    /// client's `timeout`, and up to 30 seconds more when a mint has failed just now.
    ///
    /// Dropping the future is safe at any time.
    ///
    /// # Errors
    ///
    /// Only when there is no good token: those of [`Client::transient_token`], the same for all who
    /// waited. When the wait before the next mint has more than 30 seconds to go, the error of the
    /// last one at once, or [`Error::RefusedWhenNew`] when it was the tokens that were refused.
    pub async fn token(&self) -> Result<TransientToken, Error> {
        let now = (self.0.clock)();
        match self.0.copies.get(self.0.rules.min_time_left, now) {
            Some(token) => Ok(token),
            None => self.obtain().await,
        }
    }

    async fn obtain(&self) -> Result<TransientToken, Error> {
        let Ok(runtime) = Handle::try_current() else {
            return self.good().ok_or(Error::NoRuntime);
        };
        let mut mints = 0_u8;
        loop {
            let now = (self.0.clock)();
            let step = self.lock().next(&self.0.rules, now, mints < MAX_MINTS);
            let (ended, patience) = match step {
                Step::Use(token) => return Ok(token),
                Step::Fail(error) => return Err(error),
                Step::Sleep(wait) => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Step::Join(ended, patience) => (ended, patience),
                Step::Mint(done, patience) => {
                    mints = mints.saturating_add(1);
                    let ended = done.subscribe();
                    runtime.spawn(self.clone().mint(done));
                    (ended, patience)
                }
            };
            let error = error_of(ended, patience).await;
            // However the mint has ended, or not yet: a good token is an answer.
            if let Some(token) = self.good() {
                return Ok(token);
            }
            if let Some(error) = error {
                return Err(error);
            }
        }
    }

    async fn mint(self, done: watch::Sender<Option<Error>>) {
        let minted = (self.0.mint)().await;
        let now = (self.0.clock)();
        let (error, good) = {
            let mut state = self.lock();
            let error = state.end(&done, minted, now);
            self.0.copies.set(&state);
            (error, state.good(now).is_some())
        };
        if let Some(error) = error {
            if good {
                tracing::warn!(%error, "no new transient token: going on with the old one");
            }
            done.send_replace(Some(error));
        }
    }

    /// Reports that a server refused `token`: it has restarted, most likely. The next
    /// [`token`](Self::token) is a new one.
    ///
    /// Counts only while `token` is the one that the keeper gives out, so that many callers may
    /// report the same one, and late. Sends nothing by itself.
    pub fn invalidate(&self, token: &TransientToken) {
        let now = (self.0.clock)();
        let mut state = self.lock();
        if state.invalidate(token, now) {
            self.0.copies.set(&state);
        }
    }

    /// Runs `call` with a good token, and when the server refused that, once more with a new one.
    ///
    /// `refused` looks at the error of `call` and says whether the token was to blame. A token that
    /// was refused is [reported](Self::invalidate), the second one too. The error may be any type
    /// that this crate's can be turned into: your own with `impl From<plex_auth::Error>`,
    /// `anyhow::Error`, `Box<dyn Error + Send + Sync>`, or [`Error`] itself, for which `refused` is
    /// `Error::is_auth`:
    ///
    /// ```no_run
    /// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
    /// use plex_auth::{Error, Source, TokenKeeper};
    ///
    /// let keeper = TokenKeeper::new(client.clone());
    /// let source: Source = "server://243b47".parse()?;
    /// let call = async |token: plex_auth::TransientToken| {
    ///     client.with_token(token.token().clone())?.source_connection_information(&source).await
    /// };
    /// let device = keeper.run(call, Error::is_auth).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `call` is an `async` closure, with `move` or without, or one that returns a future. It is
    /// cloned to run twice, so it can borrow what it uses or own what can be cloned, and changes
    /// nothing outside but through a `Mutex` or the like. The future is `Send` when the closure and
    /// its own are. (An `AsyncFn` would not do: the compiler can't see that a borrowing one is
    /// `Send`, [rust#138207](https://github.com/rust-lang/rust/issues/138207).)
    ///
    /// # Errors
    ///
    /// That of `call`, the second time if it ran twice; or that of [`token`](Self::token).
    pub async fn run<T, E, F>(
        &self,
        call: impl FnOnce(TransientToken) -> F + Clone,
        refused: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        let token = self.token().await?;
        match call.clone()(token.clone()).await {
            Err(error) if refused(&error) => self.invalidate(&token),
            other => return other,
        }
        let token = self.token().await?;
        call(token.clone()).await.inspect_err(|error| {
            if refused(error) {
                self.invalidate(&token);
            }
        })
    }

    /// The token, unless it has expired.
    fn good(&self) -> Option<TransientToken> {
        let now = (self.0.clock)();
        self.lock().good(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeeper")
            .field("min_time_left", &self.0.rules.min_time_left)
            .finish_non_exhaustive()
    }
}

/// The error that a mint ends with. `None` when it ends well, is dropped with its runtime, or takes
/// longer than `patience`.
async fn error_of(mut ended: watch::Receiver<Option<Error>>, patience: Duration) -> Option<Error> {
    let failed = ended.wait_for(Option::is_some);
    tokio::time::timeout(patience, failed).await.ok()?.ok()?.clone()
}

/// Settings of a [`TokenKeeper`]; made by [`TokenKeeper::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build()` is called"]
pub struct TokenKeeperBuilder {
    client: Client,
    min_time_left: Duration,
}

impl TokenKeeperBuilder {
    /// How much of its 48 hours a token must have left; with less it is renewed at the next use.
    /// Default: 1 hour, more than one use takes. 0 renews it when it has expired, 48 hours or more
    /// are refused: no token has them.
    pub fn min_time_left(mut self, time: Duration) -> Self {
        self.min_time_left = time;
        self
    }

    /// The keeper. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when [`min_time_left`](Self::min_time_left) is 48 hours or more.
    pub fn build(self) -> Result<TokenKeeper, Error> {
        if self.min_time_left >= LIFETIME {
            return Err(Error::invalid(
                "min_time_left",
                "it must be less than 48 hours, which is all that a new token has",
            ));
        }
        Ok(TokenKeeper::of_client(self.client, self.min_time_left))
    }
}

/// Copies of the token, each for one thread in so many. Two threads that get the same one at a time
/// wait for each other's caches: 90 to 290 ns instead of 70.
#[derive(Default)]
struct Copies([Slot; COPIES]);

/// Apart from the next one by what processors fetch at a time.
#[derive(Default)]
#[repr(align(128))]
struct Slot(Mutex<Option<TransientToken>>);

impl Copies {
    fn get(&self, time_left: Duration, now: Moment) -> Option<TransientToken> {
        self.of_this_thread()?.as_ref().filter(|token| token.has_left(time_left, now)).cloned()
    }

    fn set(&self, state: &State) {
        for slot in &self.0 {
            *slot.lock() = state.held.as_ref().map(|held| held.token.copied());
        }
    }

    fn of_this_thread(&self) -> Option<MutexGuard<'_, Option<TransientToken>>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let number = THREAD.with(|number| number % COPIES);
        self.0.get(number).map(Slot::lock)
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<TransientToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Rules {
    min_time_left: Duration,
    longest_mint: Duration,
}

/// The rules.
#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    wait: Option<Wait>,
    /// Failed mints in a row.
    failures: u32,
    /// Tokens in a row that were refused when new.
    refusals: u32,
}

struct Held {
    token: TransientToken,
    since: Instant,
}

/// A mint under way. The channel tells of its failure, and closes when it has ended.
struct Flight {
    ended: watch::Receiver<Option<Error>>,
    since: Instant,
}

/// No mint until then.
struct Wait {
    until: Instant,
    /// Why: the error of the last mint, or `None` when it was the token that was refused.
    failure: Option<Error>,
}

/// What a caller does next.
enum Step {
    Use(TransientToken),
    Fail(Error),
    Sleep(Duration),
    /// Wait for a mint, so long and then ask again.
    Join(watch::Receiver<Option<Error>>, Duration),
    /// Start a mint, and then the same.
    Mint(watch::Sender<Option<Error>>, Duration),
}

impl State {
    /// The token, if it has more than `time` left.
    fn with_left(&self, time: Duration, now: Moment) -> Option<TransientToken> {
        let token = &self.held.as_ref()?.token;
        token.has_left(time, now).then(|| token.clone())
    }

    /// The token, unless it has expired.
    fn good(&self, now: Moment) -> Option<TransientToken> {
        self.with_left(Duration::ZERO, now)
    }

    fn next(&mut self, rules: &Rules, now: Moment, may_mint: bool) -> Step {
        if let Some(token) = self.with_left(rules.min_time_left, now) {
            return Step::Use(token);
        }
        let good = self.good(now);
        if let Some((ended, age)) = self.flight(rules, now) {
            return match good {
                Some(token) => Step::Use(token),
                None => Step::Join(ended, rules.longest_mint.saturating_sub(age)),
            };
        }
        if let Some((left, failure)) = self.wait(now) {
            return match (good, failure) {
                (Some(token), _) => Step::Use(token),
                (None, _) if left <= WAIT_PATIENCE => Step::Sleep(left),
                (None, Some(error)) => Step::Fail(error.clone()),
                (None, None) => Step::Fail(Error::RefusedWhenNew { wait: left }),
            };
        }
        if !may_mint {
            return Step::Fail(Error::NoRuntime);
        }
        let (done, ended) = watch::channel(None);
        self.flight = Some(Flight { ended, since: now.monotonic });
        Step::Mint(done, if good.is_some() { REFRESH_PATIENCE } else { rules.longest_mint })
    }

    /// The mint under way and its age; not one that was dropped with its runtime, or whose runtime
    /// does not run it.
    fn flight(
        &self,
        rules: &Rules,
        now: Moment,
    ) -> Option<(watch::Receiver<Option<Error>>, Duration)> {
        let Flight { ended, since } = self.flight.as_ref()?;
        let age = now.monotonic.saturating_duration_since(*since);
        (ended.has_changed().is_ok() && age < rules.longest_mint).then(|| (ended.clone(), age))
    }

    /// The wait before the next mint: what is left of it, and the failure that it comes from.
    fn wait(&self, now: Moment) -> Option<(Duration, Option<&Error>)> {
        let Wait { until, failure } = self.wait.as_ref()?;
        let left = until.saturating_duration_since(now.monotonic);
        (!left.is_zero()).then_some((left, failure.as_ref()))
    }

    /// A mint has ended. Its error, if its waiters are to be told.
    fn end(
        &mut self,
        done: &watch::Sender<Option<Error>>,
        minted: Result<TransientToken, Error>,
        now: Moment,
    ) -> Option<Error> {
        // A later mint took its place, when it was longer under way than a mint can be.
        self.flight.take_if(|flight| flight.ended.same_channel(&done.subscribe()))?;
        match minted {
            Ok(token) => {
                self.failures = 0;
                // The token before was renewed, not refused.
                if self.held.is_some() {
                    self.refusals = 0;
                }
                self.held = Some(Held { token, since: now.monotonic });
                None
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait = match error.retry_after() {
                    // The end is that of a token: a server that says more has its clock wrong.
                    Some(wait) => wait.clamp(FIRST_WAIT, LIFETIME),
                    None => doubled(self.failures),
                };
                self.wait_for(wait, Some(error.clone()), now);
                Some(error)
            }
        }
    }

    /// Whether it was the token that is given out, and now no more.
    fn invalidate(&mut self, token: &TransientToken, now: Moment) -> bool {
        let Some(held) = self.held.take_if(|held| held.token.is(token)) else {
            return false;
        };
        if now.monotonic.saturating_duration_since(held.since) < PROVEN_AFTER {
            self.refusals = self.refusals.saturating_add(1);
            self.wait_for(doubled(self.refusals), None, now);
        } else {
            self.refusals = 0;
        }
        true
    }

    fn wait_for(&mut self, wait: Duration, failure: Option<Error>, now: Moment) {
        let until = now.monotonic.checked_add(wait).unwrap_or(now.monotonic);
        // The longer one counts, when a renewal has failed and the token is then refused.
        if self.wait.as_ref().is_none_or(|wait| wait.until < until) {
            self.wait = Some(Wait { until, failure });
        }
    }
}

fn doubled(in_a_row: u32) -> Duration {
    let times = 2_u32.saturating_pow(in_a_row.saturating_sub(1));
    FIRST_WAIT.saturating_mul(times).min(LONGEST_WAIT)
}
