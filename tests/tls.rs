//! What an error says about a server's certificate. `tests/faults/certificates.rs` has what is refused.

use std::sync::{Arc, Mutex};

use support::leak::shown;
use support::tls::{AUTHORITY, forward};
use support::{Call, Server, json};

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
