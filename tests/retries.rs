//! What is retried, how often, after which waits, and when a call gives up.

use std::time::Duration;

use plex_auth::{Client, ErrorKind};
use support::clock::Clock;
use support::{Server, Step, Steps, good, respond};
use tokio::time::Instant;

/// Answers 503 until the last of `failures`, then well.
fn recovering(failures: usize, headers: &'static [(&str, &str)]) -> Server {
    Server::start(move |request| match request.number < failures {
        true => respond(503, headers, ""),
        false => good(request, "transient"),
    })
}

/// A client with the default number of retries, and time for them.
fn default_client(server: &Server) -> Client {
    let hour = Duration::from_secs(3_600);
    let builder = Client::builder(server.url()).token("t").client_identifier("c");
    let builder = builder.timeout(hour).connect_timeout(hour);
    builder.configure_http(|http| http.tls_certs_only([])).build().unwrap()
}

#[tokio::test]
async fn a_server_that_starts_is_waited_for_with_10_retries_by_default() {
    let clock = Clock::stop();
    let server = recovering(10, &[("Retry-After", "0")]);
    let started = Instant::now();
    clock.run(default_client(&server).transient_token()).await.unwrap();
    // 0.25 + 0.5 + 1 + 2 + 6 * 4 s; jitter and a `Retry-After` only lengthen.
    assert!(started.elapsed() >= Duration::from_millis(27_750), "{:?}", started.elapsed());

    let server = recovering(11, &[]);
    let error = clock.run(default_client(&server).transient_token()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.count()), (ErrorKind::Unavailable, 11, 11));
    assert!(error.to_string().contains("(11 attempts)"), "{error}");
}

#[tokio::test]
async fn a_retry_after_lengthens_the_wait_and_ends_the_call_at_once_where_it_does_not_fit() {
    let clock = Clock::stop();
    let started = Instant::now();
    let server = recovering(1, &[("Retry-After", "20")]);
    clock.run(default_client(&server).transient_token()).await.unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(20), "{took:?}");

    let server = recovering(1, &[("Retry-After", "3600")]);
    let error = clock.run(default_client(&server).transient_token()).await.unwrap_err();
    assert!(started.elapsed() - took < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 1));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)));
}

#[tokio::test]
async fn the_time_out_holds_for_all_attempts_together_and_is_not_retried() {
    let clock = Clock::stop();
    let server = Server::start(|request| match request.number {
        0 => Steps::from(respond(503, &[("Retry-After", "3")], "")),
        _ => Step::Silence.into(),
    });
    let client = server.builder().timeout(Duration::from_secs(4)).max_retries(5).build().unwrap();
    let started = Instant::now();
    let error = clock.run(client.transient_token()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.count()), (ErrorKind::Timeout, 2, 2));
    assert!(error.to_string().contains("within 4s (`timeout`)"), "{error}");
    assert!(!error.is_retryable());
    // With 4 s for each attempt it would be 7 s.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
