//! What an error says about a server's certificate. `tests/faults/certificates.rs` has what is refused.

use std::sync::Arc;

use plex_auth::{Error, ErrorKind};
use support::leak::shown;
use support::tls::{AUTHORITY, Authority, certificate};
use support::{Server, good};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const HASH: &str = "93b10b279ff8456686414add109854cd";

#[tokio::test]
async fn the_suggested_address_of_a_certificate_works() {
    let names = ["a.example", &format!("*.{HASH}.plex.direct")];
    let config = AUTHORITY.sign(certificate(&names), Arc::new(NoClientAuth));
    let server = Server::start_tls(config, |request| good(request, "fresh"));
    let port = server.address().port();
    for host in ["127.0.0.1", "localhost"] {
        let client = support::builder(format!("https://{host}:{port}/a")).build().unwrap();
        let error = client.transient_token().await.unwrap_err();
        let suggested = error.suggested_address().unwrap();
        let origin = format!("https://127-0-0-1.{HASH}.plex.direct:{port}");
        assert_eq!(suggested.as_str(), format!("{origin}/a"));
        assert!(error.to_string().contains(&origin), "{error}");
        assert!(!shown(&error).contains("a.example"), "{error}");
        let client = support::builder(&origin).build().unwrap();
        client.transient_token().await.unwrap();
    }
}

/// The error of a call to a name that leads to this server.
async fn error_at(host: &str, config: Arc<ServerConfig>) -> Error {
    let server = Server::start_tls(config, |request| good(request, "fresh"));
    let (name, here) = (host.to_owned(), server.address());
    let builder = support::builder(format!("https://{host}:{}", here.port())).max_retries(2);
    let client = builder.configure_http(move |http| http.resolve(&name, here)).build().unwrap();
    client.transient_token().await.unwrap_err()
}

#[tokio::test]
async fn the_text_explains_a_refused_certificate_by_the_name() {
    let (own, direct) = (format!("*.{HASH}.plex.direct"), format!("127-0-0-1.{HASH}.plex.direct"));
    let stranger = Authority::new();
    let mut expired = certificate(&["plex.example"]);
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let expired = AUTHORITY.sign(expired, Arc::new(NoClientAuth));
    for (host, config, says) in [
        (&*direct, stranger.server(&own), "something on the way replaces certificates"),
        (&*direct, stranger.server(&own), "or this system's root certificates are out of date"),
        ("plex.example", stranger.server("plex.example"), "send its whole certificate chain"),
        ("plex.example", stranger.server("b.example"), "may have no certificate for this name, or"),
        ("plex.example", stranger.server("b.example"), "this system's root certificates are out"),
        ("plex.example", AUTHORITY.server(&own), "the certificate is the server's own"),
        ("plex.example", AUTHORITY.server("b.example"), "may have no certificate for this name"),
        ("plex.example", expired, "or this system's root certificates are out of date"),
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
    let wants_client = AUTHORITY.sign(certificate(&["plex.example"]), verifier.unwrap());
    let mut other = Arc::unwrap_or_clone(AUTHORITY.server("plex.example"));
    other.alpn_protocols = vec!["h3".into()];
    for (config, says) in [
        (wants_client, "a client certificate: `configure_http` can"),
        // By the name of rustls.
        (other.into(), "TLS alert `NoApplicationProtocol`"),
    ] {
        let error = error_at("plex.example", config).await;
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
