//! Explains a response whose status is not 200: who answered, and what to do.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use super::{Context, MAYBE_HTTPS, Operation, clean};
use crate::address;
use crate::api::body;
use crate::api::wire::{ErrorBody, ErrorEntry, MaintenanceBody, MaintenanceResponse};
use crate::error::{Details, Error, ErrorKind};

pub(super) async fn explain(mut response: Response, context: &Context<'_>) -> Error {
    let status = response.status();
    let body = body::beginning(&mut response).await;
    let (headers, url) = (response.headers(), response.url());
    let text = String::from_utf8_lossy(&body);
    let from_server = server_error(&body);
    let title = title(&text);
    let is_form_of_pms = from_server.is_some() || is_page_of_pms(&text, title.as_deref());
    let sender = sender(headers, &text, is_form_of_pms);
    let is_page = status == StatusCode::FORBIDDEN && title.is_some();
    let is_proxy_refusal =
        sender == Sender::Proxy && (headers.contains_key(WWW_AUTHENTICATE) || is_page);

    let kind = match ErrorKind::of_status(status) {
        // The request had no token.
        ErrorKind::Unauthorized | ErrorKind::Forbidden
            if context.operation == Operation::Identity =>
        {
            ErrorKind::Status
        }
        ErrorKind::Unauthorized if is_proxy_refusal => ErrorKind::Status,
        kind => kind,
    };
    let own_words = match title {
        Some(title) if sender == Sender::Proxy => format!(" ({})", clean(&title, 100, context)),
        _ => String::new(),
    };
    let refused = format!("a proxy in front of the server refused{own_words}");
    let summary = match (status.as_u16(), sender) {
        (300..=399, _) => {
            let to = headers.get(LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
            redirect(to.filter(|to| to.origin().is_tuple()), context)
        }
        (400, _) => bad_request(context, sender, &text, &own_words),
        (401, Sender::Proxy) if is_proxy_refusal => format!(
            "a proxy in front of the server asks for a login of its own{own_words}: let it pass \
             Plex's paths, or add its credentials with `configure_http`"
        ),
        (401 | 403, _) if context.operation == Operation::Identity => {
            "it asks for a login, and a PMS shows its identity without one: is it a Plex Media Server?"
                .to_owned()
        }
        (401, sender) => either(sender, TOKEN_REFUSED, &refused),
        (403, sender) => either(sender, NOT_ALLOWED, &refused),
        (404, sender) => {
            let path = clean(url.path(), 100, context);
            let age = match context.operation {
                Operation::Source => ", and the server must be PMS 1.15.4 or newer",
                Operation::TransientToken | Operation::Identity => "",
            };
            let wrong = format!("nothing at {path}: the address may have the wrong path{age}");
            let proxy = "a proxy in front of the server has no route to it (is the server up?)";
            either(sender, &wrong, proxy)
        }
        (408, _) => "the request did not arrive in time".to_owned(),
        (429, _) => "too many requests: wait".to_owned(),
        (503, Sender::Server) => "the server is starting or busy: wait".to_owned(),
        (503, _) => format!(
            "the server is starting or busy, or a proxy in front of it can't reach it{own_words}: \
             wait"
        ),
        (502 | 504 | 520..=524 | 530, _) => {
            "a proxy in front of the server can't reach it: is the server up?".to_owned()
        }
        (525 | 526, _) => "Cloudflare can't make a TLS connection to the server: check the \
                           server's certificate, or Cloudflare's SSL mode"
            .to_owned(),
        (_, Sender::Server) => "an unexpected status: see the server's log".to_owned(),
        _ => format!(
            "an unexpected status: is it a Plex Media Server? A proxy in front of one may have \
             answered{own_words}"
        ),
    };
    let (server_code, message) = from_server.unwrap_or_default();
    let server_message = Some(clean(&message, 256, context)).filter(|text| !text.is_empty());
    let (status, retry_after) = (Some(status), retry_after(headers));
    let details = Details::new(kind, summary);
    Details { status, is_proxy_refusal, retry_after, server_code, server_message, ..details }.into()
}

const TOKEN_REFUSED: &str = "\
     the server does not accept the token: it has expired, it is from before a restart of the \
     server, it is not a token for this server, or it is a JWT of plex.tv, which a server does not \
     take";
const NOT_ALLOWED: &str = "\
     the token may not do this (a source is for an admin's token only, or a transient token made \
     from one)";

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
    const MARKS: [&str; 3] =
        ["x-plex-protocol", "x-plex-content-original-length", "x-plex-content-compressed-length"];
    if is_form_of_pms || MARKS.iter().any(|mark| headers.contains_key(*mark)) {
        Sender::Server
    } else if headers.contains_key(WWW_AUTHENTICATE) || !body.trim().is_empty() {
        Sender::Proxy
    } else {
        Sender::Unknown
    }
}

