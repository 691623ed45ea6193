//! From what the generated client returns to a value or an `Error`: statuses and bodies.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use progenitor_client::Error as Raw;
use reqwest::header::LOCATION;
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::error::Category;

use crate::address;
use crate::api;
use crate::client::request::{Call, IDENTITY, NO_DEVICE, SOURCE, retry_after};
use crate::error::{Details, Error, ErrorKind, escape};

const UNAUTHORIZED: &str = "the server does not accept the token: it has expired, it is from before \
                            a restart of the server, it is not a token for this server, or it is a \
                            JWT of plex.tv, which a server does not take";
const FORBIDDEN: &str = "the token may not do this (a source is for an admin's token only, or a \
                         transient token made from one), or a proxy in front of the server refused";
pub(super) const MAYBE_HTTPS: &str = "the port may need `https`";

impl Call<'_> {
    /// The value in a response that the generated code could not read, or what is wrong. The
    /// generated error is taken apart: its own text would show headers and bodies.
    pub(crate) async fn recover<T: DeserializeOwned>(&self, raw: Raw) -> Result<T, Error> {
        Err(match raw {
            Raw::InvalidResponsePayload(body, _) => {
                let body = api::without_mark(&body);
                return api::decode(body).map_err(|error| self.undecodable(body, &error));
            }
            Raw::CommunicationError(error) | Raw::InvalidUpgrade(error) => self.transport(error),
            Raw::ResponseBodyError(error) => self.transport(error),
            Raw::UnexpectedResponse(response) => self.status(response).await,
            Raw::Custom(reason) if reason == api::TOO_LARGE => {
                let limit = self.client.0.settings.max_response_bytes;
                let summary =
                    format!("the response is larger than {limit} bytes (`max_response_bytes`)");
                self.unusable(ErrorKind::BodyTooLarge, summary)
            }
            Raw::Custom(_) => {
                let summary = "the response is compressed, which was not asked for: a proxy in \
                               front of the server may do it";
                self.unusable(ErrorKind::Decode, summary)
            }
            // Not made by this client: the fragment it is generated from has no error responses.
            Raw::ErrorResponse(_) | Raw::InvalidRequest(_) => {
                self.details(ErrorKind::Protocol, "the response could not be read").into()
            }
        })
    }

    /// A body that is not what was expected. serde's own text quotes values: only the category and
    /// the position are used.
    fn undecodable(&self, body: &[u8], error: &serde_json::Error) -> Error {
        let expected = self.operation.expected;
        let position = match error.line() {
            0 => String::new(),
            line => format!(", at line {line}, column {}", error.column()),
        };
        let is_json = matches!(body.trim_ascii_start(), [b'{' | b'[', ..]);
        let got = match error.classify() {
            Category::Eof if is_json => {
                let summary = "the response ended before it was complete";
                return self.unusable(ErrorKind::BodyCutShort, summary);
            }
            Category::Data if std::ptr::eq(self.operation, &SOURCE) && is_empty_list(body) => {
                return self.unusable(ErrorKind::NoDevice, NO_DEVICE);
            }
            _ if is_html(body) => "HTML: is there a Plex Media Server at this address?".to_owned(),
            Category::Data => format!("another shape{position}"),
            _ if body.trim_ascii().is_empty() => {
                "an empty body: is there a Plex Media Server at this address?".to_owned()
            }
            _ => format!("a body that can't be read{position}"),
        };
        self.unusable(ErrorKind::Decode, format!("expected `{expected}`, got {got}"))
    }

    async fn status(&self, response: Response) -> Error {
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let location = location.and_then(|to| self.address.join(to).ok());
        let location = location.filter(|to| to.origin().is_tuple());
        let body = response.bytes().await.unwrap_or_default();
        let explanation = explanation(&body);
        let is_from_pms = explanation.is_some();
        let (server_code, message) = explanation.unwrap_or_default();
        let sent_token = !std::ptr::eq(self.operation, &IDENTITY);

        let (kind, summary): (_, Cow<'static, str>) = match status.as_u16() {
            300..=399 => (ErrorKind::Redirect, self.redirect(location).into()),
            400 if self.address.scheme() == "http" && !is_from_pms && !body.is_empty() => {
                let summary = format!("the server does not understand the request: {MAYBE_HTTPS}");
                (ErrorKind::BadRequest, summary.into())
            }
            400 => {
                let parameters = self.operation.parameters;
                let summary = format!("the server refuses a query parameter, maybe {parameters}");
                (ErrorKind::BadRequest, summary.into())
            }
            401 if sent_token => (ErrorKind::Unauthorized, UNAUTHORIZED.into()),
            403 if sent_token => (ErrorKind::Forbidden, FORBIDDEN.into()),
            404 => (ErrorKind::NotFound, self.not_found().into()),
            429 => (ErrorKind::TooManyRequests, "too many requests: wait".into()),
            503 => (ErrorKind::Unavailable, "the server is starting or busy: wait".into()),
            502 | 504 | 520..=524 | 530 => {
                let summary = "a proxy in front of the server can't reach it: is the server up?";
                (ErrorKind::Status, summary.into())
            }
            525 | 526 => {
                let summary = "Cloudflare can't make a TLS connection to the server: check the \
                               server's certificate, or Cloudflare's SSL mode";
                (ErrorKind::Status, summary.into())
            }
            _ => (ErrorKind::Status, "an unexpected status: is it a Plex Media Server?".into()),
        };
        let server_message = Some(self.clean(&message, 256)).filter(|text| !text.is_empty());
        let status = Some(status);
        let details = self.details(kind, summary);
        Details { status, retry_after, server_code, server_message, ..details }.into()
    }

    fn redirect(&self, to: Option<Url>) -> String {
        let Some(to) = to else {
            return "a redirect that points nowhere; a proxy in front of the server may have \
                    answered"
                .to_owned();
        };
        let origin = self.clean(&address::origin(&to), 100);
        let advice = if to.origin() == self.address.origin() {
            "the address may have the wrong path, or a proxy in front of the server may have answered"
        } else if to.host() == self.address.host() && to.scheme() == "https" {
            "use that as the address"
        } else {
            "a proxy in front of the server may have answered, with a login page for example"
        };
        format!(
            "it points to {origin}, which is not followed, because the token would go along; {advice}"
        )
    }

    fn not_found(&self) -> String {
        let path = format!("{}{}", self.address.path().trim_end_matches('/'), self.operation.path);
        let age = match std::ptr::eq(self.operation, &SOURCE) {
            true => ", and the server must be PMS 1.15.4 or newer",
            false => "",
        };
        format!("nothing at {}: the address may have the wrong path{age}", self.clean(&path, 100))
    }

    /// A peer's text as a person may see it: the caller's token replaced, escaped, and cut.
    fn clean(&self, text: &str, most: usize) -> String {
        let token = self.client.0.token.expose_secret().to_ascii_lowercase();
        // Whatever the case: in a host, capitals have become lower case.
        let lower = text.to_ascii_lowercase();
        let mut replaced = String::new();
        let mut rest = 0;
        for (at, _) in lower.match_indices(&token) {
            replaced.push_str(text.get(rest..at).unwrap_or_default());
            replaced.push_str("[redacted]");
            rest = at.saturating_add(token.len());
        }
        replaced.push_str(text.get(rest..).unwrap_or_default());
        escape(&replaced, most)
    }
}

