//! The headers of every request.

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::{Error, Token};

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-plex-token");
pub(crate) const CLIENT_IDENTIFIER: HeaderName =
    HeaderName::from_static("x-plex-client-identifier");

/// What every request carries besides the token and the client headers: a PMS answers XML to all
/// but JSON's friends.
pub(crate) fn base() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static(concat!("plex-auth/", env!("CARGO_PKG_VERSION")))),
    ])
}

pub(crate) fn set_token(headers: &mut HeaderMap, token: &Token) -> Result<(), Error> {
    headers.insert(TOKEN, token.header_value()?);
    Ok(())
}

/// A client header's value: UTF-8 goes as it is.
pub(crate) fn value(setting: &'static str, text: &str) -> Result<HeaderValue, Error> {
    let problem = if text.is_empty() {
        "it is empty"
    } else if text.chars().any(char::is_control) {
        "it has a control character in it"
    } else if text.trim() != text {
        "it begins or ends with white space"
    } else if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        return Ok(value);
    } else {
        "a header can't carry it"
    };
    Err(Error::invalid(setting, problem))
}
