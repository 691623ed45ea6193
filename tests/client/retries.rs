//! What is retried, how often, after which waits, and when a call gives up.

use std::time::Duration;

use plex_auth::{Client, ClientBuilder, Error, ErrorKind, TransientToken};
use support::net::{Lead, Net};
use support::{Step, Steps, good, respond};
use tokio::time::{Instant, sleep};

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
    let hour = Duration::from_secs(3_600);
    let builder = Client::builder("http://asked.home.lan").token("t").client_identifier("c");
    let client = net.join(builder.timeout(hour).connect_timeout(hour)).build().unwrap();
    let started = Instant::now();
    let result = net.run(client.transient_token()).await;
    (result, started.elapsed())
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
    assert!(result.is_ok() && took >= Duration::from_secs(20), "{took:?}");

    let (result, took) = call(1, &[("Retry-After", "3600")]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 1));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)));
    assert!(took < Duration::from_secs(1), "{took:?}");
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
        let client = net.client("asked", |it| it.timeout(Duration::from_secs(4)).max_retries(5));
        let started = Instant::now();
        let error = net.run(client.transient_token()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 2));
        assert_eq!((started.elapsed().as_secs(), server.count()), (4, 2));
    }
    let net = Net::new();
    net.http("asked", |_| Step::Silence);
    let client = net.client("asked", |it| it.timeout(Duration::from_secs(4)));
    let error = net.run(client.transient_token()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false));
    assert!(error.to_string().contains("within 4s (`timeout`)"), "{error}");
}

#[tokio::test]
async fn an_attempt_without_an_answer_gets_company_over_new_connections() {
    let call = async |answered: usize, retries, with: fn(ClientBuilder) -> ClientBuilder| {
        let net = Net::new();
        let server = net.http("asked", move |request| match request.number == answered {
            true => Steps::from(good(request, "transient")),
            false => Step::Silence.into(),
        });
        let client = net.client("asked", |it| with(it.max_retries(retries)));
        let started = Instant::now();
        let result = net.run(client.transient_token()).await;
        (result, started.elapsed().as_secs(), server.count(), server.connections())
    };
    for (answered, took) in [(0, 0), (1, 5), (2, 10)] {
        let (result, elapsed, requests, connections) = call(answered, 9, |it| it).await;
        result.unwrap();
        assert_eq!((elapsed, requests, connections), (took, answered + 1, answered + 1));
    }
    // Three in all, none without retries, and as often as `connect_timeout` says.
    let (result, elapsed, requests, _) = call(3, 9, |it| it).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 3));
    assert_eq!((elapsed, requests), (30, 3));
    let (result, elapsed, requests, _) = call(1, 0, |it| it).await;
    assert_eq!((result.unwrap_err().attempts(), elapsed, requests), (1, 30, 1));
    let second = Duration::from_secs(1);
    let quick = |it: ClientBuilder| {
        it.connect_timeout(Duration::from_secs(1)).timeout(Duration::from_secs(9))
    };
    assert_eq!(call(1, 1, quick).await.1, second.as_secs());
}

#[tokio::test]
async fn company_that_is_closed_is_no_answer_while_another_runs() {
    let net = Net::new();
    let server = net.http("asked", |request| match request.number {
        0 => Steps::from(Step::Silence),
        1 => Step::Close.into(),
        _ => good(request, "transient").into(),
    });
    let client = net.client("asked", |it| it.max_retries(9));
    let started = Instant::now();
    net.run(client.transient_token()).await.unwrap();
    assert_eq!((started.elapsed().as_secs(), server.count()), (10, 3));

    // One that could not connect ends the attempt.
    drop(net);
    let net = Net::new();
    let server = net.http("asked", |_| Step::Silence);
    let client = net.client("asked", |it| it.max_retries(1));
    let calling = tokio::spawn(async move { client.transient_token().await });
    net.run(sleep(Duration::from_secs(4))).await;
    net.lead("asked", Lead::From(Duration::MAX, server));
    let started = Instant::now();
    let error = net.run(calling).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 3));
    assert_eq!(started.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn the_first_retry_after_a_close_is_made_at_once() {
    let net = Net::new();
    net.http("asked", |request| match request.number {
        0 | 1 => Steps::from(Step::Close),
        _ => good(request, "transient").into(),
    });
    let client = net.client("asked", |it| it.max_retries(9));
    let started = Instant::now();
    net.run(client.transient_token()).await.unwrap();
    let took = started.elapsed().as_millis();
    // The second one waits 500 ms, with jitter up to 1 s.
    assert!((500..1_100).contains(&took), "{took}");
    assert_eq!(net.times("asked")[..2], [0, 0]);
}
