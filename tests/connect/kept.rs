//! A device that the app has already, and a token that the source has to accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use plex_auth::reqwest::{Method, RequestBuilder};
use plex_auth::{Client, Connected, Connection, Device, Error, ErrorKind, TokenCache};
use serde_json::Value;
use support::net::{Lead, Net};
use support::{Request, Server, Step, Steps, leak, respond};

use super::{
    Home, ID, SECOND, accepting, as_another, as_asked, as_source, connect_in, device, http, https,
    is_refresh, local, refusing_refresh, relay, remote, source,
};

/// A device as an app keeps it.
fn kept(token: &str, uris: &[String]) -> Device {
    let connection = |uri: &String| {
        let mut connection = Connection::new(uri.parse().unwrap());
        connection.local = true;
        connection
    };
    Device::new(ID, token.parse().unwrap(), uris.iter().map(connection).collect())
}

#[tokio::test]
async fn a_kept_device_needs_no_look_up() {
    // The asked server refuses, or is down.
    for is_down in [false, true] {
        let net = Net::new();
        let asked = net.http("asked", |_| respond(403, &[], ""));
        if is_down {
            net.lead("asked", Lead::From(Duration::MAX, asked.clone()));
        }
        net.http("nas", accepting("kept"));
        let device = kept("kept", &[https("silent"), http("nas")]);
        let (connected, took) = connect_in(&net, |it| it.device(device)).await;
        let connected = connected.unwrap();
        assert_eq!((connected.connection().uri.as_str(), took), ("http://nas.home.lan/", 750));
        assert_eq!(connected.device().access_token.expose_secret(), "kept");
        assert_eq!(asked.count(), 0);

        // The handle works for weeks, too.
        net.advance(SECOND).await;
        net.run(connected.reconnect()).await.unwrap();
        assert_eq!(net.run(connected.send(get)).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_outdated_kept_device_is_looked_up_once() {
    let rows: [(&str, Vec<String>, u128); 4] = [
        // The token, or all addresses: at once where each has failed once, and after 3 s.
        ("old", vec![http("nas")], 0),
        ("new", vec![http("wrong")], 0),
        ("new", vec![http("dead")], 0),
        ("new", vec![http("silent")], 3_000),
    ];
    for (token, uris, took) in rows {
        let net = Net::new();
        let asked = net.http("asked", |request| match is_refresh(request) {
            true => device("new", &[local(http("nas"))]),
            false => respond(500, &[], ""),
        });
        net.http("wrong", as_another);
        net.http("nas", accepting("new"));
        let device = kept(token, &uris);
        let (connected, elapsed) = connect_in(&net, |it| it.device(device)).await;
        let connected = connected.unwrap();
        assert_eq!(connected.connection().uri.as_str(), "http://nas.home.lan/");
        assert_eq!(connected.device().access_token.expose_secret(), "new");
        assert_eq!((asked.count(), elapsed), (1, took), "{token} {uris:?}");
    }
}

#[tokio::test]
async fn a_token_that_stays_refused_is_unauthorized() {
    let new = || device("new", &[local(http("nas"))]);
    for (refreshed, says) in [
        (respond(403, &[], ""), "looking the source up again failed (looking up a source at"),
        (new(), "it is the one of a fresh look-up"),
    ] {
        let net = Net::new();
        let asked = net.http("asked", move |_| refreshed.clone());
        net.http("nas", accepting("none"));
        let device = kept("old", &[http("nas")]);
        let error = connect_in(&net, |it| it.device(device)).await.0.unwrap_err();
        assert_eq!((error.kind(), asked.count()), (ErrorKind::Unauthorized, 1));
        let text = error.to_string();
        let begin = format!("connecting to server://{ID} at http://nas.home.lan: 401 Unauthorized");
        assert!(text.starts_with(&begin) && text.contains(says), "{text}");
        assert!(text.contains("the server does not accept the token"), "{text}");
    }
}

#[tokio::test]
async fn any_other_answer_to_the_token_is_accepted() {
    let answers: [Steps; 7] = [
        respond(403, &[], "").into(),
        respond(404, &[], "").into(),
        respond(503, &[("Retry-After", "1")], "").into(),
        respond(401, &[("WWW-Authenticate", "Basic realm=\"home\"")], "").into(),
        respond(200, &[], "<html>").into(),
        Step::Close.into(),
        Step::Silence.into(),
    ];
    for answer in answers {
        let net = Net::new();
        let asked = net.http("asked", |_| device("token", &[local(http("nas"))]));
        let is_silent = format!("{answer:?}").contains("Silence");
        let source = net.http("nas", move |request| match request.path() {
            "/identity" => as_source(request).into(),
            _ => answer.clone(),
        });
        let (connected, took) = connect_in(&net, |it| it).await;
        connected.unwrap();
        // Without retries, and for a second at most.
        assert_eq!((asked.count(), source.count()), (1, 2));
        assert_eq!(took, if is_silent { 1_000 } else { 0 });
    }
}

#[tokio::test]
async fn the_first_cache_starts_with_the_token_of_connect() {
    let net = Net::new();
    net.http("asked", |_| device("token", &[local(http("nas"))]));
    let numbered = |request: &Request| match request.path() {
        "/identity" => as_source(request),
        _ => support::good(request, &format!("transient-{}", request.number)),
    };
    let source = net.http("nas", numbered);
    let connected = connect_in(&net, |it| it).await.0.unwrap();
    let cached = async |server: &Connected| {
        let token = net.run(TokenCache::of_source(server).token()).await.unwrap();
        (token.expose_secret().to_owned(), source.count())
    };
    assert_eq!(cached(&connected).await, ("transient-1".to_owned(), 2));
    assert_eq!(cached(&connected).await, ("transient-2".to_owned(), 3));

    // A reconnection drops it.
    let connected = connect_in(&net, |it| it).await.0.unwrap();
    net.run(connected.reconnect()).await.unwrap();
    assert!(cached(&connected).await.0 != "transient-4");
}

/// It may be longer than the client's, and the look-up counts.
#[tokio::test]
async fn connect_has_a_timeout_of_its_own() {
    for (asked, took, kind) in [
        (Some(device("token", &[local(http("silent"))]).into()), 7, ErrorKind::Unreachable),
        (Some(Steps::from(Step::Silence)), 7, ErrorKind::Timeout),
        // By `connect_timeout`.
        (None, 5, ErrorKind::Timeout),
    ] {
        let net = Net::new();
        match asked {
            Some(steps) => drop(net.http("asked", move |_| steps.clone())),
            None => net.lead("asked", Lead::Nowhere),
        }
        let client = net.client("asked", |builder| builder.timeout(SECOND));
        let connecting = client.connect(&source()).timeout(7 * SECOND).into_future();
        let (result, elapsed) = net.time(connecting).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), elapsed.as_secs()), (kind, took), "{error}");
        let is_whole = error.to_string().contains("within 7s (`timeout`)");
        assert_eq!(is_whole, (kind, took) == (ErrorKind::Timeout, 7), "{error}");
    }
}

