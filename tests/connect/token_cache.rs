//! `TokenCache`: how many requests it sends and when, and what its callers get meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plex_auth::{ClientBuilder, Error, ErrorKind, TokenCache, TransientToken};
use support::net::{Lead, Net};
use support::{Server, Step, Steps, good, leak, respond, until};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::{MS, SECOND};

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

/// A cache, its server and the network of both.
struct Cached {
    net: Net,
    server: Arc<Server>,
    cache: TokenCache,
}

impl Cached {
    fn new(server: Server) -> Self {
        Self::with(server, |builder| builder)
    }

    fn with(server: Server, with: impl Fn(ClientBuilder) -> ClientBuilder) -> Self {
        let net = Net::new();
        let server = net.add("asked", server);
        let cache = TokenCache::new(net.client("asked", with));
        Self { net, server, cache }
    }

    /// With `transient-0` in memory, to be refreshed.
    async fn late(server: Server) -> Self {
        let cached = Self::new(server);
        cached.cache.token().await.unwrap();
        cached.net.advance(LATE).await;
        cached
    }

    /// A caller in a task of its own.
    fn call(&self) -> JoinHandle<Result<TransientToken, Error>> {
        call(&self.cache)
    }

    #[track_caller]
    fn assert(&self, result: Result<TransientToken, Error>, token: &str, requests: usize) {
        assert_eq!((result.unwrap().expose_secret(), self.server.count()), (token, requests));
    }

    async fn assert_token(&self, token: &str, requests: usize) {
        self.assert(self.cache.token().await, token, requests);
    }

    async fn kind(&self) -> ErrorKind {
        self.cache.token().await.unwrap_err().kind()
    }

    /// The next request is sent after this time, and until then nobody waits.
    async fn assert_wait(&self, wait: Duration) {
        let requests = self.server.count();
        self.net.advance(wait - MS).await;
        drop(self.cache.token().now_or_never().expect("it waits"));
        assert_eq!(self.server.count(), requests, "before {wait:?}");
        self.net.advance(2 * MS).await;
        drop(self.cache.token().await);
        assert_eq!(self.server.count(), requests + 1, "after {wait:?}");
    }
}

fn call(cache: &TokenCache) -> JoinHandle<Result<TransientToken, Error>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token().await })
}

/// Waits until the server has had so many requests.
async fn requests(server: &Server, count: usize) {
    until(|| server.count() >= count).await;
}

#[tokio::test]
async fn a_token_with_an_hour_left_comes_from_memory() {
    let cached = Cached::new(server());
    cached.cache.token().await.unwrap();
    cached.net.advance(47 * HOUR - SECOND).await;

    cached.assert(cached.cache.token().now_or_never().expect("it waits"), "transient-0", 1);
    cached.net.advance(SECOND).await;
    cached.assert_token("transient-1", 2).await;
}

#[tokio::test]
async fn ten_thousand_callers_send_one_request() {
    for (is_late, token, requests) in [(false, "transient-0", 1), (true, "transient-1", 2)] {
        let cached = match is_late {
            true => Cached::late(server()).await,
            false => Cached::new(server()),
        };
        let calls: Vec<_> = (0..10_000).map(|_| cached.call()).collect();
        for found in join_all(calls).await {
            cached.assert(found.unwrap(), token, requests);
        }
    }
}

#[tokio::test]
async fn a_thousand_invalidations_of_one_token_send_one_request_more() {
    let cached = Cached::new(server());
    let token = cached.cache.token().await.unwrap();
    for other in ["another", " no token "] {
        cached.cache.invalidate(other);
        cached.assert(cached.cache.token().now_or_never().expect("it waits"), "transient-0", 1);
    }

    let calls = (0..1_000).map(|_| async {
        cached.cache.invalidate(&token);
        cached.assert_token("transient-1", 2).await;
    });
    cached.net.run(join_all(calls)).await;

    // One that comes late is about a token that was replaced.
    cached.cache.invalidate("transient-0");
    cached.assert_token("transient-1", 2).await;
}

#[tokio::test]
async fn a_failed_refresh_is_logged_and_returns_the_old_token() {
    let (_recording, log) = leak::record();
    let cached = Cached::late(server_then(|| respond(403, &[], ""))).await;

    cached.assert_token("transient-0", 2).await;
    assert!(log.lock().unwrap().contains("token not refreshed"), "nothing was logged");
    cached.assert_wait(SECOND).await;
    cached.assert_token("transient-0", 3).await;
}

