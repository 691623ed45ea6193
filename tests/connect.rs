//! Every rule of `Client::connect`, over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plex_auth::reqwest::dns::{Name, Resolve, Resolving};
use plex_auth::{ClientBuilder, Connected, Error, ErrorKind, Source};
use serde_json::{Value, json};
use support::leak::{Search, shown};
use support::tasks_left;
use support::tls::{AUTHORITY, Authority, forward};
use support::{Request, Server, Step, Steps, TOKEN, refusing_port, respond};
use tokio::time::{Instant, pause, resume, sleep, sleep_until, timeout};

const ID: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const DEVICE_TOKEN: &str = "fJ6yWq0RzUe3HsVx1NkP";
const HASH: &str = "93b10b279ff8456686414add109854cd";
const SECOND: Duration = Duration::from_secs(1);

/// A connection as a server lists it.
fn local(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "local": true })
}

fn relay(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "relay": true })
}

fn device(access_token: &str, connections: &[Value]) -> Vec<u8> {
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

fn is_refresh(request: &Request) -> bool {
    request.query().contains("refresh=1")
}

/// One that lists these connections.
fn knows(connections: Vec<Value>, refreshed: Vec<Value>) -> Server {
    answers(device(DEVICE_TOKEN, &connections), device(DEVICE_TOKEN, &refreshed))
}

fn identity_body(identifier: &str) -> String {
    json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } }).to_string()
}

fn identity(identifier: &str) -> Vec<u8> {
    support::json(identity_body(identifier))
}

