//! What is asked for, and what comes back.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use url::Host;

use crate::address;
use crate::api::wire;
use crate::error::{Error, ErrorKind};
use crate::token::Token;

/// The kinds of [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// Another Plex Media Server: `server://`.
    Server,
    /// A media provider in the cloud: `provider://`.
    Provider,
}

/// `server` or `provider`.
impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Provider => "provider",
        })
    }
}

/// A server or provider that the asked server knows.
///
/// Parsed from, and displayed as, what goes over the wire: `server://CLIENT-IDENTIFIER` or
/// `provider://PROVIDER-IDENTIFIER`, with a provider suffix where wanted
/// (`server://ID/com.plexapp.plugins.library`).
///
/// ```
/// # fn main() -> Result<(), plex_auth::Error> {
/// let source: plex_auth::Source = "server://243b471948ace337a8f92f129ec97d1902fcb1df".parse()?;
/// assert_eq!(source, plex_auth::Source::server("243b471948ace337a8f92f129ec97d1902fcb1df")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Source(String);

impl Source {
    /// Another server, by its client identifier, which is its `machineIdentifier`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSource`] when the identifier is empty, or has white space or control
    /// characters.
    pub fn server(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(SourceKind::Server, identifier.as_ref())
    }

    /// A provider, by its identifier, such as `tv.plex.provider.vod`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSource`] when the identifier is empty, or has white space or control
    /// characters.
    pub fn provider(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(SourceKind::Provider, identifier.as_ref())
    }

    /// Server or provider.
    pub fn kind(&self) -> SourceKind {
        match self.0.starts_with("server://") {
            true => SourceKind::Server,
            false => SourceKind::Provider,
        }
    }

    /// The identifier without its prefix.
    pub fn identifier(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, identifier)| identifier)
    }

    /// Whether this is a device's identifier, without regard to case and to a provider suffix.
    pub(crate) fn matches(&self, client_identifier: &str) -> bool {
        let bare = |text: &str| text.split('/').next().unwrap_or_default().to_ascii_lowercase();
        bare(self.identifier()) == bare(client_identifier)
    }

    fn new(kind: SourceKind, identifier: &str) -> Result<Self, Error> {
        let problem = if identifier.is_empty() || identifier.starts_with('/') {
            "there is no identifier after `://`"
        } else if identifier.contains(char::is_whitespace) {
            "the identifier has white space in it: remove it"
        } else if identifier.contains(char::is_control) {
            "the identifier has a control character in it"
        } else if identifier.contains("://") {
            "the identifier has a prefix of its own: give one prefix"
        } else {
            return Ok(Self(format!("{kind}://{identifier}")));
        };
        Err(Error::new(ErrorKind::InvalidSource, problem))
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let problem = match text.split_once("://") {
            Some(("server", identifier)) => return Self::server(identifier),
            Some(("provider", identifier)) => return Self::provider(identifier),
            _ if text.trim() != text => "it begins or ends with white space: remove it",
            Some(_) => "its scheme is neither `server` nor `provider`, in lower case",
            None => "it must begin with `server://` or `provider://`, and then an identifier",
        };
        Err(Error::new(ErrorKind::InvalidSource, problem))
    }
}

impl TryFrom<&str> for Source {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Source {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl AsRef<str> for Source {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A source, how to reach it, and the token to use there.
///
/// In tests, make one with `Device::try_from(wire::Device { .. })`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Device {
    /// The name its owner gave it.
    pub name: Option<String>,
    /// Its client identifier, which is its `machineIdentifier` too when it is a server.
    pub client_identifier: String,
    /// The token to use with this device, and with no other.
    pub access_token: Token,
    /// How to reach it, best first: local, then remote, then relayed, and in the server's order
    /// within each. May be empty.
    pub connections: Vec<Connection>,
}

/// An address of a [`Device`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Connection {
    /// What to connect to. `http` or `https`, without credentials, query and fragment.
    pub uri: Url,
    /// `http` or `https`; from `uri` when the server left it out.
    pub protocol: String,
    /// IP address or host name; from `uri` when the server left it out.
    pub address: String,
    /// TCP port; from `uri` when the server left it out.
    pub port: u16,
    /// Whether it is the device's address in its own network.
    pub local: bool,
    /// Whether it goes through a relay, which is slow.
    pub relay: bool,
}

/// What is missing is an error of kind `Decode` or `NoToken`; a connection that can't be used is
/// left out.
impl TryFrom<wire::Device> for Device {
    type Error = Error;

