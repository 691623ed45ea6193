//! What an error says about a server's certificate, and what it must not show.

use std::sync::{Arc, Mutex};

use plex_auth::{Client, Error, ErrorKind, Source};
use support::leak::shown;
use support::tls::{AUTHORITY, Authority, forward};
use support::{Server, Step, json};
use tokio_rustls::rustls::ServerConfig;

const HASH: &str = "93b10b279ff8456686414add109854cd";

fn client(url: &str) -> Client {
    support::builder(url).max_retries(2).build().unwrap()
}

fn start(config: Arc<ServerConfig>) -> Server {
    Server::start_tls(config, |_| json(r#"{"MediaContainer":{"token":"fresh"}}"#))
}

async fn error_at(url: &str) -> Error {
    client(url).transient_token().await.unwrap_err()
}

#[tokio::test]
async fn each_candidate_says_why_it_is_not_secure() {
    let own = format!("*.{HASH}.plex.direct");
    let stranger = Authority::new();
    let plain = Server::raw(|_| Step::Close);
    let rows: [(_, &str, &str); 6] = [
        (start(AUTHORITY.expired(&own)), "127-0-0-1.HASH.plex.direct", "has expired"),
        (start(stranger.server(&own)), "127-0-0-1.HASH.plex.direct", "from an unknown issuer"),
        (start(AUTHORITY.server("a.example")), "127-0-0-1.HASH.plex.direct", "that it was issued"),
        (start(AUTHORITY.server("a.example")), "localhost", "use the server's plex.direct name"),
        (start(AUTHORITY.server(&own)), "127.0.0.1", "use https://127-0-0-1.HASH.plex.direct:"),
        (plain, "127-0-0-1.HASH.plex.direct", "the port may need `http`"),
    ];
    let uri = |(server, host, _): &(Server, &str, &str)| {
        format!("https://{}:{}", host.replace("HASH", HASH), server.address().port())
    };
    let uris: Vec<_> = rows.iter().map(uri).collect();
    let listed =
        uris.iter().map(|uri| format!(r#"{{"uri":"{uri}"}}"#)).collect::<Vec<_>>().join(",");
    let asked = Server::start(move |_| {
        json(format!(
            r#"{{"MediaContainer":{{"Device":{{"clientIdentifier":"243b47",
            "accessToken":"fresh","Connection":[{listed}]}}}}}}"#
        ))
    });

    let error = client(&asked.url()).connect(&Source::server("243b47").unwrap()).await.unwrap_err();

    for (at, (server, _, says)) in rows.iter().enumerate() {
        let candidate = &error.candidates()[at];
        let says = says.replace("HASH", HASH);
        assert_eq!(candidate.origin(), uris[at]);
        assert_eq!(candidate.error().kind(), ErrorKind::Tls, "{candidate}");
        assert!(candidate.to_string().contains(&says), "{says}: {candidate}");
        assert!(error.to_string().contains(&candidate.to_string()), "{error}");
        assert_eq!((candidate.error().attempts(), server.count()), (1, 0), "{candidate}");
    }
}

#[tokio::test]
async fn a_bare_address_or_localhost_is_answered_with_the_address_that_then_works() {
    let server = start(AUTHORITY.server_with(&["a.example", &format!("*.{HASH}.plex.direct")]));
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
        let error = error_at(&url).await;
        let suggested = error.suggested_address().unwrap();
        assert_eq!(suggested.as_str(), works);
        assert!(error.to_string().contains(&suggested.origin().ascii_serialization()), "{error}");
        assert!(!shown(&error).contains("a.example"), "{error}");
        let token = client(suggested.as_str()).transient_token().await.unwrap();
        assert_eq!(token.expose_secret(), "fresh");
    }
}
