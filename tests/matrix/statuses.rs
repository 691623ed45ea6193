//! The faults of statuses.

use std::time::Duration;

use plex_auth::{BodyKind, ClientBuilder};

use super::Wires::{Both, Http, Https};
use super::{Case, Cases, Expected, one_of};
use crate::support::{Server, Step, Steps, json, respond};

fn plain(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn good(case: &Case) -> Vec<u8> {
    json(case.method.good(&case.secrets.returned))
}

/// The bodies of errors, and what they are recognised as.
const BODIES: [(&str, BodyKind, &[u8]); 5] = [
    ("empty", BodyKind::Empty, b""),
    (
        "JSON",
        BodyKind::Json,
        br#"{"errors":[{"code":1001,"message":"User could not be authenticated","status":401}]}"#,
    ),
    (
        "HTML",
        BodyKind::Html,
        b"<html><head><title>Unauthorized</title></head><body><h1>401</h1></body></html>",
    ),
    (
        "XML",
        BodyKind::Xml,
        br#"<Response code="503" title="Maintenance" status="Plex Media Server is starting" />"#,
    ),
    ("invalid UTF-8", BodyKind::Binary, b"\xc3\x28\xa0\xa1\xf0\x28\x8c\xbc"),
];

fn of_status(status: u16, kind: BodyKind) -> Expected {
    let (kinds, says): (&[&str], _) = match status {
        200 if kind == BodyKind::Json => (&["UnexpectedJson"], "got JSON of another shape"),
        200 => (&["NotJson"], "expected a JSON object with `MediaContainer."),
        300..=399 => (&["Redirect"], "a redirect that points nowhere"),
        400 => (&["BadRequest"], "the server refuses a query parameter"),
        401 => (&["Unauthorized"], "the token is unknown or has expired"),
        403 => (&["Forbidden"], "the token is known, but"),
        404 => (&["NotFound"], "may have the wrong path"),
        429 => (&["TooManyRequests"], "come back later"),
        503 => (&["Unavailable"], "come back later"),
        _ => (&["UnexpectedStatus"], "an unexpected status, with"),
    };
    one_of(kinds).says(says)
}

pub(super) fn all(cases: &mut Cases) {
    for (at, kind, body) in BODIES {
        cases.each(Http, move |case| async move {
            // One after the other on one client: the server can tell them by their number.
            let server = Server::start(move |request| -> Steps {
                let status = 200 + request.number as u16;
                if [204, 304].contains(&status) {
                    // These have no body, so that the next answer would begin with it.
                    let answer = respond(status, &[("Connection", "close")], body);
                    vec![Step::Send(answer), Step::Close].into()
                } else {
                    respond(status, &[], body).into()
                }
            });
            let caller = case.caller(&server, plain);
            for status in 200..=999 {
                let label = format!("{status}, {at}");
                let result = case.call(&caller.client).await;
                case.judge(&caller, &label, of_status(status, kind), &result);
                let Err(error) = result else { continue };
                let known = error.status().map(|status| status.as_u16());
                case.check(known == Some(status), &label, "another status");
                let found = error.failure().and_then(|failure| failure.body_kind);
                let expected = if [204, 304].contains(&status) { BodyKind::Empty } else { kind };
                case.check(found == Some(expected), &label, &format!("a body of {found:?}"));
                let auth = [401, 403].contains(&status);
                case.check(error.is_auth() == auth, &label, "`is_auth`");
                let retryable = [429, 502, 503, 504].contains(&status);
                case.check(error.is_retryable() == retryable, &label, "`is_retryable`");
            }
            case.check_requests(&server, at, Some(800));
        });
    }
    // A few over TLS, in the server's own dress.
    for status in [200, 400, 401, 403, 404, 429, 500, 503, 999] {
        for (at, kind, body) in BODIES {
            let expected = of_status(status, kind).tries(1);
            cases.answer(at, Https, plain, expected, move |_, _| respond(status, &[], body));
        }
    }
}

fn interim_head(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Wait\r\nX-Early: 1\r\n\r\n").into()
}

pub(super) fn interim(cases: &mut Cases) {
    cases.each(Http, |case| async move {
        let told = case.clone();
        let server = Server::start(move |request| {
            let status = 100 + request.number as u16;
            let steps = vec![Step::Send(interim_head(status)), Step::Send(good(&told))];
            // After 101 it is not HTTP any more.
            if status == 101 { [steps, vec![Step::Close]].concat() } else { steps }
        });
        let caller = case.caller(&server, plain);
        for status in 100..=199 {
            let expected =
                if status == 101 { one_of(&["UnexpectedStatus"]) } else { one_of(&["Ok"]) };
            case.expect(&caller, status.to_string(), expected).await;
        }
        case.check_requests(&server, "", Some(100));
    });
    cases.answer("three", Both, plain, one_of(&["Ok"]).tries(1), |case, _| {
        [interim_head(100), interim_head(102), interim_head(103), good(case)].concat()
    });
}

pub(super) fn only_interim(cases: &mut Cases) {
    cases.each(Http, |case| async move {
        let server = Server::start(|request| {
            vec![Step::Send(interim_head(100 + request.number as u16)), Step::Close]
        });
        let caller = case.caller(&server, plain);
        for status in 100..=199 {
            let expected = match status {
                101 => one_of(&["UnexpectedStatus"]),
                _ => one_of(&["Connection"]).says("closed before an answer came"),
            };
            case.expect(&caller, status.to_string(), expected).await;
        }
        case.check_requests(&server, "", Some(100));
    });
}

pub(super) fn broken(cases: &mut Cases) {
    let expected = one_of(&["Protocol"]).says("not HTTP").tries(1);
    for status in
        ["0", "99", "099", "1000", "-1", "OK", "20 0", "2 00", "", "\u{662}\u{660}\u{660}"]
    {
        cases.answer(status, Both, plain, expected, move |_, _| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            vec![Step::Send(head.into()), Step::Close]
        });
    }
}

