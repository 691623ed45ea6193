//! The faults of TLS.

use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;

use super::{Case, Cases, Expected, HTTP, HTTPS, SHORT, one_of, retries};
use crate::tls::{AUTHORITY, Authority};
use crate::{Server, Step};

/// Nothing but the beginning of a TLS handshake arrived, once.
fn check_nothing_sent(case: &Case, server: &Server, at: &str) {
    let bytes = String::from_utf8_lossy(&server.other_bytes()).into_owned();
    let sent = server.count() > 0 || bytes.contains("HTTP/") || bytes.contains("security");
    case.check(!sent, at, "a request was sent");
    case.check(server.connections() == 1, at, "it was retried");
}

fn handshake(cases: &mut Cases, expected: Expected, steps: Vec<Step>) {
    cases.each(HTTPS, move |case| {
        let steps = steps.clone();
        async move {
            let server = Server::raw(move |_| steps.clone());
            let url = server.url().replace("http:", "https:");
            let client =
                case.client_at(&url, |builder| builder.connect_timeout(SHORT).max_retries(2));
            case.expect(&client, "", expected).await;
            check_nothing_sent(&case, &server, "");
        }
    });
}

pub(super) fn slow_handshake(cases: &mut Cases) {
    let expected = one_of("Timeout").says("no connection within 700ms (`connect_timeout`)");
    let expected = expected.within(SHORT);
    handshake(cases, expected, vec![Step::Silence]);
    let bytes = b"\x16\x03\x03\x3f\xff".repeat(50);
    handshake(cases, expected, vec![Step::Trickle(bytes, SHORT / 7)]);
}

pub(super) fn plain_server(cases: &mut Cases) {
    let expected = one_of("Tls").says("no secure connection");
    for answer in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n"] {
        handshake(cases, expected, vec![Step::Send(answer.into()), Step::Silence]);
    }
}

pub(super) fn hung_up(cases: &mut Cases) {
    let says = "closed the connection during the TLS handshake: the port may need `http`";
    let expected = one_of("Tls").says(says);
    handshake(cases, expected, vec![Step::Close]);
    handshake(cases, expected, vec![Step::Reset]);
    handshake(cases, expected, vec![Step::Send(b"\x16\x03\x03".into()), Step::Close]);
}

pub(super) fn tls_server(cases: &mut Cases) {
    cases.each(HTTP, |case| async move {
        let server = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| Step::Close);
        let client = case.client_at(&server.url().replace("https:", "http:"), retries);
        let expected = one_of("Protocol").says("not HTTP, or its head is too large; the port may");
        case.expect(&client, "", expected).await;
    });
}

const HASH: &str = "93b10b279ff8456686414add109854cd";

/// Servers whose certificate is invalid, by host: nothing is sent to them, and nothing of the
/// certificate is shown.
fn invalid(
    cases: &mut Cases,
    rows: &[(&str, &'static str)],
    config: impl Fn(&str) -> Arc<ServerConfig>,
) {
    for &(host, says) in rows {
        let (host, config) = (host.replace("HASH", HASH), config(host));
        cases.each(HTTPS, move |case| {
            let (host, config) = (host.clone(), config.clone());
            async move {
                let server = Server::start_tls(config, |_| Step::Close);
                let url = format!("https://{host}:{}", server.address().port());
                let client = case.client_at(&url, retries);
                let error = case.expect(&client, says, one_of("Tls").says(says)).await;
                check_nothing_sent(&case, &server, says);
                let shown = error.map(|error| crate::leak::shown(&error)).unwrap_or_default();
                let shown = shown.to_lowercase();
                let is_hidden = !shown.contains("evil") && !shown.contains("facade");
                case.check(is_hidden, says, "it shows a certificate's names");
            }
        });
    }
}

pub(super) fn unknown_issuer(cases: &mut Cases) {
    let says = "the certificate is from an unknown issuer: use the server's plex.direct name";
    let stranger = Authority::new();
    let rows = [("127.0.0.1", says), ("localhost", says)];
    invalid(cases, &rows, |host| stranger.server(host));
}

const OF_SERVER: &str =
    "for another name: use the server's plex.direct name, `https://ADDRESS.HASH";
const ANOTHER_NAME: [(&str, &str); 3] = [
    ("127.0.0.1", OF_SERVER),
    ("localhost", OF_SERVER),
    ("127-0-0-1.HASH.plex.direct", "for another name: use the name that it was issued for"),
];

pub(super) fn wrong_name(cases: &mut Cases) {
    invalid(cases, &ANOTHER_NAME, |_| AUTHORITY.server("a.evil.example"));
    let suggested = "for another name: use https://127-0-0-1.93b10b279ff8456686414add109854cd.plex";
    let rows = [("127.0.0.1", suggested), ("localhost", suggested)];
    invalid(cases, &rows, |_| AUTHORITY.server(&format!("*.{HASH}.plex.direct")));
}

pub(super) fn expired(cases: &mut Cases) {
    let says = "the certificate has expired, or is not valid yet";
    invalid(cases, &[("127.0.0.1", says), ("localhost", says)], |host| AUTHORITY.expired(host));
}

pub(super) fn hostile_names(cases: &mut Cases) {
    let hash = format!("facade{}", &HASH[6..]);
    let names = [
        "EVILTOKEN".to_owned(),
        "\u{1b}[31mevil\r\n\u{7}".to_owned(),
        format!("{}plex.direct", "evil.".repeat(2_000)),
        format!("{hash}.plex.direct"),
        format!("*.{}.plex.direct", &hash[..31]),
        format!("*.{hash}0.plex.direct"),
        format!("*.{}g.plex.direct", &hash[..31]),
        format!("*.evil.{hash}.plex.direct"),
        format!("*.{hash}.plex.direct.evil"),
        format!("*.{hash}.plex.direct\n"),
        format!("*.{hash}.evilplex.direct"),
        format!("evil*.{hash}.plex.direct"),
    ];
    let server = AUTHORITY.server_with(&names.each_ref().map(String::as_str));
    invalid(cases, &ANOTHER_NAME, |_| server.clone());
}
