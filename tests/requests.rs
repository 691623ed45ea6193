//! What is sent: headers, queries, paths, and over which connection. Which names they have is
//! checked in `contract.rs`.

use std::time::Duration;

use plex_auth::Source;
use support::clock::Clock;
use support::{Server, TOKEN, good};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn server() -> Server {
    Server::start(|request| good(request, "returned"))
}

#[tokio::test]
async fn a_post_has_a_content_length_of_0_once_and_a_get_has_none() {
    let server = server();
    let client = server.client();
    client.transient_token().await.unwrap();
    client.source_connection_information(&Source::server("243b47").unwrap()).await.unwrap();
    let requests = server.requests();
    let lengths = |number: usize| -> Vec<_> {
        let headers = requests[number].headers().into_iter();
        headers.filter(|(name, _)| name == "content-length").map(|(_, value)| value).collect()
    };
    assert_eq!((lengths(0), lengths(1)), (vec!["0"], vec![]));
}

#[tokio::test]
async fn whatever_an_identifier_contains_stays_one_parameter() {
    let server = server();
    let source = Source::provider("a&refresh=1#/?%+=ü").unwrap();
    server.client().source_connection_information(&source).await.unwrap();
    let query = "source=provider%3A%2F%2Fa%26refresh%3D1%23%2F%3F%25%2B%3D%C3%BC";
    assert_eq!(server.request().query(), query);
}

#[tokio::test]
async fn headers_are_sent_as_they_were_given_and_the_token_in_its_header_only() {
    let server = server();
    let builder = support::with_every_header(server.builder().client_identifier("id-1"));
    builder.build().unwrap().transient_token().await.unwrap();
    let request = server.request();
    for (name, value) in [
        ("accept", "application/json"),
        ("user-agent", concat!("plex-auth/", env!("CARGO_PKG_VERSION_PRE"), "0.1.0")),
        ("x-plex-token", TOKEN),
        ("x-plex-client-identifier", "id-1"),
        ("x-plex-product", "Käthe's Remote"),
        ("x-plex-version", "2.4"),
        ("x-plex-platform", "Linux"),
        ("x-plex-platform-version", "6.1"),
        ("x-plex-device", "PC"),
        ("x-plex-model", "M1"),
        ("x-plex-device-vendor", "Acme"),
        ("x-plex-device-name", "Käthe's TV \u{1f4fa}"),
        ("x-plex-marketplace", "store"),
    ] {
        assert!(request.header(name) == Some(value), "{name} is not `{value}`");
    }
    assert_eq!(request.head.matches(TOKEN).count(), 1);
}

#[tokio::test]
async fn the_user_agent_can_be_set() {
    let server = server();
    let client = server.builder().user_agent("castd/1.0 (Käthe)").build().unwrap();
    client.transient_token().await.unwrap();
    assert_eq!(server.request().header("user-agent"), Some("castd/1.0 (Käthe)"));
}

#[tokio::test]
async fn a_path_prefix_is_kept_with_and_without_a_slash() {
    let server = server();
    for (prefix, path) in [
        ("", "/security/token"),
        ("/", "/security/token"),
        ("/plex", "/plex/security/token"),
        ("/plex/", "/plex/security/token"),
        ("/a/b%20c/", "/a/b%20c/security/token"),
    ] {
        let client = support::builder(format!("{}{prefix}", server.url())).build().unwrap();
        client.transient_token().await.unwrap();
        assert_eq!(server.requests().last().unwrap().path(), path, "{prefix}");
    }
}

#[tokio::test]
async fn a_client_with_another_token_uses_the_same_connection() {
    let server = server();
    let client = server.client();
    let other = client.with_token("another-token").unwrap();
    for client in [&client, &other, &client] {
        client.transient_token().await.unwrap();
    }
    let requests = server.requests();
    let tokens = [0, 1, 2].map(|number| requests[number].header("x-plex-token"));
    assert!(tokens == [Some(TOKEN), Some("another-token"), Some(TOKEN)], "wrong tokens");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_15_s_or_what_the_closure_says() {
    let clock = Clock::stop();
    let idle = |seconds| {
        move |http: plex_auth::reqwest::ClientBuilder| match seconds {
            15 => http,
            other => http.pool_idle_timeout(Duration::from_secs(other)),
        }
    };
    for seconds in [15, 90] {
        let server = server();
        let client = server.builder().configure_http(idle(seconds)).build().unwrap();
        let wait = Duration::from_secs(seconds);
        for (wait, connections) in [
            (Duration::ZERO, 1),
            (wait - Duration::from_secs(1), 1),
            (wait + Duration::from_secs(1), 2),
        ] {
            clock.advance(wait).await;
            client.transient_token().await.unwrap();
            assert_eq!(server.connections(), connections, "{seconds} s, after {wait:?}");
        }
    }
}

#[tokio::test]
async fn an_ipv6_address_works() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped: no IPv6 on this machine");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = io.read(&mut head).await.unwrap();
        io.write_all(&support::json(r#"{"MediaContainer":{"token":"t"}}"#)).await.unwrap();
        String::from_utf8_lossy(&head[..length]).to_ascii_lowercase()
    };
    let client = support::builder(format!("http://[::1]:{port}")).build().unwrap();
    let (head, token) = tokio::join!(serve, client.transient_token());
    token.unwrap();
    assert!(head.contains(&format!("host: [::1]:{port}\r\n")), "no such host");
}
