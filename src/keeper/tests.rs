//! Each rule of the keeper, without sockets: mints are made up, and time is tokio's, paused.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;
use tokio::{join, runtime};

use super::*;
use crate::{Failure, Token};

mod model;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

thread_local! {
    /// How far the wall clock was set forward, in seconds.
    pub(super) static SET_FORWARD: Cell<i64> = const { Cell::new(0) };
}

pub(super) fn clock() -> Moment {
    static START: LazyLock<Moment> =
        LazyLock::new(|| Moment { monotonic: Instant::now(), wall: SystemTime::now() });
    let monotonic = tokio::time::Instant::now().into_std();
    let wall = START.wall + 1000 * LIFETIME + monotonic.saturating_duration_since(START.monotonic);
    let by = SET_FORWARD.get();
    let distance = Duration::from_secs(by.unsigned_abs());
    Moment { monotonic, wall: if by < 0 { wall - distance } else { wall + distance } }
}

/// How a made-up mint ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Token,
    Failure,
    RetryAfter(Duration),
    /// As if its runtime had ended: the task is dropped.
    Dropped,
}

/// The mints that were started, and a hand on each.
#[derive(Clone, Default)]
pub(super) struct Mints(Arc<Mutex<Vec<Option<oneshot::Sender<Ending>>>>>);

impl Mints {
    pub(super) fn keeper(&self, min_time_left: Duration) -> TokenKeeper {
        let mints = self.clone();
        let mint = move || mints.clone().mint();
        let rules = Rules { min_time_left, longest_mint: TIMEOUT + GRACE };
        TokenKeeper::with(mint, clock, rules)
    }