/// The names and reasons of the connections that were not used.
fn reasons(server: &Connected) -> Vec<(String, ErrorKind)> {
    let candidates = server.candidates();
    let reason = |one: &plex_auth::CandidateError| (one.origin().to_owned(), one.error().kind());
    candidates.iter().map(reason).collect()
}

#[tokio::test]
async fn the_handle_and_log_say_why_others_were_not_used() {
    let (_recording, log) = leak::record();
    let net = Net::new();
    let listed: Vec<Value> = vec![
        local(https("wrong")),
        local(https("silent")),
        remote("https://169.254.1.1"),
        remote(https("far")),
        remote(https("late")),
        relay(https("relay")),
    ];
    net.http("asked", move |_| device("token", &listed));
    net.https("wrong", as_another);
    net.https("far", as_source);
    let server = net.https("late", as_source);
    net.lead("late", Lead::After(SECOND, server));
    let (connected, _) = connect_in(&net, |it| it).await;
    let connected = connected.unwrap();
    let expected = [
        (https("wrong"), ErrorKind::WrongServer),
        (https("silent"), ErrorKind::Skipped),
        ("https://169.254.1.1".to_owned(), ErrorKind::Skipped),
        (https("late"), ErrorKind::Skipped),
        (https("relay"), ErrorKind::Skipped),
    ];
    let mut found = reasons(&connected);
    found.sort_by_key(|(origin, _)| origin.clone());
    let mut expected = expected.to_vec();
    expected.sort_by_key(|(origin, _)| origin.clone());
    assert_eq!(found, expected);
    let silent = &connected.candidates()[1];
    assert!(silent.is_local() && !silent.is_relay());
    assert!(silent.to_string().ends_with("no answer yet: another one was verified first"));
    let untried = connected.candidates().last().unwrap().to_string();
    assert!(untried.ends_with("(relay): skipped: another one was verified first"), "{untried}");

    let log = log.lock().unwrap();
    let events = || log.lines().filter(|line| line.contains("DEBUG plex_auth::connect::"));
    let event = |name: &str| events().find(|line| line.contains(name)).unwrap();
    for (name, origin) in [("candidate failed", https("wrong")), ("connected", https("far"))] {
        let event = event(name);
        for field in ["local=", "relay=false", "elapsed_ms=", &format!("origin=\"{origin}\"")] {
            assert!(event.contains(field), "{field}: {event}");
        }
    }
    assert!(event("candidate failed").contains("error=WrongServer"));
}

