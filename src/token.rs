//! Credentials that are redacted and wiped.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// How long a transient token is valid, at most. Source: `getTransientToken` in Plex's API
/// description.
const LIFETIME: Duration = Duration::from_secs(48 * 60 * 60);

/// A Plex token: the owner's, a user's, or a transient one.
///
/// `Debug` is redacted, there is no `Display` and no `Serialize`, and the bytes are wiped when the
/// last clone is dropped. [`expose_secret`](Self::expose_secret) is the only way to read it. Memory
/// outside this type is not wiped: copies that the HTTP and TLS layers make, and the `&str` or JSON
/// that the token was read from.
///
/// Made from a `&str` or `String`, by `parse()`, or by serde. A token has 1 or more letters, digits,
/// `-`, `.`, `_`, `~` and `+`, and may end with `=`. Everything else is [`ErrorKind::InvalidToken`],
/// and so is a `claim-` token. The error names the first wrong character, and does not repeat the
/// text. A server may send any visible ASCII.
///
/// ```
/// # fn main() -> Result<(), plex_auth::Error> {
/// let token: plex_auth::Token = "xxxx".parse()?;
/// assert_eq!(format!("{token:?}"), "Token([REDACTED])");
/// assert!(plex_auth::Token::try_from("X-Plex-Token=xxxx").is_err());
/// # Ok(())
/// # }
/// ```
///
/// clap and toml do repeat it: if a value can't be parsed, clap prints the argument and toml the
/// line of the file, so a mistyped token ends up on the screen or in a log. Read a `String` with
/// them, and convert it:
///
/// ```
/// use plex_auth::Token;
///
/// #[derive(serde::Deserialize)] // or `clap::Parser`
/// struct Config {
///     token: String, // not `Token`
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = r#"{"token": "xxxx"}"#;
/// let config: Config = serde_json::from_str(text)?; // or `toml::from_str`
/// let token = Token::try_from(config.token)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// The token in the clear, for a request header or a keychain.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// The token for a header, which can carry any visible ASCII.
    pub(crate) fn header_value(&self) -> HeaderValue {
        let value = HeaderValue::from_str(&self.0);
        let mut value = value.unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// A token from a server's response, where it is called `member`.
    pub(crate) fn from_server(
        text: Option<Zeroizing<String>>,
        member: &str,
    ) -> Result<Self, Error> {
        let problem = match text {
            None => "it is missing; an unclaimed server has none",
            Some(text) if text.is_empty() => "it is empty",
            Some(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Ok(Self(Arc::new(text)));
            }
            Some(_) => "it has a character that is not visible ASCII, which no Plex token has",
        };
        let summary = format!("`{member}` is unusable: {problem}");
        Err(Error::unusable(ErrorKind::NoToken, summary))
    }

    /// A token from the caller, who may have copied something else with it or in its place.
    fn from_caller(text: Zeroizing<String>) -> Result<Self, Error> {
        const CLAIM: &str = "claim-";
        let is_claim = text.get(..CLAIM.len()).is_some_and(|t| t.eq_ignore_ascii_case(CLAIM));
        let problem = if text.is_empty() {
            "it is empty".to_owned()
        } else if is_claim {
            "it is a claim token, which sets a new server up: use the account's token".to_owned()
        } else if let Some(char) = first_wrong(&text) {
            format!(
                "it has {char:?} in it, which no token has there: write the token alone, without \
                 quotes, white space, name, scheme, URL, path or placeholder"
            )
        } else {
            return Ok(Self(Arc::new(text)));
        };
        Err(Error::new(ErrorKind::InvalidToken, problem))
    }
}

/// The first character that can't be part of a token. The alphabet is that of bearer tokens (RFC
/// 6750, section 2.1) without `/`, because a path or URL is a common mistake.
fn first_wrong(text: &str) -> Option<char> {
    let is_right = |char: char| char.is_ascii_alphanumeric() || "-._~+".contains(char);
    let bare = text.trim_end_matches('=');
    if bare.is_empty() { text.chars().next() } else { bare.chars().find(|char| !is_right(*char)) }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_caller(Zeroizing::new(text.to_owned()))
    }
}

