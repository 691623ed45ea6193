//! Every rule of `Client::connect`, over real sockets; what depends on time, by a stopped clock.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use plex_auth::{ClientBuilder, Connect, Connected, Device, Error, ErrorKind, Source};
use serde_json::Value;
use support::leak::{Search, shown};
use support::net::{Lead, Net};
use support::tls::{AUTHORITY, Authority};
use support::{Request, Server, Step, Steps, TOKEN, no_tasks_left, refusing_port, respond, until};
use tokio::time::timeout;

use super::{
    ID, MS, SECOND, as_another, as_source, connect_in, device, http, https, identity,
    identity_body, is_refresh, local, relay, remote, source,
};

const DEVICE_TOKEN: &str = "fJ6yWq0RzUe3HsVx1NkP";
const HASH: &str = "93b10b279ff8456686414add109854cd";

/// The server that is asked for the source, and what it says after `refresh=1`.
fn answers(first: Vec<u8>, refreshed: Vec<u8>) -> Server {
    Server::start(move |request| match is_refresh(request) {
        true => refreshed.clone(),
        false => first.clone(),
    })
}

/// One that lists these connections.
fn knows(connections: Vec<Value>, refreshed: Vec<Value>) -> Server {
    answers(device(DEVICE_TOKEN, &connections), device(DEVICE_TOKEN, &refreshed))
}

fn right() -> Server {
    Server::start(as_source)
}

