//! Every rule of `Client::connect`, over real sockets; what depends on time, by a stopped clock.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use plex_auth::{ClientBuilder, Connect, Connected, Error, ErrorKind, Source};
use serde_json::{Value, json};
use support::leak::{Search, shown};
use support::net::{Lead, Net};
use support::tls::{AUTHORITY, Authority};
use support::{Request, Server, Step, Steps, TOKEN, no_tasks_left, refusing_port, respond, until};
use tokio::time::{Instant, timeout};

pub(crate) const ID: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const DEVICE_TOKEN: &str = "fJ6yWq0RzUe3HsVx1NkP";
const HASH: &str = "93b10b279ff8456686414add109854cd";
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A connection as a server lists it.
pub(crate) fn local(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "local": true })
}

pub(crate) fn remote(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into() })
}

pub(crate) fn relay(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "relay": true })
}

pub(crate) fn device(access_token: &str, connections: &[Value]) -> Vec<u8> {
    let device = json!({
        "clientIdentifier": ID, "accessToken": access_token, "Connection": connections
    });
    support::json(json!({ "MediaContainer": { "size": 1, "Device": [device] } }).to_string())
}

/// The server that is asked for the source, and what it says after `refresh=1`.
fn answers(first: Vec<u8>, refreshed: Vec<u8>) -> Server {
    Server::start(move |request| match is_refresh(request) {
        true => refreshed.clone(),
        false => first.clone(),
    })
}

pub(crate) fn is_refresh(request: &Request) -> bool {
    request.target().contains("refresh=1")
}

/// One that lists these connections.
fn knows(connections: Vec<Value>, refreshed: Vec<Value>) -> Server {
    answers(device(DEVICE_TOKEN, &connections), device(DEVICE_TOKEN, &refreshed))
}

fn identity_body(identifier: &str) -> String {
    json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } }).to_string()
}

pub(crate) fn identity(identifier: &str) -> Vec<u8> {
    support::json(identity_body(identifier))
}

