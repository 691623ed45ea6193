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
/// Made from a `&str` or `String`, by `parse()`, or by serde. A token has 1 or more visible ASCII
/// characters, which every header can carry. Everything else is [`ErrorKind::InvalidToken`], and so
/// are common mistakes: quotes, `X-Plex-Token=`, the rest of a URL, a `claim-` token. The error
/// says what to remove, and does not repeat the text.
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

    /// A token from a server's response. The error says what is wrong with it.
    pub(crate) fn from_server(text: Zeroizing<String>) -> Result<Self, &'static str> {
        if text.is_empty() {
            Err("it is empty")
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err("it has a character that is not visible ASCII, which no Plex token has")
        } else {
            Ok(Self(Arc::new(text)))
        }
    }

    /// Parses a token from user input, and names common mistakes.
    fn from_caller(text: Zeroizing<String>) -> Result<Self, Error> {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let checked = match MISTAKES.iter().find(|(is_made, _)| is_made(&lower)) {
            Some((_, advice)) => Err(*advice),
            None => Self::from_server(text),
        };
        checked.map_err(|problem| Error::new(ErrorKind::InvalidToken, problem))
    }
}

/// The quotation marks that people and word processors put around a value.
pub(crate) const QUOTES: &[char] = &['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»'];

const SCHEMES: [&str; 4] = ["authorization:", "bearer ", "token ", "basic "];

/// A test of the text in lower case, and what to do when it is true.
type Mistake = (fn(&str) -> bool, &'static str);

/// Common mistakes. The first that applies is reported.
const MISTAKES: [Mistake; 8] = [
    (|text| text.trim() != text, "it begins or ends with white space: remove it"),
    (
        |text| ["x-plex-token", "token=", "token:"].iter().any(|name| text.contains(name)),
        "it contains a name such as `X-Plex-Token`: remove everything but the token itself",
    ),
    (
        |text| SCHEMES.iter().any(|scheme| text.starts_with(scheme)),
        "it begins with an authorization scheme: remove `Bearer ` or the like",
    ),
    (|text| text.starts_with(QUOTES) || text.ends_with(QUOTES), "it is in quotes: remove them"),
    (
        |text| text.starts_with('<') && text.ends_with('>'),
        "it is in angle brackets: remove them, and put the token there",
    ),
    (
        |text| text.starts_with("claim-"),
        "it is a claim token, which sets a new server up: use the account's token",
    ),
    (|text| text.contains("://"), "it is a URL: use the token itself"),
    (
        |text| has_parameter(text) || ["%26", "x-plex-"].iter().any(|rest| text.contains(rest)),
        "it is followed by the rest of a URL: remove `&` or `?` and everything after it",
    ),
];

/// Whether a URL's next parameter follows a token: `&name=`. Any other `&` may be part of a token.
fn has_parameter(text: &str) -> bool {
    let is_word = |text: &str| {
        text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'))
    };
    let Some((token, rest)) = text.split_once(['&', '?']) else { return false };
    is_word(token) && rest.split_once('=').is_some_and(|(name, _)| name.len() >= 3 && is_word(name))
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

mod sealed {
    use super::{Error, Token};

    pub trait Sealed {
        fn into_token(self) -> Result<Token, Error>;
    }
}

/// Types that convert to a token: `&str`, `String`, [`Token`] and [`TransientToken`]. No other type
/// can implement it.
#[diagnostic::on_unimplemented(
    message = "a token can't be made from `{Self}`",
    label = "not a `&str`, a `String` or a `Token`",
    note = "where this is the result of `std::env::var(..)`, handle its error first, for example \
            with `?`, and pass the `String`"
)]
pub trait IntoToken: sealed::Sealed {}

macro_rules! into_token {
    ($($from:ty)*: $token:ident => $converted:expr) => {
        $(impl IntoToken for $from {}

        impl sealed::Sealed for $from {
            fn into_token(self) -> Result<Token, Error> {
                let $token = self;
                $converted
            }
        })*
    };
}

into_token! { &str String &String: text => Token::try_from(text) }
into_token! { &Token TransientToken &TransientToken: token => Ok(token.into()) }
into_token! { Token: token => Ok(token) }

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
    fn what_is_not_part_of_a_token_is_to_be_removed() {
        for (text, advice) in [
            ("", "it is empty"),
            (" abc", "white space"),
            ("abc\n", "white space"),
            ("\u{a0}abc", "white space"),
            ("X-Plex-Token=abc", "such as `X-Plex-Token`"),
            ("?x-plex-token=abc", "such as `X-Plex-Token`"),
            ("X-Plex-Token: abc", "such as `X-Plex-Token`"),
            ("http://host:32400/?X-Plex-Token=abc", "such as `X-Plex-Token`"),
            ("Bearer abc", "authorization scheme"),
            ("bearer abc", "authorization scheme"),
            ("Authorization: Bearer abc", "authorization scheme"),
            ("token=abc", "such as `X-Plex-Token`"),
            ("PLEX_TOKEN=abc", "such as `X-Plex-Token`"),
            ("authToken: abc", "such as `X-Plex-Token`"),
            ("X-Plex-Token=abc&X-Plex-Product=app", "everything but the token"),
            ("\"abc\"", "in quotes"),
            ("'abc'", "in quotes"),
            ("“abc”", "in quotes"),
            ("abc\"", "in quotes"),
            ("<abc>", "angle brackets"),
            ("„abc“", "in quotes"),
            ("claim-abc", "a claim token"),
            ("Claim-abc", "a claim token"),
            ("abc&X-Plex-Product=app", "remove `&`"),
            ("abc&type=1", "remove `&`"),
            ("abc%26type=1", "remove `&`"),
            ("abc?type=1", "remove `&` or `?`"),
            ("abc;X-Plex-Product=app", "remove `&`"),
            ("https://host:32400", "it is a URL"),
            ("a bc", "not visible ASCII"),
            ("äbc", "not visible ASCII"),
        ] {
            let error = Token::try_from(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidToken, "{text}");
            assert!(error.to_string().contains(advice), "{text}: {error}");
        }
        for token in
            ["abc", "a'b", "bearer", "tokens", "eyJh.eyJz.c2ln-_", "{[(abc", "claims", "a+b/c=="]
        {
            assert_eq!(Token::try_from(token).unwrap().expose_secret(), token);
        }
    }

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
