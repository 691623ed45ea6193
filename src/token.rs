//! Credentials that don't print themselves.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::Error;

/// How long a server keeps a transient token, at most.
/// Source: Plex's description of the endpoint.
pub(crate) const LIFETIME: Duration = Duration::from_secs(48 * 60 * 60);

/// A Plex token: the owner's, a user's, or a transient one.
///
/// It never shows itself: `Debug` is redacted, there is no `Display` and no `Serialize`, and the
/// bytes are wiped when the last clone is dropped. [`expose_secret`](Self::expose_secret) is the
/// only way to read it. What lies outside this type is not wiped: copies that the HTTP layers make
/// of a header on its way to the socket, and the `&str` or JSON that the token was read from.
///
/// Made from a `&str` or `String`: 1 or more visible ASCII characters, which is what a header can
/// carry and what every Plex token is made of (a classic token has about 20, a JWT over 1,000).
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// The token in the clear, for a request header or a keychain.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    pub(crate) fn header_value(&self) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(&self.0)
            .map_err(|_| Error::invalid("token", "a header can't carry it"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What is wrong comes back in words that go with "the token".
    pub(crate) fn new(text: Zeroizing<String>) -> Result<Self, &'static str> {
        if !text.is_empty() && text.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
            return Ok(Self(Arc::new(text)));
        }
        Err(if text.is_empty() {
            "it is empty"
        } else if text.trim_ascii() != text.as_str() {
            "it begins or ends with white space: trim it"
        } else {
            "it has a character that is not visible ASCII, which no Plex token has"
        })
    }
}

impl TryFrom<String> for Token {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(Zeroizing::new(text)).map_err(|problem| Error::invalid("token", problem))
    }
}

impl TryFrom<&str> for Token {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

/// One moment, by both clocks: the monotonic one stands still while a machine sleeps, the other can
/// be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// A temporary token, made by [`Client::transient_token`](crate::Client::transient_token), with the
/// access level of the token that asked for it. To be handed to a player, a cast device or another
/// server in place of the real one.
#[derive(Clone, Debug)]
pub struct TransientToken {
    token: Token,
    sent_at: Moment,
}

impl TransientToken {
    pub(crate) fn new(token: Token, sent_at: Moment) -> Self {
        Self { token, sent_at }
    }

    /// The token itself.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// When the server will have forgotten the token: 48 hours after the request for it was sent.
    /// It is gone earlier when the server restarts, which shows as a 401 where it is used.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.sent_at.wall.checked_add(LIFETIME).unwrap_or(self.sent_at.wall)
    }

    /// Whether the token may be good for longer than `time`, as far as both clocks know.
    pub(crate) fn has_left(&self, time: Duration, now: Moment) -> bool {
        let Moment { monotonic, wall } = self.sent_at;
        let until = LIFETIME.saturating_sub(time);
        monotonic.checked_add(until).is_none_or(|end| now.monotonic < end)
            && wall.checked_add(until).is_none_or(|end| now.wall < end)
    }

    /// Whether both come from one mint. Of one keeper's, no two are sent at a time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.sent_at == other.sent_at
    }

    /// The same in memory of its own, so that threads which count the clones of one don't slow
    /// each other down. It is wiped too.
    pub(crate) fn copied(&self) -> Self {
        let token = Token(Arc::new(Zeroizing::clone(&self.token.0)));
        Self { token, ..*self }
    }
}
