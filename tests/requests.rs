//! To which path, and over which connection, requests are sent. `contract.rs` has what is in them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::clock::Clock;
use support::tls::forward;
use support::{Call, Server, TOKEN, good, json};

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
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 on this machine");
        return;
    }
    let server = server();
    let address = forward("[::1]:0", Arc::new(Mutex::new(server.address()))).await;
    let client = support::builder(format!("http://{address}")).build().unwrap();
    client.transient_token().await.unwrap();
    assert_eq!(server.request().header("host"), Some(&*address.to_string()));
}