    async fn mint(self) -> Result<TransientToken, Error> {
        let (hand, ending) = oneshot::channel();
        let number = {
            let mut mints = self.0.lock().unwrap();
            mints.push(Some(hand));
            mints.len()
        };
        let sent_at = clock();
        match ending.await.unwrap_or(Ending::Dropped) {
            Ending::Token => {
                let token = Token::try_from(format!("transient-{number}"))?;
                Ok(TransientToken::new(token, sent_at))
            }
            Ending::Failure => Err(unavailable(None)),
            Ending::RetryAfter(wait) => Err(unavailable(Some(wait))),
            // A panic that prints nothing.
            Ending::Dropped => std::panic::resume_unwind(Box::new("dropped")),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Ends the last mint.
    #[track_caller]
    pub(super) fn end(&self, ending: Ending) {
        self.end_one(self.count(), ending);
    }

    /// Ends a mint, the first is 1.
    #[track_caller]
    pub(super) fn end_one(&self, number: usize, ending: Ending) {
        let hand = self.0.lock().unwrap()[number - 1].take();
        let _ = hand.expect("the mint had ended").send(ending);
    }
}

fn unavailable(retry_after: Option<Duration>) -> Error {
    let summary = "the server is starting".into();
    Error::Unavailable(Arc::new(Failure { retry_after, summary, ..Failure::default() }))
}

/// Which mint a token is from.
#[track_caller]
pub(super) fn number(token: &TransientToken) -> usize {
    let text = token.token().expose_secret();
    text.trim_start_matches("transient-").parse().unwrap()
}

/// Lets every task that can run do so, without time passing. Some 60 of them run in each turn.
pub(super) async fn settle() {
    turns(10).await;
}

async fn turns(number: usize) {
    for _ in 0..number {
        yield_now().await;
    }
}

pub(super) type Call = JoinHandle<Result<TransientToken, Error>>;

pub(super) fn call(keeper: &TokenKeeper) -> Call {
    let keeper = keeper.clone();
    tokio::spawn(async move { keeper.token().await })
}

/// The answer of a call that has ended.
#[track_caller]
pub(super) fn answer(call: Call) -> Result<TransientToken, Error> {
    call.now_or_never().expect("the call is still waiting").unwrap()
}

/// A keeper whose next token is in memory.
async fn keeper_with_token(mints: &Mints) -> (TokenKeeper, TransientToken) {
    let keeper = mints.keeper(HOUR);
    let token = new_token(mints, &keeper).await;
    (keeper, token)
}

/// Waits for the next mint, and gives it a good end.
async fn new_token(mints: &Mints, keeper: &TokenKeeper) -> TransientToken {
    let (before, first) = (mints.count(), call(keeper));
    while mints.count() == before {
        // Tokio moves the paused clock to the next timer.
        tokio::time::sleep(SECOND / 100).await;
    }
    mints.end(Ending::Token);
    first.await.unwrap().unwrap()
}

/// Whether a call starts a mint now, and if not, whether it will later.
async fn starts_a_mint(mints: &Mints, keeper: &TokenKeeper) -> bool {
    let before = mints.count();
    let call = call(keeper);
    settle().await;
    call.abort();
    mints.count() > before
}

/// How long until a caller's mint begins, after it is clear that none has.
async fn wait_of(mints: &Mints, keeper: &TokenKeeper) -> Duration {
    let (before, start) = (mints.count(), tokio::time::Instant::now());
    let call = call(keeper);
    while mints.count() == before {
        tokio::time::sleep(SECOND / 100).await;
    }
    call.abort();
    start.elapsed().max(Duration::ZERO)
}

#[track_caller]
fn assert_about(wait: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    assert!(wait >= expected && wait < expected + SECOND / 10, "{wait:?} is not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_good_token_comes_from_memory() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;

    let again = keeper.token().now_or_never().expect("it waited").unwrap();

    assert!(again.is(&token));
    assert_eq!(mints.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_copied_for_every_thread_and_a_refused_one_for_none() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;
    let copies = || keeper.0.copies.0.iter().map(|slot| slot.lock().clone());

    assert!(copies().all(|copy| copy.is_some_and(|copy| copy.is(&token))));
    keeper.invalidate(&token);

    assert!(copies().all(|copy| copy.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_good_token_comes_without_a_runtime_too() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;

    let elsewhere = std::thread::spawn(move || keeper.token().now_or_never());

    assert!(elsewhere.join().unwrap().expect("it waited").unwrap().is(&token));
}

#[test]
fn without_a_runtime_no_token_is_minted() {
    let mints = Mints::default();

    let answer = mints.keeper(HOUR).token().now_or_never().expect("it waited");

    assert!(matches!(answer, Err(Error::NoRuntime)));
    assert_eq!(mints.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_mint() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let calls: Vec<_> = (0..10_000).map(|_| call(&keeper)).collect();
    turns(1_000).await;
    assert_eq!(mints.count(), 1);

    mints.end(Ending::Token);
    turns(1_000).await;

    for call in calls {
        assert_eq!(number(&call.await.unwrap().unwrap()), 1);
    }
    assert_eq!(mints.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn under_min_time_left_one_caller_mints_and_the_others_go_on_with_the_old_token() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    advance(47 * HOUR - SECOND).await;
    assert!(!starts_a_mint(&mints, &keeper).await);
    advance(2 * SECOND).await;

    let (one, other) = (call(&keeper), call(&keeper));
    settle().await;

    assert_eq!(mints.count(), 2);
    assert!(!one.is_finished());
    assert_eq!(number(&answer(other).unwrap()), 1);
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&answer(one).unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn once_the_old_token_has_expired_all_wait_for_the_one_mint() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    advance(48 * HOUR - 2 * SECOND).await;
    let renewing = call(&keeper);
    settle().await;
    advance(3 * SECOND).await;

    let waiting = call(&keeper);
    settle().await;

    assert!(!renewing.is_finished() && !waiting.is_finished());
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&answer(renewing).unwrap()), 2);
    assert_eq!(number(&answer(waiting).unwrap()), 2);
    assert_eq!(mints.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_takes_at_most_5_s_of_a_callers_time() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    advance(47 * HOUR + SECOND).await;

    let start = tokio::time::Instant::now();
    let token = keeper.token().await.unwrap();

    assert_about(start.elapsed(), 5);
    assert_eq!(number(&token), 1);
    // It goes on, and what it brings is for the next.
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&keeper.token().await.unwrap()), 2);
    assert_eq!(mints.count(), 2);
}

/// The text of the events at `WARN`.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_a_warning_without_the_token_and_the_old_one_is_used() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;
    let warnings = Warnings::default();
    let _recording = tracing::subscriber::set_default(warnings.clone());
    advance(47 * HOUR + SECOND).await;

    let renewing = call(&keeper);
    settle().await;
    mints.end(Ending::Failure);
    settle().await;

    assert!(answer(renewing).unwrap().is(&token));
    let warnings = warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("the server is starting"), "{warnings:?}");
    assert!(!warnings[0].contains("transient-"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_renewal_the_next_one_waits_and_no_caller_does() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    advance(47 * HOUR + SECOND).await;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert!(starts_a_mint(&mints, &keeper).await);
        mints.end(Ending::Failure);
        settle().await;

        advance(Duration::from_secs(seconds) - SECOND / 10).await;
        assert_eq!(number(&answer_now(&keeper)), 1);
        assert!(!starts_a_mint(&mints, &keeper).await, "before {seconds} s");
        advance(SECOND / 5).await;
    }
}

#[track_caller]
fn answer_now(keeper: &TokenKeeper) -> TransientToken {
    keeper.token().now_or_never().expect("it waited").unwrap()
}

#[tokio::test(start_paused = true)]
async fn without_a_good_token_every_waiting_caller_gets_the_error() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let calls = [call(&keeper), call(&keeper), call(&keeper)];
    settle().await;

    mints.end(Ending::Failure);
    settle().await;

    for call in calls {
        assert!(matches!(answer(call), Err(Error::Unavailable(_))));
    }
    assert_eq!(mints.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_next_calls_try_again_together_after_the_wait() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    for seconds in [0, 1, 2, 4, 8, 16] {
        assert_about(wait_of(&mints, &keeper).await, seconds);
        mints.end(Ending::Failure);
        settle().await;
    }
    // More than a caller waits: 32 s.
    let answer = keeper.token().now_or_never().expect("it waited");
    assert!(matches!(answer, Err(Error::Unavailable(_))));
    assert_eq!(mints.count(), 6);

    advance(3 * SECOND).await;
    let calls = [call(&keeper), call(&keeper)];
    advance(30 * SECOND).await;
    settle().await;
    assert_eq!(mints.count(), 7);
    mints.end(Ending::Token);
    settle().await;
    assert!(calls.map(|call| number(&self::answer(call).unwrap())) == [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_row_of_failures() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    for seconds in [0, 1, 2] {
        assert_about(wait_of(&mints, &keeper).await, seconds);
        mints.end(Ending::Failure);
        settle().await;
    }
    let token = new_token(&mints, &keeper).await;
    advance(HOUR).await;

    keeper.invalidate(&token);
    assert_about(wait_of(&mints, &keeper).await, 0);
    mints.end(Ending::Failure);
    settle().await;

    assert_about(wait_of(&mints, &keeper).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_what_retry_after_says_and_a_second_at_least() {
    for (retry_after, waits) in [(0, 1), (20, 20)] {
        let mints = Mints::default();
        let keeper = mints.keeper(HOUR);
        assert!(starts_a_mint(&mints, &keeper).await);
        mints.end(Ending::RetryAfter(Duration::from_secs(retry_after)));
        settle().await;

        assert_about(wait_of(&mints, &keeper).await, waits);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_more_than_30_s_is_the_last_error_at_once() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    assert!(starts_a_mint(&mints, &keeper).await);
    mints.end(Ending::RetryAfter(HOUR));
    settle().await;
    advance(HOUR - 31 * SECOND).await;

    let answer = keeper.token().now_or_never().expect("it waited");

    assert_eq!(answer.unwrap_err().retry_after(), Some(HOUR));
    advance(2 * SECOND).await;
    assert_about(wait_of(&mints, &keeper).await, 29);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_without_end_is_48_hours() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    assert!(starts_a_mint(&mints, &keeper).await);
    mints.end(Ending::RetryAfter(Duration::MAX));
    settle().await;

    advance(48 * HOUR).await;

    assert!(starts_a_mint(&mints, &keeper).await);
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_starter_sends_no_second_request() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let starter = call(&keeper);
    settle().await;
    let waiting = call(&keeper);
    settle().await;

    starter.abort();
    settle().await;
    let later = call(&keeper);
    settle().await;

    assert_eq!(mints.count(), 1);
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&answer(waiting).unwrap()), 1);
    assert_eq!(number(&answer(later).unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mint_that_nobody_waits_for_any_more_is_not_lost() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    assert!(starts_a_mint(&mints, &keeper).await);

    mints.end(Ending::Token);
    settle().await;

    assert_eq!(number(&answer_now(&keeper)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mint_that_is_dropped_is_started_anew_by_one_of_the_waiters() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let calls = [call(&keeper), call(&keeper), call(&keeper)];
    settle().await;

    mints.end(Ending::Dropped);
    settle().await;

    assert_eq!(mints.count(), 2);
    mints.end(Ending::Token);
    settle().await;
    for call in calls {
        assert_eq!(number(&answer(call).unwrap()), 2);
    }
}

#[test]
fn a_mint_whose_runtime_has_ended_is_started_anew_and_never_polled() {
    let mut builder = runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(1).enable_all();
    let (first, second) = (builder.build().unwrap(), builder.build().unwrap());
    let polled_elsewhere = Arc::new(AtomicBool::new(false));
    let mints = Mints::default();
    let mint = {
        let (mints, polled_elsewhere) = (mints.clone(), polled_elsewhere.clone());
        move || {
            let started_on = Handle::current().id();
            let mut mint = Box::pin(mints.clone().mint());
            let polled_elsewhere = polled_elsewhere.clone();
            std::future::poll_fn(move |context| {
                let here = Handle::current().id() == started_on;
                polled_elsewhere.fetch_or(!here, SeqCst);
                mint.as_mut().poll(context)
            })
        }
    };
    let rules = Rules { min_time_left: HOUR, longest_mint: TIMEOUT + GRACE };
    let keeper = TokenKeeper::with(mint, Moment::now, rules);
    let until = |count| {
        while mints.count() < count {
            std::thread::yield_now();
        }
    };

    let caller = keeper.clone();
    let dropped = first.spawn(async move { caller.token().await });
    until(1);
    let caller = keeper.clone();
    let waiting = second.spawn(async move { caller.token().await });
    first.shutdown_background();
    until(2);
    mints.end(Ending::Token);

    assert_eq!(number(&second.block_on(waiting).unwrap().unwrap()), 2);
    assert!(second.block_on(dropped).unwrap_err().is_cancelled());
    assert_eq!(mints.count(), 2);
    assert!(!polled_elsewhere.load(SeqCst));
}

#[test]
fn in_a_runtime_that_has_ended_no_token_is_minted() {
    let mut builder = runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);

    let _inside = handle.enter();
    let answer = keeper.token().now_or_never();

    // Either the spawn or the timer of the runtime says so.
    assert!(matches!(answer, Some(Err(Error::NoRuntime))));
    assert_eq!(mints.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mint_that_its_runtime_does_not_run_is_started_anew() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    assert!(starts_a_mint(&mints, &keeper).await);
    advance(TIMEOUT).await;
    let waiting = call(&keeper);
    settle().await;
    assert_eq!(mints.count(), 1);

    advance(2 * SECOND).await;
    settle().await;

    assert_eq!(mints.count(), 2);
    // What becomes of the first one counts no more.
    mints.end_one(1, Ending::Failure);
    settle().await;
    assert!(!waiting.is_finished());
    mints.end_one(2, Ending::Token);
    settle().await;
    assert_eq!(number(&answer(waiting).unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn many_reports_of_one_refused_token_cause_one_mint() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;
    advance(10 * SECOND).await;

    let report = || {
        keeper.invalidate(&token);
        call(&keeper)
    };
    let calls: Vec<_> = (0..1_000).map(|_| report()).collect();
    turns(1_000).await;
    assert_eq!(mints.count(), 2);
    mints.end(Ending::Token);
    turns(1_000).await;
    for call in calls {
        assert_eq!(number(&call.await.unwrap().unwrap()), 2);
    }

    // Late ones, on what is an older token by now, cause none.
    for _ in 0..1_000 {
        keeper.invalidate(&token);
    }
    assert_eq!(number(&answer_now(&keeper)), 2);
    assert_eq!(mints.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_for_the_mint_even_if_the_server_sends_the_same_token_again() {
    let (one, other) = (Token::try_from("transient").unwrap(), Token::try_from("transient"));
    let one = TransientToken::new(one, clock());
    advance(SECOND / 1000).await;
    let other = TransientToken::new(other.unwrap(), clock());

    assert!(one.is(&one.clone()));
    assert!(!one.is(&other));
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_within_10_s_of_its_mint_falls_under_the_wait() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let mut token = new_token(&mints, &keeper).await;
    for seconds in [1, 2, 4, 8, 16] {
        advance(9 * SECOND).await;
        keeper.invalidate(&token);
        let start = tokio::time::Instant::now();
        token = new_token(&mints, &keeper).await;
        assert_about(start.elapsed(), seconds);
    }
    let before = mints.count();

    keeper.invalidate(&token);
    let error = keeper.token().now_or_never().expect("it waited").unwrap_err();

    assert!(matches!(error, Error::RefusedWhenNew { .. }), "{error}");
    assert!(error.is_auth());
    assert_eq!(error.retry_after(), Some(32 * SECOND));
    assert_eq!(mints.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lasted_10_s_ends_the_row_of_refusals() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    for _ in 0..3 {
        let token = new_token(&mints, &keeper).await;
        keeper.invalidate(&token);
    }
    let token = new_token(&mints, &keeper).await;
    advance(10 * SECOND).await;
    keeper.invalidate(&token);
    assert_about(wait_of(&mints, &keeper).await, 0);
    mints.end(Ending::Token);
    settle().await;

    keeper.invalidate(&answer_now(&keeper));

    assert_about(wait_of(&mints, &keeper).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_renewed_ends_the_row_of_refusals() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    for _ in 0..3 {
        let token = new_token(&mints, &keeper).await;
        keeper.invalidate(&token);
    }
    new_token(&mints, &keeper).await;
    advance(47 * HOUR + SECOND).await;
    let renewed = new_token(&mints, &keeper).await;

    keeper.invalidate(&renewed);

    assert_about(wait_of(&mints, &keeper).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_shorten_what_retry_after_says() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;
    SET_FORWARD.set(47 * 3600 + 60);
    assert!(starts_a_mint(&mints, &keeper).await);
    mints.end(Ending::RetryAfter(20 * SECOND));
    settle().await;

    keeper.invalidate(&token);

    assert_about(wait_of(&mints, &keeper).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_given_to_nobody_even_if_they_waited_for_it() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let early = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.token().await.map(|token| keeper.invalidate(&token)) }
    });
    settle().await;
    let late = call(&keeper);
    settle().await;

    mints.end(Ending::Token);
    early.await.unwrap().unwrap();

    match late.now_or_never() {
        // Before the report.
        Some(answer) => assert_eq!(number(&answer.unwrap().unwrap()), 1),
        // After it.
        None => assert_eq!(number(&new_token(&mints, &keeper).await), 2),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_with_a_renewal_under_way_needs_no_second_mint() {
    let mints = Mints::default();
    let (keeper, token) = keeper_with_token(&mints).await;
    advance(47 * HOUR + SECOND).await;
    let renewing = call(&keeper);
    settle().await;

    keeper.invalidate(&token);
    let waiting = call(&keeper);
    settle().await;

    assert!(!waiting.is_finished());
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&answer(renewing).unwrap()), 2);
    assert_eq!(number(&answer(waiting).unwrap()), 2);
    assert_eq!(mints.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_48_hours_count_from_the_moment_of_sending() {
    let mints = Mints::default();
    let keeper = mints.keeper(Duration::ZERO);
    let slow = call(&keeper);
    settle().await;
    advance(20 * SECOND).await;
    mints.end(Ending::Token);
    settle().await;
    answer(slow).unwrap();

    advance(48 * HOUR - 21 * SECOND).await;
    assert!(!starts_a_mint(&mints, &keeper).await);
    advance(SECOND).await;

    assert!(starts_a_mint(&mints, &keeper).await);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_makes_no_token_immortal() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    SET_FORWARD.set(-400 * 24 * 3600);
    assert!(!starts_a_mint(&mints, &keeper).await);

    advance(47 * HOUR + SECOND).await;

    assert!(starts_a_mint(&mints, &keeper).await);
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(number(&answer_now(&keeper)), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sleep_that_stops_the_monotonic_clock_ages_a_token() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;

    SET_FORWARD.set(48 * 3600);

    let waiting = call(&keeper);
    settle().await;
    assert!(!waiting.is_finished());
    assert_eq!(mints.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_costs_one_mint() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;

    SET_FORWARD.set(400 * 24 * 3600);
    let token = new_token(&mints, &keeper).await;

    // Nor does it cost one when it goes back, or to and fro.
    for forward in [0, 400, -400, 400] {
        SET_FORWARD.set(forward * 24 * 3600);
        assert!(answer_now(&keeper).is(&token));
    }
    assert_eq!(mints.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_in_the_middle_of_a_mint_costs_one_mint() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);
    let calls = [call(&keeper), call(&keeper)];
    settle().await;
    SET_FORWARD.set(400 * 24 * 3600);
    mints.end(Ending::Token);
    settle().await;
    assert_eq!(mints.count(), 2);

    mints.end(Ending::Token);
    settle().await;

    for call in calls {
        assert_eq!(number(&answer(call).unwrap()), 2);
    }
    assert_eq!(number(&answer_now(&keeper)), 2);
}

#[tokio::test(start_paused = true)]
async fn a_min_time_left_that_no_token_has_for_long_mints_once_a_call() {
    let mints = Mints::default();
    let keeper = mints.keeper(48 * HOUR - SECOND / 1000);
    let slow = call(&keeper);
    settle().await;
    advance(SECOND).await;

    mints.end(Ending::Token);
    settle().await;

    assert_eq!(number(&answer(slow).unwrap()), 1);
    assert_eq!(mints.count(), 1);
}

#[derive(Debug)]
enum Mine {
    Refused,
    Other,
    Keeper,
}

impl From<Error> for Mine {
    fn from(_: Error) -> Self {
        Self::Keeper
    }
}

#[tokio::test(start_paused = true)]
async fn run_runs_once_when_the_token_is_not_refused() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    let runs = Cell::new(0);
    let refused = |error: &Mine| matches!(error, Mine::Refused);

    let ends = async |token: TransientToken| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 { Ok(number(&token)) } else { Err(Mine::Other) }
    };

    assert_eq!(keeper.run(ends, refused).await.unwrap(), 1);
    assert!(matches!(keeper.run(ends, refused).await, Err(Mine::Other)));
    assert_eq!((runs.get(), mints.count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn run_runs_once_more_with_a_new_token_when_it_is_refused() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;
    let seen = Mutex::new(Vec::new());

    let running = keeper.run(
        async |token| {
            let mut seen = seen.lock().unwrap();
            seen.push(number(&token));
            if seen.len() == 1 { Err(Mine::Refused) } else { Ok(()) }
        },
        |error| matches!(error, Mine::Refused),
    );
    let (answer, ()) = join!(running, async {
        tokio::time::sleep(2 * SECOND).await;
        mints.end(Ending::Token);
    });

    answer.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn run_reports_the_second_token_too() {
    let mints = Mints::default();
    let (keeper, _) = keeper_with_token(&mints).await;

    let refuse = async |_| Err::<(), _>(Mine::Refused);
    let running = keeper.run(refuse, |error| matches!(error, Mine::Refused));
    let (answer, ()) = join!(running, async {
        tokio::time::sleep(2 * SECOND).await;
        mints.end(Ending::Token);
    });

    assert!(matches!(answer, Err(Mine::Refused)));
    assert_about(wait_of(&mints, &keeper).await, 2);
    assert_eq!(mints.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn run_fails_with_the_error_of_the_mint() {
    let mints = Mints::default();
    let keeper = mints.keeper(HOUR);

    let running = keeper.run(async |_| Ok::<_, Mine>(()), |_| panic!("nothing was refused"));
    let (answer, ()) = join!(running, async {
        settle().await;
        mints.end(Ending::Failure);
    });

    assert!(matches!(answer, Err(Mine::Keeper)));
}

#[test]
fn debug_shows_no_token() {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let text = runtime.unwrap().block_on(async {
        let mints = Mints::default();
        let (keeper, token) = keeper_with_token(&mints).await;
        format!("{keeper:?} {token:?}")
    });

    assert!(!text.contains("transient-"), "{text}");
}
