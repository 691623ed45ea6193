//! Sources, and the results of the calls: device, connections, identity.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use reqwest::Url;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::Host;

use crate::address;
use crate::api::wire;
use crate::error::{Error, ErrorKind};
use crate::token::Token;

/// A server or provider that the client's server knows.
///
/// Parses from and displays as the form of the protocol: `server://CLIENT-IDENTIFIER` or
/// `provider://PROVIDER-IDENTIFIER`, with an optional provider suffix
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
pub struct Source(pub(crate) String);

impl Source {
    /// Another server, by its client identifier, which is its `machineIdentifier`: in plex.tv's list
    /// of a user's servers, and at that server's `/identity`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSource`] when the identifier is empty, or has white space or control
    /// characters.
    pub fn server(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::with_prefix("server://", identifier.as_ref())
    }

    /// A provider, one of Plex's online services, by its identifier, such as `tv.plex.provider.vod`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSource`] when the identifier is empty, or has white space or control
    /// characters.
    pub fn provider(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::with_prefix("provider://", identifier.as_ref())
    }

    /// A provider has no `/identity`.
    pub(crate) fn is_provider(&self) -> bool {
        self.0.starts_with("provider://")
    }

    /// The identifier without its prefix.
    pub fn identifier(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, identifier)| identifier)
    }

    /// Whether a device has this identifier, ignoring case and provider suffixes.
    pub(crate) fn matches(&self, client_identifier: &str) -> bool {
        let bare = |text: &str| text.split('/').next().unwrap_or_default().to_ascii_lowercase();
        bare(self.identifier()) == bare(client_identifier)
    }

    fn with_prefix(prefix: &str, identifier: &str) -> Result<Self, Error> {
        let problem = if identifier.is_empty() || identifier.starts_with('/') {
            "there is no identifier after `://`"
        } else if identifier.contains(char::is_whitespace) {
            "the identifier has white space in it: remove it"
        } else if identifier.contains(char::is_control) {
            "the identifier has a control character in it"
        } else if identifier.len() > 1_000 {
            "the identifier has more than 1,000 bytes"
        } else if identifier.contains("://") {
            "the identifier has a prefix of its own: give one prefix"
        } else {
            return Ok(Self(format!("{prefix}{identifier}")));
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
            Some(_) => "its scheme must be `server` or `provider`, in lower case",
            None => {
                "it must begin with `server://` or `provider://`: for an identifier alone, use \
                 `Source::server(..)`"
            }
        };
        Err(Error::new(ErrorKind::InvalidSource, problem))
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

/// A server's identity, from [`Client::identity`](crate::Client::identity).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The server's identifier, which [`Source::server`] takes.
    pub machine_identifier: String,
    /// The server's version, such as `1.41.0.8994-f2c27da23`.
    pub version: Option<String>,
    /// Whether the server belongs to an account. An unclaimed server makes no tokens.
    pub claimed: Option<bool>,
}

/// Replaces control characters in peer-supplied text with U+FFFD.
fn printable(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, "\u{fffd}") } else { text }
}

impl Identity {
    pub(crate) fn from_wire(body: wire::IdentityBody) -> Self {
        let wire::IdentityBody { media_container } = body;
        let wire::IdentityContainer { machine_identifier, version, claimed } = media_container;
        Self {
            machine_identifier: printable(machine_identifier),
            version: version.and_then(|version| version.0).map(printable),
            claimed: claimed.and_then(|claimed| claimed.0),
        }
    }
}

/// A source, its connections, and its access token: from a look-up, or made from what an app has
/// kept or got from plex.tv. It can't be serialized as a whole, because of the token.
///
/// ```no_run
/// # async fn example(client: plex_auth::Client, source: plex_auth::Source)
/// # -> Result<(), plex_auth::Error> {
/// let device = client.source_connection_information(&source).await?;
/// println!("{} has {} connections", device.client_identifier, device.connections.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Device {
    /// The name its owner gave it. Control characters are replaced with U+FFFD.
    pub name: Option<String>,
    /// Its client identifier. For a server, this is also its `machineIdentifier`.
    pub client_identifier: String,
    /// The token to use with this device, and with no other.
    pub access_token: Token,
    /// Its connections; may be empty. Those of a look-up are sorted: local, remote, relayed, and in
    /// the server's order within each.
    pub connections: Vec<Connection>,
}

/// An address of a [`Device`]. An app can keep it, as JSON for example; `uri` is enough to read it
/// again. To hand an address to another program, use `uri` and its host.
///
/// ```
/// # fn main() -> serde_json::Result<()> {
/// let kept = r#"{ "uri": "https://10-0-2-123.93b1.plex.direct:32400/", "local": true }"#;
/// let connection: plex_auth::Connection = serde_json::from_str(kept)?;
/// assert_eq!(connection.port, 32400);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Connection {
    /// The base URL, which the crate uses. `http` or `https`, without credentials, query and
    /// fragment.
    pub uri: Url,
    /// `http` or `https`; from `uri` if the server left it out. May differ from `uri`'s scheme.
    pub protocol: String,
    /// IP address or host name; from `uri` if the server left it out. Not for requests: usually an
    /// IP address, for which no certificate is valid. `uri`'s host is the name that has one.
    pub address: String,
    /// TCP port; from `uri` if the server left it out. May differ from `uri`'s port.
    pub port: u16,
    /// Whether the server says that it is the device's address in its own network. Not for
    /// decisions about trust: a tunnel may be flagged so.
    pub local: bool,
    /// Whether it goes through a relay, which is slow. Not an address to remember: a direct one may
    /// work the next time.
    pub relay: bool,
}

