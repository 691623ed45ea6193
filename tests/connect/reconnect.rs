//! The handle that `connect` returns: how it reconnects, alone and for many tasks at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plex_auth::{Connected, ErrorKind, TokenCache};
use serde_json::Value;
use support::net::{Lead, Net};
use support::{Request, Server, Step, respond};
use tokio::time::{Instant, sleep};

use super::race::{
    ID, as_another, as_source, device, http, identity, is_refresh, local, relay, source,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A source behind `http://source.home.lan`, and the server that is asked for it.
struct Home {
    net: Net,
    asked: Arc<Server>,
    server: Connected,
}

fn listed() -> Vec<Value> {
    vec![local(http("source"))]
}

/// Lists the source with the access token `token-0`, and with another after each `refresh=1`.
fn as_asked(request: &Request) -> Vec<u8> {
    let number = if is_refresh(request) { request.number } else { 0 };
    device(&format!("token-{number}"), &listed())
}

impl Home {
    async fn new(asked: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let net = Net::new();
        let asked = net.http("asked", asked);
        for name in ["source", "other"] {
            net.http(name, as_source);
        }
        let client = net.client("asked", |builder| builder);
        let server = net.run(client.connect(&source()).into_future()).await.unwrap();
        Self { net, asked, server }
    }

    fn token(&self) -> String {
        self.server.device().access_token.expose_secret().to_owned()
    }

    /// How often the source was looked up with `refresh=1`.
    fn refreshes(&self) -> usize {
        self.asked.requests().iter().filter(|request| is_refresh(request)).count()
    }

    /// The candidates since the first connection, in the order in which they were started.
    fn started(&self) -> Vec<(String, u128)> {
        self.net.log().into_iter().filter(|(name, _)| name != "asked").skip(1).collect()
    }
}

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
async fn reconnect_prefers_the_connection_that_worked_keeps_only_and_looks_up_once() {
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
        let (begun, before) = (Instant::now(), net.log().len());

        net.run(server.reconnect()).await.unwrap_err();

        assert_eq!(begun.elapsed().as_secs(), 6);
        let mut log: Vec<_> = net.log().into_iter().skip(before).map(|(name, _)| name).collect();
        log.dedup();
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
async fn a_reconnection_with_transient_failures_only_ends_5_s_after_its_look_up() {
    let home = Home::new(as_asked).await;
    home.net.lead("source", Lead::From(Duration::MAX, Server::start(as_source).into()));
    let begun = Instant::now();
    home.net.run(home.server.reconnect()).await.unwrap_err();
    assert_eq!((begun.elapsed().as_secs(), home.refreshes()), (5, 1));
    // 0, 0.25, 0.75, 1.75 and 3.75 s.
    assert_eq!(home.started().len(), 5);
}

#[tokio::test]
async fn a_thousand_callers_at_once_and_those_within_a_second_share_one_look_up() {
    let home = Home::new(as_asked).await;
    let calls = (0..1_000).map(|_| {
        let server = home.server.clone();
        tokio::spawn(async move { server.reconnect().await })
    });
    for result in home.net.run(join_all(calls)).await {
        result.unwrap().unwrap();
    }
    assert_eq!(home.refreshes(), 1);
    home.net.advance(900 * MS).await;
    home.server.reconnect().now_or_never().expect("it waits").unwrap();
    assert_eq!(home.refreshes(), 1);
    home.net.advance(200 * MS).await;
    home.net.run(home.server.reconnect()).await.unwrap();
    assert_eq!((home.refreshes(), home.token()), (2, "token-2".to_owned()));
}

#[tokio::test]
async fn an_error_is_shared_with_those_who_waited_and_the_next_look_up_starts_a_second_later() {
    let home = Home::new(|request| match is_refresh(request) {
        true => respond(403, &[], ""),
        false => as_asked(request),
    });
    let home = home.await;
    let calls = (0..100).map(|_| home.server.reconnect());
    for result in home.net.run(join_all(calls)).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Forbidden);
    }
    assert_eq!(home.refreshes(), 1);
    home.net.run(home.server.reconnect()).await.unwrap_err();
    assert_eq!(home.net.times("asked"), [0, 0, 1_000]);
    // Who waited for one that was dropped looks up for itself.
    let [dropped, waiting] = [(); 2].map(|()| {
        let server = home.server.clone();
        tokio::spawn(async move { server.reconnect().await })
    });
    tokio::task::yield_now().await;
    dropped.abort();
    home.net.run(waiting).await.unwrap().unwrap_err();
    assert_eq!(home.net.times("asked"), [0, 0, 1_000, 2_000]);
}

#[tokio::test]
async fn after_the_caller_who_reconnects_is_dropped_the_next_one_goes_on_a_second_later() {
    let home = Home::new(as_asked).await;
    home.net.lead("asked", Lead::Nowhere);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let server = home.server.clone();
            tokio::spawn(async move { server.reconnect().await })
        })
        .collect();
    home.net.run(sleep(100 * MS)).await;
    callers[0].abort();
    // It waits for its turn.
    home.net.run(sleep(100 * MS)).await;
    callers[1].abort();
    home.net.lead("asked", Lead::After(Duration::ZERO, home.asked.clone()));
    let mut callers = callers.into_iter();
    home.net.run(callers.next_back().unwrap()).await.unwrap().unwrap();
    assert_eq!(home.net.times("asked"), [0, 0, 1_000]);
    assert_eq!(home.token(), "token-1");
}

/// Answers once on each connection. The first one is silent from then on, as if its network was gone.
fn black_hole(answer: Vec<u8>) -> Server {
    Server::start(move |_| vec![Step::Send(answer.clone()), Step::Silence])
}

#[tokio::test]
async fn pooled_connections_that_are_dead_cost_reconnect_connect_timeout_and_a_moment() {
    let net = Net::new();
    let asked = net.add("asked", black_hole(device("token", &listed())));
    let server = net.add("source", black_hole(identity(ID)));
    let client = net.client("asked", |builder| {
        let builder = builder.connect_timeout(5 * SECOND).max_retries(1);
        builder.configure_http(|http| http.pool_max_idle_per_host(1))
    });
    let connected = net.run(client.connect(&source()).into_future()).await.unwrap();
    let begun = Instant::now();
    net.run(connected.reconnect()).await.unwrap();
    let took = begun.elapsed();
    // Half a second for the source's.
    assert!((5_500 * MS..5_520 * MS).contains(&took), "{took:?}");
    assert_eq!((asked.connections(), server.connections()), (2, 2));
}

#[tokio::test]
async fn a_candidate_that_takes_6_s_is_found_by_reconnect_too() {
    let home = Home::new(as_asked).await;
    home.net.lead("source", Lead::After(6 * SECOND, Server::start(as_source).into()));
    let client = home.net.client("asked", |builder| builder.connect_timeout(20 * SECOND));
    let server = home.net.run(client.connect(&source()).into_future()).await.unwrap();
    home.net.advance(SECOND).await;
    home.net.run(server.reconnect()).await.unwrap();
}

/// A source that accepts the token of the look-up with this number.
fn accepting(number: &'static str) -> impl Fn(&Request) -> Vec<u8> {
    move |request| match request.header("x-plex-token") {
        Some(token) if token != number => respond(401, &[], ""),
        _ => as_source(request),
    }
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
async fn a_source_that_refuses_everything_sees_no_storm() {
    let home = Home::new(as_asked).await;
    let refusing = home.net.http("source", accepting("none"));
    let cache = TokenCache::of_source(&home.server);
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