/// `MediaContainer` without a `Device` and without anything that is not about the list itself: a PMS
/// leaves out an empty list.
fn is_empty_list(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "MediaContainer")]
        container: BTreeMap<String, IgnoredAny>,
    }
    const OF_THE_LIST: [&str; 7] = [
        "allowSync",
        "identifier",
        "mediaTagPrefix",
        "mediaTagVersion",
        "offset",
        "size",
        "totalSize",
    ];
    api::decode(body)
        .is_ok_and(|body: Body| body.container.keys().all(|key| OF_THE_LIST.contains(&&**key)))
}

fn is_html(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"]
        .into_iter()
        .any(|start| body.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)))
}

/// The code and the text in an error's body: `{"errors":[{"code":..,"message":..}]}`, or
/// `<Response code=".." title=".." status=".."/>` while a server starts.
fn explanation(body: &[u8]) -> Option<(Option<i64>, String)> {
    let body: Value = api::decode(body).ok()?;
    let error = body.pointer("/errors/0").or(body.get("errors")).or(body.get("Response"))?;
    let code = &error["code"];
    let code = code.as_i64().or_else(|| code.as_str()?.parse().ok());
    let texts = ["message", "title", "status"].into_iter().filter_map(|name| error[name].as_str());
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    Some((code, texts.join(": ")))
}
