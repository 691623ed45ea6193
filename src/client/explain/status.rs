//! Explains a response whose status is not 200: who answered, and what to do.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use super::{Context, MAYBE_HTTPS, Operation, clean, page_title, title};
use crate::address;
use crate::api::body;
use crate::api::wire::{ErrorBody, ErrorEntry, MaintenanceBody, MaintenanceResponse};
use crate::error::{Details, Error, ErrorKind};

pub(super) async fn explain(mut response: Response, context: &Context<'_>) -> Error {
    let status = response.status();
    let body = body::beginning(&mut response).await;
    let (headers, url) = (response.headers(), response.url());
    let text = String::from_utf8_lossy(&body);
    let (has_form_of_pms, server_code, message) = server_error(&body, status).unwrap_or_default();
    let is_form_of_pms = has_form_of_pms || is_page_of_pms(&text, status);
    let sender = sender(headers, &text, is_form_of_pms);

    let (kind, server, proxy) = match status.as_u16() {
        // The request had no token.
        401 | 403 if context.operation == Operation::Identity => {
            (ErrorKind::Proxy, "", NO_IDENTITY)
        }
        401 if is_proxy_login(headers) => (ErrorKind::Proxy, "", LOGIN),
        403 if sender == Sender::Proxy => (ErrorKind::Proxy, "", FORBIDDEN),
        _ => meaning(status),
    };
    let title = page_title(&text, context);
    let proxy = match proxy.split_once(": ") {
        Some((what, advice)) => format!("{what}{title}: {advice}"),
        None if proxy.is_empty() => String::new(),
        None => format!("{proxy}{title}"),
    };
    let summary = match kind {
        ErrorKind::Redirect => redirect(headers, url, context),
        ErrorKind::BadRequest => bad_request(context, sender, &text, &title),
        ErrorKind::NotFound => either(sender, &not_found(url, context), &proxy),
        _ => either(sender, server, &proxy),
    };
    let server_message = Some(clean(&message, 256, context)).filter(|text| !text.is_empty());
    let (status, retry_after) = (Some(status), retry_after(headers));
    let details = Details::new(kind, summary);
    Details { status, retry_after, server_code, server_message, ..details }.into()
}

/// The kind of a response with another status than 200, and what it means when the server sent it,
/// and when a proxy did. An empty text: that one does not send it, or the request decides.
pub(crate) fn meaning(status: StatusCode) -> (ErrorKind, &'static str, &'static str) {
    use ErrorKind::*;

    match status.as_u16() {
        300..=399 => (Redirect, "", ""),
        400 => (BadRequest, "", ""),
        401 => (Unauthorized, TOKEN_REFUSED, REFUSED),
        403 => (Forbidden, NOT_ALLOWED, REFUSED),
        404 => (NotFound, "", NO_ROUTE),
        407 => (Proxy, "", FORWARD_PROXY_LOGIN),
        408 => (Unavailable, "", "the request did not arrive in time"),
        429 => (TooManyRequests, "too many requests: wait", ""),
        503 => (Unavailable, STARTING, "a proxy in front of the server can't reach it"),
        504 | 524 => (Unavailable, "", NO_ANSWER),
        502 | 520..=523 | 530 => (Unavailable, "", UNREACHABLE),
        525 | 526 => (Status, "", NO_TLS),
        _ => (Status, UNEXPECTED, OTHER_SERVER),
    }
}

const TOKEN_REFUSED: &str = "\
     the server does not accept the token: it has expired, it is from before a restart of the \
     server, the password was changed or devices were signed out, it is not a token for this \
     server, or it is a JWT of plex.tv, which a server does not take";
const NOT_ALLOWED: &str = "\
     the token may not do this (a source is for an admin's token only, or a transient token made \
     from one)";
const STARTING: &str = "the server is starting or busy: wait";
const UNEXPECTED: &str = "the server answered in an unexpected way: see its log";

const REFUSED: &str = "a proxy in front of the server refused";
const FORBIDDEN: &str = "\
     a proxy in front of the server refused: a new token does not help; let the proxy pass Plex's \
     paths, or give it what it asks for with `configure_http`";
const LOGIN: &str = "\
     a proxy in front of the server asks for a login of its own: let it pass Plex's paths, or add \
     its credentials with `configure_http`";
const NO_IDENTITY: &str = "\
     a proxy in front of the server may have answered: it refused, or asks for a login; a PMS \
     returns its identity without one";
pub(super) const FORWARD_PROXY_LOGIN: &str =
    "the proxy of `configure_http` asks for a login: add a user name and a password to its address";
const NO_ROUTE: &str = "a proxy in front of the server has no route to it, or the server is down";
const UNREACHABLE: &str = "a proxy in front of the server can't reach it: is the server up?";
const NO_ANSWER: &str = "\
     a proxy in front of the server gave up: the server did not answer in time";
const OTHER_SERVER: &str = "a proxy in front of the server, or another server, may have answered";
const NO_TLS: &str = "\
     Cloudflare can't make a TLS connection to the server: check the server's certificate, or \
     Cloudflare's SSL mode";

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Server,
    Proxy,
    /// There is no sign of either.
    Unknown,
}

/// A PMS sends headers that proxies pass on. Without them, a body in a format of a PMS is
/// attributed to the server, and any other body to a proxy.
fn sender(headers: &HeaderMap, body: &str, is_form_of_pms: bool) -> Sender {
    if has_mark(headers) {
        Sender::Server
    } else if headers.contains_key(WWW_AUTHENTICATE) || body::is_compressed(headers) {
        Sender::Proxy
    } else if is_form_of_pms {
        Sender::Server
    } else if body.trim().is_empty() {
        Sender::Unknown
    } else {
        Sender::Proxy
    }
}

