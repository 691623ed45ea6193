//! `TokenCache`: how many requests it sends and when, and what its callers get meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plex_auth::{Error, ErrorKind, TokenCache, TransientToken};
use support::clock::Clock;
use support::{Server, Step, Steps, TOKEN, good, leak, respond};
use tokio::task::{JoinHandle, yield_now};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// So long that a token has less than the default of 1 hour left, and can still be used.
const LATE: Duration = Duration::from_secs(47 * 3_600 + 1_800);

/// A server that returns a new token for each request: `transient-0` first.
fn server() -> Server {
    Server::start(|request| good(request, &format!("transient-{}", request.number)))
}

/// The same, but requests from the second on are answered as `then` says.
fn server_then<S: Into<Steps>>(then: impl Fn() -> S + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.number {
        0 => good(request, "transient-0").into(),
        _ => then().into(),
    })
}

/// Answers late enough that callers meet, by the real clock.
fn slowly(answer: Vec<u8>) -> Vec<Step> {
    vec![Step::Pause(Duration::from_millis(300)), Step::Send(answer)]
}

fn cache(server: &Server) -> TokenCache {
    TokenCache::new(server.client())
}

/// A caller in a task of its own.
fn call(cache: &TokenCache) -> JoinHandle<Result<TransientToken, Error>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token().await })
}

async fn token(cache: &TokenCache) -> String {
    cache.token().await.unwrap().expose_secret().to_owned()
}

async fn kind(cache: &TokenCache) -> ErrorKind {
    cache.token().await.unwrap_err().kind()
}

