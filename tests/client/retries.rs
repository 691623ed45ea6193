//! What is retried, how often, after which waits, and when a call gives up.

use std::time::Duration;

use plex_auth::{Client, Error, ErrorKind, TransientToken};
use support::net::Net;
use support::{Step, Steps, good, respond};
use tokio::time::Instant;

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
async fn a_server_that_starts_is_waited_for_with_10_retries_by_default() {
    let (result, took) = call(10, &[("Retry-After", "0")]).await;
    result.unwrap();
    // 0.25 + 0.5 + 1 + 2 + 6 * 4 s; jitter and a `Retry-After` only lengthen.
    assert!(took >= Duration::from_millis(27_750), "{took:?}");

    let error = call(11, &[]).await.0.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 11));
    assert!(error.to_string().contains("(11 attempts)"), "{error}");
}

#[tokio::test]
async fn a_retry_after_lengthens_the_wait_and_ends_the_call_at_once_where_it_does_not_fit() {
    let (result, took) = call(1, &[("Retry-After", "20")]).await;
    assert!(result.is_ok() && took >= Duration::from_secs(20), "{took:?}");

    let (result, took) = call(1, &[("Retry-After", "3600")]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 1));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn the_time_out_holds_for_all_attempts_together_and_is_not_retried() {
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
        assert_eq!((error.kind(), error.attempts(), server.count()), (ErrorKind::Timeout, 2, 2));
        assert!(error.to_string().contains("within 4s (`timeout`)"), "{error}");
        assert!(!error.is_retryable());
        assert_eq!(started.elapsed().as_secs(), 4);
    }
}
