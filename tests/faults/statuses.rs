//! The faults of statuses.

use plex_auth::ErrorKind;
use support::tls::AUTHORITY;
use support::{Server, Step, json, respond};

use crate::case::{CALLER, Row, fails};

pub(crate) const ROWS: &[Row] = &[
    Row {
        fault: "each status that has a meaning, and its neighbours",
        result: "the error of the status",
        run: |case| {
            Box::pin(async move {
                let statuses = STATUSES.into_iter();
                let statuses =
                    statuses.flat_map(|(kind, all)| all.iter().map(move |it| (*it, kind)));
                for (status, kind) in statuses {
                    for body in ["<html><title>Oh</title></html>", ""] {
                        let answer = respond(status, &[], body);
                        let server =
                            case.server(move |_| vec![Step::Send(answer.clone()), Step::Close]);
                        let client = case.client(&server.url(), |it| it.max_retries(0));
                        let at = status.to_string();
                        let error = case.expect(&client, &at, fails(kind, "")).await.unwrap();
                        assert_eq!(error.status().unwrap(), status);
                        // A page of another kind than a PMS's is a proxy's.
                        let is_auth = status == 401 || (status == 403 && body.is_empty());
                        assert_eq!(error.is_auth(), is_auth, "{status}");
                        assert_eq!(error.is_retryable(), TRANSIENT.contains(&status), "{status}");
                    }
                }
            })
        },
    },
    Row {
        fault: "a redirect to the same origin, another port, another host, `http`, nowhere",
        result: "`Redirect`; nothing is sent there",
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

const STATUSES: [(ErrorKind, &[u16]); 9] = [
    (Decode, &[200]),
    (Redirect, &[300, 304, 399]),
    (BadRequest, &[400]),
    (Unauthorized, &[401]),
    (Forbidden, &[403]),
    (NotFound, &[404]),
    (TooManyRequests, &[429]),
    (Unavailable, &[503]),
    (
        Status,
        &[
            204, 299, 402, 405, 428, 430, 500, 501, 502, 504, 505, 519, 520, 524, 525, 529, 530,
            531, 999,
        ],
    ),
];

const TRANSIENT: [u16; 10] = [429, 502, 503, 504, 520, 521, 522, 523, 524, 530];

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