/// Waits until the server has had so many requests.
async fn requests(server: &Server, count: usize) {
    while server.count() < count {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_token_with_more_than_an_hour_left_comes_back_at_once_from_memory() {
    let clock = Clock::stop();
    let server = server();
    let cache = cache(&server);
    cache.token().await.unwrap();
    clock.advance(47 * HOUR - SECOND).await;

    let found = cache.token().now_or_never().expect("it waits").unwrap();

    assert_eq!((found.expose_secret(), server.count()), ("transient-0", 1));
    clock.advance(SECOND).await;
    assert_eq!((&*token(&cache).await, server.count()), ("transient-1", 2));
}

#[tokio::test]
async fn the_least_time_left_can_be_set_to_less_than_48_hours() {
    let clock = Clock::stop();
    let server = server();
    let with = |time| TokenCache::with_min_time_left(server.client(), time);
    let cache = with(48 * HOUR - SECOND).unwrap();
    cache.token().await.unwrap();
    clock.advance(2 * SECOND).await;
    assert_eq!(token(&cache).await, "transient-1");

    for time in [48 * HOUR, Duration::MAX] {
        let error = with(time).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSetting);
        assert!(error.to_string().contains("`min_time_left`: it is 48 hours or more"), "{error}");
    }
}

#[tokio::test]
async fn one_caller_refreshes_and_the_others_get_the_old_token_meanwhile() {
    let clock = Clock::stop();
    let server =
        Server::start(|request| slowly(good(request, &format!("transient-{}", request.number))));
    let cache = cache(&server);
    cache.token().await.unwrap();
    clock.advance(LATE).await;
    let refreshing = call(&cache);
    requests(&server, 2).await;

    for _ in 0..100 {
        let found = cache.token().now_or_never().expect("it waits").unwrap();
        assert_eq!(found.expose_secret(), "transient-0");
    }

    assert_eq!(refreshing.await.unwrap().unwrap().expose_secret(), "transient-1");
    assert_eq!((&*token(&cache).await, server.count()), ("transient-1", 2));
}

#[tokio::test]
async fn ten_thousand_callers_of_an_empty_cache_send_one_request() {
    let server = server();
    let cache = cache(&server);
    let calls: Vec<_> = (0..10_000).map(|_| call(&cache)).collect();
    for found in join_all(calls).await {
        assert_eq!(found.unwrap().unwrap().expose_secret(), "transient-0");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_thousand_invalidations_of_one_token_send_one_request_more() {
    let clock = Clock::stop();
    let server = server();
    let cache = cache(&server);
    let refused = token(&cache).await;

    let calls = (0..1_000).map(|_| async {
        cache.invalidate(&refused);
        token(&cache).await
    });
    let found = clock.run(join_all(calls)).await;

    assert!(found.iter().all(|token| token == "transient-1"));
    // One that comes late is about a token that was replaced.
    cache.invalidate(&refused);
    assert_eq!((&*token(&cache).await, server.count()), ("transient-1", 2));
}

#[tokio::test]
async fn a_refresh_that_fails_is_logged_and_the_old_token_is_returned() {
    let (subscriber, log) = leak::recorder();
    let _recording = tracing::subscriber::set_default(subscriber);
    let clock = Clock::stop();
    let server = server_then(|| respond(403, &[], ""));
    let cache = cache(&server);
    cache.token().await.unwrap();
    clock.advance(LATE).await;

    assert_eq!((&*token(&cache).await, server.count()), ("transient-0", 2));
    assert!(log.lock().unwrap().contains("token not refreshed"), "nothing was logged");
    // No more requests for a second, and then one.
    clock.advance(SECOND - MS).await;
    assert_eq!((&*token(&cache).await, server.count()), ("transient-0", 2));
    clock.advance(2 * MS).await;
    assert_eq!((&*token(&cache).await, server.count()), ("transient-0", 3));
}

#[tokio::test]
async fn a_refresh_takes_at_most_5_s_of_the_callers_time() {
    let clock = Clock::stop();
    let server = server_then(|| Step::Silence);
    let cache = cache(&server);
    cache.token().await.unwrap();
    clock.advance(LATE).await;
    let refreshing = call(&cache);
    requests(&server, 2).await;

    clock.advance(5 * SECOND - MS).await;
    assert!(!refreshing.is_finished());
    clock.advance(2 * MS).await;

    assert_eq!(refreshing.await.unwrap().unwrap().expose_secret(), "transient-0");
    // It counts as a failure: the next caller sends nothing.
    assert_eq!((&*token(&cache).await, server.count()), ("transient-0", 2));
    cache.invalidate("transient-0");
    let error = cache.token().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_or_expires_during_its_refresh_is_not_returned() {
    let clock = Clock::stop();
    for expires in [false, true] {
        let server = server_then(|| slowly(respond(403, &[], "")));
        let cache = cache(&server);
        cache.token().await.unwrap();
        clock.advance(48 * HOUR - SECOND).await;
        let refreshing = call(&cache);
        requests(&server, 2).await;

        match expires {
            true => clock.advance(SECOND).await,
            false => cache.invalidate("transient-0"),
        }

        assert_eq!(refreshing.await.unwrap().unwrap_err().kind(), ErrorKind::Forbidden);
    }
}

#[tokio::test]
async fn after_a_failure_the_last_error_comes_at_once_for_1_s_doubling_to_5_minutes() {
    let clock = Clock::stop();
    let server = Server::start(|_| respond(403, &[], ""));
    let cache = cache(&server);
    // The callers who wait for the fetch get its error, too.
    let (one, other) = tokio::join!(cache.token(), cache.token());
    assert_eq!(one.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Forbidden);
    for (failures, seconds) in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].into_iter().enumerate()
    {
        clock.advance(Duration::from_secs(seconds) - MS).await;
        let error = cache.token().now_or_never().expect("it waits").unwrap_err();
        assert_eq!((error.kind(), server.count()), (ErrorKind::Forbidden, failures + 1));
        clock.advance(2 * MS).await;
        assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Forbidden, failures + 2));
    }
}

#[tokio::test]
async fn a_success_ends_the_series_of_failures() {
    let clock = Clock::stop();
    let server = Server::start(|request| match request.number {
        2 => good(request, "transient-2"),
        _ => respond(403, &[], ""),
    });
    let cache = cache(&server);
    for wait in [SECOND, 2 * SECOND] {
        assert_eq!(kind(&cache).await, ErrorKind::Forbidden);
        clock.advance(wait + MS).await;
    }
    assert_eq!(token(&cache).await, "transient-2");
    clock.advance(48 * HOUR).await;
    assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Forbidden, 4));
    clock.advance(SECOND + MS).await;
    assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Forbidden, 5));
}

#[tokio::test]
async fn a_retry_after_lengthens_the_wait_and_never_shortens_it() {
    let clock = Clock::stop();
    for (retry_after, wait) in [("0", SECOND), ("600", 600 * SECOND)] {
        let server = Server::start(move |_| respond(503, &[("Retry-After", retry_after)], ""));
        let cache = cache(&server);
        assert_eq!(kind(&cache).await, ErrorKind::Unavailable);
        clock.advance(wait - MS).await;
        assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Unavailable, 1));
        clock.advance(2 * MS).await;
        assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Unavailable, 2));
    }
}

#[tokio::test]
async fn after_an_invalidation_fetches_start_1_s_apart_and_the_caller_waits() {
    let clock = Clock::stop();
    let server = server();
    let cache = cache(&server);
    let mut refused = token(&cache).await;
    for count in 1..4 {
        cache.invalidate(&refused);
        let waiting = call(&cache);
        yield_now().await;
        clock.advance(SECOND - MS).await;
        assert!(!waiting.is_finished() && server.count() == count);
        clock.advance(2 * MS).await;
        refused = waiting.await.unwrap().unwrap().expose_secret().to_owned();
        assert_eq!(server.count(), count + 1);
    }
    // After a longer time nobody waits.
    clock.advance(SECOND + MS).await;
    cache.invalidate(&refused);
    assert_eq!(token(&cache).await, "transient-4");
}

