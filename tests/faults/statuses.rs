//! The faults of statuses.

use plex_auth::ErrorKind;
use support::tls::AUTHORITY;
use support::{Server, Step, json, respond};

use crate::case::{CALLER, Row, fails};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "each_status",
        fault: "each status that has a meaning, and its neighbours",
        result: "the error of the status; `Unavailable` and `TooManyRequests` are transient, no other is retried",
        run: |case| {
            for (kind, statuses) in STATUSES {
                for &status in statuses {
                    let answer = vec![Step::Send(respond(status, &[], "")), Step::Close];
                    let server = case.server(move |_| answer.clone());
                    let is_transient = matches!(kind, Unavailable | TooManyRequests);
                    let retries = if is_transient { 0 } else { 1 };
                    let client = case.client(&server.url(), |it| it.max_retries(retries));
                    let at = status.to_string();
                    let error = case.expect(&client, &at, fails(kind, "")).unwrap();
                    assert_eq!(error.status().unwrap(), status);
                    assert_eq!(error.is_retryable(), is_transient, "{status}");
                }
            }
        },
    },
    Row {
        name: "redirect_not_followed",
        fault: "a redirect to the same origin, another port, another host, `http`, nowhere",
        result: "`Redirect`; nothing is sent there",
        run: |case| {
            let trap = Server::start(|_| json("{}"));
            let tls_trap = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| json("{}"));
            let [port, tls] = [&trap, &tls_trap].map(|trap| trap.address().port().to_string());
            for location in LOCATIONS {
                let to = location.replace("PORT", &port).replace("TLS", &tls);
                let to = to.replace("TOKEN", &CALLER);
                for status in [302, 307] {
                    // A second one is ignored.
                    let headers = [("Location", &*to), ("Location", "http://127.0.0.1:1/")];
                    let answer = respond(status, &headers, "");
                    case.answer(location, fails(ErrorKind::Redirect, ""), answer);
                }
            }
            assert_eq!(trap.connections() + tls_trap.connections(), 0);
        },
    },
];

use ErrorKind::*;

const STATUSES: [(ErrorKind, &[u16]); 11] = [
    (Decode, &[200]),
    (Redirect, &[300, 304, 399]),
    (BadRequest, &[400]),
    (Unauthorized, &[401]),
    (Forbidden, &[403]),
    (NotFound, &[404]),
    (Proxy, &[407]),
    (TooManyRequests, &[429]),
    (Unavailable, &[408, 502, 503, 504, 520, 521, 522, 523, 524, 530]),
    (Status, &[204, 299, 402, 405, 406, 409, 411, 428, 430, 500, 501, 505, 519]),
    (Status, &[525, 526, 527, 529, 531, 999]),
];

/// What `Location` is.
const LOCATIONS: [&str; 8] = [
    "../elsewhere",
    "//127.0.0.1:PORT/",
    "https://127.0.0.1:TLS",
    "http://localhost:PORT/security/token",
    "http://u:p@127.0.0.1:PORT/TOKEN?X-Plex-Token=TOKEN#TOKEN",
    "http://[::1",
    "file:///etc/passwd",
    "nowhere:TOKEN",
];