fn silent() -> Server {
    Server::raw(Step::Silence)
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
    net.add("asked", asked);
    let (result, took) = connect_in(net, with).await;
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
async fn only_the_verified_one_of_five_gets_a_token() {
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

    let [identity, call] = &right.requests()[..] else { panic!("two requests were expected") };
    assert_eq!((identity.method(), identity.target()), ("GET", "/prefix/identity"));
    let mut headers: Vec<_> = identity.headers().into_iter().map(|(name, _)| name).collect();
    headers.sort();
    assert_eq!(headers, ["accept", "accept-encoding", "host", "user-agent"]);
    assert_eq!(identity.header("accept"), Some("application/json"));
    // The token is tried over the connection that was verified, with all headers.
    assert_eq!(call.path(), "/prefix/security/token");
    for (name, value) in [("token", DEVICE_TOKEN), ("product", "Remote")] {
        assert_eq!(call.header(&format!("x-plex-{name}")), Some(value));
    }
    assert_eq!(right.connections(), 1);
    assert!(!tokens().finds_in(&format!("{connected:?}")), "a token is shown");
}

#[tokio::test]
async fn only_the_devices_identifier_verifies_a_candidate() {
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
    // One that answers 503 is asked again.
    let error = client.connect(&source()).timeout(2 * SECOND).await.unwrap_err();

    let text = error.to_string();
    let begin = format!("connecting to server://{ID}: no connection works (");
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
async fn a_forbidden_candidate_is_skipped_with_a_reason() {
    let right = right();
    let here = right.address();
    let link_local = "a link-local address";
    let rows = [
        (false, format!("https://{here}/web/index.html"), "leave out `/web`"),
        (false, "https://127.0.0.1/:32400".into(), "the port stands behind a slash"),
        (false, "https://127.0.0.1:0".into(), "its port is 0"),
        (false, "https://app.plex.tv".into(), "Plex's web app"),
        (false, format!("https://{}", "a.".repeat(40_000)), "it is too long"),
        (false, "https://169.254.1.1".into(), link_local),
        (false, format!("https://169-254-1-1.{HASH}.plex.direct"), link_local),
        (false, "https://[::]".into(), "stand for no machine"),
        (true, "http://169.254.1.1".into(), link_local),
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
async fn each_class_starts_at_its_time_and_each_uri_once() {
    let listed = [
        relay(https("silent-relay")),
        relay(https("silent-relay-2")),
        local(http("silent-http-local")),
        remote(https("silent-2-remote")),
        remote(http("silent-http-remote")),
        // A tunnel: flagged local, at an address that is not.
        local("https://silent-tunnel.example".to_owned()),
        local(https("silent-1")),
        local(https("silent-1-second")),
        local(format!("{}:443/", https("SILENT-1"))),
        local(http("silent-http-local")),
    ];
    let raced = race_6_s(&Net::new(), &listed).await;
    raced.assert_started(&[
        ("silent-1", 0),
        ("silent-1-second", 100),
        ("silent-tunnel.example", 110),
        ("silent-2-remote", 120),
        ("silent-relay", 500),
        ("silent-relay-2", 510),
        ("silent-http-local", 750),
        ("silent-http-remote", 760),
    ]);
    assert_eq!(raced.result.unwrap_err().candidates().len(), 8);

    let listed = [relay(https("silent-relay")), local(http("silent-1")), local(http("silent-2"))];
    let raced = race_6_s(&Net::new(), &listed).await;
    raced.assert_started(&[("silent-1", 0), ("silent-2", 100), ("silent-relay", 500)]);
}

#[tokio::test]
async fn an_address_in_a_home_stands_before_a_name() {
    let lan = format!("https://10-0-0-9.{HASH}.plex.direct");
    let net = Net::new();
    let asked = knows(vec![local(https("silent-1")), local(lan.clone())], vec![]);
    let raced = race(&net, asked, |connect| connect.timeout(SECOND)).await;
    assert_eq!(raced.started[0].0, lan.strip_prefix("https://").unwrap());
}

#[tokio::test]
async fn one_starts_sooner_when_all_before_it_have_failed() {
    let net = Net::new();
    for name in ["1-wrong", "2-wrong"] {
        net.https(name, as_another);
    }
    net.https("4-starting", |_| respond(503, &[], ""));
    let names = ["1-wrong", "2-wrong", "silent-3", "4-starting", "silent-5"];
    let raced = race_6_s(&net, &names.map(|name| local(https(name)))).await;
    let expected = [("1-wrong", 0), ("2-wrong", 0), ("silent-3", 0), ("4-starting", 120)];
    raced.assert_started(&expected);
    assert_eq!(raced.started[4], ("silent-5".to_owned(), 130));

    // One that is asked again may still succeed.
    drop(net);
    let net = Net::new();
    net.https("starting", |_| respond(503, &[], ""));
    let listed = [local(https("starting")), relay(https("silent-relay"))];
    let raced = race_6_s(&net, &listed).await;
    let at = raced.started.iter().find(|(name, _)| name == "silent-relay").unwrap().1;
    assert_eq!(at, 500, "{:?}", raced.started);
}

#[tokio::test]
async fn each_class_may_win_from_its_time_on() {
    let rows = [
        // A LAN that needs less than 300 ms wins, one that needs 400 ms does not.
        (vec![local(https("near")), remote(https("far"))], ("near", 280), "near", 280),
        (vec![local(https("near")), remote(https("far"))], ("near", 400), "far", 300),
        (vec![local(https("silent-1")), remote(https("far"))], ("far", 250), "far", 350),
        // Nobody waits for a class that is not there, or for a later one.
        (vec![remote(https("far")), relay(https("other"))], ("far", 40), "far", 40),
        (vec![relay(https("far"))], ("far", 40), "far", 40),
        (vec![local(http("near")), remote(http("far"))], ("near", 400), "far", 100),
        (vec![local(https("silent-1")), local(http("near"))], ("", 0), "near", 750),
        (vec![local(https("silent-1")), relay(https("far"))], ("", 0), "far", 1_000),
    ];
    for (listed, answer, winner, took) in rows {
        let net = Net::new();
        for connection in &listed {
            let uri = connection["uri"].as_str().unwrap();
            let name = uri.split_once("://").unwrap().1.split('.').next().unwrap();
            if name.starts_with("silent") {
                continue;
            }
            let add = if uri.starts_with("https") { Net::https } else { Net::http };
            let server = add(&net, name, as_source);
            let after = if name == answer.0 { answer.1 * MS } else { Duration::ZERO };
            net.lead(name, Lead::After(after, server));
        }
        // Its token is tried over another connection.
        let trial = if winner == answer.0 { answer.1 } else { 0 };
        race_to(&net, &listed).await.assert_winner(winner, took + u128::from(trial));
    }
    // The relay, after a quarter of a short time-out.
    let net = Net::new();
    net.https("far", as_source);
    let asked = knows(vec![local(https("silent-1")), relay(https("far"))], vec![]);
    race(&net, asked, |connect| connect.timeout(2_800 * MS)).await.assert_winner("far", 700);
}

#[tokio::test]
async fn one_wins_sooner_when_the_earlier_classes_have_failed() {
    for (listed, winner) in [
        (vec![local(https("wrong")), remote(https("far"))], "far"),
        (vec![local(https("wrong")), relay(https("far"))], "far"),
        // It is preferred, so nothing is earlier.
        (vec![local(https("silent-1")), remote(https("preferred"))], "preferred"),
    ] {
        let net = Net::new();
        net.https("wrong", as_another);
        net.https(winner, as_source);
        let asked = knows(listed, vec![]);
        let prefer = https("preferred").parse().unwrap();
        race(&net, asked, |connect| connect.prefer(&prefer)).await.assert_winner(winner, 0);
    }
    // One that is asked again may still win.
    let net = Net::new();
    net.https("starting", |_| respond(503, &[], ""));
    net.https("far", as_source);
    let listed = [local(https("starting")), remote(https("far"))];
    race_to(&net, &listed).await.assert_winner("far", 300);
}

#[tokio::test]
async fn a_bare_address_continues_at_its_certificates_name() {
    let right = certified(&AUTHORITY, as_source);
    let wrong = certified(&AUTHORITY, as_another);
    let bare = |scheme: &str, server: &Server| local(format!("{scheme}://{}", server.address()));
    // Also where the list has `http` only, and the port takes `https` only.
    for scheme in ["https", "http"] {
        let asked = knows(vec![bare(scheme, &wrong), bare(scheme, &right)], vec![]);
        let only = |one: &plex_auth::Connection| one.uri.host_str() == Some("127.0.0.1");
        let connected = asked.client().connect(&source()).only(only).await.unwrap();
        assert_eq!(connected.connection().uri.as_str(), plex_direct(right.address()) + "/");
        assert_no_token(&wrong);
    }
}

#[tokio::test]
async fn forbidden_http_is_tried_as_https_once() {
    let by_name = "https://8-8-8-8.93b1.plex.direct:1";
    let at_1 = |scheme: &str| local(format!("{scheme}://silent-1.home.lan:1"));
    for (allow, listed, tried) in [
        (false, vec![local(http("silent-1"))], "https://silent-1.home.lan:80"),
        (false, vec![local(http("silent-1")); 2], "https://silent-1.home.lan:80"),
        // The list has `https` at that port.
        (false, vec![at_1("http"), at_1("https")], "https://silent-1.home.lan:1"),
        (false, vec![remote("http://8.8.8.8:1"), remote(by_name)], by_name),
        (true, vec![remote("http://8.8.8.8:1")], "https://8.8.8.8:1"),
    ] {
        let net = Net::new();
        net.add("asked", knows(listed.clone(), listed));
        let client = net.client("asked", |builder| builder.allow_insecure_http(allow));
        let connecting = client.connect(&source()).timeout(20 * MS).into_future();
        let error = net.run(connecting).await.unwrap_err();
        let candidates = error.candidates().iter();
        let candidates = candidates.filter(|one| one.error().kind() != ErrorKind::Skipped);
        let origins: Vec<_> = candidates.map(plex_auth::CandidateError::origin).collect();
        assert_eq!(origins, [tried], "{error}");
    }
    // The error names the setting that may help.
    let plain = Server::start(as_source);
    let asked = knows(vec![local(plain.url())], vec![]);
    let error = asked.client().connect(&source()).await.unwrap_err().to_string();
    assert!(error.contains("which needs `.allow_insecure_http(true)`"), "{error}");
}

#[tokio::test]
async fn the_relay_may_win_after_a_quarter_of_the_time_that_is_left() {
    let net = Net::new();
    let asked =
        net.add("asked", knows(vec![local(https("silent-1")), relay(https("far"))], vec![]));
    net.lead("asked", Lead::After(3_200 * MS, asked));
    net.https("far", as_source);
    let client = net.client("asked", |builder| builder);
    let connecting = client.connect(&source()).timeout(4 * SECOND).into_future();
    let (result, took) = net.time(connecting).await;
    result.unwrap();
    assert!((3_700 * MS..3_720 * MS).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_remembered_address_is_preferred_by_any_spelling() {
    let net = Net::new();
    let listed = vec![local("https://10.0.0.8:1"), local("https://10.0.0.9:1")];
    let remembered = format!("https://10-0-0-9.{HASH}.plex.direct:1").parse().unwrap();
    net.add("asked", knows(listed, vec![]));
    let client = net.client("asked", |builder| builder);
    let connecting = client.connect(&source()).prefer(&remembered).timeout(20 * MS);
    let error = net.run(connecting.into_future()).await.unwrap_err();
    assert_eq!(error.candidates()[0].origin(), "https://10.0.0.9:1");
}

#[tokio::test]
async fn a_source_that_is_down_for_3_s_is_found() {
    // 503 and 502 for the first attempts, or a port that refuses for 3 s.
    for answer in [None, Some((502, "0")), Some((503, "9"))] {
        let net = Net::new();
        let server = net.http("restarting", move |request| match (request.number, answer) {
            (0..4, Some((status, wait))) => respond(status, &[("Retry-After", wait)], ""),
            _ => as_source(request),
        });
        if answer.is_none() {
            net.lead("restarting", Lead::From(3 * SECOND, server));
        }
        let raced = race_to(&net, &[local(http("restarting"))]).await;
        // Asked after 250 and 500 ms, 1 and 2 s.
        assert!(raced.result.is_ok() && (3_750..3_800).contains(&raced.took), "{}", raced.took);
    }
}

#[tokio::test]
async fn a_candidate_that_swallows_its_first_request_is_asked_again() {
    let net = Net::new();
    let server = net.http("swallowing", |request| match request.number {
        0 => Steps::from(Step::Silence),
        _ => as_source(request).into(),
    });
    let asked = knows(vec![local(http("swallowing"))], vec![]);
    let raced = race(&net, asked, |connect| connect).await;
    // After `connect_timeout` and 250 ms, on a new connection.
    raced.assert_winner("swallowing", 5_250);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_race_ends_with_the_patience_of_its_candidates() {
    for (listed, took) in [
        (vec![local(http("silent"))], 8_000),
        (vec![local(http("silent")), local(http("wrong"))], 8_000),
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
    // Or with `connect_timeout`, if that is longer.
    let net = Net::new();
    net.add("asked", knows(vec![local(http("silent"))], vec![]));
    let client = net.client("asked", |builder| builder.connect_timeout(9 * SECOND));
    let (result, took) = net.time(client.connect(&source()).into_future()).await;
    assert_eq!((result.unwrap_err().kind(), took.as_secs()), (ErrorKind::Unreachable, 9));
}

#[tokio::test]
async fn a_second_race_of_new_candidates_starts_after_3_s() {
    let net = Net::new();
    let refreshed = [
        relay(https("silent-relay")),
        local(http("silent-http")),
        local(https("silent-1")),
        local(https("silent-new")),
    ];
    let raced = race(&net, knows(silent_ones(1), refreshed.to_vec()), |connect| connect).await;
    let expected = ["silent-new", "silent-relay", "silent-http"];
    let expected = std::iter::zip(expected, [3_000, 3_500, 3_750]).collect::<Vec<_>>();
    raced.assert_started(&[vec![("silent-1", 0)], expected].concat());
    assert_eq!(raced.looked_up, [0, 3_000]);
    assert_eq!(raced.result.unwrap_err().candidates().len(), 4);
    drop(net);

    // The token is that of the last look-up, for the first list's addresses, too.
    for winner in ["good", "late"] {
        let net = Net::new();
        let server = net.https(winner, as_source);
        if winner == "late" {
            net.lead(winner, Lead::After(3_500 * MS, server));
        }
        let listed = [silent_ones(9), vec![local(https("late"))]].concat();
        let asked = answers(device("old", &listed), device("new", &[local(https("good"))]));
        let raced = race(&net, asked, |connect| connect).await;
        let device = raced.result.as_ref().unwrap().device();
        assert_eq!(device.access_token.expose_secret(), "new");
        raced.assert_winner(winner, if winner == "good" { 3_000 } else { 4_680 });
    }
}

#[tokio::test]
async fn a_fresh_look_up_follows_one_without_a_working_candidate() {
    for first in [
        device("old", &[local(https("wrong"))]),
        // The source, or its token, is not known yet.
        support::json(r#"{"MediaContainer":{"size":0}}"#),
        device("", &[local(https("good"))]),
    ] {
        let net = Net::new();
        net.https("wrong", as_another);
        net.https("good", as_source);
        let asked = answers(first, device("new", &[local(https("good"))]));
        let raced = race(&net, asked, |connect| connect).await;
        raced.assert_winner("good", 0);
        assert_eq!(raced.looked_up, [0, 0]);
    }
}

#[tokio::test]
async fn at_most_64_direct_candidates_and_10_relays_are_tried() {
    let uris = |kind: &'static str, count| {
        (0..count).map(move |number| https(&format!("silent-{kind}-{number}")))
    };
    let direct = uris("direct", 200).map(local);
    let all: Vec<_> = direct.chain(uris("relay", 20).map(relay)).collect();
    // A fresh list is counted along.
    let more = uris("more", 200).map(local).collect();
    let raced = race(&Net::new(), knows(all, more), |connect| connect.timeout(6 * SECOND)).await;
    let tried: BTreeSet<_> = raced.started.iter().map(|(name, _)| name).collect();
    let relays = tried.iter().filter(|name| name.starts_with("silent-relay")).count();
    assert_eq!((tried.len() - relays, relays), (64, 10));

    let error = raced.result.unwrap_err();
    assert_eq!(error.candidates().len(), 420);
    for (index, reason) in [(64, "the first 64 direct ones"), (210, "the first 10 relays")] {
        let candidate = &error.candidates()[index];
        assert_eq!(candidate.error().kind(), ErrorKind::Skipped);
        assert!(candidate.to_string().contains(reason), "{candidate}");
    }
}

#[tokio::test]
async fn at_most_4_of_one_address_and_port_are_tried() {
    let config = AUTHORITY.server("*.93b1.plex.direct");
    let busy = Server::start_tls(config, as_another);
    let port = busy.address().port();
    // However the address is written, and whatever the path.
    let names = (0..100).map(|number| match number % 3 {
        0 => format!("https://127-0-0-1.{number}a.plex.direct:{port}"),
        1 => format!("https://127-0-0-1.93b1.plex.direct:{port}/{number}"),
        _ => format!("https://127.0.0.1:{port}/{number}"),
    });
    let asked = knows(names.map(local).collect(), vec![]);
    let error = connect(&asked).await.unwrap_err();
    let skipped = |one: &&plex_auth::CandidateError| one.error().kind() == ErrorKind::Skipped;
    assert_eq!(error.candidates().iter().filter(skipped).count(), 96);
    assert!(busy.connections() <= 4, "{error}");
    assert!(error.to_string().contains("only 4 connections to one address and port"), "{error}");
}

#[tokio::test]
async fn a_preferred_address_is_first_unless_unlisted_or_a_relay() {
    let listed = [silent_ones(2), vec![relay(https("silent-relay"))]].concat();
    let others = [("silent-1", 0), ("silent-2", 100), ("silent-relay", 500)];
    for (prefer, expected) in [
        (https("silent-2"), [("silent-2", 0), ("silent-1", 100), ("silent-relay", 500)]),
        (https("silent-relay"), others),
        (https("silent-unlisted"), others),
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
async fn connect_ends_within_its_timeout() {
    let relays = (0..10).map(|number| relay(https(&format!("silent-relay-{number}"))));
    let listed: Vec<_> = silent_ones(1).into_iter().chain(relays).collect();
    let asked = knows(listed, vec![]);
    let raced = race(&Net::new(), asked, |connect| connect.timeout(60 * MS)).await;
    let error = raced.result.unwrap_err();
    assert_eq!((raced.took, error.candidates().len()), (60, 11));
    let [first, .., last] = error.candidates() else { panic!("{error}") };
    assert!(first.to_string().ends_with("no answer before the time was up"), "{first}");
    assert!(last.to_string().ends_with("not tried before the time was up"), "{last}");
    assert_eq!((first.error().attempts(), last.error().attempts()), (1, 0));

    let client = support::builder("https://nas.example").build().unwrap();
    let error = client.connect(&source()).timeout(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSetting);
    assert!(error.to_string().contains("`timeout`"), "{error}");
}

#[tokio::test]
async fn a_provider_or_another_sources_device_is_refused() {
    let asked = knows(vec![], vec![]);
    let client = asked.client();
    let provider = Source::provider("tv.plex.provider.vod").unwrap();
    let another = Device::new("another", "token".parse().unwrap(), vec![]);
    for (result, says) in [
        (client.connect(&provider).await, "use `source_connection_information`"),
        (client.connect(&source()).device(another).await, "another client identifier"),
    ] {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), asked.count()), (ErrorKind::InvalidSource, 0));
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn the_error_names_a_failed_look_up() {
    let wrong = Server::start(as_another);
    let dead = device(DEVICE_TOKEN, &[local(wrong.url())]);
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
async fn a_server_replaced_after_verification_gets_no_token() {
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
async fn the_others_are_dropped_with_the_winner_or_the_call() {
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