#[tokio::test]
async fn an_invalidation_does_not_shorten_the_wait_after_a_failure() {
    let clock = Clock::stop();
    let server = server_then(|| respond(503, &[("Retry-After", "600")], ""));
    let cache = cache(&server);
    cache.token().await.unwrap();
    clock.advance(LATE).await;
    assert_eq!(token(&cache).await, "transient-0");

    cache.invalidate("transient-0");

    clock.advance(599 * SECOND).await;
    assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Unavailable, 2));
    clock.advance(SECOND + MS).await;
    assert_eq!((kind(&cache).await, server.count()), (ErrorKind::Unavailable, 3));
}

#[tokio::test]
async fn after_a_caller_is_dropped_the_next_waiter_fetches() {
    let clock = Clock::stop();
    let server = Server::start(|request| match request.number {
        0 | 2 => Step::Silence.into(),
        _ => Steps::from(good(request, &format!("transient-{}", request.number))),
    });
    let cache = cache(&server);
    // While its request is unanswered.
    let (dropped, waiting) = (call(&cache), call(&cache));
    requests(&server, 1).await;
    dropped.abort();
    assert_eq!(waiting.await.unwrap().unwrap().expose_secret(), "transient-1");
    // While it refreshes.
    clock.advance(LATE).await;
    let dropped = call(&cache);
    requests(&server, 3).await;
    dropped.abort();
    dropped.await.unwrap_err();
    assert_eq!(token(&cache).await, "transient-3");
    // While it waits for its turn.
    cache.invalidate("transient-3");
    let (dropped, waiting) = (call(&cache), call(&cache));
    yield_now().await;
    dropped.abort();
    let found = clock.run(waiting).await.unwrap().unwrap();
    assert_eq!((found.expose_secret(), server.count()), ("transient-4", 5));
}

#[test]
fn after_a_callers_runtime_ends_a_waiter_in_another_one_fetches() {
    static ANSWERS: AtomicBool = AtomicBool::new(false);
    let server = Server::start(|request| match ANSWERS.load(SeqCst) {
        false => Step::Silence.into(),
        true => Steps::from(good(request, "transient")),
    });
    let cache = cache(&server);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        drop(call(&cache));
        requests(&server, 1).await;
    });
    let waiting = {
        let _inside = second.enter();
        call(&cache)
    };

    ANSWERS.store(true, SeqCst);
    first.shutdown_background();

    second.block_on(waiting).unwrap().unwrap();
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_token_expires_48_hours_after_its_request_was_sent() {
    let clock = Clock::stop();
    let server = Server::start(|request| match request.number {
        0 => respond(503, &[], "").into(),
        1 => Steps::from(slowly(good(request, "transient"))),
        _ => respond(403, &[], "").into(),
    });
    let client = server.builder().max_retries(1).build().unwrap();
    let cache = TokenCache::new(client);
    let fetching = call(&cache);
    clock.run(requests(&server, 2)).await;
    clock.advance(3 * SECOND).await;

    let found = fetching.await.unwrap().unwrap();

    // The attempt that succeeded counts, and the time that the answer took.
    assert!(found.time_left() <= 48 * HOUR - 3 * SECOND, "{:?}", found.time_left());
    assert!(found.time_left() > 48 * HOUR - 4 * SECOND, "{:?}", found.time_left());
    clock.advance(48 * HOUR - 4 * SECOND).await;
    assert_eq!(token(&cache).await, "transient");
    clock.advance(SECOND + MS).await;
    assert_eq!(found.time_left(), Duration::ZERO);
    assert_eq!(kind(&cache).await, ErrorKind::Forbidden);
}

#[test]
fn outside_a_runtime_the_token_in_memory_or_an_error_is_returned() {
    let poll = |cache: &TokenCache| cache.token().now_or_never().expect("it waits");
    let server = server();
    let cache = cache(&server);
    assert_eq!(poll(&cache).unwrap_err().kind(), ErrorKind::NoRuntime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cache.token()).unwrap();
    assert_eq!(poll(&cache).unwrap().expose_secret(), "transient-0");
    cache.invalidate("transient-0");
    assert_eq!(poll(&cache).unwrap_err().kind(), ErrorKind::NoRuntime);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn debug_shows_neither_the_callers_token_nor_the_one_in_memory() {
    let server = server();
    let cache = cache(&server);
    let token = cache.token().await.unwrap();
    let text = format!("{cache:?} {token:?}");
    assert!(!text.contains(TOKEN) && !text.contains("transient-0"), "a token is shown");
}