fn as_source(request: &Request) -> Vec<u8> {
    match request.path().ends_with("/identity") {
        true => identity(ID),
        false => support::json(r#"{"MediaContainer":{"token":"fresh"}}"#),
    }
}

fn right() -> Server {
    Server::start(as_source)
}

fn wrong() -> Server {
    Server::start(|_| identity("another"))
}

fn silent() -> Server {
    Server::raw(|_| Step::Silence)
}

fn source() -> Source {
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

fn port(connected: &Connected) -> Option<u16> {
    connected.connection().uri.port()
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

/// A resolver that knows what its names lead to: `dead` ones nowhere, `silent` ones to nobody, `nas`
/// to a server that wakes up after 6 s, the rest to this machine.
///
/// It remembers when each was started, by tokio's clock. That stands still, and jumps to the next
/// timer, while only names are waited for: no test depends on the machine's speed.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    started: Vec<(String, Instant)>,
    is_paused: bool,
}

impl Names {
    /// Connects, within so many seconds.
    async fn connect(&self, asked: &Server, seconds: u64) -> Result<Connected, Error> {
        // Without a pool, each look-up asks for the name, so that the clock goes on.
        let names = self.clone();
        let builder = support::builder(format!("http://asked.lan:{}", asked.address().port()));
        let builder = builder.allow_insecure_http(true).timeout(Duration::from_secs(seconds));
        let builder = builder.max_response_bytes(10_000_000);
        let http = |http: plex_auth::reqwest::ClientBuilder| {
            http.dns_resolver(names).pool_max_idle_per_host(0)
        };
        builder.configure_http(http).build().unwrap().connect(&source()).await
    }

    fn pause(&self, is_paused: bool) {
        let mut state = self.0.lock().unwrap();
        match (state.is_paused, is_paused) {
            (false, true) => pause(),
            (true, false) => resume(),
            _ => {}
        }
        state.is_paused = is_paused;
    }

    /// Which candidates were started, and how many milliseconds after the first.
    fn starts(&self) -> Vec<(String, u128)> {
        let started = &self.0.lock().unwrap().started;
        let since = |at: &Instant| at.duration_since(started[0].1).as_millis();
        started.iter().map(|(name, at)| (name.replace(".lan", ""), since(at))).collect()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, name) = (self.clone(), name.as_str().to_owned());
        if name != "asked.lan" {
            self.0.lock().unwrap().started.push((name.clone(), Instant::now()));
        }
        Box::pin(async move {
            if name.starts_with("dead") {
                return Err("no such name".into());
            }
            names.pause(name.starts_with("silent") || name.starts_with("nas"));
            if name.starts_with("silent") {
                std::future::pending::<()>().await;
            } else if name.starts_with("nas") {
                let first = names.0.lock().unwrap().started[0].1;
                sleep_until(first + Duration::from_secs(6)).await;
                names.pause(false);
            }
            let here = SocketAddr::from(([127, 0, 0, 1], 0));
            Ok(Box::new(std::iter::once(here)) as plex_auth::reqwest::dns::Addrs)
        })
    }
}

fn http(name: &str) -> String {
    format!("http://{name}.lan:1")
}

fn http_at(name: &str, server: &Server) -> String {
    format!("http://{name}.lan:{}", server.address().port())
}

fn all_silent(count: usize) -> Vec<Value> {
    (1..=count).map(|at| local(http(&format!("silent-{at}")))).collect()
}

#[tokio::test]
async fn the_right_one_of_five_is_found_and_no_other_gets_a_token() {
    let [relayed, right] = [0, 1].map(|_| certified(&AUTHORITY, as_source));
    let wrong = certified(&AUTHORITY, |_| identity("another"));
    let ((_port, dead), silent) = (refusing_port(), silent());
    let mut listed = vec![relay(plex_direct(relayed.address()))];
    let addresses = [dead, silent.address(), wrong.address(), right.address()];
    listed.extend(addresses.map(|address| local(plex_direct(address))));
    let asked = knows(listed, vec![]);

    let connected = asked.client().connect(&source()).await.unwrap();

    let uri = plex_direct(right.address()) + "/";
    assert_eq!(connected.connection().uri.as_str(), uri);
    assert_eq!(connected.client().address(), &connected.connection().uri);
    assert!(!connected.is_relay());
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
    connect(&knows(vec![local(right.url())], vec![])).await.unwrap();
    let request = right.request();
    assert_eq!((request.method(), request.target()), ("GET", "/identity"));
    let mut headers: Vec<_> = request.headers().into_iter().map(|(name, _)| name).collect();
    headers.sort();
    assert_eq!(headers, ["accept", "host", "user-agent"]);
    assert_eq!(request.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn the_client_has_the_devices_token_the_callers_headers_and_the_verified_connection() {
    let right = right();
    let asked = knows(vec![local(right.url())], vec![]);
    let client = plain(&asked).product("Remote").build().unwrap();
    let connected = client.connect(&source()).await.unwrap();
    connected.client().transient_token().await.unwrap();
    assert_eq!(right.connections(), 1);
    let call = &right.requests()[1];
    assert_eq!(call.header("x-plex-token"), Some(DEVICE_TOKEN));
    assert_eq!(call.header("x-plex-product"), Some("Remote"));
    assert_eq!(call.header("x-plex-client-identifier"), Some("plex-auth-tests"));
    assert_eq!(connected.device().client_identifier, ID);
    assert!(!tokens().finds_in(&format!("{connected:?} {connected:#?}")), "a token is shown");
}

#[tokio::test]
async fn a_path_is_kept() {
    let right = right();
    let asked = knows(vec![local(format!("{}/prefix/", right.url()))], vec![]);
    let connected = connect(&asked).await.unwrap();
    connected.client().transient_token().await.unwrap();
    let paths: Vec<_> = right.requests().iter().map(|one| one.path().to_owned()).collect();
    assert_eq!(paths, ["/prefix/identity", "/prefix/security/token"]);
}

#[tokio::test]
async fn only_a_good_response_with_the_devices_identifier_verifies_a_candidate() {
    use ErrorKind::*;
    let chunked = [("Transfer-Encoding", "chunked")];
    let good = &identity_body(ID);
    let other = |body: &str| support::json(body).into();
    let endless = |bytes: &[u8]| {
        vec![Step::Send(respond(200, &chunked, "")), Step::Endless(bytes.into())].into()
    };
    let cases: [(Steps, ErrorKind); 24] = [
        (identity("canary").into(), WrongServer),
        (identity("").into(), WrongServer),
        (identity(&format!("{ID}0")).into(), WrongServer),
        (identity(&"canary".repeat(100)).into(), WrongServer),
        (other("<MediaContainer machineIdentifier='\x1b[31mcanary'/>"), WrongServer),
        (other(r#"{"canary":1}"#), Decode),
        (other(r#"{"MediaContainer":{"machineIdentifier":["canary"]}}"#), Decode),
        (other(r#"{"MediaContainer":{"machineIdentifier":null}}"#), Decode),
        (other(&format!("[{good}]")), Decode),
        (other("<canary/>"), Decode),
        (other(&format!("<!DOCTYPE a><MediaContainer machineIdentifier='{ID}'/>")), Decode),
        (other(&"<a>".repeat(300)), Decode),
        (other("<html>canary"), Decode),
        (other(""), Decode),
        (respond(200, &[("Content-Encoding", "gzip")], good).into(), Decode),
        (other(&good[..20]), BodyCutShort),
        (other(&format!("{}{good}", " ".repeat(5_000))), BodyTooLarge),
        (endless(b"8\r\n        \r\n"), BodyTooLarge),
        (respond(302, &[("Location", "/canary")], good).into(), Redirect),
        (respond(401, &[], "canary").into(), Status),
        (respond(403, &[], "canary").into(), Status),
        (respond(404, &[], good).into(), NotFound),
        (respond(503, &[("Retry-After", "86400")], good).into(), Unavailable),
        (b"canary\r\n\r\n".to_vec().into(), Protocol),
    ];
    let (steps, kinds): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let servers: Vec<_> =
        steps.into_iter().map(|steps| Server::start(move |_| steps.clone())).collect();
    let asked = knows(servers.iter().map(|server| local(server.url())).collect(), vec![]);
    let client = plain(&asked).max_response_bytes(4_000).build().unwrap();
    let error = client.connect(&source()).await.unwrap_err();

    assert_eq!(error.kind(), Unreachable);
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
async fn candidates_start_direct_first_then_https_then_local_each_uri_once() {
    let named = |name: &str| http(&format!("dead-{name}"));
    let https = |name: &str| named(name).replace("http:", "https:");
    let listed = vec![
        relay(named("6-relay-http")),
        relay(https("5-relay")),
        relay(named("3-local-http")),
        json!({ "uri": named("4-remote-http") }),
        local(named("3-local-http")),
        json!({ "uri": https("2-remote") }),
        local(https("1-local")),
        local(https("1-second")),
        local(format!("{}/", https("1-LOCAL"))),
    ];
    let (names, asked) = (Names::default(), knows(listed, vec![]));
    let error = names.connect(&asked, 30).await.unwrap_err();
    let started: Vec<_> = names.starts().into_iter().map(|(name, _)| name).collect();
    let ordered = ["1-local", "1-second", "2-remote", "3-local-http", "4-remote-http"];
    let ordered = ordered.into_iter().chain(["5-relay", "6-relay-http"]);
    assert_eq!(started, ordered.map(|name| format!("dead-{name}")).collect::<Vec<_>>());
    assert_eq!(error.candidates().len(), 7);
}

#[tokio::test]
async fn a_candidate_that_must_not_be_asked_is_skipped_with_a_reason() {
    let right = right();
    let here = right.address();
    let link_local = "a link-local address";
    let insecure = "after `.allow_insecure_http(true)` only";
    let public = "a host that is not local";
    let rows = [
        (false, local(format!("https://{here}/web/index.html")), "leave out `/web`"),
        (false, local(format!("https://{here}//")), "a second `//`"),
        (false, local("https://127.0.0.1/:32400"), "the port stands behind a slash"),
        (false, local("https://127.0.0.1:0"), "its port is 0"),
        (false, local("https://app.plex.tv"), "Plex's web app"),
        (false, local("https://a{b}.example"), "no request can have"),
        (false, local(format!("https://{}", "a.".repeat(40_000))), "it is too long"),
        (false, local("https://169.254.1.1"), link_local),
        (false, local("https://[fe80::1]"), link_local),
        (false, local("https://[::ffff:169.254.1.1]"), link_local),
        (false, local(format!("https://169-254-1-1.{HASH}.plex.direct")), link_local),
        (false, local(format!("https://fe80--1.{HASH}.plex.direct.")), link_local),
        (false, local(right.url()), insecure),
        (false, local(format!("http://localhost:{}", here.port())), insecure),
        (false, local("http://10.0.0.1:32400"), insecure),
        (false, relay(format!("https://{here}")), "turned off by `.relay(false)`"),
        (true, local("http://169.254.1.1"), link_local),
        (true, local("http://8.8.8.8:32400"), public),
        (true, local("http://0.0.0.0:32400"), public),
        (true, local(plex_direct(here).replace("https:", "http:")), public),
    ];
    for (allow, connection, reason) in rows {
        let asked = knows(vec![connection.clone()], vec![connection]);
        let client = asked.builder().allow_insecure_http(allow).relay(false).build().unwrap();
        let error = client.connect(&source()).await.unwrap_err();
        let [candidate] = error.candidates() else { panic!("{error}") };
        assert_eq!(candidate.error().kind(), ErrorKind::InvalidAddress, "{error}");
        assert_eq!((candidate.error().attempts(), error.attempts()), (0, 0), "{error}");
        assert!(candidate.to_string().contains("skipped: "), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn of_a_hostile_list_100_are_tried_and_10_are_shown() {
    let long = "a".repeat(3_000);
    let at = |number| local(http(&format!("dead-{long}-{number}")));
    let (listed, access_token) = ((0..1_000).map(at).collect::<Vec<_>>(), "a".repeat(300_000));
    let asked = Server::start(move |_| device(&access_token, &listed));
    let (names, started) = (Names::default(), Instant::now());
    let error = names.connect(&asked, 30).await.unwrap_err();
    assert!(started.elapsed() < SECOND * 20, "{:?}", started.elapsed());
    assert_eq!(error.candidates().len(), 1_000);
    let (tried, skipped) = error.candidates().split_at(100);
    let kinds = [tried, skipped].map(|part| part[1].error().kind());
    assert_eq!(kinds, [ErrorKind::Connect, ErrorKind::InvalidAddress]);
    assert!(skipped[0].to_string().ends_with("only the first 100 connections are tried"));
    assert_eq!(names.starts().len(), 200, "in two rounds");
    let text = error.to_string();
    assert!(text.len() < 3_000 && text.lines().count() == 1, "{text}");
    assert!(text.ends_with("; and 990 more"), "{text}");
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
async fn the_next_candidate_starts_after_250_ms_or_when_one_fails() {
    let mut listed = all_silent(2);
    listed.extend(["dead-3", "silent-4", "silent-5"].map(|name| local(http(name))));
    let (names, asked) = (Names::default(), knows(listed, vec![]));
    names.connect(&asked, 30).await.unwrap_err();
    for ((name, at), expected) in names.starts().iter().zip([0, 250, 500, 500, 750]) {
        assert!(at.abs_diff(expected) < 20, "{name} at {at}");
    }
}

#[tokio::test]
async fn all_direct_candidates_start_within_2_s_and_relays_after_3_s_or_half_the_round() {
    for (seconds, direct_by, relay_at) in [(30, 2_000, 3_000), (8, 2_000, 2_000), (4, 1_000, 1_000)]
    {
        let mut listed = all_silent(60);
        listed.insert(0, relay(http("silent-relay")));
        let (names, asked) = (Names::default(), knows(listed, vec![]));
        names.connect(&asked, seconds).await.unwrap_err();
        let starts = names.starts();
        let at = |name: &str| starts.iter().find(|(found, _)| found == name).unwrap().1;
        // The time that the look-up takes is not the round's.
        assert!((200..=255).contains(&at("silent-2")), "{starts:?}");
        assert!((direct_by - 500..=direct_by + 5).contains(&at("silent-60")), "{starts:?}");
        assert!((relay_at - 500..=relay_at + 5).contains(&at("silent-relay")), "{starts:?}");
    }
}

#[tokio::test]
async fn relays_start_when_every_direct_candidate_has_failed() {
    let (wrong, right) = (wrong(), right());
    let relays = [http("silent-relay"), http_at("relay", &right)].map(relay);
    let direct = [http("dead"), http_at("wrong", &wrong)].map(local);
    let (names, asked) = (Names::default(), knows([relays, direct].concat(), vec![]));
    let connected = names.connect(&asked, 30).await.unwrap();
    assert!(connected.is_relay() && connected.connection().relay);
    let (starts, at): (Vec<_>, Vec<_>) = names.starts().into_iter().unzip();
    assert_eq!(starts, ["dead", "wrong", "silent-relay", "relay"]);
    assert!(at[2] < 2_000 && (at[3] - at[2]).abs_diff(250) < 20, "{at:?}");
}

#[tokio::test]
async fn silent_addresses_before_the_good_one_delay_it_by_seconds_at_most() {
    for (silent, seconds, limit) in [(1, 30, 0.3), (12, 5, 3.5), (60, 30, 4.0)] {
        let right = right();
        let mut listed = all_silent(silent);
        listed.push(local(http_at("good", &right)));
        let (names, asked) = (Names::default(), knows(listed, vec![]));
        names.connect(&asked, seconds).await.unwrap();
        let (name, at) = names.starts().pop().unwrap();
        assert!(name == "good" && at < (limit * 1_000.0) as u128, "{silent}: {name} at {at}");
    }
}

#[tokio::test]
async fn a_server_that_takes_6_s_to_wake_up_is_found() {
    let right = right();
    let (names, asked) = (Names::default(), knows(vec![local(http_at("nas", &right))], vec![]));
    // `connect_timeout` is 5 s.
    let connected = names.connect(&asked, 30).await.unwrap();
    assert_eq!((port(&connected), asked.count()), (Some(right.address().port()), 1));
}

#[tokio::test]
async fn a_candidate_that_is_starting_is_asked_again_while_others_go_on() {
    for status in [429, 503] {
        let starting = Server::start(move |request| match request.number {
            0 | 1 => respond(status, &[], ""),
            _ => as_source(request),
        });
        let wrong = wrong();
        let asked = knows([&starting, &wrong].map(|server| local(server.url())).to_vec(), vec![]);
        let connected = connect(&asked).await.unwrap();
        assert_eq!(port(&connected), Some(starting.address().port()));
        assert_eq!((starting.count(), wrong.count(), asked.count()), (3, 1, 1));
    }
}

#[tokio::test]
async fn a_candidate_that_is_cut_off_keeps_its_last_problem() {
    let starting = Server::start(|request| match request.number {
        0 => Steps::from(respond(503, &[], "")),
        _ => Step::Silence.into(),
    });
    let asked = knows(vec![local(starting.url())], vec![]);
    let client = plain(&asked).timeout(SECOND * 4).build().unwrap();
    let error = client.connect(&source()).await.unwrap_err();
    assert_eq!(error.candidates()[0].error().kind(), ErrorKind::Unavailable, "{error}");
    assert!(starting.count() == 2 && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn the_second_round_begins_after_half_of_the_time_with_a_new_look_up() {
    let right = right();
    let asked = knows(all_silent(1), vec![local(http_at("good", &right))]);
    let names = Names::default();
    let connected = names.connect(&asked, 8).await.unwrap();
    assert_eq!(port(&connected), Some(right.address().port()));
    let (name, at) = names.starts().pop().unwrap();
    assert!(name == "good" && (3_000..5_000).contains(&at), "{name} at {at}");
    assert_eq!(asked.requests().iter().map(is_refresh).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn the_error_lists_the_candidates_of_the_last_round_and_those_only_the_first_had() {
    let listed = |names: [&str; 2]| names.map(|name| local(http(name))).to_vec();
    let (mut first, second) = (listed(["dead-1", "dead-2"]), listed(["dead-3", "dead-2"]));
    first.push(local(format!("{}/path", http("dead-3"))));
    let (names, asked) = (Names::default(), knows(first, second));
    let error = names.connect(&asked, 30).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let origins: Vec<_> = error.candidates().iter().map(|one| one.origin().to_owned()).collect();
    assert_eq!(origins, ["dead-3", "dead-2", "dead-1", "dead-3"].map(http));
    let text = error.to_string();
    assert!(text.starts_with(&format!("connecting to server://{ID}: no connection works (4 att")));
    assert!(!text.contains(" 0.0ns"), "{text}");
    assert_eq!(text.matches("the host's name could not be resolved").count(), 4, "{text}");
    assert!(error.is_retryable() && text.lines().count() == 1, "{text}");
}

#[tokio::test]
async fn connect_ends_within_timeout_and_says_what_was_not_tried() {
    let mut listed = all_silent(1);
    listed.extend((0..30).map(|at| relay(http(&format!("silent-relay-{at}")))));
    let (names, asked) = (Names::default(), knows(listed.clone(), listed));
    let started = Instant::now();
    let error = names.connect(&asked, 4).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(4_500), "{:?}", started.elapsed());
    assert_eq!(error.candidates().len(), 31);
    let [first, .., last] = error.candidates() else { panic!("{error}") };
    assert!(first.to_string().ends_with("no answer before the time was up"), "{first}");
    assert!(last.to_string().ends_with("not tried before the time was up"), "{last}");
    assert_eq!((first.error().attempts(), last.error().attempts()), (1, 0));
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
async fn reconnect_brings_the_token_of_a_source_that_restarted() {
    let right = Server::start(|request| match request.header("x-plex-token") {
        Some("new") | None => as_source(request),
        _ => respond(401, &[], ""),
    });
    let [old, new] = ["old", "new"].map(|token| device(token, &[local(right.url())]));
    let asked = answers(old, new);
    let connected = connect(&asked).await.unwrap();
    let error = connected.client().transient_token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let connected = connected.reconnect().await.unwrap();
    connected.client().transient_token().await.unwrap();
    connected.reconnect().await.unwrap();
    assert_eq!(asked.requests().iter().map(is_refresh).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn a_server_that_is_replaced_after_it_was_verified_never_gets_the_token() {
    let right = certified(&AUTHORITY, as_source);
    let impostor = certified(&Authority::new(), as_source);
    let to = Arc::new(Mutex::new(right.address()));
    let address = forward("127.0.0.1:0", to.clone()).await;
    let asked = knows(vec![local(plex_direct(address))], vec![]);
    let client = asked.builder().max_retries(2).build().unwrap();

    let connected = client.connect(&source()).await.unwrap();
    *to.lock().unwrap() = impostor.address();
    drop(right);
    let error = connected.client().transient_token().await.unwrap_err();

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
    eventually(|| open() == 0).await;
    assert_eq!((silent.connections(), slow_tls.connections(), right.open()), (1, 1, 1));
    drop(connected);

    let asked = knows(listed[..2].to_vec(), vec![]);
    let client = plain(&asked).build().unwrap();
    let source = source();
    timeout(SECOND * 2, client.connect(&source)).await.unwrap_err();
    assert_eq!((silent.connections(), slow_tls.connections()), (2, 2));
    eventually(|| open() == 0).await;
    drop(client);
    assert_eq!(tasks_left().await, 0);
}

async fn eventually(condition: impl Fn() -> bool) {
    let until = Instant::now() + SECOND * 10;
    while !condition() {
        assert!(Instant::now() < until, "it never happened");
        sleep(Duration::from_millis(5)).await;
    }
}
