//! The handle that `connect` returns: how it reconnects, alone and for many tasks at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plex_auth::{ClientBuilder, ErrorKind, TokenCache};
use support::net::{Lead, Net};
use support::{Request, Server, Step, respond};
use tokio::runtime::Builder;
use tokio::time::sleep;

use super::{
    Home, ID, MS, SECOND, accepting, as_another, as_asked, as_source, device, http, identity,
    is_refresh, local, refusing_refresh, relay, source,
};

static SOURCE: LazyLock<Server> = LazyLock::new(|| Server::start(as_source));

#[tokio::test]
async fn reconnect_replaces_what_all_clones_have() {
    let home = Home::new(as_asked).await;
    let (clone, before) = (home.server.clone(), home.server.client());
    assert_eq!(home.token(), "token-0");
    home.net.run(clone.reconnect()).await.unwrap();
    assert_eq!(home.token(), "token-1");
    assert_eq!(home.server.connection(), clone.connection());
    assert_eq!(before.address(), home.server.client().address());
}

#[tokio::test]
async fn a_reconnection_that_fails_leaves_the_old_state() {
    let answer = |request: &Request| match is_refresh(request) {
        true => device("new", &[local(http("wrong"))]),
        false => as_asked(request),
    };
    let home = Home::new(answer).await;
    home.net.http("wrong", as_another);
    let error = home.net.run(home.server.reconnect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(home.token(), "token-0");
    assert_eq!(home.server.connection().uri.host_str(), Some("source.home.lan"));
}

#[tokio::test]
async fn reconnect_prefers_the_last_connection_and_keeps_only() {
    for is_relay in [false, true] {
        let net = Net::new();
        let old = if is_relay { relay(http("silent-old")) } else { local(http("silent-old")) };
        let listed = vec![local(http("silent-1")), local(http("forbidden")), old];
        net.http("asked", move |_| device("token", &listed));
        for name in ["silent-old", "forbidden"] {
            net.http(name, as_source);
        }
        let client = net.client("asked", |builder| builder);
        let connect = client.connect(&source()).timeout(6 * SECOND);
        let only = |one: &plex_auth::Connection| one.uri.host_str() != Some("forbidden.home.lan");
        let server = net.run(connect.only(only).into_future()).await.unwrap();
        net.lead("silent-old", Lead::Nowhere);
        let before = net.log().len();

        let (result, took) = net.time(server.reconnect()).await;

        assert_eq!((result.unwrap_err().kind(), took.as_secs()), (ErrorKind::Unreachable, 6));
        let log: Vec<_> = net.log().into_iter().skip(before).map(|(name, _)| name).collect();
        let expected = match is_relay {
            false => ["asked", "silent-old", "silent-1"],
            true => ["asked", "silent-1", "silent-old"],
        };
        assert_eq!(log[..3], expected);
        assert_eq!(log.iter().filter(|name| *name == "asked").count(), 1);
        assert!(!log.contains(&"forbidden".to_owned()));
    }
}

#[tokio::test]
async fn a_reconnection_makes_do_with_the_last_device() {
    // The asked server refuses, or is down.
    for is_down in [false, true] {
        let home = Home::new(refusing_refresh).await;
        if is_down {
            home.net.lead("asked", Lead::From(Duration::MAX, home.asked.clone()));
        }
        home.net.run(home.server.reconnect()).await.unwrap();
        assert_eq!(home.token(), "token-0");
        // Nor does a silent one cost the time-out.
        home.net.lead("asked", Lead::Nowhere);
        home.net.advance(SECOND).await;
        let (result, took) = home.net.time(home.server.reconnect()).await;
        assert_eq!((result.is_ok(), took.as_secs()), (true, 3));
        home.net.lead("asked", Lead::From(Duration::MAX, home.asked.clone()));
        // The error names both.
        home.net.lead("source", Lead::From(Duration::MAX, home.asked.clone()));
        home.net.advance(SECOND).await;
        let error = home.net.run(home.server.reconnect()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        let text = error.to_string();
        assert!(text.contains("looking it up again failed") && text.contains("http://source"));
    }
}

#[tokio::test]
async fn a_panic_of_only_reaches_the_caller_who_started() {
    let home = Home::new(as_asked).await;
    let is_first = AtomicBool::new(false);
    let panics = Arc::new(AtomicBool::new(false));
    let armed = panics.clone();
    let client = home.net.client("asked", |builder| builder);
    let connect = client.connect(&source()).only(move |_| {
        let panics = armed.load(SeqCst) && !is_first.swap(true, SeqCst);
        assert!(!panics, "of the app");
        true
    });
    let server = home.net.run(connect.into_future()).await.unwrap();
    panics.store(true, SeqCst);
    let callers = [(); 2].map(|()| {
        let server = server.clone();
        tokio::spawn(async move { server.reconnect().await })
    });
    let [first, second] = callers;
    let (first, second) = home.net.run(async { tokio::join!(first, second) }).await;
    assert!(first.unwrap_err().is_panic());
    second.unwrap().unwrap();
}

#[test]
fn callers_outside_a_runtime_or_beside_a_blocked_one_fail() {
    let asked = Server::start(|_| device("token", &[local(SOURCE.url())]));
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (blocked, second) = (runtime(), runtime());
    let client = asked.builder().allow_insecure_http(true).build().unwrap();
    let connect = client.connect(&source()).timeout(100 * MS);
    let server = second.block_on(connect.into_future()).unwrap();
    let outside = server.reconnect().now_or_never().expect("it waits");
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::NoRuntime);

    let (began, begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let starter = server.clone();
    blocked.spawn(async move {
        assert!(starter.reconnect().now_or_never().is_none());
        began.send(()).unwrap();
        let _ = released.recv();
    });
    begun.recv().unwrap();
    let error = second.block_on(server.reconnect()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    release.send(()).unwrap();
}

#[tokio::test]
async fn callers_in_a_loop_share_one_look_up_a_second() {
    for callers in [3, 1_000] {
        let works = Arc::new(AtomicBool::new(false));
        let is_up = works.clone();
        let home = Home::new(move |request| match is_refresh(request) && !is_up.load(SeqCst) {
            true => respond(403, &[], ""),
            false => as_asked(request),
        });
        let home = home.await;
        // It has restarted.
        home.net.http("source", |request| match request.header("x-plex-token") {
            Some("token-0") => respond(401, &[], ""),
            _ => as_source(request),
        });
        let calls = Arc::new(AtomicUsize::new(0));
        let looping = (0..callers).map(|_| {
            let (server, calls) = (home.server.clone(), calls.clone());
            tokio::spawn(async move {
                while server.reconnect().await.is_err() {
                    calls.fetch_add(1, SeqCst);
                }
            })
        });
        let looping = join_all(looping.collect::<Vec<_>>());
        let repaired = async {
            sleep(1_500 * MS).await;
            works.store(true, SeqCst);
        };
        let (_, took) = home.net.time(async { tokio::join!(looping, repaired) }).await;
        assert_eq!(took.as_secs(), 2);
        assert_eq!((calls.load(SeqCst), home.refreshes()), (2 * callers, 3));
        assert_eq!(home.net.times("asked"), [0, 0, 1_000, 2_000]);
        assert!(home.token() != "token-0");
    }
}

#[tokio::test]
async fn a_dropped_or_unpolled_caller_holds_up_nobody() {
    let home = Home::new(as_asked).await;
    let mut kept = Box::pin(home.server.reconnect());
    // It is polled once, and its look-up is under way.
    assert!((&mut kept).now_or_never().is_none());
    let dropped = tokio::spawn({
        let server = home.server.clone();
        async move { server.reconnect().await }
    });
    tokio::task::yield_now().await;
    dropped.abort();
    home.net.run(home.server.reconnect()).await.unwrap();
    assert_eq!((home.token(), home.refreshes()), ("token-1".to_owned(), 1));
    // A run goes on when all its callers have left.
    home.net.advance(SECOND).await;
    drop(kept);
    assert!(home.server.reconnect().now_or_never().is_none());
    home.net.run(sleep(100 * MS)).await;
    assert_eq!(home.refreshes(), 2);
}

#[tokio::test]
async fn nobody_gets_a_result_that_is_older_than_a_second() {
    let home = Home::new(as_asked).await;
    home.net.run(home.server.reconnect()).await.unwrap();
    home.net.advance(999 * MS).await;
    home.server.reconnect().now_or_never().expect("it waits").unwrap();
    assert_eq!(home.refreshes(), 1);
    home.net.advance(2 * MS).await;
    home.net.run(home.server.reconnect()).await.unwrap();
    assert_eq!(home.refreshes(), 2);
}

/// Answers once on each connection. The first one is silent from then on, as if its network was gone.
fn black_hole(answer: Vec<u8>) -> Server {
    Server::start(move |_| vec![Step::Send(answer.clone()), Step::Silence])
}

#[tokio::test]
async fn reconnect_is_not_slowed_down_by_dead_connections() {
    // Three dead ones to each server, and no retries, or a time-out as short as one attempt.
    for timeout in [30 * SECOND, 2 * SECOND] {
        let net = Net::new();
        let asked = net.add("asked", black_hole(device("token", &[local(http("source"))])));
        let server = net.add("source", black_hole(identity(ID)));
        let pooled = |it: ClientBuilder| {
            it.configure_http(|http| http.pool_max_idle_per_host(3)).timeout(timeout)
        };
        let client = net.client("asked", pooled);
        let source = source();
        let look_ups = (0..3).map(|_| client.source_connection_information(&source));
        net.run(join_all(look_ups)).await;
        let fresh = net.client("asked", pooled);
        let connected = net.run(fresh.connect(&source).timeout(timeout).into_future()).await;
        let connected = connected.unwrap();
        let calls = (0..3).map(|_| async { connected.client().identity().await });
        net.run(join_all(calls)).await;
        let before = asked.connections() + server.connections();

        let (result, took) = net.time(connected.reconnect()).await;

        // The trial of the token meets a black hole, too: it takes a second at most.
        assert!(result.is_ok() && took < 1_050 * MS, "{took:?}");
        assert_eq!(asked.connections() + server.connections(), before + 2);
    }
}

#[tokio::test]
async fn reconnect_finds_a_candidate_that_takes_6_s() {
    let home = Home::new(as_asked).await;
    home.net.lead("source", Lead::After(6 * SECOND, Server::start(as_source).into()));
    let client = home.net.client("asked", |builder| builder.connect_timeout(20 * SECOND));
    let server = home.net.run(client.connect(&source()).into_future()).await.unwrap();
    home.net.advance(SECOND).await;
    home.net.run(server.reconnect()).await.unwrap();
}

#[tokio::test]
async fn a_cache_of_a_source_survives_its_restart() {
    let home = Home::new(as_asked).await;
    let cache = TokenCache::of_source(&home.server);
    home.net.run(cache.token()).await.unwrap();
    let restarted = home.net.http("source", accepting("token-1"));
    home.net.advance(48 * 3_600 * SECOND).await;
    home.net.run(cache.token()).await.unwrap();
    assert_eq!((home.refreshes(), home.token()), (1, "token-1".to_owned()));
    // Refused, asked for its identity, asked for a token.
    assert_eq!(restarted.count(), 3);
}

#[tokio::test]
async fn a_cache_reconnects_on_401_only() {
    let home = Home::new(as_asked).await;
    let cache = TokenCache::of_source(&home.server);
    home.net.advance(48 * 3_600 * SECOND).await;
    home.net.http("source", |_| respond(403, &[("X-Plex-Protocol", "1.0")], ""));
    let error = home.net.run(cache.token()).await.unwrap_err();
    assert_eq!((error.kind(), home.refreshes()), (ErrorKind::Forbidden, 0));
}

#[tokio::test]
async fn a_cache_of_a_source_ends_with_its_time_out() {
    let home = Home::new(as_asked).await;
    let client = home.net.client("asked", |it| it.timeout(2 * SECOND).connect_timeout(9 * SECOND));
    let connect = client.connect(&source()).timeout(30 * SECOND);
    let server = home.net.run(connect.into_future()).await.unwrap();
    let cache = TokenCache::of_source(&server);
    // The first token has expired, the source has restarted, and the asked server is silent.
    home.net.advance(48 * 3_600 * SECOND).await;
    home.net.http("source", accepting("none"));
    home.net.lead("asked", Lead::Nowhere);
    let (result, took) = home.net.time(cache.token()).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), took.as_secs()), (ErrorKind::Unauthorized, 2), "{error}");
}

#[tokio::test]
async fn a_source_that_refuses_everything_sees_no_storm() {
    let home = Home::new(as_asked).await;
    let refusing = home.net.http("source", accepting("none"));
    let cache = TokenCache::of_source(&home.server);
    // The token that `connect` fetched has expired.
    home.net.advance(48 * 3_600 * SECOND).await;
    let callers = (0..20).map(|_| async {
        loop {
            cache.token().await.unwrap_err();
            sleep(50 * MS).await;
        }
    });
    let callers = async {
        tokio::select! {
            _ = join_all(callers) => {}
            () = sleep(10 * SECOND) => {}
        }
    };
    home.net.run(callers).await;
    // At 0, 1, 3 and 7 s.
    assert_eq!((home.refreshes(), refusing.count()), (4, 12));
}
