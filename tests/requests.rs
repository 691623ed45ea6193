//! To which path, and over which connection, requests are sent. `contract.rs` has what is in them.

use std::time::Duration;

use support::clock::Clock;
use support::{Call, Server, TOKEN, good, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn server() -> Server {
    Server::start(|request| good(request, "returned"))
}

#[tokio::test]
async fn a_path_prefix_is_kept_with_and_without_a_slash() {
    let server = Server::start(|_| json(Call::Token.good("returned").to_string()));
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
        io.write_all(&json(Call::Token.good("t").to_string())).await.unwrap();
        String::from_utf8_lossy(&head[..length]).to_ascii_lowercase()
    };
    let client = support::builder(format!("http://[::1]:{port}")).build().unwrap();
    let (head, token) = tokio::join!(serve, client.transient_token());
    token.unwrap();
    assert!(head.contains(&format!("host: [::1]:{port}\r\n")), "no such host");
}