    fn try_from(device: wire::Device) -> Result<Self, Error> {
        let client_identifier = device.client_identifier.and_then(|identifier| identifier.0);
        let client_identifier = client_identifier
            .ok_or_else(|| Error::new(ErrorKind::Decode, "`clientIdentifier` is missing"))?;
        let access_token = device.access_token.ok_or("it is missing");
        let access_token =
            access_token.and_then(wire::WireToken::into_token).map_err(|problem| {
                Error::new(ErrorKind::NoToken, format!("`accessToken` is unusable: {problem}"))
            })?;
        let listed = device.connection.unwrap_or_default().0;
        let count = listed.len();
        let mut connections: Vec<_> =
            listed.into_iter().filter_map(Connection::from_wire).collect();
        if connections.len() < count {
            let unusable = count.saturating_sub(connections.len());
            tracing::warn!(unusable, "connections of a device ignored");
        }
        connections.sort_by_key(|connection| (connection.relay, !connection.local));
        let name = device.name.and_then(|name| name.0);
        Ok(Self { name, client_identifier, access_token, connections })
    }
}

impl Connection {
    fn from_wire(connection: wire::Connection) -> Option<Self> {
        let protocol = connection.protocol.and_then(|protocol| protocol.0);
        let address = connection.address.and_then(|address| address.0);
        let port = connection.port.and_then(|port| port.0);
        let is_usable = |uri: &Url| {
            matches!(uri.scheme(), "http" | "https") && !address::has_credentials_or_query(uri)
        };
        let uri = match connection.uri.and_then(|uri| uri.0).filter(is_usable) {
            Some(uri) => uri,
            None => build_uri(protocol.as_deref()?, address.as_deref()?, port).filter(is_usable)?,
        };
        let host = uri.host_str()?;
        let bare = || host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self {
            protocol: protocol.unwrap_or_else(|| uri.scheme().to_owned()),
            address: address.unwrap_or_else(bare),
            port: port.or_else(|| uri.port_or_known_default()).unwrap_or_default(),
            local: connection.local.and_then(|flag| flag.0).unwrap_or_default(),
            relay: connection.relay.and_then(|flag| flag.0).unwrap_or_default(),
            uri,
        })
    }
}

/// The URI of a connection that has none. Without a port, the scheme's own applies.
fn build_uri(protocol: &str, address: &str, port: Option<u16>) -> Option<Url> {
    let host = match address.parse() {
        Ok(ip) => Host::Ipv6(ip),
        Err(_) => Host::parse(address).ok()?,
    };
    let mut uri = Url::parse(&format!("{protocol}://{host}")).ok()?;
    uri.set_port(port).ok()?;
    Some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_match_without_regard_to_case_and_suffix() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        for text in ["server://AbC", "server://abc/", "server://ABC/com.plexapp.plugins.library"] {
            assert!(source(text).matches("aBc"), "{text}");
            assert!(!source(text).matches("abcd") && !source(text).matches(""), "{text}");
        }
        assert_eq!(source("server://AbC/x").as_ref(), "server://AbC/x");
    }

    #[test]
    fn a_uri_is_built_from_its_parts() {
        for (protocol, address, port, uri) in [
            ("https", "10.0.2.123", Some(32400), "https://10.0.2.123:32400/"),
            ("HTTP", "2001:db8::1", Some(32400), "http://[2001:db8::1]:32400/"),
            ("http", "[2001:db8::1]", Some(1), "http://[2001:db8::1]:1/"),
            ("https", "plex.example", None, "https://plex.example/"),
            ("https", "plex.example", Some(443), "https://plex.example/"),
        ] {
            let built = build_uri(protocol, address, port).unwrap();
            assert_eq!(built.as_str(), uri);
        }
        for (protocol, address) in [
            ("https", ""),
            ("", "host"),
            ("ht tp", "host"),
            ("https", "host/path"),
            ("https", "user@host"),
            ("https", "host:1"),
            ("https", "fe80::1%eth0"),
        ] {
            assert_eq!(build_uri(protocol, address, Some(1)), None, "{protocol} {address}");
        }
    }
}
