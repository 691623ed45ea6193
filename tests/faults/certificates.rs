//! The faults of TLS.

use std::sync::Arc;
use std::time::Duration;

use plex_auth::ErrorKind;
use rcgen::date_time_ymd;
use support::tls::{AUTHORITY, Authority, certificate};
use support::{Server, Step, leak};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::NoClientAuth;

use crate::case::{Case, Expected, Row, SHORT, fails, retried};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "certificate_invalid",
        fault: "an unknown issuer, another name, an expired certificate",
        result: "`Tls`, which says so; not retried, nothing sent",
        run: |case| {
            for host in HOSTS {
                let stranger = Authority::new().server(host);
                refuses(case, host, "from an unknown issuer", stranger);
                let mut expired = certificate(&[host]);
                expired.not_after = date_time_ymd(2001, 1, 1);
                let expired = AUTHORITY.sign(expired, Arc::new(NoClientAuth));
                refuses(case, host, "has expired, or is not valid yet", expired);
                refuses(case, host, "for another name", AUTHORITY.server("a.evil.example"));
            }
        },
    },
    Row {
        name: "certificate_with_hostile_names",
        fault: "a certificate with a terminal escape, a token, 10,000 characters in its names",
        result: "`Tls` without any of it, in its causes, too",
        run: |case| {
            let hash = format!("facade{}", &HASH[6..]);
            let names = [
                "EVILTOKEN".to_owned(),
                "\u{1b}[31mevil\r\n\u{7}".to_owned(),
                format!("{}plex.direct", "evil.".repeat(2_000)),
                format!("*.{}.plex.direct", &hash[..31]),
                format!("*.{}g.plex.direct", &hash[..31]),
                format!("*.{hash}.plex.direct.evil"),
                format!("*.{hash}.evilplex.direct"),
                format!("evil*.{hash}.plex.direct"),
            ];
            let params = certificate(&names.each_ref().map(String::as_str));
            let config = AUTHORITY.sign(params, Arc::new(NoClientAuth));
            for host in HOSTS {
                refuses(case, host, "for another name", config.clone());
            }
        },
    },
    Row {
        name: "https_to_a_server_without_tls",
        fault: "a server behind `https` that answers without TLS",
        result: "`Tls`, which names `http`; not retried, nothing sent",
        run: |case| {
            for plain in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n"] {
                let expected =
                    fails(ErrorKind::Tls, "does not speak TLS: a PMS there takes `http`");
                handshake(case, LONG, expected, vec![Step::Send(plain.into()), Step::Silence]);
            }
        },
    },
    Row {
        name: "tls_handshake_closed",
        fault: "a TLS handshake that is closed, reset, or ended by the alert `internal_error`",
        result: "`Connect`, retried; nothing sent",
        run: |case| {
            let expected = retried(
                "closed the connection during the TLS handshake: it may not be up yet, the port \
                 may need `http`, or a proxy in front of it does not know this name",
            );
            let internal_error = Step::Send(b"\x15\x03\x03\x00\x02\x02\x50".into());
            for steps in [
                vec![Step::Close],
                vec![Step::Reset],
                vec![Step::Send(b"\x16\x03\x03".into()), Step::Close],
                vec![internal_error, Step::Silence],
            ] {
                handshake(case, LONG, expected, steps);
            }
        },
    },
    Row {
        name: "tls_handshake_without_an_end",
        fault: "a TLS handshake without an end: silent, a byte every 100 ms",
        result: "`Timeout` after `connect_timeout`, not retried",
        run: |case| {
            let expected = fails(ErrorKind::Timeout, "700ms (`connect_timeout`)");
            handshake(case, SHORT, expected, vec![Step::Silence]);
            let bytes = b"\x16\x03\x03\x3f\xff".repeat(50);
            handshake(case, SHORT, expected, vec![Step::Trickle(bytes, SHORT / 7)]);
        },
    },
    Row {
        name: "http_to_a_tls_server",
        fault: "a TLS server behind `http`",
        result: "`Protocol`, which names `https`",
        run: |case| {
            let server = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| Step::Close);
            let client = case.client(&server.url().replace("https:", "http:"), |it| it);
            let expected = fails(ErrorKind::Protocol, "the port may need `https`");
            case.expect(&client, "", expected);
        },
    },
];

const LONG: Duration = Duration::from_secs(5);
const HASH: &str = "93b10b279ff8456686414add109854cd";
const HOSTS: [&str; 3] =
    ["127.0.0.1", "localhost", "127-0-0-1.93b10b279ff8456686414add109854cd.plex.direct"];

/// Nothing but the beginning of a TLS handshake arrived, so many times at most.
fn check_nothing_sent(server: &Server, at: &str, attempts: u32) {
    let bytes = String::from_utf8_lossy(&server.other_bytes()).into_owned();
    let is_sent = server.count() > 0 || bytes.contains("HTTP/") || bytes.contains("security");
    assert!(!is_sent, "{at}: a request was sent");
    assert!(server.connections() <= attempts as usize, "{at}: it was retried");
}

fn handshake(case: &Case, connect_timeout: Duration, expected: Expected, steps: Vec<Step>) {
    let at = format!("{steps:?}");
    let server = Server::raw(steps);
    let url = server.url().replace("http:", "https:");
    let client = case.client(&url, |builder| builder.connect_timeout(connect_timeout));
    case.expect(&client, &at, expected);
    check_nothing_sent(&server, &at, expected.attempts);
}

/// Nothing is sent to the server, and nothing of its certificate is shown.
fn refuses(case: &Case, host: &str, says: &str, config: Arc<ServerConfig>) {
    let server = Server::start_tls(config, |_| Step::Close);
    let url = format!("https://{host}:{}", server.address().port());
    let error = case.expect(&case.client(&url, |it| it), host, fails(ErrorKind::Tls, ""));
    let shown = leak::shown(&error.unwrap());
    assert!(shown.contains(says), "{host}: it does not say «{says}»: {shown}");
    let shown = shown.to_lowercase();
    assert!(!shown.contains("evil") && !shown.contains("facade"), "{host}: {shown}");
    check_nothing_sent(&server, host, 1);
}