pub(crate) fn as_source(request: &Request) -> Vec<u8> {
    match request.path().ends_with("/identity") {
        true => identity(ID),
        false => support::json(r#"{"MediaContainer":{"token":"fresh"}}"#),
    }
}

pub(crate) fn as_another(_: &Request) -> Vec<u8> {
    identity("another")
}

fn right() -> Server {
    Server::start(as_source)
}

fn silent() -> Server {
    Server::raw(Step::Silence)
}

pub(crate) fn source() -> Source {
    Source::server(ID).unwrap()
}

/// `https` by a `plex.direct` name.
fn plex_direct(address: SocketAddr) -> String {
    format!("https://127-0-0-1.{HASH}.plex.direct:{}", address.port())
}

fn certified(authority: &Authority, script: fn(&Request) -> Vec<u8>) -> Server {
    Server::start_tls(authority.server(&format!("*.{HASH}.plex.direct")), script)
}

/// A client that connects by `http`, too: most rules are the same for both.
fn plain(asked: &Server) -> ClientBuilder {
    asked.builder().allow_insecure_http(true)
}

async fn connect(asked: &Server) -> Result<Connected, Error> {
    plain(asked).build().unwrap().connect(&source()).await
}

fn tokens() -> Search {
    Search::new(&[TOKEN, DEVICE_TOKEN])
}

#[track_caller]
fn assert_no_token(server: &Server) {
    let heads = server.requests().into_iter().map(|request| request.head).collect::<String>();
    let sent = heads + &String::from_utf8_lossy(&server.other_bytes());
    assert!(!sent.to_ascii_lowercase().contains("x-plex-token"), "a token was sent");
    assert!(!tokens().finds_in(&sent), "a token was sent");
}

pub(crate) fn https(name: &str) -> String {
    format!("https://{name}.home.lan")
}

pub(crate) fn http(name: &str) -> String {
    format!("http://{name}.home.lan")
}

fn silent_ones(count: usize) -> Vec<Value> {
    (1..=count).map(|number| local(https(&format!("silent-{number}")))).collect()
}

/// What became of a `connect` in a network of names.
struct Raced {
    result: Result<Connected, Error>,
    /// How long it took, in steps of 10 ms.
    took: u128,
    /// Which candidates were started, and when.
    started: Vec<(String, u128)>,
    /// How often the source was looked up, and when.
    looked_up: Vec<u128>,
}

impl Raced {
    #[track_caller]
    fn assert_winner(&self, name: &str, took: u128) {
        let connection = self.result.as_ref().unwrap().connection();
        assert_eq!(connection.uri.host_str(), Some(&*format!("{name}.home.lan")));
        assert_eq!(self.took, took, "{:?}", self.started);
    }

    #[track_caller]
    fn assert_started(&self, expected: &[(&str, u128)]) {
        let started: Vec<_> = self.started.iter().map(|(name, at)| (&**name, *at)).collect();
        let count = expected.len().min(started.len());
        assert_eq!(&started[..count], expected, "{started:?}");
    }
}

/// Asks `asked` for the source, and connects.
async fn race(net: &Net, asked: Server, with: impl FnOnce(Connect) -> Connect) -> Raced {
    net.lead("asked", Lead::After(Duration::ZERO, asked.into()));
    let client = net.client("asked", |builder| builder);
    let begun = Instant::now();
    let result = net.run(with(client.connect(&source())).into_future()).await;
    let took = begun.elapsed().as_millis() / 10 * 10;
    let (asked, started) = net.log().into_iter().partition(|(name, _)| name == "asked");
    let asked: Vec<(String, u128)> = asked;
    Raced { result, took, started, looked_up: asked.into_iter().map(|(_, at)| at).collect() }
}

/// The same, with one list.
async fn race_to(net: &Net, listed: &[Value]) -> Raced {
    race(net, knows(listed.to_vec(), listed.to_vec()), |connect| connect).await
}

/// The same, for 6 s, in which each candidate has started.
async fn race_6_s(net: &Net, listed: &[Value]) -> Raced {
    let asked = knows(listed.to_vec(), listed.to_vec());
    race(net, asked, |connect| connect.timeout(6 * SECOND)).await
}

#[tokio::test]
async fn the_right_one_of_five_is_found_and_no_other_gets_a_token() {
    let [relayed, right] = [0, 1].map(|_| certified(&AUTHORITY, as_source));
    let wrong = certified(&AUTHORITY, as_another);
    let ((_port, dead), silent) = (refusing_port(), silent());
    let mut listed = vec![relay(plex_direct(relayed.address()))];
    let addresses = [dead, silent.address(), wrong.address(), right.address()];
    listed.extend(addresses.map(|address| local(plex_direct(address))));
    let asked = knows(listed, vec![]);

    let connected = asked.client().connect(&source()).await.unwrap();

    let uri = plex_direct(right.address()) + "/";
    assert_eq!(connected.connection().uri.as_str(), uri);
    assert_eq!(connected.client().address(), &connected.connection().uri);
    connected.client().transient_token().await.unwrap();
    assert_eq!(right.requests()[1].header("x-plex-token"), Some(DEVICE_TOKEN));
    assert_eq!(wrong.request().path(), "/identity");
    assert_eq!((silent.connections(), relayed.connections()), (1, 0));
    assert_no_token(&silent);
    assert_no_token(&wrong);
}

#[tokio::test]
async fn identity_is_asked_without_token_and_client_headers() {
    let right = right();
    let asked = knows(vec![local(format!("{}/prefix/", right.url()))], vec![]);
    let client = plain(&asked).product("Remote").build().unwrap();
    let connected = client.connect(&source()).await.unwrap();
    connected.client().transient_token().await.unwrap();

    let [identity, call] = &right.requests()[..] else { panic!("two requests were expected") };
    assert_eq!((identity.method(), identity.target()), ("GET", "/prefix/identity"));
    let mut headers: Vec<_> = identity.headers().into_iter().map(|(name, _)| name).collect();
    headers.sort();
    assert_eq!(headers, ["accept", "accept-encoding", "host", "user-agent"]);
    assert_eq!(identity.header("accept"), Some("application/json"));
    // The call has them, and the connection that was verified.
    assert_eq!(call.path(), "/prefix/security/token");
    for (name, value) in [("token", DEVICE_TOKEN), ("product", "Remote")] {
        assert_eq!(call.header(&format!("x-plex-{name}")), Some(value));
    }
    assert_eq!(right.connections(), 1);
    assert!(!tokens().finds_in(&format!("{connected:?}")), "a token is shown");
}

#[tokio::test]
async fn only_a_good_response_with_the_devices_identifier_verifies_a_candidate() {
    use ErrorKind::*;
    let good = &identity_body(ID);
    let other = |body: &str| support::json(body).into();
    let padded = format!("{}{good}", " ".repeat(16 * 1024));
    let cases: [(Steps, ErrorKind); 18] = [
        (identity("canary").into(), WrongServer),
        (identity("").into(), WrongServer),
        (identity(&format!("{ID}0")).into(), WrongServer),
        (other("<MediaContainer machineIdentifier='\x1b[31mcanary'/>"), WrongServer),
        (other(r#"{"canary":1}"#), Decode),
        (other(r#"{"MediaContainer":{"machineIdentifier":["canary"]}}"#), Decode),
        (other(&format!("[{good}]")), Decode),
        (other(&format!("<!DOCTYPE a><MediaContainer machineIdentifier='{ID}'/>")), Decode),
        (other("<html>canary"), Decode),
        (respond(200, &[("Content-Encoding", "gzip")], good).into(), Decode),
        (other(&good[..20]), Decode),
        (other(&padded), BodyTooLarge),
        (respond(302, &[("Location", "/canary")], good).into(), Redirect),
        (respond(401, &[], "canary").into(), Proxy),
        (respond(403, &[], "canary").into(), Proxy),
        (respond(404, &[], good).into(), NotFound),
        (respond(503, &[("Retry-After", "86400")], good).into(), Unavailable),
        (b"canary\r\n\r\n".to_vec().into(), Protocol),
    ];
    let (steps, kinds): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let servers: Vec<_> =
        steps.into_iter().map(|steps| Server::start(move |_| steps.clone())).collect();
    let asked = knows(servers.iter().map(|server| local(server.url())).collect(), vec![]);
    let client = plain(&asked).build().unwrap();
    let error = client.connect(&source()).await.unwrap_err();

    let text = error.to_string();
    let begin = format!("connecting to server://{ID}: no connection works (18 attempts): http");
    assert!(text.starts_with(&begin) && text.lines().count() == 1, "{text}");
    assert!(error.kind() == Unreachable && error.is_retryable());
    assert_eq!(error.candidates().len(), kinds.len());
    for ((candidate, kind), server) in error.candidates().iter().zip(kinds).zip(&servers) {
        assert_eq!(candidate.origin(), server.url());
        assert_eq!(candidate.error().kind(), kind, "{candidate}");
        let shown = format!("{candidate} {}", shown(candidate.error()));
        assert!(!shown.contains("canary") && !shown.contains('\x1b'), "{shown}");
        assert!(!shown.contains("accept the token") && !shown.contains("token may"), "{shown}");
        assert_no_token(server);
    }
}

#[tokio::test]
async fn a_candidate_that_must_not_be_asked_is_skipped_with_a_reason() {
    let right = right();
    let here = right.address();
    let link_local = "a link-local address";
    let public = "a host that is not local";
    let rows = [
        (false, format!("https://{here}/web/index.html"), "leave out `/web`"),
        (false, "https://127.0.0.1/:32400".into(), "the port stands behind a slash"),
        (false, "https://127.0.0.1:0".into(), "its port is 0"),
        (false, "https://app.plex.tv".into(), "Plex's web app"),
        (false, format!("https://{}", "a.".repeat(40_000)), "it is too long"),
        (false, "https://169.254.1.1".into(), link_local),
        (false, format!("https://169-254-1-1.{HASH}.plex.direct"), link_local),
        (false, "https://[fec0::1]".into(), "site-local"),
        (false, "https://[::]".into(), "stand for no machine"),
        (false, right.url(), "allow it with `.allow_insecure_http(true)`"),
        (true, "http://169.254.1.1".into(), link_local),
        (true, "http://8.8.8.8:32400".into(), public),
        (true, format!("http://8-8-8-8.{HASH}.plex.direct"), public),
    ];
    for (allow, uri, reason) in rows {
        let asked = knows(vec![local(&*uri)], vec![local(&*uri)]);
        let client = asked.builder().allow_insecure_http(allow).build().unwrap();
        let error = client.connect(&source()).await.unwrap_err();
        let [candidate] = error.candidates() else { panic!("{error}") };
        assert_eq!(candidate.error().kind(), ErrorKind::Skipped, "{error}");
        assert_eq!((candidate.error().attempts(), error.attempts()), (0, 0), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn each_class_starts_at_its_time_local_before_remote_and_each_uri_once() {
    let listed = [
        relay(https("silent-relay")),
        local(http("silent-http-local")),
        remote(https("silent-2-remote")),
        remote(http("silent-http-remote")),
        local(https("silent-1")),
        local(https("silent-1-second")),
        local(format!("{}:443/", https("SILENT-1"))),
        local(http("silent-http-local")),
    ];
    let raced = race_6_s(&Net::new(), &listed).await;
    raced.assert_started(&[
        ("silent-1", 0),
        ("silent-1-second", 250),
        ("silent-2-remote", 260),
        ("silent-http-local", 750),
        ("silent-http-remote", 760),
        ("silent-relay", 1_500),
    ]);
    assert_eq!(raced.result.unwrap_err().candidates().len(), 6);
}

#[tokio::test]
async fn the_next_one_starts_at_once_where_nothing_runs_that_may_still_succeed() {
    let net = Net::new();
    for name in ["1-wrong", "2-wrong"] {
        net.https(name, as_another);
    }
    net.https("4-starting", |_| respond(503, &[], ""));
    let names = ["1-wrong", "2-wrong", "silent-3", "4-starting", "silent-5"];
    let raced = race_6_s(&net, &names.map(|name| local(https(name)))).await;
    let expected = [("1-wrong", 0), ("2-wrong", 0), ("silent-3", 0), ("4-starting", 270)];
    raced.assert_started(&expected);
    assert_eq!(raced.started[4], ("silent-5".to_owned(), 280));

    // One that is asked again may still succeed.
    drop(net);
    let net = Net::new();
    net.https("starting", |_| respond(503, &[], ""));
    let listed = [local(https("starting")), relay(https("silent-relay"))];
    let raced = race_6_s(&net, &listed).await;
    let at = raced.started.iter().find(|(name, _)| name == "silent-relay").unwrap().1;
    assert_eq!(at, 1_500, "{:?}", raced.started);
}

#[tokio::test]
async fn a_remote_one_waits_150_ms_for_a_local_https_one_that_was_started_before_it() {
    let (near, far) = ("near", "far");
    let mut near_relay = local(https(near));
    near_relay["relay"] = true.into();
    let rows = [
        // When the local one, whose class starts at 0, and the remote one have answered.
        (local(https(near)), remote(https(far)), [430, 40], near, 430),
        (local(https(near)), remote(https(far)), [450, 40], far, 440),
        // No other local one is waited for.
        (local(http(near)), remote(http(far)), [400, 40], far, 290),
        (local(https(near)), local(https(far)), [400, 40], far, 290),
        (near_relay, relay(https(far)), [400, 40], far, 290),
    ];
    for (first, second, answer, winner, took) in rows {
        let net = Net::new();
        for (name, connection, after) in [(near, &first, answer[0]), (far, &second, answer[1])] {
            let is_https = connection["uri"].as_str().unwrap().starts_with("https");
            let add = if is_https { Net::https } else { Net::http };
            net.lead(name, Lead::After(after * MS, add(&net, name, as_source)));
        }
        race_to(&net, &[first, second]).await.assert_winner(winner, took);
    }
}

#[tokio::test]
async fn a_local_one_that_has_failed_or_was_started_later_is_not_waited_for() {
    let net = Net::new();
    net.https("starting", |_| respond(503, &[], ""));
    net.https("far", as_source);
    let listed = [local(https("starting")), remote(https("far"))];
    race_to(&net, &listed).await.assert_winner("far", 250);
    drop(net);

    let net = Net::new();
    for (name, after) in [("far", 300), ("near", 100)] {
        let server = net.https(name, as_source);
        net.lead(name, Lead::After(after * MS, server));
    }
    let asked = knows(vec![local(https("near")), remote(https("far"))], vec![]);
    let far = https("far").parse().unwrap();
    race(&net, asked, |connect| connect.prefer(&far)).await.assert_winner("far", 300);
}

#[tokio::test]
async fn a_bare_address_goes_on_with_the_plex_direct_address_of_its_certificate() {
    let right = certified(&AUTHORITY, as_source);
    let wrong = certified(&AUTHORITY, as_another);
    let bare = |server: &Server| local(format!("https://{}", server.address()));
    let connected = connect(&knows(vec![bare(&wrong), bare(&right)], vec![])).await.unwrap();
    assert_eq!(connected.connection().uri.as_str(), plex_direct(right.address()) + "/");
    assert_no_token(&wrong);

    let asked = knows(vec![bare(&right)], vec![]);
    let client = plain(&asked).build().unwrap();
    let only = |connection: &plex_auth::Connection| connection.uri.host_str() == Some("127.0.0.1");
    let error = client.connect(&source()).only(only).await.unwrap_err();
    assert_eq!(error.candidates()[0].error().kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn a_source_whose_port_is_refused_or_whose_proxy_answers_502_for_3_s_is_found_within_5_s() {
    for is_proxy in [false, true] {
        let net = Net::new();
        let server = net.http("restarting", move |request| match request.number {
            0..4 if is_proxy => respond(502, &[], ""),
            _ => as_source(request),
        });
        if !is_proxy {
            net.lead("restarting", Lead::From(3 * SECOND, server));
        }
        let raced = race_to(&net, &[local(http("restarting"))]).await;
        // Asked after 250 and 500 ms, 1 and 2 s.
        assert!(raced.result.is_ok() && (3_750..3_800).contains(&raced.took), "{}", raced.took);
        assert_eq!(raced.started.len(), 5);
    }
}

#[tokio::test]
async fn a_race_in_which_only_transient_failures_are_left_ends_after_5_s() {
    for (listed, took) in [
        // Connecting has timed out after 5 s.
        (vec![local(http("silent"))], 10_000),
        (vec![local(http("silent")), local(http("wrong"))], 10_000),
        // It was asked 6 times.
        (vec![local(http("dead"))], 7_750),
        (vec![local(http("wrong"))], 0),
    ] {
        let net = Net::new();
        net.http("wrong", as_another);
        let raced = race_to(&net, &listed).await;
        assert_eq!(raced.result.unwrap_err().kind(), ErrorKind::Unreachable);
        assert_eq!(raced.took, took, "{listed:?}");
    }
}

#[tokio::test]
async fn the_source_is_looked_up_again_after_3_s_once_and_its_new_addresses_join_at_once() {
    let net = Net::new();
    let refreshed = [
        relay(https("silent-relay")),
        local(http("silent-http")),
        local(https("silent-1")),
        local(https("silent-new")),
    ];
    let raced = race(&net, knows(silent_ones(1), refreshed.to_vec()), |connect| connect).await;
    let expected = ["silent-new", "silent-http", "silent-relay"];
    let expected = std::iter::zip(expected, [3_000, 3_010, 3_020]).collect::<Vec<_>>();
    raced.assert_started(&[vec![("silent-1", 0)], expected].concat());
    assert_eq!(raced.looked_up, [0, 3_000]);
    assert_eq!(raced.result.unwrap_err().candidates().len(), 4);
    drop(net);

    let net = Net::new();
    net.https("good", as_source);
    let asked = answers(device("old", &silent_ones(9)), device("new", &[local(https("good"))]));
    let raced = race(&net, asked, |connect| connect).await;
    raced.assert_winner("good", 3_000);
    assert_eq!(raced.result.unwrap().device().access_token.expose_secret(), "new");
}

#[tokio::test]
async fn the_source_is_looked_up_again_at_once_when_every_candidate_has_failed_for_good() {
    let net = Net::new();
    net.https("wrong", as_another);
    net.https("good", as_source);
    let good = vec![local(https("good"))];
    let raced = race(&net, knows(vec![local(https("wrong"))], good), |connect| connect).await;
    raced.assert_winner("good", 0);
    assert_eq!(raced.looked_up, [0, 0]);
}

#[tokio::test]
async fn of_a_hostile_list_100_direct_ones_and_10_relays_are_tried() {
    let uris = |kind: &'static str, count| {
        (0..count).map(move |number| https(&format!("silent-{kind}-{number}")))
    };
    let direct = uris("direct", 200).map(local);
    let all: Vec<_> = direct.chain(uris("relay", 20).map(relay)).collect();
    let raced = race_6_s(&Net::new(), &all).await;
    let tried: BTreeSet<_> = raced.started.iter().map(|(name, _)| name).collect();
    let relays = tried.iter().filter(|name| name.starts_with("silent-relay")).count();
    assert_eq!((tried.len() - relays, relays), (100, 10));

    let error = raced.result.unwrap_err();
    assert_eq!(error.candidates().len(), 220);
    for (index, reason) in [(100, "the first 100 connections"), (210, "the first 10 relays")] {
        let candidate = &error.candidates()[index];
        assert_eq!(candidate.error().kind(), ErrorKind::Skipped);
        assert!(candidate.to_string().contains(reason), "{candidate}");
    }
}

#[tokio::test]
async fn of_100_paths_of_one_host_4_are_asked_6_times_each() {
    let net = Net::new();
    let busy = net.http("busy", |_| respond(503, &[], ""));
    let at = |number| local(format!("{}/{number}", http("busy")));
    // As long as it has not timed out, the race does not end.
    let listed: Vec<_> = (0..100).map(at).chain([local(http("silent"))]).collect();
    let error = race_to(&net, &listed).await.result.unwrap_err();
    assert_eq!(busy.count(), 4 * 6);
    let skipped = &error.candidates()[4];
    assert!(skipped.to_string().contains("only 4 connections to one host and port"), "{skipped}");
}

#[tokio::test]
async fn the_preferred_address_is_tried_alone_for_250_ms_if_it_is_listed_and_usable() {
    let public = "http://silent.example".to_owned();
    let others = vec![relay(https("silent-relay")), remote(public.clone())];
    let listed = [silent_ones(2), others].concat();
    let others = [("silent-1", 0), ("silent-2", 250)];
    for (prefer, expected) in [
        (https("silent-2"), [("silent-2", 0), ("silent-1", 250)]),
        (https("silent-relay"), [("silent-relay", 0), ("silent-1", 250)]),
        (https("silent-unlisted"), others),
        // It must not be asked.
        (public, others),
    ] {
        let prefer = prefer.parse().unwrap();
        let asked = knows(listed.clone(), vec![]);
        let raced =
            race(&Net::new(), asked, |connect| connect.prefer(&prefer).timeout(2 * SECOND)).await;
        raced.assert_started(&expected);
    }
}

#[tokio::test]
async fn only_says_which_connections_may_be_used() {
    let net = Net::new();
    for name in ["near", "far"] {
        net.https(name, as_source);
    }
    let asked = knows(vec![local(https("near")), remote(https("far"))], vec![]);
    let raced = race(&net, asked, |connect| connect.only(|connection| !connection.local)).await;
    raced.assert_winner("far", 0);
    drop(net);

    let asked = knows(vec![local(https("near"))], vec![]);
    let raced = race(&Net::new(), asked, |connect| connect.only(|_| false)).await;
    let error = raced.result.unwrap_err();
    assert!(raced.started.is_empty() && error.to_string().contains("`.only(..)` leaves it out"));
}

#[tokio::test]
async fn connect_ends_within_its_timeout_and_says_what_was_not_tried() {
    let relays = (0..10).map(|number| relay(https(&format!("silent-relay-{number}"))));
    let listed: Vec<_> = silent_ones(1).into_iter().chain(relays).collect();
    let asked = knows(listed, vec![]);
    let raced = race(&Net::new(), asked, |connect| connect.timeout(20 * MS * 3)).await;
    let error = raced.result.unwrap_err();
    assert_eq!((raced.took, error.candidates().len()), (60, 11));
    let [first, .., last] = error.candidates() else { panic!("{error}") };
    assert!(first.to_string().ends_with("no answer before the time was up"), "{first}");
    assert!(last.to_string().ends_with("not tried before the time was up"), "{last}");
    assert_eq!((first.error().attempts(), last.error().attempts()), (1, 0));

    // The look-up counts.
    let net = Net::new();
    net.lead("asked", Lead::Nowhere);
    let client = net.client("asked", |builder| builder.connect_timeout(30 * SECOND));
    let started = Instant::now();
    let connecting = client.connect(&source()).timeout(2 * SECOND).into_future();
    let error = net.run(connecting).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed().as_secs()), (ErrorKind::Timeout, 2), "{error}");

    let error = client.connect(&source()).timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSetting);
    assert!(error.to_string().contains("`timeout`"), "{error}");
}

#[tokio::test]
async fn a_provider_is_taken_at_its_first_secure_name_without_being_asked() {
    let provider = certified(&AUTHORITY, as_source);
    let impostor = certified(&Authority::new(), as_source);
    let bare = || vec![local("http://nas.lan"), local(format!("https://{}", provider.address()))];
    let source = Source::provider("tv.plex.provider.vod").unwrap();
    let connect = async |listed: Vec<Value>| knows(listed, vec![]).client().connect(&source).await;

    let listed = [bare(), vec![local(plex_direct(provider.address()))]].concat();
    let connected = connect(listed).await.unwrap();
    assert_eq!(provider.connections(), 0, "it was asked");
    connected.client().transient_token().await.unwrap();
    assert_eq!(provider.request().header("x-plex-token"), Some(DEVICE_TOKEN));

    let connected = connect(vec![local(plex_direct(impostor.address()))]).await.unwrap();
    let error = connected.client().transient_token().await.unwrap_err();
    assert_eq!((error.kind(), impostor.count()), (ErrorKind::Tls, 0), "{error}");

    let error = connect(bare()).await.unwrap_err();
    assert_eq!(error.candidates().len(), 2);
    for candidate in error.candidates() {
        assert!(candidate.to_string().contains("`https` and a host name only"), "{candidate}");
    }
}

#[tokio::test]
async fn a_failed_look_up_is_the_error_or_part_of_its_text() {
    let dead = device(DEVICE_TOKEN, &[local("http://127.0.0.1:1")]);
    let right = right();
    let other = device(DEVICE_TOKEN, &[local(right.url())]);
    let other = String::from_utf8(other).unwrap().replace(ID, &ID.replace("243b", "b342"));
    let rows = [
        (respond(403, &[], ""), vec![], ErrorKind::Forbidden, "the token may not do this"),
        (dead.clone(), respond(403, &[], ""), ErrorKind::Unreachable, "up again failed (looking"),
        (dead, other.into_bytes(), ErrorKind::Unreachable, "does not know this source"),
        (device(DEVICE_TOKEN, &[]), device(DEVICE_TOKEN, &[]), ErrorKind::Unreachable, "it has no"),
    ];
    for (first, second, kind, says) in rows {
        let error = connect(&answers(first, second)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(!tokens().finds_in(&shown(&error)), "a token is shown");
    }
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn a_server_that_is_replaced_after_it_was_verified_never_gets_the_token() {
    let net = Net::new();
    net.https("nas", as_source);
    let listed = knows(vec![local(https("nas"))], vec![]);
    let connected = race(&net, listed, |connect| connect).await.result.unwrap();

    let config = Authority::new().server("*.home.lan");
    let impostor = net.add("nas", Server::start_tls(config, as_source));
    let error = net.run(connected.client().transient_token()).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert_eq!(impostor.connections(), 1);
    assert_no_token(&impostor);
}

#[tokio::test]
async fn the_winner_drops_the_others_and_a_dropped_call_all_of_them() {
    let (silent, slow_tls, right) = (silent(), silent(), right());
    let listed = [silent.url(), plex_direct(slow_tls.address()), right.url()].map(local);
    let asked = knows(listed.to_vec(), vec![]);
    let connected = connect(&asked).await.unwrap();
    let open = || silent.open() + slow_tls.open();
    until(|| open() == 0).await;
    assert_eq!((silent.connections(), slow_tls.connections(), right.open()), (1, 1, 1));
    drop(connected);

    let asked = knows(listed[..2].to_vec(), vec![]);
    let client = plain(&asked).build().unwrap();
    let source = source();
    timeout(SECOND * 2, client.connect(&source)).await.unwrap_err();
    assert_eq!((silent.connections(), slow_tls.connections()), (2, 2));
    until(|| open() == 0).await;
    drop(client);
    no_tasks_left().await;
}
