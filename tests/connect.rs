//! The way to a source: every rule of `Client::connect`, over real sockets.

mod support;

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use plex_auth::reqwest::dns::{Name, Resolve, Resolving};
use plex_auth::{ClientBuilder, Connected, Device, Error, NoConnection, Source};
use serde_json::{Value, json};
use support::tls::Authority;
use support::{Request, Server, Step, Steps, TOKEN, respond};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, server};

const ID: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const DEVICE_TOKEN: &str = "fJ6yWq0RzUe3HsVx1NkP";
const HASH: &str = "93b10b279ff8456686414add109854cd";

/// A connection as a server lists it.
fn local(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "local": true })
}

fn relay(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "relay": true })
}

fn device(connections: &[Value]) -> Vec<u8> {
    let device = json!({
        "clientIdentifier": ID, "accessToken": DEVICE_TOKEN, "Connection": connections
    });
    support::json(json!({ "MediaContainer": { "size": 1, "Device": [device] } }).to_string())
}

/// The server that knows the way, and another one when it has looked anew.
fn knows(connections: Vec<Value>, anew: Vec<Value>) -> Server {
    Server::start(move |request| match request.query().contains("refresh=1") {
        true => device(&anew),
        false => device(&connections),
    })
}

fn identity(identifier: &str) -> Vec<u8> {
    let body = json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } });
    support::json(body.to_string())
}

fn as_device(request: &Request) -> Vec<u8> {
    match request.path() {
        "/identity" => identity(ID),
        _ => support::good(request, "minted"),
    }
}

fn right() -> Server {
    Server::start(as_device)
}

fn wrong() -> Server {
    Server::start(|_| identity("another"))
}

fn dead() -> Server {
    Server::stopped(as_device)
}

fn silent() -> Server {
    Server::raw(|_| Step::Silence)
}

fn source() -> Source {
    Source::server(ID).unwrap()
}

/// The way by way of a `plex.direct` name, which no DNS server is asked for.
fn plex_direct(server: &Server) -> String {
    format!("https://127-0-0-1.{HASH}.plex.direct:{}", server.address().port())
}

fn certified(authority: &Authority) -> Arc<ServerConfig> {
    authority.server(&format!("*.{HASH}.plex.direct"))
}

fn trusting(builder: ClientBuilder, authority: &Authority) -> ClientBuilder {
    let root = authority.root();
    builder.configure_http(|http| http.tls_certs_only([root]))
}

async fn connect(asked: &Server) -> Result<Connected, Error> {
    asked.client().connect(&source()).await
}

#[track_caller]
fn no_connection(result: Result<Connected, Error>) -> Arc<NoConnection> {
    match result {
        Err(Error::NoConnection(none)) => none,
        other => panic!("{other:?}"),
    }
}

/// What it has been sent, as text.
fn sent(server: &Server) -> String {
    let requests = server.requests().into_iter().map(|request| request.head).collect::<String>();
    requests + &String::from_utf8_lossy(&server.other_bytes())
}

#[track_caller]
fn assert_no_token(server: &Server) {
    let sent = sent(server).to_ascii_lowercase();
    assert!(!sent.contains("x-plex-token"), "a token was sent");
    assert!(!sent.contains(&TOKEN.to_ascii_lowercase()), "the caller's token was sent");
    assert!(!sent.contains(&DEVICE_TOKEN.to_ascii_lowercase()), "the device's token was sent");
}

#[tokio::test]
async fn the_right_one_of_five_is_found_in_two_seconds_and_no_other_gets_a_token() {
    let (relayed, dead, silent, wrong, right) = (right(), dead(), silent(), wrong(), right());
    let mut listed = vec![relay(relayed.url())];
    listed.extend([&dead, &silent, &wrong, &right].map(|server| local(server.url())));
    let asked = knows(listed, vec![]);

    let started = Instant::now();
    let connected = connect(&asked).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    assert_eq!(connected.connection().uri.as_str(), format!("{}/", right.url()));
    assert_eq!(connected.client().address(), &connected.connection().uri);
    assert!(!connected.is_relay());
    connected.client().transient_token().await.unwrap();
    assert_eq!(right.requests()[1].header("x-plex-token"), Some(DEVICE_TOKEN));
    assert!(sent(&silent).starts_with("GET /identity "), "it was tried");
    assert_eq!(wrong.request().path(), "/identity");
    assert_eq!(relayed.connections(), 0);
    assert_no_token(&silent);
    assert_no_token(&wrong);
}

