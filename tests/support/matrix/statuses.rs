//! The faults of statuses.

use std::time::Duration;

use super::{BOTH, Cases, Expected, HTTP, OK, one_of, plain, retries};
use crate::tls::AUTHORITY;
use crate::{Server, Step, Steps, json, respond};

/// The bodies of errors.
const BODIES: [(&str, &[u8]); 5] = [
    ("empty", b""),
    (
        "JSON",
        br#"{"errors":[{"code":1001,"message":"User could not be authenticated","status":401}]}"#,
    ),
    ("HTML", b"<html><head><title>Unauthorized</title></head><body><h1>401</h1></body></html>"),
    (
        "XML",
        br#"<Response code="503" title="Maintenance" status="Plex Media Server is starting" />"#,
    ),
    ("binary", b"\xc3\x28\xa0\xa1\xf0\x28\x8c\xbc"),
];

fn of_status(status: u16) -> Expected {
    let (kind, says) = match status {
        200 => ("Decode", "expected JSON or XML of a Plex Media Server, got "),
        300..=399 => ("Redirect", "a redirect that points nowhere; a proxy in front of"),
        400 => ("BadRequest", "the server "),
        401 => ("Unauthorized", "the server does not accept the token"),
        403 => ("Forbidden", "the token may not do this"),
        404 => ("NotFound", "nothing at /security/"),
        429 => ("TooManyRequests", "too many requests"),
        503 => ("Unavailable", "the server is starting or busy"),
        502 | 504 | 520..=524 | 530 => ("Status", "a proxy in front of the server can't reach it"),
        525 | 526 => ("Status", "Cloudflare can't make a TLS connection to the server"),
        _ => ("Status", "an unexpected status: is it a Plex Media Server?"),
    };
    one_of(kind).says(says)
}

pub(super) fn all(cases: &mut Cases) {
    for (at, body) in BODIES {
        cases.each(HTTP, move |case| async move {
            // One after the other on one client: the server knows them by their number.
            let server = Server::start(move |request| -> Steps {
                let status = 200 + request.number as u16;
                if [204, 304].contains(&status) {
                    // These have no body, so that the next response would begin with it.
                    let answer = respond(status, &[("Connection", "close")], body);
                    vec![Step::Send(answer), Step::Close].into()
                } else {
                    respond(status, &[], body).into()
                }
            });
            let client = case.client(&server, plain);
            for status in 200..=999 {
                let at = format!("{status}, {at}");
                let expected = of_status(status);
                let Some(error) = case.expect(&client, &at, expected).await else { continue };
                let known = error.status().map(|status| status.as_u16());
                case.check(known == Some(status), &at, "another status");
                let auth = [401, 403].contains(&status);
                case.check(error.is_auth() == auth, &at, "`is_auth`");
                let transient = [429, 502, 503, 504, 520, 521, 522, 523, 524, 530];
                let retryable = transient.contains(&status);
                case.check(error.is_retryable() == retryable, &at, "`is_retryable`");
            }
            case.check_requests(&server, at, Some(800));
        });
    }
}

/// Each of 100..=199, then the response or a close. After 101 it is not HTTP any more.
fn each_interim(cases: &mut Cases, is_answered: bool, kind: &'static str) {
    cases.each(HTTP, move |case| async move {
        let good = case.good();
        let server = case.server(move |request| {
            let status = 100 + request.number;
            let mut answer = format!("HTTP/1.1 {status} Wait\r\nX-Early: 1\r\n\r\n").into_bytes();
            if is_answered {
                answer.extend(&good);
            }
            let close = (status == 101 || !is_answered).then_some(Step::Close);
            [Step::Send(answer)].into_iter().chain(close).collect::<Vec<_>>()
        });
        let client = case.client(&server, plain);
        for status in 100..=199 {
            let expected = one_of(if status == 101 { "Status" } else { kind });
            case.expect(&client, status.to_string(), expected).await;
        }
        case.check_requests(&server, "", Some(100));
    });
}

pub(super) fn interim(cases: &mut Cases) {
    each_interim(cases, true, "Ok");
    cases.answer("three", BOTH, plain, OK, |case, _| {
        let early = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n".repeat(3);
        [early, case.good()].concat()
    });
}

pub(super) fn only_interim(cases: &mut Cases) {
    each_interim(cases, false, "Connect");
}

pub(super) fn broken(cases: &mut Cases) {
    let expected = one_of("Protocol").says("not HTTP").attempts(1);
    for status in
        ["0", "99", "099", "1000", "-1", "OK", "20 0", "2 00", "", "\u{662}\u{660}\u{660}"]
    {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        cases.bytes(status, expected, head);
    }
}

/// What `Location` is.
const LOCATIONS: [&str; 14] = [
    "../elsewhere",
    "",
    "//127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:TLS",
    "http://localhost:PORT/security/token",
    "https://10-0-2-1.93b1.plex.direct:32400",
    "http://127.0.0.1:PORT/?X-Plex-Token=TOKEN",
    "http://127.0.0.1:PORT/TOKEN",
    "http://u:p@127.0.0.1:PORT/#TOKEN",
    "http://[::1",
    "file:///etc/passwd",
    "nowhere:TOKEN",
    "NONE",
];

pub(super) fn redirects(cases: &mut Cases) {
    cases.each(BOTH, |case| async move {
        let trap = Server::start(|_| json("{}"));
        let tls_trap = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| json("{}"));
        let [port, tls_port] = [&trap, &tls_trap].map(|trap| trap.address().port().to_string());
        for status in [300, 301, 302, 304, 307, 399] {
            for location in LOCATIONS {
                let to = location.replace("PORT", &port).replace("TLS", &tls_port);
                let to = to.replace("TOKEN", &case.secrets.caller);
                let server = case.server(move |_| {
                    // A second one is ignored.
                    let headers = [("Location", &*to), ("Location", "http://127.0.0.1:1/")];
                    respond(status, if to == "NONE" { &[] } else { &headers }, "")
                });
                let client = case.client(&server, retries);
                let at = format!("{status}, {location}");
                let expected = one_of("Redirect").within(Duration::from_secs(2));
                case.expect(&client, &at, expected).await;
                case.check_requests(&server, &at, Some(1));
            }
        }
        let followed = trap.connections() + tls_trap.connections();
        case.check(followed == 0, "", "a redirect was followed");
    });
}