pub(super) fn redirects(cases: &mut Cases) {
    cases.each(Both, |case| async move {
        let trap = Server::start(|_| json("{}"));
        let tls_trap = Server::start_tls(super::AUTHORITY.server("127.0.0.1"), |_| json("{}"));
        for status in [300, 301, 302, 303, 304, 305, 307, 308, 399] {
            for place in PLACES {
                redirect(&case, [&trap, &tls_trap], status, place).await;
            }
        }
        for trap in [&trap, &tls_trap] {
            case.check(trap.connections() == 0, "", "a redirect was followed");
        }
    });
}

const PLACES: [&str; 16] = [
    "same origin",
    "relative",
    "without a scheme",
    "another port",
    "another host",
    "http",
    "https",
    "nowhere",
    "empty",
    "not a URL",
    "another scheme",
    "token in the query",
    "token in the path",
    "token as the user",
    "token as the host",
    "twice",
];

async fn redirect(case: &Case, [trap, tls_trap]: [&Server; 2], status: u16, place: &'static str) {
    let caller_token = case.secrets.caller.clone();
    let shown = case.secrets.shown.clone();
    let (trap_url, tls_url, port) = (trap.url(), tls_trap.url(), trap.address().port());
    let own = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own_url = own.clone();
    let server = case.server(move |_| {
        let own = own_url.get().cloned().unwrap_or_default();
        let to = match place {
            "same origin" => format!("{own}/elsewhere"),
            "relative" => "../elsewhere".to_owned(),
            "without a scheme" => format!("//127.0.0.1:{port}/"),
            "another port" | "http" | "twice" => trap_url.clone(),
            "another host" => format!("http://localhost:{port}/security/token"),
            "https" => tls_url.clone(),
            "empty" => String::new(),
            "not a URL" => "http://[::1".to_owned(),
            "another scheme" => "file:///etc/passwd".to_owned(),
            "token in the query" => format!("{trap_url}/?X-Plex-Token={caller_token}&t={shown}"),
            "token in the path" => format!("{trap_url}/{caller_token}/{shown}"),
            "token as the user" => format!("http://{shown}:{shown}@127.0.0.1:{port}/"),
            "token as the host" => format!("http://{shown}.{caller_token}/"),
            _ => return respond(status, &[], ""),
        };
        let twice = [("Location", &*to), ("Location", "http://127.0.0.1:1/")];
        respond(status, if place == "twice" { &twice } else { &twice[..1] }, "")
    });
    let _ = own.set(server.url());
    let caller = case.caller(&server, |builder| builder.max_retries(2));
    let says = match place {
        "nowhere" | "not a URL" => "a redirect that points nowhere",
        "token as the host" | "another scheme" => "",
        _ => "it points to http",
    };
    let at = format!("{status}, {place}");
    let expected = one_of(&["Redirect"]).says(says).within(Duration::from_secs(2)).tries(1);
    case.expect(&caller, at.clone(), expected).await;
    case.check_requests(&server, &at, Some(1));
}
