//! What a person learns from each error status, in each dress of its body.

mod support;

use std::error::Error as _;

use plex_auth::{BodyKind, Error, Failure, Source};
use support::{Server, Step, TOKEN, respond};

/// The errors of a mint and of a look-up that were answered so.
async fn errors(answer: Vec<u8>) -> [Error; 2] {
    let server = Server::start(move |_| answer.clone());
    let source: Source = "server://243b47".parse().unwrap();
    let client = server.client();
    [
        client.transient_token().await.unwrap_err(),
        client.source_connection_information(&source).await.unwrap_err(),
    ]
}

#[track_caller]
fn failure(error: &Error) -> &Failure {
    error.failure().unwrap()
}

#[tokio::test]
async fn the_servers_code_and_words_are_read_from_json_whatever_its_type() {
    let body =
        r#"{"errors":[{"code":1001,"message":"User could not be authenticated","status":401}]}"#;
    for content_type in ["application/json", "text/html", "nonsense"] {
        for error in errors(respond(401, &[("Content-Type", content_type)], body)).await {
            assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
            assert!(error.is_auth() && !error.is_retryable());
            assert_eq!(failure(&error).code, Some(1001));
            assert_eq!(failure(&error).message.as_deref(), Some("User could not be authenticated"));
            assert_eq!(failure(&error).body_kind, Some(BodyKind::Json));
            let text = error.to_string();
            assert!(text.contains("48 hours") && text.contains("restarts"), "{text}");
            assert!(text.contains("User could not be authenticated (its code 1001)"), "{text}");
        }
    }
}

#[tokio::test]
async fn html_is_recognised_and_not_repeated() {
    let body = "<html><head><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1></body></html>";
    for error in errors(respond(401, &[("Content-Type", "application/json")], body)).await {
        assert_eq!(failure(&error).body_kind, Some(BodyKind::Html));
        assert_eq!((failure(&error).code, &failure(&error).message), (None, &None));
    }
}

#[tokio::test]
async fn a_starting_server_is_told_by_its_own_words() {
    let body = "<Response code=\"503\" title=\"Maintenance\" status=\"Plex Media Server is \
                currently running startup maintenance tasks.\" />";
    for error in errors(respond(503, &[("Retry-After", "7")], body)).await {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(error.is_retryable());
        assert_eq!(error.retry_after().unwrap().as_secs(), 7);
        let words =
            "Maintenance: Plex Media Server is currently running startup maintenance tasks.";
        assert_eq!(failure(&error).message.as_deref(), Some(words));
        assert_eq!(failure(&error).code, Some(503));
        assert!(error.to_string().contains("come back in 7 s"), "{error}");
    }
}

#[tokio::test]
async fn a_400_names_the_parameters() {
    let [mint, source] = errors(respond(400, &[], "")).await;
    assert!(matches!(mint, Error::BadRequest(_)) && matches!(source, Error::BadRequest(_)));
    assert!(mint.to_string().contains("`type` or `scope`"), "{mint}");
    assert!(source.to_string().contains("`source`"), "{source}");
}

#[tokio::test]
async fn a_403_tells_who_may() {
    for error in errors(respond(403, &[], "")).await {
        assert!(matches!(error, Error::Forbidden(_)) && error.is_auth());
        assert!(error.to_string().contains("admin's token"), "{error}");
    }
}

#[tokio::test]
async fn a_404_tells_of_old_servers_and_wrong_paths() {
    for error in errors(respond(404, &[], "")).await {
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
        assert!(
            error.to_string().contains("1.15.4") && error.to_string().contains("path"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_429_tells_when_to_come_back() {
    for error in errors(respond(429, &[("Retry-After", "86400")], "")).await {
        assert!(matches!(error, Error::TooManyRequests(_)) && error.is_retryable());
        assert_eq!(error.retry_after().unwrap().as_secs(), 86400);
    }
}

#[tokio::test]
async fn a_redirect_names_the_origin_alone() {
    for (location, origin) in [
        ("https://other.example:8443/path?token=t", "https://other.example:8443"),
        ("/login", "http://127.0.0.1"),
        ("http://[::1", "nowhere"),
    ] {
        for error in errors(respond(302, &[("Location", location)], "")).await {
            assert!(matches!(error, Error::Redirect(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(origin), "{text}");
            assert!(!text.contains("path") && !text.contains("login"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_token_in_a_locations_host_is_masked() {
    let location = format!("https://{TOKEN}.example/");
    for error in errors(respond(301, &[("Location", &location)], "")).await {
        let text = format!("{error} {error:?}").to_ascii_lowercase();
        assert!(!text.contains(&TOKEN.to_ascii_lowercase()), "a token is shown");
    }
}

#[tokio::test]
async fn another_status_comes_with_the_kind_of_its_body() {
    for status in [204, 402, 418, 500, 501, 507, 599] {
        let body = if status == 204 { "" } else { "<html></html>" };
        for error in errors(respond(status, &[], body)).await {
            assert!(matches!(error, Error::UnexpectedStatus(_)), "{error:?}");
            assert_eq!(error.status().unwrap(), status);
            assert!(!error.is_retryable());
            let kind = if status == 204 { "nothing" } else { "HTML" };
            assert!(error.to_string().contains(kind), "{error}");
        }
    }
}

#[tokio::test]
async fn the_callers_token_in_the_servers_words_is_masked() {
    let body = format!(r#"{{"errors":[{{"code":1001,"message":"bad {TOKEN} \u001b[31m"}}]}}"#);
    for error in errors(respond(401, &[], body)).await {
        assert_eq!(failure(&error).message.as_deref(), Some("bad [masked] \\u{1b}[31m"));
    }
}

#[tokio::test]
async fn an_error_names_the_origin_and_keeps_its_cause_without_the_url() {
    let server = Server::stopped(|_| Step::Close);
    let error = server.client().transient_token().await.unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error:?}");
    assert!(error.to_string().contains(&server.url()), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    let source = error.source().unwrap().downcast_ref::<plex_auth::reqwest::Error>().unwrap();
    assert!(source.url().is_none());
    let cheap = error.clone();
    assert_eq!(cheap.to_string(), error.to_string());
}

#[test]
fn a_call_outside_a_runtime_is_an_error() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let client = support::builder("http://127.0.0.1:1").build().unwrap();
    let call = pin!(client.transient_token());
    match call.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(Error::NoRuntime)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[cfg(feature = "rustls")]
async fn https_to_a_bare_address_points_to_plex_direct() {
    let config = support::tls::Authority::new().server("10-0-0-1.hash.plex.direct");
    let server = Server::start_tls(config, |_| Step::Close);
    let error = server.client().transient_token().await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    assert!(error.to_string().contains("plex.direct"), "{error}");
    assert_eq!(failure(&error).tries, 1);
}
