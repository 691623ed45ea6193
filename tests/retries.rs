//! What is tried again, how often, and when a call gives up.

mod support;

use std::time::{Duration, Instant};

use plex_auth::Error;
use support::{Server, Step, Steps, json, respond};

/// Answers so until the last of `failures`, then well.
fn recovering(failures: usize, status: u16, headers: &'static [(&str, &str)]) -> Server {
    Server::start(move |request| {
        if request.number < failures {
            respond(status, headers, "")
        } else {
            json(r#"{"MediaContainer":{"token":"t"}}"#)
        }
    })
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    for status in [429, 502, 503, 504] {
        let server = recovering(2, status, &[("Retry-After", "0")]);
        let client = server.builder().max_retries(2).build().unwrap();
        client.transient_token().await.unwrap();
        assert_eq!(server.count(), 3, "{status}");
    }
}

#[tokio::test]
async fn other_failures_are_not_tried_again() {
    for status in [204, 302, 400, 401, 403, 404, 500, 501] {
        let server = recovering(1, status, &[("Retry-After", "0")]);
        let client = server.builder().max_retries(2).build().unwrap();
        client.transient_token().await.unwrap_err();
        assert_eq!(server.count(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_number_of_tries_is_the_default_of_3_or_what_was_set() {
    let server = recovering(usize::MAX, 503, &[("Retry-After", "0")]);
    let client =
        plex_auth::Client::builder(server.url()).token("t").client_identifier("c").build().unwrap();
    let error = client.transient_token().await.unwrap_err();
    assert_eq!((server.count(), error.failure().unwrap().tries), (3, 3));
    assert!(error.to_string().contains("tried 3 times"), "{error}");

    let server = recovering(usize::MAX, 503, &[("Retry-After", "0")]);
    let client = server.builder().max_retries(0).build().unwrap();
    let error = client.transient_token().await.unwrap_err();
    assert_eq!((server.count(), error.failure().unwrap().tries), (1, 1));
}

#[tokio::test]
async fn a_lost_connection_is_tried_again() {
    for lost in [Step::Close, Step::Reset] {
        let server = Server::start(move |request| match request.number {
            0 => Steps::from(lost.clone()),
            _ => json(r#"{"MediaContainer":{"token":"t"}}"#).into(),
        });
        let client = server.builder().max_retries(1).build().unwrap();
        client.transient_token().await.unwrap();
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = recovering(1, 503, &[("Retry-After", "1")]);
    let client = server.builder().max_retries(1).build().unwrap();
    let started = Instant::now();
    client.transient_token().await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_that_does_not_fit_ends_the_call_at_once_and_is_told() {
    let server = recovering(1, 503, &[("Retry-After", "3600")]);
    let client = server.builder().max_retries(5).build().unwrap();
    let started = Instant::now();
    let error = client.transient_token().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_time_out_is_not_tried_again() {
    let server = Server::start(|_| Step::Silence);
    let client =
        server.builder().max_retries(5).timeout(Duration::from_millis(300)).build().unwrap();
    let error = client.transient_token().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert!(error.to_string().contains("300ms") && !error.is_retryable(), "{error}");
    assert_eq!(server.count(), 1);
}
