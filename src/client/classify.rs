//! From what the generated client returns to a value or an `Error`: statuses and bodies.

use std::collections::BTreeMap;
use std::time::SystemTime;

use progenitor_client::Error as Raw;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::error::Category;
use zeroize::Zeroizing;

use crate::address;
use crate::api;
use crate::client::request::{Call, NO_DEVICE, Operation, retry_after};
use crate::error::{Details, Error, ErrorKind, escape};

pub(super) const MAYBE_HTTPS: &str = "the port may need `https`";
const MAYBE_PROXY: &str =
    "a proxy in front of the server may have answered, with a login page for example";
const REDACTED: &str = "[redacted]";
pub(super) const CUT_SHORT: &str = "the response ended before it was complete";

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
            Raw::Custom(reason) => self.unusable(ErrorKind::Decode, reason),
            // Not made by this client: the fragment it is generated from has no error responses.
            Raw::ErrorResponse(_) | Raw::InvalidRequest(_) => {
                self.details(ErrorKind::Protocol, "the response could not be read").into()
            }
        })
    }

    /// A body that is not what was expected. serde's own text quotes values: only the category and
    /// the position are used.
    fn undecodable(&self, body: &[u8], error: &serde_json::Error) -> Error {
        let position = match error.line() {
            0 => String::new(),
            line => format!(", at line {line}, column {}", error.column()),
        };
        let is_json = matches!(body.trim_ascii_start(), [b'{' | b'[', ..]);
        let got = match error.classify() {
            Category::Eof if is_json => return self.unusable(ErrorKind::BodyCutShort, CUT_SHORT),
            Category::Data if self.operation == Operation::Source && is_empty_list(body) => {
                return self.unusable(ErrorKind::NoDevice, NO_DEVICE);
            }
            _ if is_html(body) => "HTML",
            _ if body.trim_ascii().is_empty() => "an empty body",
            Category::Data => "another shape",
            _ => "a body that can't be read",
        };
        let summary = format!(
            "expected JSON or XML of a Plex Media Server, got {got}{position}: is there one at this \
             address?"
        );
        self.unusable(ErrorKind::Decode, summary)
    }

    async fn status(&self, mut response: Response) -> Error {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let url = response.url().clone();
        let body = response.bytes().await.unwrap_or_default();
        let explanation = explanation(&body);

        let kind = match (status.as_u16(), self.operation) {
            // It was asked without a token.
            (401 | 403, Operation::Identity) => ErrorKind::Status,
            _ => ErrorKind::of_status(status),
        };
        let is_from_pms = explanation.is_some() || body.is_empty();
        let summary = match kind {
            ErrorKind::Redirect => {
                let to = headers.get(LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
                self.redirect(to.filter(|to| to.origin().is_tuple()))
            }
            ErrorKind::BadRequest if url.scheme() == "http" && !is_from_pms => {
                format!("the server does not understand the request: {MAYBE_HTTPS}")
            }
            ErrorKind::BadRequest => {
                let parameters = match self.operation {
                    Operation::Source => "`source`: check its identifier",
                    _ => "`type` or `scope`, though Plex documents no other values",
                };
                format!("the server refuses a query parameter, maybe {parameters}")
            }
            ErrorKind::NotFound => {
                let path = self.clean(url.path(), 100);
                let age = match self.operation {
                    Operation::Source => ", and the server must be PMS 1.15.4 or newer",
                    _ => "",
                };
                format!("nothing at {path}: the address may have the wrong path{age}")
            }
            _ => advice(kind, status).to_owned(),
        };
        let (server_code, message) = explanation.unwrap_or_default();
        let server_message = Some(self.clean(&message, 256)).filter(|text| !text.is_empty());
        let retry_after = retry_after(&headers, SystemTime::now());
        let (status, details) = (Some(status), self.details(kind, summary));
        Details { status, retry_after, server_code, server_message, ..details }.into()
    }

    fn redirect(&self, to: Option<Url>) -> String {
        let Some(to) = to else {
            return format!("a redirect that points nowhere; {MAYBE_PROXY}");
        };
        let advice = if to.origin() == self.address.origin() {
            "the address may have the wrong path, or a proxy in front of the server may have answered"
        } else if to.host() == self.address.host() && to.scheme() == "https" {
            "use that as the address"
        } else {
            MAYBE_PROXY
        };
        let origin = self.clean(&address::origin(&to), 100);
        format!(
            "it points to {origin}, which is not followed, because the token would go along; {advice}"
        )
    }

    /// A peer's text as a person may see it: the caller's token replaced, escaped, and cut.
    fn clean(&self, text: &str, most: usize) -> String {
        let token = self.client.0.token.expose_secret();
        // As it is in a host.
        let lower = Zeroizing::new(token.to_ascii_lowercase());
        let text = text.replace(token, REDACTED).replace(lower.as_str(), REDACTED);
        escape(&text, most)
    }
}

/// What to do about a status, whatever was asked.
fn advice(kind: ErrorKind, status: StatusCode) -> &'static str {
    match (kind, status.as_u16()) {
        (ErrorKind::Unauthorized, _) => {
            "the server does not accept the token: it has expired, it is from before a restart of \
             the server, it is not a token for this server, or it is a JWT of plex.tv, which a \
             server does not take"
        }
        (ErrorKind::Forbidden, _) => {
            "the token may not do this (a source is for an admin's token only, or a transient token \
             made from one), or a proxy in front of the server refused"
        }
        (_, 429) => "too many requests: wait",
        (_, 503) => "the server is starting or busy: wait",
        (_, 502 | 504 | 520..=524 | 530) => {
            "a proxy in front of the server can't reach it: is the server up?"
        }
        (_, 525 | 526) => {
            "Cloudflare can't make a TLS connection to the server: check the server's certificate, \
             or Cloudflare's SSL mode"
        }
        _ => "an unexpected status: is it a Plex Media Server?",
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
    const OF_A_LIST: [&str; 5] = ["allowSync", "identifier", "offset", "size", "totalSize"];
    let body: Result<Body, _> = api::decode(body);
    body.is_ok_and(|body| body.container.keys().all(|key| OF_A_LIST.contains(&&**key)))
}

fn is_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start().iter().take(14);
    let start = start.map(u8::to_ascii_lowercase).collect::<Vec<_>>();
    start.starts_with(b"<html") || start == b"<!doctype html"
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