#[tokio::test]
async fn callers_wait_for_the_first_5_s_of_a_refresh() {
    let cached = Cached::late(server_then(|| Step::Silence)).await;
    let first = cached.call();
    requests(&cached.server, 2).await;

    cached.net.advance(4 * SECOND).await;
    let second = cached.call();
    yield_now().await;
    cached.net.advance(SECOND - MS).await;
    assert!(!first.is_finished());
    cached.net.advance(2 * MS).await;
    for call in [first, second] {
        cached.assert(call.await.unwrap(), "transient-0", 2);
    }
    // The run goes on, and its later callers don't wait.
    cached.assert(cached.cache.token().now_or_never().expect("it waits"), "transient-0", 2);
    // Who has no token waits for its end.
    cached.cache.invalidate("transient-0");
    let error = cached.net.run(cached.cache.token()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 1));
    let error = cached.cache.token().now_or_never().expect("it waits").unwrap_err();
    assert_eq!((error.kind(), cached.server.count()), (ErrorKind::Timeout, 2));
}

#[tokio::test]
async fn a_token_that_ends_during_its_refresh_is_not_returned() {
    for expires in [false, true] {
        let cached = Cached::late(server_then(|| slowly(respond(403, &[], "")))).await;
        cached.net.advance(48 * HOUR - LATE - SECOND).await;
        let refreshing = cached.call();
        requests(&cached.server, 2).await;

        match expires {
            true => cached.net.advance(SECOND).await,
            false => cached.cache.invalidate("transient-0"),
        }

        assert_eq!(refreshing.await.unwrap().unwrap_err().kind(), ErrorKind::Forbidden);
    }
}

#[tokio::test]
async fn a_failure_is_returned_for_up_to_30_s() {
    let cached = Cached::new(Server::start(|_| respond(403, &[], "")));
    // The callers who wait for the fetch get its error, too.
    let kinds = tokio::join!(cached.kind(), cached.kind());
    assert_eq!(kinds, (ErrorKind::Forbidden, ErrorKind::Forbidden));
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        cached.assert_wait(Duration::from_secs(seconds)).await;
        assert_eq!(cached.kind().await, ErrorKind::Forbidden);
    }
}

#[tokio::test]
async fn a_success_ends_the_series_of_failures() {
    let cached = Cached::new(Server::start(|request| match request.number {
        2 => good(request, "transient-2"),
        _ => respond(403, &[], ""),
    }));
    assert_eq!(cached.kind().await, ErrorKind::Forbidden);
    cached.assert_wait(SECOND).await;
    cached.assert_wait(2 * SECOND).await;
    cached.net.advance(48 * HOUR).await;
    assert_eq!(cached.kind().await, ErrorKind::Forbidden);
    cached.assert_wait(SECOND).await;
}

