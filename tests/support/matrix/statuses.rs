//! The faults of statuses.

use std::time::Duration;

use super::{BOTH, Case, Cases, Expected, HTTP, OK, one_of, plain, retries};
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

fn of_status(status: u16, body: &str) -> Expected {
    let (kind, says) = match (status, body) {
        (200, "empty") => ("Decode", "got an empty body"),
        (200, "JSON") => ("Decode", "got another shape, at line 1, column"),
        (200, "HTML") => ("Decode", "got HTML"),
        (200, "XML") => ("Decode", "got another shape"),
        (200, _) => ("Decode", "got a body that can't be read, at line 1, column 1"),
        (300..=399, _) => ("Redirect", "a redirect that points nowhere; a proxy in front of"),
        (400, "HTML" | "binary") => ("BadRequest", "the port may need `https`"),
        (400, _) => ("BadRequest", "the server refuses a query parameter"),
        (401, _) => {
            ("Unauthorized", "it is from before a restart of the server, it is not a token")
        }
        (403, _) => ("Forbidden", "or a proxy in front of the server refused"),
        (404, _) => ("NotFound", "nothing at /security/"),
        (429, _) => ("TooManyRequests", "too many requests"),
        (503, _) => ("Unavailable", "the server is starting or busy"),
        (502 | 504 | 520..=524 | 530, _) => {
            ("Status", "a proxy in front of the server can't reach")
        }
        (525 | 526, _) => ("Status", "Cloudflare can't make a TLS connection to the server"),
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
                let body = if [204, 304].contains(&status) {
                    "empty"
                } else {
                    at.split_once(' ').unwrap().1
                };
                let expected = of_status(status, body);
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

const NOWHERE: &str = "a redirect that points nowhere; a proxy";
const SAME_HOST: &str = ", which is not followed, because the token would go along; ";
const OTHER: &str = "with a login page for example";

/// What `Location` is, and what the error says.
const LOCATIONS: [(&str, &str); 14] = [
    ("../elsewhere", "the address may have the wrong path, or a proxy"),
    ("", "the address may have the wrong path, or a proxy"),
    ("//127.0.0.1:PORT/", "it points to http"),
    ("http://127.0.0.1:PORT/", OTHER),
    ("https://127.0.0.1:TLS", SAME_HOST),
    ("http://localhost:PORT/security/token", OTHER),
    (
        "https://10-0-2-1.93b1.plex.direct:32400",
        "it points to https://10-0-2-1.93b1.plex.direct:32400,",
    ),
    ("http://127.0.0.1:PORT/?X-Plex-Token=TOKEN", "it points to http://127.0.0.1:"),
    ("http://127.0.0.1:PORT/TOKEN", "it points to http://127.0.0.1:"),
    ("http://u:p@127.0.0.1:PORT/#TOKEN", "it points to http://127.0.0.1:"),
    ("http://[::1", NOWHERE),
    ("file:///etc/passwd", NOWHERE),
    ("nowhere:TOKEN", NOWHERE),
    ("NONE", NOWHERE),
];

pub(super) fn redirects(cases: &mut Cases) {
    cases.each(BOTH, |case| async move {
        let trap = Server::start(|_| json("{}"));
        let tls_trap = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| json("{}"));
        for status in [300, 301, 302, 304, 307, 399] {
            for (location, says) in LOCATIONS {
                redirect(&case, [&trap, &tls_trap], status, location, says).await;
            }
        }
        for trap in [&trap, &tls_trap] {
            case.check(trap.connections() == 0, "", "a redirect was followed");
        }
    });
}

async fn redirect(
    case: &Case,
    traps: [&Server; 2],
    status: u16,
    location: &'static str,
    says: &'static str,
) {
    let [port, tls_port] = traps.map(|trap| trap.address().port().to_string());
    let to = location.replace("PORT", &port).replace("TLS", &tls_port);
    let to = to.replace("TOKEN", &case.secrets.caller);
    let server = case.server(move |_| {
        // A second one is ignored.
        let headers = [("Location", &*to), ("Location", "http://127.0.0.1:1/")];
        respond(status, if to == "NONE" { &[] } else { &headers }, "")
    });
    let client = case.client(&server, retries);
    let at = format!("{status}, {location}");
    let expected = one_of("Redirect").says(says).within(Duration::from_secs(2));
    case.expect(&client, &at, expected).await;
    case.check_requests(&server, &at, Some(1));
}