/// `<html><head><title>Unauthorized</title></head>..`, maybe with a script before the title. Proxies
/// write a doctype, line breaks, or the number in the title.
fn is_page_of_pms(body: &str, title: Option<&str>) -> bool {
    let is_reason = |title: &str| title.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    body.starts_with("<html><head><") && title.is_some_and(is_reason)
}

/// The title of an HTML page, in one line.
fn title(body: &str) -> Option<String> {
    if !body::is_html(body.trim_start()) {
        return None;
    }
    let lower = body.to_ascii_lowercase();
    let start = lower.find("<title>")?.checked_add("<title>".len())?;
    let end = lower.get(start..)?.find("</title>")?.checked_add(start)?;
    let title: Vec<_> = body.get(start..end)?.split_whitespace().collect();
    Some(title.join(" ")).filter(|title| !title.is_empty())
}

/// Both explanations, the likelier first; only the server's if it certainly answered.
fn either(sender: Sender, server: &str, proxy: &str) -> String {
    match sender {
        Sender::Server => server.to_owned(),
        Sender::Proxy => format!("{proxy}; or {server}"),
        Sender::Unknown => format!("{server}; or {proxy}"),
    }
}

fn bad_request(context: &Context<'_>, sender: Sender, body: &str, own_words: &str) -> String {
    let is_http = context.address.scheme() == "http";
    let lower = body.to_ascii_lowercase();
    let wants_https = lower.contains("https") || lower.contains("ssl-enabled");
    let which = match context.operation {
        Operation::Source => ", maybe `source`: check its identifier",
        Operation::TransientToken => ", maybe `type` or `scope`",
        Operation::Identity => "",
    };
    let refused = format!("the server refuses a query parameter{which}");
    match sender {
        Sender::Server => refused,
        _ if is_http && wants_https => format!("{MAYBE_HTTPS}, as the answer says{own_words}"),
        Sender::Proxy => format!(
            "a proxy in front of the server refused the request{own_words}; `configure_http` can \
             add what it asks for, such as a client certificate"
        ),
        Sender::Unknown if is_http => {
            format!("the server does not understand the request: {MAYBE_HTTPS}; or {refused}")
        }
        Sender::Unknown => format!("{refused}; or a proxy in front of the server refused"),
    }
}

fn redirect(to: Option<Url>, context: &Context<'_>) -> String {
    const MAYBE_PROXY: &str =
        "a proxy in front of the server may have answered, with a login page for example";
    let Some(to) = to else {
        return format!("a redirect that points nowhere; {MAYBE_PROXY}");
    };
    let advice = if to.origin() == context.address.origin() {
        "the address may have the wrong path, or a proxy in front of the server may have answered"
    } else if to.host() == context.address.host() && to.scheme() == "https" {
        "use that as the address"
    } else {
        MAYBE_PROXY
    };
    let origin = clean(&address::origin(&to), 100, context);
    format!(
        "it points to {origin}, which is not followed, because the token would go along; {advice}"
    )
}

/// The code and the text of an error's body.
fn server_error(body: &[u8]) -> Option<(Option<i64>, String)> {
    let (code, texts) = match body::decode(body) {
        Ok(ErrorBody { errors }) => {
            let ErrorEntry { code, message, status: _ } = errors.0.into_iter().next()?;
            (code, [message, None])
        }
        Err(_) => {
            let MaintenanceBody { response } = body::decode(body).ok()?;
            let MaintenanceResponse { code, title, status } = response;
            (code, [title, status])
        }
    };
    let texts: Vec<_> = texts.into_iter().flatten().filter_map(|text| text.0).collect();
    Some((code.and_then(|code| code.0), texts.join(": ")))
}

/// `Retry-After` in seconds, or as a date relative to the response's `Date`, or to this machine's
/// clock. Other values are ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now =
        headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Some(until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_from_the_responses_own_on() {
        for (value, wait) in [
            ("0", Some(0)),
            (" 86400 ", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
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
