//! What an error says about a server's certificate. `tests/faults/certificates.rs` has what is refused.

use std::sync::{Arc, Mutex};

use plex_auth::{Error, ErrorKind};
use support::leak::shown;
use support::tls::{AUTHORITY, Authority, forward};
use support::{Call, Server, json};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const HASH: &str = "93b10b279ff8456686414add109854cd";

#[tokio::test]
async fn a_bare_address_or_localhost_is_answered_with_the_address_that_then_works() {
    let names = ["a.example", &format!("*.{HASH}.plex.direct")];
    let server = Server::start_tls(AUTHORITY.server_with(&names), |_| {
        json(Call::Token.good("fresh").to_string())
    });
    let port = server.address().port();
    let works = |label: &str, rest: String| format!("https://{label}.{HASH}.plex.direct:{rest}");
    let mut rows = vec![
        (format!("https://127.0.0.1:{port}"), works("127-0-0-1", format!("{port}/"))),
        (format!("https://localhost:{port}/a"), works("127-0-0-1", format!("{port}/a"))),
    ];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let v6 = forward("[::1]:0", Arc::new(Mutex::new(server.address()))).await;
        rows.push((format!("https://{v6}"), works("0-0-0-0-0-0-0-1", format!("{}/", v6.port()))));
    } else {
        println!("no IPv6 on this machine");
    }
    for (url, works) in rows {
        let error = Call::Token.make(&support::builder(url).build().unwrap()).await.unwrap_err();
        let suggested = error.suggested_address().unwrap();
        assert_eq!(suggested.as_str(), works);
        assert!(error.to_string().contains(&suggested.origin().ascii_serialization()), "{error}");
        assert!(!shown(&error).contains("a.example"), "{error}");
        let client = support::builder(suggested.as_str()).build().unwrap();
        assert_eq!(Call::Token.make(&client).await.unwrap(), "fresh");
    }
}

/// The error of a call to a name that leads to this server.
async fn error_at(host: &str, config: Arc<ServerConfig>) -> Error {
    let server = Server::start_tls(config, |_| json(Call::Token.good("fresh").to_string()));
    let (name, here) = (host.to_owned(), server.address());
    let builder = support::builder(format!("https://{host}:{}", here.port())).max_retries(2);
    let client = builder.configure_http(move |http| http.resolve(&name, here)).build().unwrap();
    Call::Token.make(&client).await.unwrap_err()
}

#[tokio::test]
async fn the_text_says_why_a_certificate_is_refused_at_this_kind_of_name() {
    let (own, direct) = (format!("*.{HASH}.plex.direct"), format!("127-0-0-1.{HASH}.plex.direct"));
    let stranger = Authority::new();
    for (host, config, says) in [
        (&*direct, stranger.server(&own), "something on the way replaces certificates"),
        ("plex.example", stranger.server("plex.example"), "send its whole certificate chain"),
        ("plex.example", AUTHORITY.server(&own), "the certificate is the server's own"),
        ("nas.lan", AUTHORITY.server(&own), "use that name, or a proxy with a certificate"),
        ("plex.example", AUTHORITY.server("a.example"), "use the name that it was issued for"),
        // Text that the peer writes decides nothing.
        ("plex.example", AUTHORITY.server("scheme-is-not-http.example"), "for another name"),
    ] {
        let error = error_at(host, config).await;
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error}");
        assert!(error.to_string().contains(says), "{says} not in: {error}");
        assert!(!shown(&error).contains(HASH) || host == direct, "{error}");
    }
}

#[tokio::test]
async fn an_alert_after_the_handshake_is_a_failure_of_tls() {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.root_der().to_vec().into()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
    let config = AUTHORITY.server_with_clients("plex.example", verifier.unwrap());

    let error = error_at("plex.example", config).await;

    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error}");
    assert!(error.to_string().contains("a client certificate: `configure_http` can"), "{error}");
}

#[tokio::test]
async fn another_alert_has_its_standard_name() {
    let mut config = Arc::unwrap_or_clone(AUTHORITY.server("plex.example"));
    config.alpn_protocols = vec!["h3".into()];
    let error = error_at("plex.example", config.into()).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error}");
    assert!(error.to_string().ends_with("TLS alert `no_application_protocol`"), "{error}");
}