/// As leniently as in a response.
impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let connection = Self::from_wire(wire::Connection::deserialize(deserializer)?);
        connection.ok_or_else(|| D::Error::custom("`uri` is not the URL of a connection"))
    }
}

const NO_DEVICE: &str = "the server does not know this source: it lists no device with its \
                         identifier; or it is the asked server itself, which needs no look-up";

impl Device {
    /// A device that the app knows already, without a name.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plex_auth::{Connection, Device};
    ///
    /// let uri = "https://10-0-2-123.93b1.plex.direct:32400".parse()?;
    /// let mut connection = Connection::new(uri);
    /// connection.local = true;
    /// let mut device = Device::new("243b47", "xxxx".parse()?, vec![connection]);
    /// device.name = Some("PlexCorp".to_owned());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(
        client_identifier: impl Into<String>,
        access_token: Token,
        connections: Vec<Connection>,
    ) -> Self {
        let client_identifier = client_identifier.into();
        Self { name: None, client_identifier, access_token, connections }
    }

    /// The source's device. A missing required field is an error; an unusable connection is left
    /// out.
    pub(crate) fn from_wire(body: wire::SourceBody, source: &Source) -> Result<Self, Error> {
        let wire::SourceBody { media_container: wire::SourceContainer { device } } = body;
        let mut devices = device.unwrap_or_default().0;
        let identifier = |device: &wire::Device| device.client_identifier.clone()?.0;
        let is_source = |device: &wire::Device| {
            identifier(device).is_some_and(|identifier| source.matches(&identifier))
        };
        let device = match &*devices {
            // A provider's device may have another identifier. A missing one is an error below.
            [only] if source.is_provider() || identifier(only).is_none() => devices.pop(),
            _ => devices.into_iter().find(is_source),
        };
        let Some(device) = device else {
            return Err(Error::unusable(ErrorKind::NoDevice, NO_DEVICE));
        };

        let wire::Device { name, client_identifier, access_token, connection } = device;
        let Some(client_identifier) = client_identifier.and_then(|identifier| identifier.0) else {
            return Err(Error::unusable(ErrorKind::Decode, "`clientIdentifier` is missing"));
        };
        let access_token = access_token.map(|token| token.0);
        let access_token = Token::from_server(access_token, "accessToken")?;
        let listed = connection.unwrap_or_default().0;
        let count = listed.len();
        let mut connections: Vec<_> =
            listed.into_iter().filter_map(Connection::from_wire).collect();
        if connections.len() < count {
            let unusable = count.saturating_sub(connections.len());
            tracing::warn!(unusable, "connections of a device ignored");
        }
        connections.sort_by_key(|connection| (connection.relay, !connection.local));
        let name = name.and_then(|name| name.0).map(printable);
        let client_identifier = printable(client_identifier);
        Ok(Self { name, client_identifier, access_token, connections })
    }
}

impl Connection {
    /// A connection to this address: neither local nor a relay, the other fields from `uri`.
    pub fn new(uri: Url) -> Self {
        Self {
            protocol: uri.scheme().to_owned(),
            address: uri.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: uri.port_or_known_default().unwrap_or_default(),
            local: false,
            relay: false,
            uri,
        }
    }

    fn from_wire(connection: wire::Connection) -> Option<Self> {
        let wire::Connection { protocol, address, port, uri, local, relay } = connection;
        let protocol = protocol.and_then(|protocol| protocol.0).map(printable);
        let address = address.and_then(|address| address.0).map(printable);
        let port = port.and_then(|port| port.0);
        let build = || build_uri(protocol.as_deref()?, address.as_deref()?, port);
        let by_uri = Self::new(uri.and_then(|uri| uri.0).or_else(build)?);
        Some(Self {
            protocol: protocol.unwrap_or(by_uri.protocol),
            address: address.unwrap_or(by_uri.address),
            port: port.unwrap_or(by_uri.port),
            local: local.and_then(|flag| flag.0).unwrap_or_default(),
            relay: relay.and_then(|flag| flag.0).unwrap_or_default(),
            uri: by_uri.uri,
        })
    }
}

/// The URI of a connection that has none. Without a port, the scheme's own applies.
fn build_uri(protocol: &str, address: &str, port: Option<u16>) -> Option<Url> {
    let v6 = address.parse().map(|ip: Ipv6Addr| format!("[{ip}]"));
    let host = v6.unwrap_or_else(|_| address.to_owned());
    // Nothing but a host: no port, no path.
    Host::parse(&host).ok()?;
    let mut uri = address::listed(&format!("{protocol}://{host}"))?;
    uri.set_port(port).ok()?;
    Some(uri)
}
