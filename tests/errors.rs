//! What a person and a program learn from each error: the text, the kind, the server's explanation.

use std::error::Error as _;

use plex_auth::{Client, Error, ErrorKind};
use support::tls::AUTHORITY;
use support::{Call, Server, Step, TOKEN, leak, refusing_port, respond};

/// The errors of both calls, of a client of this server.
async fn errors_of(client: &Client) -> [Error; 2] {
    [Call::Token.make(client).await.unwrap_err(), Call::LookUp.make(client).await.unwrap_err()]
}

/// The errors of both calls, answered so.
async fn errors(response: Vec<u8>) -> [Error; 2] {
    let server = Server::start(move |_| response.clone());
    errors_of(&server.client()).await
}

#[track_caller]
fn assert_says(error: &Error, texts: &[&str]) {
    let shown = error.to_string();
    assert!(texts.iter().all(|text| shown.contains(text)), "{texts:?} not in: {shown}");
    assert!(!shown.contains('\n'), "more than one line: {shown}");
}

const HTML: &str = "<html><head><script>secret()</script><title>Unauthorized</title></head>\
                    <body><h1>401 Unauthorized</h1></body></html>";

fn json_error(code: &str, message: &str) -> String {
    format!(r#"{{"errors":[{{"code":{code},"message":"{message}","status":401}}]}}"#)
}

#[tokio::test]
async fn the_servers_explanation_is_read_from_json_and_xml_whatever_the_content_type() {
    let xml = "<?xml version=\"1.0\"?><!-- a --><Response code='1001' title='User' status='no'/>";
    for (body, message) in [
        (json_error("1001", "User: no"), "User: no"),
        (json_error("\"1001\"", "User: no"), "User: no"),
        (format!("\u{feff}{}", json_error("1001", "User: no")), "User: no"),
        (r#"{"errors":{"code":1001,"message":"User: no"}}"#.to_owned(), "User: no"),
        (xml.to_owned(), "User: no"),
    ] {
        for content_type in ["application/json", "text/html", "nonsense"] {
            for error in errors(respond(401, &[("Content-Type", content_type)], &body)).await {
                assert_eq!(error.server_message(), Some(message), "{body}");
                assert_says(&error, &["; the server says: User: no (code 1001)"]);
            }
        }
    }
}

#[tokio::test]
async fn a_body_without_an_explanation_is_not_shown() {
    for body in [HTML, "", "secret", "{\"secret\":1}", "{\"errors\":[]}", "{\"errors\":\"secret\"}"]
    {
        for error in errors(respond(401, &[("Content-Type", "application/json")], body)).await {
            assert_eq!(error.server_message(), None, "{body}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{body} is shown");
        }
    }
}

#[tokio::test]
async fn a_message_cannot_control_a_terminal_and_is_cut() {
    for (message, shown) in [
        ("\u{1b}[31mred\u{1b}[0m", r"\u{1b}[31mred\u{1b}[0m"),
        ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
        ("\u{9b}31m", r"\u{9b}31m"),
        ("a\r\nerror: b\0", r"a\r\nerror: b\0"),
        ("ok\u{8}\u{8}no", r"ok\u{8}\u{8}no"),
        ("a\u{202e}b\u{2066}", r"a\u{202e}b\u{2066}"),
        ("a\u{feff}b", r"a\u{feff}b"),
        (&"ü".repeat(300), &format!("{}…", "ü".repeat(255))),
    ] {
        let body = serde_json::json!({"errors": [{"code": 1, "message": message}]});
        for error in errors(respond(401, &[], body.to_string())).await {
            assert_eq!(error.server_message(), Some(shown));
            assert_says(&error, &[shown]);
        }
    }
}

#[tokio::test]
async fn a_401_or_403_names_the_likely_causes() {
    for error in errors(respond(401, &[], HTML)).await {
        let causes = ["401 Unauthorized: ", "it has expired", "before a restart of the server"];
        assert_says(&error, &causes);
        assert_says(&error, &["not a token for this server", "JWT of plex.tv"]);
    }
    for error in errors(respond(403, &[], "<html>Just a moment...</html>")).await {
        assert_says(
            &error,
            &["a proxy in front of the server refused; or the token may not", "an admin's token"],
        );
    }
}

#[tokio::test]
async fn a_400_over_http_says_that_the_port_may_need_https_unless_a_pms_explains_it() {
    for body in [
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
        "Client sent an HTTP request to an HTTPS server.\n",
    ] {
        for error in errors(respond(400, &[("Content-Type", "text/html")], body)).await {
            assert_eq!(error.kind(), ErrorKind::BadRequest);
            assert_says(&error, &["the port may need `https`"]);
            assert!(!error.to_string().contains("parameter"), "{error}");
        }
    }
    for body in [json_error("1000", "no"), HTML.replace("401 Unauthorized", "400 Bad Request")] {
        let [token, look_up] = errors(respond(400, &[], &body)).await;
        assert_says(&token, &["a query parameter", "`type` or `scope`"]);
        assert_says(&look_up, &["a query parameter", "`source`"]);
        assert!(!format!("{token} {look_up}").contains("https"), "{token} {look_up}");
    }
    // Nothing is known.
    for error in errors(respond(400, &[], "")).await {
        assert_says(&error, &["the port may need `https`", "a query parameter"]);
    }
    // Where `https` is spoken already, nothing better is known.
    let server = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| respond(400, &[], HTML));
    for error in errors_of(&server.client()).await {
        assert_says(&error, &["a query parameter"]);
        assert!(!error.to_string().contains("may need"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_an_http_connection_may_need_https() {
    for last in [Step::Close, Step::Reset] {
        let server = Server::raw(move |_| vec![Step::Read, last.clone()]);
        for error in errors_of(&server.client()).await {
            assert_eq!(error.kind(), ErrorKind::Connect);
            assert_says(&error, &["closed before a response came; the port may need `https`"]);
        }
    }
}

#[tokio::test]
async fn a_404_shows_the_path_without_the_query_and_speaks_of_age_for_the_look_up_only() {
    let server = Server::start(|_| respond(404, &[], ""));
    let client = support::builder(format!("{}/my/plex/", server.url())).build().unwrap();
    let [token, look_up] = errors_of(&client).await;
    assert_eq!([token.kind(), look_up.kind()], [ErrorKind::NotFound; 2]);
    assert_says(
        &token,
        &["nothing at /my/plex/security/token: the address may have the wrong path"],
    );
    assert_says(&look_up, &["nothing at /my/plex/security/resources: ", "PMS 1.15.4 or newer"]);
    assert!(!token.to_string().contains("1.15.4"), "{token}");
    assert!(!format!("{token} {look_up}").contains("type="), "{token} {look_up}");
}

#[tokio::test]
async fn a_429_or_503_says_how_long_to_wait() {
    let starting = "<Response code=\"503\" title=\"Maintenance\" status=\"Plex Media Server is \
                    currently running startup maintenance tasks.\" />";
    let wait = [("Retry-After", "86400")];
    for error in errors(respond(503, &wait, starting)).await {
        assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable());
        assert_eq!(error.retry_after().unwrap().as_secs(), 86_400);
        let message =
            "Maintenance: Plex Media Server is currently running startup maintenance tasks.";
        assert_eq!(error.server_message(), Some(message));
        assert_says(&error, &["the server is starting or busy", "`Retry-After` is 86400 s"]);
    }
    for error in errors(respond(429, &wait, "")).await {
        assert!(error.kind() == ErrorKind::TooManyRequests && error.is_retryable());
        assert_says(&error, &["too many requests", "`Retry-After` is 86400 s"]);
    }
}

#[tokio::test]
async fn a_redirect_shows_the_origin_and_is_advice_for_https_on_the_same_host_only() {
    let proxy = "a proxy in front of the server may have answered";
    for (location, origin, advice) in [
        (
            "https://127.0.0.1:8443/secret?a=secret",
            "https://127.0.0.1:8443",
            "use that as the address",
        ),
        ("https://login.example/secret", "https://login.example,", proxy),
        ("https://10-0-2-1.93b1.plex.direct/", "https://10-0-2-1.93b1.plex.direct,", proxy),
        ("http://127.0.0.1:1/secret", "http://127.0.0.1:1,", proxy),
        ("/secret", "http://127.0.0.1:", proxy),
        ("mailto:secret@example", "points nowhere", proxy),
        ("http://[::secret", "points nowhere", proxy),
    ] {
        for error in errors(respond(302, &[("Location", location)], "")).await {
            assert_eq!(error.kind(), ErrorKind::Redirect);
            assert_says(&error, &["302 Found: ", origin, advice]);
            assert_eq!(error.to_string().contains("use that"), advice != proxy, "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{location} is shown");
        }
    }
}

#[tokio::test]
async fn a_token_in_a_redirects_host_is_redacted() {
    // A URL's host is in lower case, which is still the token.
    let location = format!("https://{TOKEN}.example/");
    for error in errors(respond(301, &[("Location", &location)], "")).await {
        assert!(!leak::Search::new(&[TOKEN]).finds_in(&leak::shown(&error)), "a token is shown");
        assert!(error.to_string().contains("https://[redacted].example"), "a host is hidden");
    }
}

#[tokio::test]
async fn an_error_names_the_call_and_the_origin_and_keeps_its_cause_without_the_url() {
    let (_port, address) = refusing_port();
    let origin = format!("http://{address}");
    let client = support::builder(format!("{origin}/prefix")).build().unwrap();
    let [token, look_up] = errors_of(&client).await;
    assert_says(&token, &[&format!("getting a transient token at {origin}: "), "refused"]);
    assert_says(&look_up, &[&format!("looking up a source at {origin}: "), "refused"]);
    assert_eq!((token.kind(), token.attempts()), (ErrorKind::Connect, 1));
    assert_eq!(token.origin(), Some(&*origin));
    assert_eq!((token.status(), token.retry_after()), (None, None));
    let source = token.source().unwrap().downcast_ref::<plex_auth::reqwest::Error>().unwrap();
    assert!(source.url().is_none());
    assert_eq!(token.clone().to_string(), token.to_string());
}
