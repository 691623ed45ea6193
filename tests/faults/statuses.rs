//! The faults of statuses.

use plex_auth::ErrorKind;
use support::tls::AUTHORITY;
use support::{Server, Step, json, respond};

use crate::case::{BOTH, CALLER, HTTP, Row, fails};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "each status has its error",
        fault: "each status that has a meaning, its neighbours, 999; without a body, with HTML, \
                with binary data",
        result: "the error of the status",
        on: HTTP,
        run: |case| {
            Box::pin(async move {
                for (status, kind) in STATUSES {
                    for body in [&b""[..], b"<html><title>Oh</title></html>", b"\xc3\x28\xa0\xa1"] {
                        let answer = respond(status, &[], body);
                        let server =
                            case.server(move |_| vec![Step::Send(answer.clone()), Step::Close]);
                        let client = case.client(&server.url(), |it| it.max_retries(0));
                        let at = status.to_string();
                        let error = case.expect(&client, &at, fails(kind, "")).await.unwrap();
                        assert_eq!(error.status().unwrap(), status);
                        assert_eq!(error.is_auth(), [401, 403].contains(&status), "{status}");
                        assert_eq!(error.is_retryable(), TRANSIENT.contains(&status), "{status}");
                    }
                }
            })
        },
    },
    Row {
        name: "a redirect is never followed",
        fault: "a redirect to the same origin, another port, another host, from `https` to \
                `http`, to nowhere, with a token in `Location`",
        result: "`Redirect`; nothing is sent there",
        on: BOTH,
        run: |case| {
            Box::pin(async move {
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
                        case.answer(location, fails(ErrorKind::Redirect, ""), answer).await;
                    }
                }
                assert_eq!(trap.connections() + tls_trap.connections(), 0);
            })
        },
    },
];

use ErrorKind::*;

const STATUSES: [(u16, ErrorKind); 31] = [
    (200, Decode),
    (204, Status),
    (299, Status),
    (300, Redirect),
    (304, Redirect),
    (399, Redirect),
    (400, BadRequest),
    (401, Unauthorized),
    (402, Status),
    (403, Forbidden),
    (404, NotFound),
    (405, Status),
    (428, Status),
    (429, TooManyRequests),
    (430, Status),
    (499, Status),
    (500, Status),
    (501, Status),
    (502, Status),
    (503, Unavailable),
    (504, Status),
    (505, Status),
    (519, Status),
    (520, Status),
    (524, Status),
    (525, Status),
    (526, Status),
    (529, Status),
    (530, Status),
    (531, Status),
    (999, Status),
];

const TRANSIENT: [u16; 10] = [429, 502, 503, 504, 520, 521, 522, 523, 524, 530];

/// What `Location` is.
const LOCATIONS: [&str; 11] = [
    "../elsewhere",
    "",
    "//127.0.0.1:PORT/",
    "https://127.0.0.1:TLS",
    "http://localhost:PORT/security/token",
    "http://127.0.0.1:PORT/?X-Plex-Token=TOKEN",
    "http://127.0.0.1:PORT/TOKEN",
    "http://u:p@127.0.0.1:PORT/#TOKEN",
    "http://[::1",
    "file:///etc/passwd",
    "nowhere:TOKEN",
];
