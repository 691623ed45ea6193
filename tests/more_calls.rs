//! The calls beside the two: a server's identity, and requests to its other paths.

use std::time::Duration;

use plex_auth::reqwest::{Method, StatusCode};
use plex_auth::{Client, Connected, Device, Error, ErrorKind};
use support::{Server, TOKEN, json, leak, respond};

fn at(server: &Server, prefix: &str) -> Client {
    support::builder(format!("{}{prefix}", server.url())).build().unwrap()
}

#[tokio::test]
async fn an_identity_is_read_without_sending_the_token() {
    for (body, version, claimed) in [
        (
            r#"{"MediaContainer":{"size":0,"claimed":true,"machineIdentifier":"243b47","version":"1.41"}}"#,
            Some("1.41"),
            Some(true),
        ),
        ("<MediaContainer claimed='0' machineIdentifier='243b47'/>", None, Some(false)),
        (r#"{"MediaContainer":{"machineIdentifier":"243b47","version":7}}"#, None, None),
    ] {
        let server = Server::start(move |_| json(body));
        let identity = at(&server, "/plex").identity().await.unwrap();
        assert_eq!(identity.machine_identifier, "243b47");
        assert_eq!((identity.version.as_deref(), identity.claimed), (version, claimed), "{body}");
        let request = server.request();
        assert_eq!((request.method(), request.target()), ("GET", "/plex/identity"));
        assert!(!request.head.contains(TOKEN), "the token was sent");
    }
    let server = Server::start(|_| respond(404, &[], ""));
    let error = at(&server, "").identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_request_has_the_token_and_the_headers_and_stays_below_the_prefix() {
    let server = Server::start(|_| respond(302, &[("Location", "http://127.0.0.1:1/")], ""));
    let client = at(&server, "/plex/");
    let request = client.request(Method::POST, "/playQueues?type=video&uri=a%2Fb/../c").unwrap();
    let response = request.query(&[("own", "1")]).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 302);
    let request = server.request();
    assert_eq!(request.method(), "POST");
    assert_eq!(request.target(), "/plex/playQueues?type=video&uri=a%2Fb/../c&own=1");
    for (name, value) in [
        ("x-plex-token", TOKEN),
        ("x-plex-client-identifier", "plex-auth-tests"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("content-length", "2"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    let debug = format!("{:?}", client.request(Method::GET, "/").unwrap());
    assert!(!debug.contains(TOKEN), "a token is shown");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused() {
    let server = Server::start(|_| json("{}"));
    let client = at(&server, "/plex");
    for path in [
        "",
        "library",
        "//host/x",
        "/\\host",
        "\\\\host",
        "http://host/x",
        "@host",
        ":80/x",
        "/../x",
        "/a/../../x",
        "/..",
        "/.",
        "/a/./b",
        "/%2e%2e/x",
        "/.%2E/x",
        "/..%2fx",
        "/a%2f..%2fx",
        "/..%5cx",
        "/%5c%5chost",
        "/a\nb",
        "/a\0b",
        "/a%0ab",
        "/a\tb",
        "/a#b",
        "?a",
    ] {
        let error = client.request(Method::GET, path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{path:?}");
    }
    for path in [
        "/",
        "/:/timeline",
        "/photo/:/transcode?url=%2F..%2F",
        "/a b",
        "/%252e%252e/x",
        "/...",
        "/ä?ü=ö",
    ] {
        let url = client.request(Method::GET, path).unwrap().build().unwrap().url().clone();
        assert!(url.as_str().starts_with(&format!("{}/plex/", server.url())), "{path} {url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn each_request_is_one_event_with_its_operation_origin_and_outcome() {
    let (subscriber, log) = leak::recorder();
    let _recording = tracing::subscriber::set_default(subscriber);
    let server = Server::start(|request| match request.number {
        0 => json(r#"{"MediaContainer":{"token":"fresh"}}"#),
        _ => respond(401, &[], ""),
    });
    let client = server.client();
    client.transient_token().await.unwrap();
    client.transient_token().await.unwrap_err();
    client.identity().await.unwrap_err();
    let log = log.lock().unwrap();
    let events: Vec<_> = log.lines().filter(|line| line.contains("request finished")).collect();
    assert_eq!(events.len(), 3, "{log}");
    for (event, says) in events.iter().zip([
        ["operation=transient_token", "status=200"],
        ["operation=transient_token", "error=Unauthorized"],
        ["operation=identity", "error=Status"],
    ]) {
        assert!(says.iter().all(|says| event.contains(says)), "{says:?}: {event}");
        assert!(event.contains(&server.url()) && event.contains("elapsed="), "{event}");
    }
}

#[tokio::test]
async fn without_a_port_the_text_names_the_one_that_was_tried() {
    let (_port, refusing) = support::refusing_port();
    let builder = support::builder("http://plex.lan").max_retries(0);
    // The name leads to a port that refuses.
    let client = builder.configure_http(move |http| http.resolve("plex.lan", refusing));
    let error = client.build().unwrap().transient_token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains("80 was tried: a PMS has 32400"), "{error}");
}

#[test]
fn errors_devices_and_handles_are_made_without_a_server() {
    let error = Error::for_test(ErrorKind::Unavailable).with_retry_after(Duration::from_secs(5));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    assert!(error.is_retryable() && error.status() == Some(StatusCode::SERVICE_UNAVAILABLE));
    let error = Error::for_test(ErrorKind::Unreachable)
        .with_text("no connection works")
        .with_candidates([("https://10.0.2.1:32400", error)]);
    assert_eq!(error.candidates().len(), 1);
    assert!(error.to_string().starts_with("no connection works"), "{error}");

    let uri = "https://10-0-2-1.93b1.plex.direct:32400".parse().unwrap();
    let device = Device::for_test("243b47", "secret".parse().unwrap(), [uri]);
    let connection = device.connections[0].clone();
    let client = Client::builder(connection.uri.as_str()).token("secret").client_identifier("c");
    let http = |http: plex_auth::reqwest::ClientBuilder| http.tls_certs_only([]);
    let client = client.configure_http(http).build().unwrap();
    let connected = Connected::for_test(client, connection.clone());
    assert_eq!(connected.connection(), connection);
    assert_eq!(connected.client().address(), &connection.uri);
    let kept = serde_json::to_string(&connection).unwrap();
    assert_eq!(serde_json::from_str::<plex_auth::Connection>(&kept).unwrap(), connection);
    assert!(!format!("{connected:?} {device:?}").contains("secret"));
}
