//! What goes out: the two requests, their headers, and nothing that nobody chose.

mod support;

use plex_auth::{Client, Source};
use support::{Server, TOKEN, good};

fn server() -> Server {
    Server::start(|request| good(request, "returned"))
}

#[track_caller]
fn source() -> Source {
    "server://243b47".parse().unwrap()
}

#[tokio::test]
async fn a_mint_is_a_post_of_type_and_scope() {
    let server = server();
    server.client().transient_token().await.unwrap();
    let request = server.request();
    assert_eq!((request.method(), request.path()), ("POST", "/security/token"));
    let mut query: Vec<_> = request.query().split('&').collect();
    query.sort_unstable();
    assert_eq!(query, ["scope=all", "type=delegation"]);
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn a_look_up_is_a_get_of_the_encoded_source() {
    let server = server();
    server.client().source_connection_information(&source()).await.unwrap();
    let request = server.request();
    assert_eq!((request.method(), request.path()), ("GET", "/security/resources"));
    assert_eq!(request.query(), "source=server%3A%2F%2F243b47");
}

#[tokio::test]
async fn a_refresh_adds_refresh_1() {
    let server = server();
    server.client().refresh_source_connection_information(&source()).await.unwrap();
    let request = server.request();
    let mut query: Vec<_> = request.query().split('&').collect();
    query.sort_unstable();
    assert_eq!(query, ["refresh=1", "source=server%3A%2F%2F243b47"]);
}

#[tokio::test]
async fn whatever_an_identifier_holds_stays_one_parameter() {
    let server = server();
    let source = Source::provider("a&refresh=1#/?%+=ü").unwrap();
    server.client().source_connection_information(&source).await.unwrap();
    let request = server.request();
    assert_eq!(request.query(), "source=provider%3A%2F%2Fa%26refresh%3D1%23%2F%3F%25%2B%3D%C3%BC");
}

#[tokio::test]
async fn no_header_goes_out_that_nobody_chose() {
    let server = server();
    let client = server.client();
    client.transient_token().await.unwrap();
    client.source_connection_information(&source()).await.unwrap();
    for request in server.requests() {
        let mut names: Vec<_> = request.headers().into_iter().map(|(name, _)| name).collect();
        names.retain(|name| name != "content-length" && name != "host");
        names.sort_unstable();
        assert_eq!(names, ["accept", "user-agent", "x-plex-client-identifier", "x-plex-token"]);
        assert_eq!(request.header("accept"), Some("application/json"));
        let agent = concat!("plex-auth/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent));
        assert_eq!(request.header("x-plex-token"), Some(TOKEN));
        assert!(!request.target().contains(TOKEN));
    }
}

#[tokio::test]
async fn every_client_header_goes_out_as_it_was_given() {
    let server = server();
    let client = server
        .builder()
        .client_identifier("id-1")
        .product("Käthe's Remote")
        .version("2.4")
        .platform("Linux")
        .platform_version("6.1")
        .device("PC")
        .model("M1")
        .device_vendor("Acme")
        .device_name("Käthe's TV \u{1f4fa}")
        .marketplace("store")
        .build()
        .unwrap();
    client.transient_token().await.unwrap();
    let request = server.request();
    for (name, value) in [
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
        assert_eq!(request.header(name), Some(value), "{name}");
    }
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
        // The harness knows the path without a prefix only, and sends a device for others.
        let _ = client.transient_token().await;
        assert_eq!(server.requests().last().unwrap().path(), path, "{prefix}");
    }
}

#[tokio::test]
async fn another_identity_uses_the_same_connection() {
    let server = server();
    let client = server.client();
    let other = client.with_token("another-token").unwrap();
    client.transient_token().await.unwrap();
    other.transient_token().await.unwrap();
    client.transient_token().await.unwrap();
    let sent = server.requests();
    let tokens: Vec<_> = sent.iter().map(|request| request.header("x-plex-token")).collect();
    assert_eq!(tokens, [Some(TOKEN), Some("another-token"), Some(TOKEN)]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_ipv6_address_works() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: no IPv6 on this machine");
        return;
    };
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let serve = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut io, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = io.read(&mut head).await.unwrap();
        io.write_all(&support::json(r#"{"MediaContainer":{"token":"t"}}"#)).await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    };
    let client = support::builder(format!("http://[::1]:{port}")).build().unwrap();
    let (head, minted) = tokio::join!(serve, client.transient_token());
    minted.unwrap();
    assert!(head.to_ascii_lowercase().contains(&format!("host: [::1]:{port}\r\n")));
}

#[test]
fn a_client_is_cheap_to_share_and_its_futures_can_be_sent() {
    fn is_send_and_sync<T: Send + Sync + Clone>() {}
    fn is_send<T: Send>(_: T) {}
    is_send_and_sync::<Client>();
    fn calls(client: &'static Client, source: &'static Source) {
        is_send(client.transient_token());
        is_send(client.source_connection_information(source));
        is_send(client.refresh_source_connection_information(source));
    }
    let _ = calls;
}