fn get(client: &Client) -> Result<RequestBuilder, Error> {
    client.request(Method::GET, "/library?a=1")
}

#[tokio::test]
async fn send_reconnects_when_the_source_refuses_the_token() {
    let home = Home::new(as_asked).await;
    let restarted = home.net.http("source", accepting("token-1"));
    let sent = AtomicUsize::new(0);
    let numbered = |client: &Client| Ok(get(client)?.header("x-number", sent.fetch_add(1, SeqCst)));

    let response = home.net.run(home.server.send(numbered)).await.unwrap();

    assert_eq!((response.status().as_u16(), home.asked.count()), (200, 2));
    let requests = restarted.requests();
    let last = requests.last().unwrap();
    assert_eq!((last.target(), last.header("x-number")), ("/library?a=1", Some("1")));
}

/// A home whose source answers this to everything but `/identity` from then on.
async fn answering(
    asked: fn(&Request) -> Vec<u8>,
    answer: impl Into<Steps>,
) -> (Home, Arc<Server>) {
    let home = Home::new(asked).await;
    let answer = answer.into();
    let source = home.net.http("source", move |request| match request.path() {
        "/identity" => as_source(request).into(),
        _ => answer.clone(),
    });
    (home, source)
}

#[tokio::test]
async fn send_returns_every_other_response() {
    let login = [("WWW-Authenticate", "Basic realm=\"home\"")];
    for (status, headers) in [(404, &[][..]), (503, &[]), (401, &login)] {
        let (home, source) = answering(refusing_refresh, respond(status, headers, "")).await;
        let response = home.net.run(home.server.send(get)).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!((home.asked.count(), source.count()), (1, 1));
    }
    // A second 401 is the caller's: the trial of the token succeeded.
    let home = Home::new(as_asked).await;
    let source = home.net.http("source", |request| match request.path() {
        "/library" => respond(401, &[], ""),
        _ => as_source(request),
    });
    let response = home.net.run(home.server.send(get)).await.unwrap();
    assert_eq!((response.status().as_u16(), source.count()), (401, 4));
}

#[tokio::test]
async fn send_has_our_errors() {
    // A reconnection that fails is the error.
    let (home, _) = answering(refusing_refresh, respond(401, &[], "")).await;
    let error = home.net.run(home.server.send(get)).await.unwrap_err();
    assert_eq!((error.kind(), home.asked.count()), (ErrorKind::Unauthorized, 2));
    drop(home);
    // No other retries.
    let (home, source) = answering(as_asked, Step::Close).await;
    let error = home.net.run(home.server.send(get)).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 1), "{error}");
    assert!(error.to_string().starts_with("sending a request at http://source"), "{error}");
    assert_eq!(source.count(), 1);
    let error = home.net.run(home.server.send(|_| Err(Error::for_test(ErrorKind::NotFound)))).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let invalid = |client: &Client| Ok(get(client)?.header("x", "\n"));
    let error = home.net.run(home.server.send(invalid)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSetting, "{error}");
}