#[tokio::test]
async fn the_proof_is_asked_without_a_word_about_the_client() {
    let right = right();
    let asked = knows(vec![local(right.url())], vec![]);
    connect(&asked).await.unwrap();
    let request = right.request();
    let (method, target) = (request.method(), request.target());
    assert_eq!((method, target), ("GET", "/identity"));
    let mut headers: Vec<_> = request.headers().into_iter().map(|(name, _)| name).collect();
    headers.sort();
    assert_eq!(headers, ["accept", "host", "user-agent"]);
    assert_eq!(request.header("accept"), Some("application/json"));
}

#[tokio::test]
async fn the_client_has_the_devices_token_the_callers_headers_and_the_proofs_connection() {
    let right = right();
    let asked = knows(vec![local(right.url())], vec![]);
    let client = asked.builder().product("Remote").build().unwrap();
    let connected = client.connect(&source()).await.unwrap();
    connected.client().transient_token().await.unwrap();
    assert_eq!(right.connections(), 1);
    let call = &right.requests()[1];
    assert_eq!(call.header("x-plex-token"), Some(DEVICE_TOKEN));
    assert_eq!(call.header("x-plex-product"), Some("Remote"));
    assert_eq!(call.header("x-plex-client-identifier"), Some("plex-auth-tests"));
    assert!(!sent(&right).contains(TOKEN));
    assert_eq!(connected.device().client_identifier, ID);
    assert_eq!(connected.device().name, None);
    let shown = format!("{connected:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains(DEVICE_TOKEN), "a token is shown");
}

#[tokio::test]
async fn only_a_good_answer_with_the_devices_identifier_is_a_proof() {
    type Fits = fn(&Error) -> bool;
    let big = format!(r#"{{"MediaContainer":{{"machineIdentifier":"{}"}}}}"#, "x".repeat(2_000));
    let chunked = [("Transfer-Encoding", "chunked")];
    let good = format!(r#"{{"MediaContainer":{{"machineIdentifier":"{ID}"}}}}"#);
    let gzip = [("Content-Encoding", "gzip")];
    let to = [("Location", "/canary")];
    let cases: [(Steps, Fits); 14] = [
        (identity("canary").into(), |error| matches!(error, Error::WrongServer(_))),
        (identity("").into(), |error| matches!(error, Error::WrongServer(_))),
        (identity(&ID.to_uppercase()).into(), |error| matches!(error, Error::WrongServer(_))),
        (support::json(r#"{"canary":1}"#).into(), |e| matches!(e, Error::UnexpectedJson(_))),
        (support::json(r#"{"MediaContainer":{"machineIdentifier":["canary"]}}"#).into(), |error| {
            matches!(error, Error::UnexpectedJson(_))
        }),
        (respond(200, &[], "<canary/>").into(), |error| matches!(error, Error::NotJson(_))),
        (respond(200, &[], "").into(), |error| matches!(error, Error::NotJson(_))),
        (respond(200, &gzip, &good).into(), |error| matches!(error, Error::NotJson(_))),
        (support::json(&big).into(), |error| matches!(error, Error::BodyTooLarge(_))),
        (
            vec![
                Step::Send(respond(200, &chunked, "")),
                Step::Endless([b"400\r\n".as_slice(), &[b' '; 0x400], b"\r\n"].concat()),
            ]
            .into(),
            |error| matches!(error, Error::BodyTooLarge(_)),
        ),
        (respond(302, &to, &good).into(), |e| matches!(e, Error::UnexpectedStatus(_))),
        (respond(401, &[], "canary").into(), |e| matches!(e, Error::UnexpectedStatus(_))),
        (respond(503, &[], r#"<Response title="canary"/>"#).into(), |error| {
            matches!(error, Error::Unavailable(_))
        }),
        (b"canary\r\n\r\n".to_vec().into(), |error| matches!(error, Error::Protocol(_))),
    ];
    for (number, (answer, fits)) in cases.into_iter().enumerate() {
        let lying = Server::start(move |_| answer.clone());
        let asked = knows(vec![local(lying.url())], vec![]);
        let client = asked.builder().max_response_bytes(1_000).build().unwrap();
        let error = client.connect(&source()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "case {number}: {error}");
        let none = no_connection(Err(error));
        assert!(fits(&none.attempts[0].error), "case {number}: {:?}", none.attempts);
        assert!(none.to_string().contains(&lying.url()), "case {number}: {none}");
        assert!(!none.attempts[0].to_string().contains('\n'), "case {number}: {none}");
        assert_no_token(&lying);
    }
}

#[tokio::test]
async fn the_next_connection_starts_after_250_ms() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let silent: Vec<_> = (0..3)
        .map(|_| {
            let times = times.clone();
            Server::raw(move |_| {
                times.lock().unwrap().push(Instant::now());
                Step::Silence
            })
        })
        .collect();
    let asked = knows(silent.iter().map(|server| local(server.url())).collect(), vec![]);
    let client = asked.client();
    let source = source();
    let connecting = client.connect(&source);
    tokio::time::timeout(Duration::from_millis(2_500), connecting).await.unwrap_err();
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 3);
    // A busy machine may see the first one late, and so the gap shorter.
    let gap = times[2] - times[0];
    assert!(gap > Duration::from_millis(400) && gap < Duration::from_millis(1_500), "{gap:?}");
}

#[tokio::test]
async fn the_next_connection_starts_at_once_when_one_fails() {
    let dead: Vec<_> = (0..49).map(|_| dead()).collect();
    let right = right();
    let mut listed: Vec<_> = dead.iter().map(|server| local(server.url())).collect();
    listed.push(local(right.url()));
    let asked = knows(listed, vec![]);
    let started = Instant::now();
    connect(&asked).await.unwrap();
    // 49 times 250 ms would be 12 s.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn relays_start_when_every_direct_way_has_failed() {
    let (dead, wrong, relayed) = (dead(), wrong(), right());
    let listed = vec![relay(relayed.url()), local(dead.url()), local(wrong.url())];
    let asked = knows(listed, vec![]);
    let started = Instant::now();
    let connected = connect(&asked).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(connected.is_relay() && connected.connection().relay);
}

#[tokio::test]
async fn relays_start_three_seconds_after_the_first_direct_way() {
    let silent: Vec<_> = (0..20).map(|_| silent()).collect();
    let relayed = right();
    let mut listed: Vec<_> = silent.iter().map(|server| local(server.url())).collect();
    listed.push(relay(relayed.url()));
    let asked = knows(listed, vec![]);
    let started = Instant::now();
    let connected = connect(&asked).await.unwrap();
    let elapsed = started.elapsed();
    assert!(connected.is_relay());
    assert!(elapsed >= Duration::from_secs(3) && elapsed < Duration::from_secs(4), "{elapsed:?}");
}

#[tokio::test]
async fn relays_can_be_left_out() {
    let relayed = right();
    let asked = knows(vec![relay(relayed.url())], vec![]);
    let client = asked.builder().relay(false).build().unwrap();
    let none = no_connection(client.connect(&source()).await);
    assert!(none.to_string().contains("(relay): skipped: relays are turned off"), "{none}");
    assert_eq!(relayed.connections(), 0);
}

#[tokio::test]
async fn a_connection_has_five_seconds_to_prove_itself() {
    let (silent, right) = (silent(), right());
    let asked = knows(vec![local(silent.url())], vec![local(right.url())]);
    let client = asked.builder().timeout(Duration::from_secs(30)).build().unwrap();
    let started = Instant::now();
    client.connect(&source()).await.unwrap();
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_secs(5) && elapsed < Duration::from_secs(7), "{elapsed:?}");
}

#[tokio::test]
async fn a_connection_is_not_retried() {
    let failing = Server::start(|_| respond(503, &[], ""));
    let closing = Server::start(|_| Step::Close);
    let asked = knows(vec![local(failing.url()), local(closing.url())], vec![]);
    let client = asked.builder().max_retries(5).build().unwrap();
    let error = client.connect(&source()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!((failing.count(), closing.count()), (1, 1));
}

#[tokio::test]
async fn the_source_is_looked_up_anew_when_nothing_works() {
    let (dead, right) = (dead(), right());
    let asked = knows(vec![local(dead.url())], vec![local(right.url())]);
    let connected = connect(&asked).await.unwrap();
    assert_eq!(connected.connection().uri.port(), Some(right.address().port()));
    let queries = asked.requests();
    assert!(!queries[0].query().contains("refresh"));
    assert!(queries[1].query().contains("refresh=1"));
    assert_eq!(queries.len(), 2);
}

#[tokio::test]
async fn the_source_is_not_looked_up_anew_when_only_the_rules_stand_in_the_way() {
    let right = right();
    let listed = vec![local("http://192.0.2.1:32400"), local(format!("{}/web", right.url()))];
    let asked = knows(listed, vec![local(right.url())]);
    no_connection(connect(&asked).await);
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn the_first_round_has_half_of_the_calls_time() {
    let (silent, right) = (silent(), right());
    let asked = knows(vec![local(silent.url())], vec![local(right.url())]);
    let client = asked.builder().timeout(Duration::from_secs(2)).build().unwrap();
    let started = Instant::now();
    client.connect(&source()).await.unwrap();
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(900), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(1_900), "{elapsed:?}");
}

#[tokio::test]
async fn all_of_it_ends_within_the_calls_time_and_tells_what_was_not_tried() {
    let silent: Vec<_> = (0..50).map(|_| silent()).collect();
    let listed: Vec<_> = silent.iter().map(|server| local(server.url())).collect();
    let asked = knows(listed.clone(), listed);
    let client = asked.builder().timeout(Duration::from_secs(2)).build().unwrap();
    let started = Instant::now();
    let none = no_connection(client.connect(&source()).await);
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(1_900), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(2_900), "{elapsed:?}");
    assert_eq!(none.attempts.len(), 50);
    assert!(none.attempts[0].to_string().ends_with("no answer before the time was up"), "{none}");
    assert!(none.attempts[49].to_string().ends_with("not tried before the time was up"), "{none}");
    let silent_too = Server::start(|_| Step::Silence);
    let client = silent_too.builder().timeout(Duration::from_secs(1)).build().unwrap();
    assert!(matches!(client.connect(&source()).await, Err(Error::Timeout(_))));
}

#[tokio::test]
async fn a_failed_look_up_is_the_error_or_its_cause() {
    let dead = dead();
    let uri = dead.url();
    let asked = Server::start(move |request| match request.query().contains("refresh=1") {
        true => respond(403, &[], ""),
        false => device(&[local(&*uri)]),
    });
    let error = connect(&asked).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("403"), "{error}");
    assert!(error.to_string().contains(&dead.url()), "{error}");

    let asked = Server::start(|_| respond(403, &[], ""));
    assert!(matches!(connect(&asked).await, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn a_device_that_has_become_another_is_not_connected_to() {
    let (dead, right) = (dead(), right());
    let (old, new) = (dead.url(), right.url());
    let asked = Server::start(move |request| match request.query().contains("refresh=1") {
        true => {
            let text = String::from_utf8(device(&[local(&*new)])).unwrap();
            text.replace(ID, &ID.replace("243b", "b342")).into_bytes()
        }
        false => device(&[local(&*old)]),
    });
    no_connection(connect(&asked).await);
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn a_device_without_connections_is_an_error_a_person_can_read() {
    let asked = knows(vec![], vec![]);
    let none = no_connection(connect(&asked).await);
    assert_eq!(none.attempts.len(), 0);
    let expected = format!("no connection to server://{ID} can be used: it has none");
    assert!(none.to_string().starts_with(&expected), "{none}");
    assert_eq!(asked.count(), 2);
}

#[tokio::test]
async fn an_address_that_is_listed_twice_is_tried_once() {
    let wrong = wrong();
    let uri = wrong.url();
    let listed = vec![relay(&*uri), local(&*uri), local(format!("{uri}/")), local(&*uri)];
    let asked = knows(listed, vec![]);
    let none = no_connection(connect(&asked).await);
    assert_eq!(none.attempts.len(), 1);
    assert_eq!(wrong.count(), 1);
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn link_local_addresses_are_skipped() {
    let hosts = [
        "169.254.1.1".to_owned(),
        "[fe80::1]".to_owned(),
        "[febf::1]".to_owned(),
        "[::ffff:169.254.1.1]".to_owned(),
        format!("169-254-1-1.{HASH}.plex.direct"),
        format!("fe80--1.{HASH}.plex.direct"),
    ];
    let listed: Vec<_> = hosts.iter().map(|host| local(format!("https://{host}:32400"))).collect();
    let asked = knows(listed, vec![]);
    let started = Instant::now();
    let none = no_connection(connect(&asked).await);
    assert_eq!(none.attempts.len(), hosts.len());
    for (attempt, host) in none.attempts.iter().zip(&hosts) {
        assert!(attempt.to_string().contains("skipped: a link-local address"), "{host}: {attempt}");
    }
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn loopback_ports_in_a_list_are_asked_who_they_are_and_nothing_else() {
    let (web, database, right) = (wrong(), Server::raw(|_| Step::Close), right());
    let listed = [&web, &database, &right].map(|server| local(server.url())).to_vec();
    let asked = knows(listed, vec![]);
    connect(&asked).await.unwrap();
    assert_eq!(web.request().target(), "/identity");
    assert_no_token(&web);
    assert_no_token(&database);
}

#[tokio::test]
async fn http_counts_on_a_loopback_address_only() {
    let right = right();
    let port = right.address().port();
    // Each of these would lead to the right server, if it were tried.
    let hosts = [
        "127.0.0.1.nip.test".to_owned(),
        "nas".to_owned(),
        "nas.local".to_owned(),
        "localhost".to_owned(),
        "10.0.0.1".to_owned(),
        "[fd00::1]".to_owned(),
        "0.0.0.0".to_owned(),
        format!("127-0-0-1.{HASH}.plex.direct"),
    ];
    let listed: Vec<_> = hosts.iter().map(|host| local(format!("http://{host}:{port}"))).collect();
    let asked = knows(listed, vec![]);
    let resolved = hosts.clone();
    let client = asked.builder().configure_http(move |http| {
        let here = SocketAddr::from(([127, 0, 0, 1], port));
        resolved.iter().fold(http, |http, host| http.resolve(host, here))
    });
    let none = no_connection(client.build().unwrap().connect(&source()).await);
    assert_eq!(none.attempts.len(), hosts.len());
    for attempt in &none.attempts {
        assert!(matches!(attempt.error, Error::Invalid { .. }), "{attempt}");
    }
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn http_counts_everywhere_when_the_caller_allows_it() {
    let right = right();
    let port = right.address().port();
    let asked = knows(vec![local(format!("http://plex.example:{port}"))], vec![]);
    let client = asked.builder().allow_insecure_http().configure_http(move |http| {
        http.resolve("plex.example", SocketAddr::from(([127, 0, 0, 1], port)))
    });
    let connected = client.build().unwrap().connect(&source()).await.unwrap();
    assert_eq!(connected.connection().uri.host_str(), Some("plex.example"));
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn https_comes_before_http_whatever_the_order_of_the_list() {
    let authority = Authority::new();
    let (plain, secure) = (right(), Server::start_tls(certified(&authority), as_device));
    let listed = vec![local(plain.url()), json!({ "uri": plex_direct(&secure) })];
    let asked = knows(listed, vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();
    let connected = client.connect(&source()).await.unwrap();
    assert_eq!(connected.connection().uri.scheme(), "https");
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn failed_https_is_never_followed_by_http_to_the_same_address() {
    // It would answer in the clear, and gives up on a TLS handshake.
    let plain = Server::raw(|_| {
        vec![Step::Pause(Duration::from_millis(50)), Step::Send(identity(ID)), Step::Close]
    });
    let port = plain.address().port();
    let listed = vec![
        local(plex_direct(&plain)),
        local(plain.url()),
        local(format!("https://plex.example:{port}")),
        local(format!("http://plex.example:{port}")),
        local("http://plex.example:80"),
    ];
    let asked = knows(listed, vec![]);
    let client = asked.builder().allow_insecure_http().configure_http(move |http| {
        http.resolve("plex.example", SocketAddr::from(([127, 0, 0, 1], port)))
    });
    let none = no_connection(client.build().unwrap().connect(&source()).await);
    assert_eq!(plain.connections(), 2, "both with TLS");
    assert_eq!(none.attempts.len(), 5);
    let (secure, plain) = none.attempts.split_at(2);
    assert!(secure.iter().all(|way| matches!(way.error, Error::Tls(_))), "{none}");
    assert!(plain.iter().all(|way| matches!(way.error, Error::Invalid { .. })), "{none}");
}

#[tokio::test]
async fn what_the_builder_would_refuse_is_skipped() {
    let right = right();
    let authority = right.address();
    let listed = vec![
        local(format!("http://{authority}/web")),
        local(format!("http://{authority}//")),
        local("https://127.0.0.1:0"),
    ];
    let asked = knows(listed, vec![]);
    let none = no_connection(connect(&asked).await);
    assert_eq!(none.attempts.len(), 3);
    assert!(none.attempts.iter().all(|way| matches!(way.error, Error::Invalid { .. })), "{none}");

    // What a caller may do to a device that was looked up.
    let mut device = asked.client().source_connection_information(&source()).await.unwrap();
    device.connections[0].uri.set_path("");
    device.connections[0].uri.set_username("someone").unwrap();
    device.connections[1].uri.set_path("");
    device.connections[1].uri.set_query(Some("a=b"));
    let none = no_connection(asked.client().connect_device(&device).await);
    assert!(none.attempts.iter().all(|way| matches!(way.error, Error::Invalid { .. })), "{none}");
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn an_address_with_a_piece_of_a_token_is_neither_tried_nor_told() {
    let host = |token: &str| local(format!("https://a.{}.example", &token[3..14]));
    let asked = knows(vec![host(TOKEN), host(DEVICE_TOKEN)], vec![]);
    let error = connect(&asked).await.unwrap_err();
    let shown = format!("{error} {error:?}").to_ascii_lowercase();
    for token in [TOKEN, DEVICE_TOKEN] {
        assert!(!shown.contains(&token[3..11].to_ascii_lowercase()), "a piece of a token is told");
    }
    assert_eq!(no_connection(Err(error)).attempts.len(), 2);
}

#[tokio::test]
async fn more_than_a_hundred_connections_are_not_looked_at() {
    let right = right();
    let mut listed: Vec<_> = (1..=100).map(|n| local(format!("http://192.0.2.{n}:1"))).collect();
    listed.push(local(right.url()));
    let asked = knows(listed, vec![]);
    assert_eq!(no_connection(connect(&asked).await).attempts.len(), 100);
    assert_eq!(right.connections(), 0);
}

#[tokio::test]
async fn an_ipv6_address_is_reached() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return println!("no IPv6 on this machine");
    };
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let _ = tcp.read(&mut [0; 1024]).await.unwrap();
        tcp.write_all(&identity(ID)).await.unwrap();
    });
    let asked = knows(vec![local(&*url)], vec![]);
    let connected = connect(&asked).await.unwrap();
    assert_eq!(connected.client().address().as_str(), format!("{url}/"));
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn a_plex_direct_name_is_reached_without_dns() {
    let authority = Authority::new();
    let right = Server::start_tls(certified(&authority), as_device);
    let asked = knows(vec![local(plex_direct(&right))], vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();
    let connected = client.connect(&source()).await.unwrap();
    assert_eq!(connected.connection().uri.scheme(), "https");
    connected.client().transient_token().await.unwrap();
    assert_eq!(right.requests()[1].header("x-plex-token"), Some(DEVICE_TOKEN));

    // For every client, not only for those that `connect` makes.
    let client = trusting(support::builder(plex_direct(&right)), &authority).build().unwrap();
    client.transient_token().await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn a_certificate_for_another_name_or_from_nobody_is_no_proof() {
    let authority = Authority::new();
    let other_name = Server::start_tls(authority.server("*.5d2c.plex.direct"), as_device);
    let expired = authority.expired(&format!("*.{HASH}.plex.direct"));
    let expired = Server::start_tls(expired, as_device);
    let unknown = Server::start_tls(certified(&Authority::new()), as_device);
    let listed = [&other_name, &expired, &unknown].map(|server| local(plex_direct(server)));
    let asked = knows(listed.to_vec(), vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();
    let none = no_connection(client.connect(&source()).await);
    assert_eq!(none.attempts.len(), 3);
    assert!(none.attempts.iter().all(|way| matches!(way.error, Error::Tls(_))), "{none}");
    assert_eq!([&other_name, &expired, &unknown].map(Server::count), [0; 3]);
}

/// The server's own certificate until it is replaced, and then another's.
#[derive(Debug)]
struct Replaced {
    own: Arc<dyn server::ResolvesServerCert>,
    other: Arc<dyn server::ResolvesServerCert>,
    now: Arc<AtomicBool>,
}

impl ResolvesServerCert for Replaced {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.now.load(SeqCst) { self.other.resolve(hello) } else { self.own.resolve(hello) }
    }
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn a_server_that_is_replaced_after_its_proof_never_sees_the_token() {
    let authority = Authority::new();
    let mut config = (*certified(&authority)).clone();
    let now = Arc::new(AtomicBool::new(false));
    let (own, other) = (config.cert_resolver, certified(&Authority::new()).cert_resolver.clone());
    config.cert_resolver = Arc::new(Replaced { own, other, now: now.clone() });
    // The one that takes its place has not the keys of its sessions.
    config.send_tls13_tickets = 0;
    let server = Server::start_tls(config.into(), |request| {
        vec![Step::Send(as_device(request)), Step::Close]
    });
    let asked = knows(vec![local(plex_direct(&server))], vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();

    let connected = client.connect(&source()).await.unwrap();
    now.store(true, SeqCst);
    // The connection of the proof must be seen to be closed.
    while server.open() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = connected.client().transient_token().await.unwrap_err();

    assert!(matches!(error, Error::Tls(_)), "{error}");
    assert_eq!(server.connections(), 2, "it was tried");
    assert_no_token(&server);
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn a_resolver_that_refuses_plex_direct_is_named_as_the_likely_cause() {
    struct Rebinding;

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async { Err("refused".into()) })
        }
    }

    let asked = knows(vec![local(format!("https://127-0-0-1.{HASH}.plex.direct:1"))], vec![]);
    let client = asked.builder().configure_http(|http| http.dns_resolver(Rebinding));
    let none = no_connection(client.build().unwrap().connect(&source()).await);
    assert!(none.to_string().contains("rebinding protection"), "{none}");
    assert!(matches!(none.attempts[0].error, Error::Connection(_)), "{none}");
}

#[tokio::test]
#[cfg_attr(not(feature = "rustls"), ignore = "needs https")]
async fn a_provider_is_taken_at_its_first_secure_name_without_being_asked() {
    let authority = Authority::new();
    let provider = Server::start_tls(certified(&authority), as_device);
    let impostor = Server::start_tls(certified(&Authority::new()), as_device);
    let plain = right();
    let bare = format!("https://{}", provider.address());
    let source = Source::provider("tv.plex.provider.vod").unwrap();

    let listed = vec![local(plain.url()), local(&*bare), local(plex_direct(&provider))];
    let asked = knows(listed, vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();
    let connected = client.connect(&source).await.unwrap();
    assert_eq!(connected.connection().uri.host_str().unwrap().split('.').nth(1), Some(HASH));
    assert_eq!(provider.connections(), 0, "no probe");
    connected.client().transient_token().await.unwrap();
    assert_eq!(provider.request().header("x-plex-token"), Some(DEVICE_TOKEN));

    let asked = knows(vec![local(plex_direct(&impostor))], vec![]);
    let client = trusting(asked.builder(), &authority).build().unwrap();
    let connected = client.connect(&source).await.unwrap();
    let error = connected.client().transient_token().await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error}");
    assert_eq!(impostor.count(), 0);

    let asked = knows(vec![local(plain.url()), local(bare)], vec![]);
    let none = no_connection(asked.client().connect(&source).await);
    assert_eq!(none.attempts.len(), 2);
    assert!(none.attempts.iter().all(|way| matches!(way.error, Error::Invalid { .. })), "{none}");
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn a_device_that_was_looked_up_is_connected_to_without_asking_again() {
    let right = right();
    let asked = knows(vec![local(right.url())], vec![]);
    let client = asked.client();
    let device: Device = client.source_connection_information(&source()).await.unwrap();
    let connected = client.connect_device(&device).await.unwrap();
    assert_eq!(connected.connection(), &device.connections[0]);
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn a_device_without_an_identifier_proves_nothing() {
    let lying = Server::start(|_| identity(""));
    let asked = knows(vec![local(lying.url())], vec![]);
    let client = asked.client();
    let mut device = client.source_connection_information(&source()).await.unwrap();
    device.client_identifier.clear();
    let error = client.connect_device(&device).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { what: "device", .. }), "{error}");
    assert_eq!(lying.connections(), 0);
}

#[tokio::test]
async fn reconnecting_tries_the_same_device_and_then_asks_anew() {
    let (first, second, third) = (right(), right(), right());
    let listed = vec![local(first.url()), local(second.url())];
    let asked = knows(listed, vec![local(third.url())]);
    let port = |connected: &Connected| connected.client().address().port().unwrap();

    let connected = connect(&asked).await.unwrap();
    assert_eq!(port(&connected), first.address().port());
    first.stop();
    let connected = connected.reconnect().await.unwrap();
    assert_eq!(port(&connected), second.address().port());
    assert_eq!(asked.count(), 1);
    second.stop();
    let connected = connected.reconnect().await.unwrap();
    assert_eq!(port(&connected), third.address().port());
    assert_eq!(asked.count(), 2);
    assert_eq!(
        connected.client().transient_token().await.unwrap().token().expose_secret(),
        "minted"
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_task_and_no_connection() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let silent: Vec<_> = (0..4).map(|_| silent()).collect();
    let slow_tls = Server::raw(|_| Step::Silence);
    let mut listed: Vec<_> = silent.iter().map(|server| local(server.url())).collect();
    listed.insert(1, local(plex_direct(&slow_tls)));
    let asked = knows(listed, vec![]);
    let client = asked.client();
    let source = source();
    let open = || silent.iter().chain([&slow_tls]).map(Server::open).sum::<usize>();

    tokio::time::timeout(Duration::from_secs(2), client.connect(&source)).await.unwrap_err();
    eventually(|| open() == 0).await;
    drop(client);
    eventually(|| metrics.num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn the_winner_drops_the_others() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let (silent, right) = (silent(), right());
    let asked = knows(vec![local(silent.url()), local(right.url())], vec![]);
    let connected = connect(&asked).await.unwrap();
    eventually(|| silent.open() == 0).await;
    assert_eq!(right.open(), 1);
    drop(connected);
    eventually(|| metrics.num_alive_tasks() == 0).await;
}

async fn eventually(condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < until, "it never came to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn outside_a_runtime_it_is_an_error() {
    let asked = knows(vec![], vec![]);
    let client = asked.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let device = runtime.block_on(client.source_connection_information(&source())).unwrap();
    let source = source();
    let (one, other) = (pin!(client.connect(&source)), pin!(client.connect_device(&device)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(one.poll(&mut context), Poll::Ready(Err(Error::NoRuntime))));
    assert!(matches!(other.poll(&mut context), Poll::Ready(Err(Error::NoRuntime))));
}

#[test]
fn its_futures_and_what_they_give_can_go_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    static_assertions::assert_impl_all!(Connected: Send, Sync, Clone);
    static_assertions::assert_impl_all!(NoConnection: Send, Sync, Clone);
    let asked = knows(vec![], vec![]);
    let (client, source) = (asked.client(), source());
    is_send(&client.connect(&source));
}

/// Every event of every crate, at every level, as text.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<String>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Record {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            *self.0.lock().unwrap() += &format!("{field}={value:?}\n");
        });
    }
}

#[tokio::test]
async fn no_crate_logs_a_token() {
    use tracing_subscriber::layer::SubscriberExt as _;

    // For the whole process: an event that another thread meets first is never told otherwise.
    let record = Record::default();
    let subscriber = tracing_subscriber::registry().with(record.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing_log::LogTracer::init().unwrap();
    let (dead, silent, wrong, right) = (dead(), silent(), wrong(), right());
    let mut listed = [&dead, &silent, &wrong, &right].map(|server| local(server.url())).to_vec();
    listed.push(local(format!("https://{DEVICE_TOKEN}.example")));
    let asked = knows(listed, vec![]);

    let connected = connect(&asked).await.unwrap();
    connected.client().transient_token().await.unwrap();

    let logged = record.0.lock().unwrap().to_ascii_lowercase();
    assert!(logged.contains("asked a connection for its identity"), "{logged}");
    assert!(logged.contains(&right.address().port().to_string()), "the transport's events too");
    for token in [TOKEN, DEVICE_TOKEN] {
        assert!(!logged.contains(&token[4..12].to_ascii_lowercase()), "a token is logged");
    }
}

#[test]
fn debug_shows_no_token_in_an_error_with_every_kind_of_attempt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (dead, wrong) = (dead(), wrong());
    let listed = vec![
        local(dead.url()),
        local(wrong.url()),
        local("http://192.0.2.1:1"),
        relay(format!("https://127-0-0-1.{HASH}.plex.direct:1")),
    ];
    let asked = knows(listed, vec![]);
    let error = runtime.block_on(connect(&asked)).unwrap_err();
    let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5, "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains(DEVICE_TOKEN), "a token is shown");
}