macro_rules! try_from {
    ($($text:ty)*) => {
        $(impl TryFrom<$text> for Token {
            type Error = Error;

            fn try_from(text: $text) -> Result<Self, Error> {
                Self::from_caller(Zeroizing::new(text.into()))
            }
        })*
    };
}

try_from! { &str String &String }

impl From<&Token> for Token {
    fn from(token: &Token) -> Self {
        token.clone()
    }
}

impl From<TransientToken> for Token {
    fn from(transient: TransientToken) -> Self {
        transient.token
    }
}

impl From<&TransientToken> for Token {
    fn from(transient: &TransientToken) -> Self {
        transient.token.clone()
    }
}

/// From a string. The error does not repeat it.
impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own error would repeat a number.
        let text = String::deserialize(deserializer)
            .map_err(|_| D::Error::custom("a token must be a string"))?;
        Self::try_from(text).map_err(D::Error::custom)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

/// A timestamp (monotonic and wall-clock). The monotonic clock may stop while the machine sleeps,
/// and the wall clock can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The elapsed time, by the clock that shows more of it.
    fn elapsed(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.monotonic.elapsed().max(wall)
    }
}

/// A temporary token with the access level of the token that asked for it, from
/// [`Client::transient_token`](crate::Client::transient_token). Hand it to a player, a cast device
/// or another server in place of the real token.
///
/// Up to PMS 1.42.2.10156 its holder could exchange it for the account's permanent token
/// (CVE-2025-69414): with these versions, handing it out is as dangerous as handing out the real
/// one.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client) -> Result<(), plex_auth::Error> {
/// # fn play(_url: String) {}
/// let token = client.transient_token().await?;
/// play(format!("http://192.168.1.20:32400/..?X-Plex-Token={}", token.expose_secret()));
/// println!("it has to be replaced in {:?} at the latest", token.time_left());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TransientToken {
    token: Token,
    requested_at: Timestamp,
}

impl TransientToken {
    pub(crate) fn new(token: Token, requested_at: Timestamp) -> Self {
        Self { token, requested_at }
    }

    /// The token itself.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The token in the clear, as [`Token::expose_secret`].
    pub fn expose_secret(&self) -> &str {
        self.token.expose_secret()
    }

    /// When the token expires at the latest: 48 hours after the request for it was sent. A restart
    /// of the server ends it earlier, and requests with it then fail with 401.
    pub fn expires_at(&self) -> SystemTime {
        let sent = self.requested_at.wall;
        sent.checked_add(LIFETIME).unwrap_or(sent)
    }

    /// How long the token is valid from now, at most; zero if it has expired. The smaller result of
    /// the monotonic and the wall clock.
    pub fn time_left(&self) -> Duration {
        LIFETIME.saturating_sub(self.requested_at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_not_repeated_by_serde() {
        for json in ["\"Bearer sEcReT\"", "{\"sEcReT\":1}", "[\"sEcReT\"]", "5432167890123"] {
            let error = serde_json::from_str::<Token>(json).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("sEcReT") && !text.contains("54321"), "{text}");
        }
        assert_eq!(serde_json::from_str::<Token>("\"a\"").unwrap().expose_secret(), "a");
    }

    #[test]
    fn time_left_is_what_the_stricter_clock_says() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let now = Timestamp::now();
        let left = |wall| {
            let token = Token::try_from("abc").unwrap();
            TransientToken::new(token, Timestamp { wall, ..now }).time_left().as_secs_f64()
                / 3_600.0
        };
        assert!((left(now.wall) - 48.0).abs() < 0.1);
        assert!((left(now.wall - 47 * HOUR) - 1.0).abs() < 0.1);
        // A wall clock that was set back does not lengthen a token's life.
        assert!(left(now.wall + 9 * HOUR) <= 48.0);
        assert!(left(now.wall - 49 * HOUR).abs() < f64::EPSILON);
    }
}
