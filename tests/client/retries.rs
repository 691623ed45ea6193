//! What is retried, how often, after which waits, and when a call gives up.

use std::time::Duration;

use futures_util::future::join_all;
use plex_auth::{Client, ClientBuilder, Error, ErrorKind, TransientToken};
use support::net::{Lead, Net};
use support::{Step, Steps, good, respond};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Calls a server that answers 503 until the last of `failures`, with the default number of retries
/// and time for them. Returns how long it took, too.
async fn call(
    failures: usize,
    headers: &'static [(&str, &str)],
) -> (Result<TransientToken, Error>, Duration) {
    let net = Net::new();
    net.http("asked", move |request| match request.number < failures {
        true => respond(503, headers, ""),
        false => good(request, "transient"),
    });
    let hour = SECOND * 3_600;
    let builder = Client::builder("http://asked.home.lan").token("t").client_identifier("c");
    let client = net.join(builder.timeout(hour).connect_timeout(hour)).build().unwrap();
    net.time(client.transient_token()).await
}

#[tokio::test]
async fn a_starting_server_gets_10_retries_by_default() {
    let (result, took) = call(10, &[("Retry-After", "0")]).await;
    result.unwrap();
    // 0.25 + 0.5 + 1 + 2 + 6 * 4 s; jitter and a `Retry-After` only lengthen.
    assert!(took >= Duration::from_millis(27_750), "{took:?}");

    let error = call(11, &[]).await.0.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 11));
    assert!(error.to_string().contains("(11 attempts)"), "{error}");
}

#[tokio::test]
async fn a_retry_after_lengthens_the_wait_or_ends_the_call() {
    let (result, took) = call(1, &[("Retry-After", "20")]).await;
    assert!(result.is_ok() && took >= SECOND * 20, "{took:?}");

    let (result, took) = call(1, &[("Retry-After", "3600")]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 1));
    assert_eq!(error.retry_after(), Some(SECOND * 3_600));
    assert!(took < SECOND, "{took:?}");
}

#[tokio::test]
async fn a_call_ends_at_its_timeout_with_the_last_answer() {
    // The last attempt has no response, or an error without its body.
    for last in [&b""[..], b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"] {
        let net = Net::new();
        let server = net.http("asked", move |request| match request.number {
            0 => Steps::from(respond(503, &[("Retry-After", "3")], "")),
            _ => vec![Step::Send(last.to_vec()), Step::Silence].into(),
        });
        let client = net.client("asked", |it| it.timeout(SECOND * 4).max_retries(5));
        let (result, took) = net.time(client.transient_token()).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 2));
        assert_eq!((took.as_secs(), server.count()), (4, 2));
    }
    let net = Net::new();
    net.http("asked", |_| Step::Silence);
    let client = net.client("asked", |it| it.timeout(SECOND * 4));
    let error = net.run(client.transient_token()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false));
    assert!(error.to_string().contains("within 4s (`timeout`)"), "{error}");
}

#[tokio::test]
async fn an_attempt_without_an_answer_gets_company() {
    for (retries, answered, took, attempts) in [
        // One is added every `connect_timeout`: three in all, and none without retries.
        (9, 0, 0, 1),
        (9, 1, 1, 2),
        (9, 2, 2, 3),
        (9, 3, 6, 3),
        (0, 1, 6, 1),
    ] {
        let net = Net::new();
        let server = net.http("asked", move |request| match request.number == answered {
            true => Steps::from(good(request, "transient")),
            false => Step::Silence.into(),
        });
        let short = |it: ClientBuilder| it.connect_timeout(SECOND).timeout(SECOND * 6);
        let client = net.client("asked", |it| short(it.max_retries(retries)));
        let (result, elapsed) = net.time(client.transient_token()).await;
        assert_eq!((elapsed.as_secs(), server.count()), (took, attempts));
        assert_eq!(server.connections(), attempts);
        assert_eq!(result.is_ok(), took < 6, "{result:?}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert_eq!(error.attempts() as usize, attempts);
        }
    }
}

#[tokio::test]
async fn company_takes_no_dead_connection_from_the_pool() {
    let net = Net::new();
    // Answers once on each connection, and is silent from then on.
    let server = net.http("asked", |it| vec![Step::Send(good(it, "transient")), Step::Silence]);
    let pooled = |it: ClientBuilder| it.configure_http(|http| http.pool_max_idle_per_host(2));
    let client = net.client("asked", |it| pooled(it.max_retries(1).connect_timeout(SECOND)));
    net.run(join_all([client.transient_token(), client.transient_token()])).await;
    let (result, took) = net.time(client.transient_token()).await;
    assert_eq!((result.is_ok(), took.as_secs(), server.connections()), (true, 1, 3));
}

#[tokio::test]
async fn company_that_is_closed_is_no_answer_while_another_runs() {
    let net = Net::new();
    let server = net.http("asked", |request| match request.number {
        0 => Steps::from(Step::Silence),
        1 => Step::Close.into(),
        _ => good(request, "transient").into(),
    });
    let client = net.client("asked", |it| it.max_retries(9).connect_timeout(SECOND));
    let (result, took) = net.time(client.transient_token()).await;
    assert_eq!((result.is_ok(), took.as_secs(), server.count()), (true, 2, 3));

    // One that could not connect ends the attempt.
    drop(net);
    let net = Net::new();
    let server = net.http("asked", |_| Step::Silence);
    let client = net.client("asked", |it| it.max_retries(1));
    let calling = tokio::spawn(async move { client.transient_token().await });
    net.run(sleep(SECOND * 4)).await;
    net.lead("asked", Lead::From(Duration::MAX, server));
    let (result, took) = net.time(calling).await;
    let error = result.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 3));
    assert_eq!(took.as_secs(), 1);
}

#[tokio::test]
async fn the_first_retry_after_a_close_is_made_at_once() {
    let net = Net::new();
    net.http("asked", |request| match request.number {
        0 | 1 => Steps::from(Step::Close),
        _ => good(request, "transient").into(),
    });
    let client = net.client("asked", |it| it.max_retries(9));
    let (result, took) = net.time(client.transient_token()).await;
    result.unwrap();
    let took = took.as_millis();
    // The second one waits 500 ms, with jitter up to 1 s.
    assert!((500..1_100).contains(&took), "{took}");
    assert_eq!(net.times("asked")[..2], [0, 0]);
}

#[tokio::test]
async fn jitter_lengthens_waits_differently() {
    let net = Net::new();
    net.http("asked", |request| match request.number % 2 {
        0 => respond(503, &[], ""),
        _ => good(request, "transient"),
    });
    let client = net.client("asked", |it| it.max_retries(1));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let (result, took) = net.time(client.transient_token()).await;
        result.unwrap();
        waits.push(took.as_millis());
    }
    assert!(waits.iter().all(|wait| (250..=510).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| wait.abs_diff(waits[0]) > 5), "{waits:?}");
}