#[tokio::test]
async fn a_retry_after_lengthens_the_wait_up_to_an_hour() {
    for (retry_after, wait) in [("0", SECOND), ("600", 600 * SECOND), ("31536000", HOUR)] {
        let answer = move || respond(503, &[("Retry-After", retry_after)], "");
        let cached = Cached::late(server_then(answer)).await;
        cached.assert_token("transient-0", 2).await;
        cached.cache.invalidate("transient-0");
        cached.assert_wait(wait).await;
        assert_eq!(cached.kind().await, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn a_dropped_or_unpolled_caller_holds_up_nobody() {
    let cached = Cached::new(server());
    let mut kept = Box::pin(cached.cache.token());
    assert!((&mut kept).now_or_never().is_none());
    let dropped = cached.call();
    yield_now().await;
    dropped.abort();
    cached.assert_token("transient-0", 1).await;
    cached.assert(kept.await, "transient-0", 1);
}

#[tokio::test]
async fn tasks_that_invalidate_what_they_get_share_each_fetch() {
    let cached = Cached::new(server());
    let calls = (0..50).map(|_| {
        let cache = cached.cache.clone();
        tokio::spawn(async move {
            for _ in 0..3 {
                cache.invalidate(cache.token().await.unwrap());
            }
        })
    });
    let (_, took) = cached.net.time(join_all(calls.collect::<Vec<_>>())).await;
    assert_eq!((took.as_secs(), cached.server.count()), (2, 3));
}

#[tokio::test]
async fn callers_who_give_up_early_share_one_fetch() {
    let net = Net::new();
    let cache = TokenCache::new(net.client("silent", |it| it.timeout(2 * SECOND)));
    let callers = (0..20).map(|_| async {
        loop {
            let _ = timeout(50 * MS, cache.token()).await;
            sleep(50 * MS).await;
        }
    });
    let callers = async { timeout(10 * SECOND, join_all(callers)).await.unwrap_err() };
    net.run(callers).await;
    // Each takes 2 s, and the next starts 1, 2 and 4 s later.
    let times: Vec<_> = net.times("silent").iter().map(|at| at / 1_000).collect();
    assert_eq!(times, [0, 3, 7]);
}

#[tokio::test]
async fn a_silent_server_is_asked_again_within_30_s() {
    let net = Net::new();
    let server = net.http("asked", |request| good(request, "transient"));
    net.lead("asked", Lead::Nowhere);
    let cache = TokenCache::new(net.client("asked", |it| it.timeout(2 * SECOND)));
    let waits = async {
        while timeout(2 * SECOND, cache.token()).await.is_ok_and(|found| found.is_err()) {
            sleep(SECOND).await;
        }
    };
    let waits = async { timeout(300 * SECOND, waits).await };
    let _ = net.run(waits).await;
    net.lead("asked", Lead::After(Duration::ZERO, server));
    let begun = Instant::now();
    while net.run(cache.token()).await.is_err() {
        net.advance(SECOND).await;
    }
    assert!(begun.elapsed() <= 33 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_call_takes_the_time_out_and_the_spacing() {
    let cached = Cached::with(server_then(|| Step::Silence), |it| it.timeout(2 * SECOND));
    cached.assert_token("transient-0", 1).await;
    cached.cache.invalidate("transient-0");
    let (result, took) = cached.net.time(cached.cache.token()).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), took.as_secs()), (ErrorKind::Timeout, 3));
    assert!(error.to_string().contains("within 2s (`timeout`)"), "{error}");
}

#[test]
fn a_waiter_fetches_when_the_callers_runtime_ends() {
    let server = Server::start(|request| match request.number {
        0 => Step::Silence.into(),
        _ => Steps::from(good(request, "transient")),
    });
    let cache = TokenCache::new(server.client());
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        drop(call(&cache));
        requests(&server, 1).await;
    });
    let inside = second.enter();
    let waiting = call(&cache);
    drop(inside);

    first.shutdown_background();

    second.block_on(waiting).unwrap().unwrap();
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_token_expires_48_hours_after_its_request_was_sent() {
    let server = Server::start(|request| match request.number {
        0 => respond(503, &[], "").into(),
        1 => Steps::from(slowly(good(request, "transient"))),
        _ => respond(403, &[], "").into(),
    });
    let cached = Cached::with(server, |builder| builder.max_retries(1));
    let fetching = cached.call();
    cached.net.run(requests(&cached.server, 2)).await;
    cached.net.advance(3 * SECOND).await;

    let found = fetching.await.unwrap().unwrap();

    // The attempt that succeeded counts, and the time that the answer took.
    assert!(found.time_left() <= 48 * HOUR - 3 * SECOND, "{:?}", found.time_left());
    assert!(found.time_left() > 48 * HOUR - 4 * SECOND, "{:?}", found.time_left());
    cached.net.advance(48 * HOUR - 4 * SECOND).await;
    cached.assert_token("transient", 3).await;
    cached.net.advance(SECOND + MS).await;
    assert_eq!(found.time_left(), Duration::ZERO);
    assert_eq!(cached.kind().await, ErrorKind::Forbidden);
}

#[test]
fn outside_a_runtime_a_cache_returns_its_token_or_fails() {
    let server = server();
    let cache = TokenCache::new(server.client());
    let poll = || cache.token().now_or_never().expect("it waits");
    assert_eq!(poll().unwrap_err().kind(), ErrorKind::NoRuntime);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cache.token()).unwrap();
    assert_eq!(poll().unwrap().expose_secret(), "transient-0");
    cache.invalidate("transient-0");
    assert_eq!(poll().unwrap_err().kind(), ErrorKind::NoRuntime);
    assert_eq!(server.count(), 1);
}