/// Whether a 401 is from a proxy that asks for a login of its own.
pub(crate) fn is_proxy_login(headers: &HeaderMap) -> bool {
    headers.contains_key(WWW_AUTHENTICATE) && !has_mark(headers)
}

fn has_mark(headers: &HeaderMap) -> bool {
    const MARKS: [&str; 3] =
        ["x-plex-protocol", "x-plex-content-original-length", "x-plex-content-compressed-length"];
    MARKS.iter().any(|mark| headers.contains_key(*mark))
}

/// `<html><head><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1>..`, maybe with a
/// script before the title. Proxies write a doctype, line breaks, or the number in the title.
fn is_page_of_pms(body: &str, status: StatusCode) -> bool {
    body.starts_with("<html><head><")
        && title(body).is_some_and(|title| {
            let heading = format!("<h1>{} {title}</h1>", status.as_u16());
            body.contains(&heading)
        })
}

/// Both explanations, the likelier first; only the server's if it certainly answered.
fn either(sender: Sender, server: &str, proxy: &str) -> String {
    match sender {
        _ if server.is_empty() => proxy.to_owned(),
        _ if proxy.is_empty() => server.to_owned(),
        Sender::Server => server.to_owned(),
        Sender::Proxy => format!("{proxy}; or {server}"),
        Sender::Unknown => format!("{server}; or {proxy}"),
    }
}

fn not_found(url: &Url, context: &Context<'_>) -> String {
    let path = clean(url.path(), 100, context);
    let age = match context.operation {
        Operation::Source => ", and the server must be PMS 1.15.4 or newer",
        Operation::TransientToken | Operation::Identity | Operation::Send => "",
    };
    format!("nothing at {path}: the address may have the wrong path{age}")
}

fn bad_request(context: &Context<'_>, sender: Sender, body: &str, title: &str) -> String {
    let is_http = context.address.scheme() == "http";
    let lower = body.to_ascii_lowercase();
    let wants_https = lower.contains("https") || lower.contains("ssl-enabled");
    let which = match context.operation {
        Operation::Source => ", maybe `source`: check its identifier",
        Operation::TransientToken => ", maybe `type` or `scope`",
        Operation::Identity | Operation::Send => "",
    };
    let refused = format!("the server refuses a query parameter{which}");
    match sender {
        Sender::Server => refused,
        _ if is_http && wants_https => format!("{MAYBE_HTTPS}, as the answer says{title}"),
        Sender::Proxy => format!(
            "a proxy in front of the server refused the request{title}; `configure_http` can add \
             what it asks for, such as a client certificate"
        ),
        Sender::Unknown if is_http => {
            format!("the server does not understand the request: {MAYBE_HTTPS}; or {refused}")
        }
        Sender::Unknown => format!("{refused}; or a proxy in front of the server refused"),
    }
}

/// `url` is that of the request.
fn redirect(headers: &HeaderMap, url: &Url, context: &Context<'_>) -> String {
    const MAYBE_PROXY: &str =
        "a proxy in front of the server may have answered, with a login page for example";
    let to = headers.get(LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
    let Some(to) = to.filter(|to| to.origin().is_tuple()) else {
        return format!("a redirect that points nowhere; {MAYBE_PROXY}");
    };
    let is_same_host = to.host() == url.host();
    let is_as_secure = to.scheme() == "https" || url.scheme() == "http";
    let advice = if to.origin() == url.origin() {
        "the address may have the wrong path, or a proxy in front of the server may have answered"
    } else if is_same_host && to.scheme() == "https" || is_as_secure && to.path() == url.path() {
        "if it is the same server, use it as the address"
    } else {
        MAYBE_PROXY
    };
    let origin = clean(&address::origin(&to), 100, context);
    format!(
        "it points to {origin}, which is not followed, because the token would go along; {advice}"
    )
}

/// What the body of an error says, in JSON or XML: whether it has the form of a PMS's, its code and
/// its message. Other services return `errors`, too, but without the response's status.
fn server_error(body: &[u8], status: StatusCode) -> Option<(bool, Option<i64>, String)> {
    let (is_form_of_pms, code, texts) = match body::decode(body) {
        Ok(ErrorBody { errors }) => {
            let number = |entry: &ErrorEntry| entry.status.as_ref()?.0;
            let is_status = |entry| number(entry) == Some(i64::from(status.as_u16()));
            let is_form_of_pms = errors.0.iter().any(is_status);
            let ErrorEntry { code, message, status: _ } = errors.0.into_iter().next()?;
            (is_form_of_pms, code, [message, None])
        }
        Err(_) => {
            let MaintenanceBody { response } = body::decode(body).ok()?;
            let MaintenanceResponse { code, title, status } = response;
            (title.is_some(), code, [title, status])
        }
    };
    let texts: Vec<_> = texts.into_iter().flatten().filter_map(|text| text.0).collect();
    Some((is_form_of_pms, code.and_then(|code| code.0), texts.join(": ")))
}

/// `Retry-After` in seconds, or as a date relative to the response's `Date`, or to this machine's
/// clock, and at most a year: a clock can't reach further. Other values are ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const MOST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(MOST));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now =
        headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let wait = until.duration_since(now.unwrap_or_else(SystemTime::now));
    Some(wait.unwrap_or_default().min(MOST))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, wait) in [
            ("0", Some(0)),
            (" 86400 ", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("18446744073709551615", Some(31_536_000)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
            let value = [(RETRY_AFTER, HeaderValue::from_static(value)), (DATE, date)];
            let headers = HeaderMap::from_iter(value.clone());
            assert_eq!(retry_after(&headers), wait.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let headers = HeaderMap::from_iter([(RETRY_AFTER, date)]);
        assert_eq!(retry_after(&headers), Some(Duration::ZERO), "by this machine's clock");
    }
}
