//! The calls beside the two: a server's identity, and requests to its other paths.

use std::time::Duration;

use plex_auth::reqwest::Method;
use plex_auth::{Client, ErrorKind};
use support::{Server, Step, TOKEN, json, leak, respond};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const MS: Duration = Duration::from_millis(1);

fn at(server: &Server, prefix: &str) -> Client {
    support::builder(format!("{}{prefix}", server.url())).build().unwrap()
}

#[tokio::test]
async fn an_identity_is_read_without_sending_the_token() {
    let both =
        r#"{"MediaContainer":{"claimed":true,"machineIdentifier":"243b47","version":"1.41"}}"#;
    let xml = "<MediaContainer claimed='0' machineIdentifier='243b47'/>";
    let odd = r#"{"MediaContainer":{"machineIdentifier":"243b47","version":7}}"#;
    for (body, version, claimed) in
        [(both, Some("1.41"), Some(true)), (xml, None, Some(false)), (odd, None, None)]
    {
        let server = Server::start(move |_| json(body));
        let identity = at(&server, "/plex").identity().await.unwrap();
        assert_eq!(identity.machine_identifier, "243b47");
        assert_eq!((identity.version.as_deref(), identity.claimed), (version, claimed), "{body}");
        let request = server.request();
        assert_eq!((request.method(), request.target()), ("GET", "/plex/identity"));
        assert!(!request.head.contains(TOKEN), "the token was sent");
    }
    let escapes = r#"{"MediaContainer":{"machineIdentifier":"\u001b[2J","version":"\u0007"}}"#;
    let server = Server::start(move |_| json(escapes));
    let identity = at(&server, "").identity().await.unwrap();
    assert_eq!(identity.machine_identifier, "\u{fffd}[2J");
    assert_eq!(identity.version.as_deref(), Some("\u{fffd}"));
    let server = Server::start(|_| respond(404, &[], ""));
    let error = at(&server, "").identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_request_has_token_and_headers_and_keeps_the_prefix() {
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
    let absolute = ["", "library", "?a", "@host", ":80/x", "http://host/x", "//host/x", "\\\\host"];
    let above =
        ["/../x", "/a/../../x", "/..", "/a/./b", "/%2e%2e/x", "/.%2E/x", "/..%2fx", "/\\host"];
    let encoded = ["/a%2f..%2fx", "/..%5cx", "/%5c%5chost", "/a\nb", "/a\0b", "/a%0ab", "/a#b"];
    // The URL parser removes blanks at the end and control characters anywhere.
    let parsed =
        ["/.. ", "/.  ", "/a/%2E. ", "/a ", "/.\t.", "/..\u{1f}", "/a?b\nc", "/a?b\tc", "/?#"];
    for path in [&absolute[..], &above, &encoded, &parsed].concat() {
        for client in [&client, &at(&server, "")] {
            for error in [
                client.request(Method::DELETE, path).map(drop).unwrap_err(),
                client.url(path).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{path:?}");
            }
        }
    }
    let prefix = format!("{}/plex/", server.url());
    for path in ["/", "/:/timeline", "/:/transcode?url=%2F..%2F", "/%252e%252e/x", "/...", "/ä b"]
    {
        let request = client.request(Method::GET, path).unwrap().build().unwrap();
        assert!(request.url().as_str().starts_with(&prefix), "{path} {}", request.url());
        assert_eq!(&client.url(path).unwrap(), request.url());
    }
}

#[tokio::test]
async fn each_request_is_one_event_with_its_outcome() {
    let (_recording, log) = leak::record();
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
        ["operation=\"transient_token\"", "status=200"],
        ["operation=\"transient_token\"", "error=Unauthorized"],
        ["operation=\"identity\"", "error=Proxy"],
    ]) {
        assert!(says.iter().all(|says| event.contains(says)), "{says:?}: {event}");
        assert!(event.contains(&server.url()) && event.contains("elapsed_ms="), "{event}");
    }
}

#[tokio::test]
async fn a_request_may_lift_the_limit_of_its_body() {
    // A film, which takes longer than the client's time-out.
    let film = Server::start(|_| {
        let part = || [Step::Pause(MS * 150), Step::Send(b"a".to_vec())];
        let head = Step::Send(respond(200, &[("Content-Length", "4")], ""));
        [vec![head], [(); 4].into_iter().flat_map(|()| part()).collect()].concat()
    });
    let silent = Server::start(|_| Step::Silence);
    let get = |server: &Server| {
        let client = server.builder().timeout(MS * 300).build().unwrap();
        client.request(Method::GET, "/film.mkv").unwrap()
    };
    let lifted = get(&film).timeout(Duration::MAX).send().await.unwrap();
    assert_eq!(lifted.bytes().await.unwrap(), "aaaa");
    assert!(get(&film).send().await.unwrap().bytes().await.unwrap_err().is_timeout());
    assert!(get(&silent).send().await.unwrap_err().is_timeout());
}

/// One that reads nothing for longer than `connect_timeout`.
#[tokio::test]
async fn an_upload_to_a_slow_reader_arrives() {
    const SIZE: usize = 16 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let reading = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::time::sleep(MS * 1_500).await;
        let mut read = vec![0; SIZE];
        tcp.read_exact(&mut read).await.unwrap();
        tcp.write_all(&respond(200, &[], "")).await.unwrap();
    });
    let client = support::builder(url).connect_timeout(MS * 300).build().unwrap();
    let request = client.request(Method::POST, "/upload").unwrap().body(vec![0; SIZE]);
    assert_eq!(request.send().await.unwrap().status(), 200);
    reading.await.unwrap();
}
