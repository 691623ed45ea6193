//! To which path, and over which connection, requests are sent. `contract.rs` has what is in them.

use std::time::Duration;

use plex_auth::ClientBuilder;
use support::net::Net;
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
async fn an_idle_connection_is_kept_for_5_s() {
    let net = Net::new();
    let server = net.http("asked", |request| good(request, "returned"));
    let pool = |it: ClientBuilder| it.configure_http(|http| http.pool_max_idle_per_host(1));
    let client = net.client("asked", pool);
    for (seconds, connections) in [(0, 1), (4, 1), (6, 2)] {
        net.advance(Duration::from_secs(seconds)).await;
        client.transient_token().await.unwrap();
        assert_eq!(server.connections(), connections, "after {seconds} s");
    }
}
