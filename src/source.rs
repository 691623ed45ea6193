//! What to ask for, and what comes back.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::wire;
use crate::{Error, Token};

/// The kinds of [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// Another Plex Media Server: `server://`.
    Server,
    /// A media provider in the cloud: `provider://`.
    Provider,
}

impl SourceKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Server => "server://",
            Self::Provider => "provider://",
        }
    }
}

/// A server or provider that the asked server knows.
///
/// Parses from, and prints as, what goes over the wire: `server://CLIENT-IDENTIFIER` or
/// `provider://PROVIDER-IDENTIFIER`. On the wire it is percent-encoded.
///
/// ```
/// # fn main() -> Result<(), plex_auth::Error> {
/// let source: plex_auth::Source = "server://243b471948ace337a8f92f129ec97d1902fcb1df".parse()?;
/// assert_eq!(source, plex_auth::Source::server("243b471948ace337a8f92f129ec97d1902fcb1df")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Source {
    kind: SourceKind,
    text: String,
}

impl Source {
    /// Another server, by its client identifier (its `machineIdentifier`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the identifier is empty, or has white space or control characters.
    pub fn server(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(SourceKind::Server, identifier.as_ref())
    }

    /// A provider, by its identifier, such as `tv.plex.provider.vod`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the identifier is empty, or has white space or control characters.
    pub fn provider(identifier: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(SourceKind::Provider, identifier.as_ref())
    }

    /// Server or provider.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The identifier without its prefix.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.text.strip_prefix(self.kind.prefix()).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn new(kind: SourceKind, identifier: &str) -> Result<Self, Error> {
        let problem = if identifier.is_empty() {
            "there is no identifier after `://`"
        } else if identifier.contains(char::is_whitespace) {
            "the identifier has white space in it"
        } else if identifier.contains(char::is_control) {
            "the identifier has a control character in it"
        } else if identifier.contains("://") {
            "the identifier has a prefix of its own: give one prefix"
        } else {
            return Ok(Self { kind, text: format!("{}{identifier}", kind.prefix()) });
        };
        Err(Error::invalid("source", problem))
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        for kind in [SourceKind::Server, SourceKind::Provider] {
            if let Some(identifier) = text.strip_prefix(kind.prefix()) {
                return Self::new(kind, identifier);
            }
        }
        let problem = match text.split_once("://") {
            Some(_) => "its scheme is neither `server` nor `provider`, in small letters",
            None => "it must begin with `server://` or `provider://`, and then an identifier",
        };
        Err(Error::invalid("source", problem))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.text)
    }
}

/// A source, how to reach it, and the token to use there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Device {
    /// The name that its owner gave it.
    pub name: Option<String>,
    /// Its client identifier, which is its `machineIdentifier` too when it is a server.
    pub client_identifier: String,
    /// The token to use with this device, and with no other.
    pub access_token: Token,
    /// The ways to reach it, best first: local, then remote, then relayed, and in the server's
    /// order within each. May be empty.
    pub connections: Vec<Connection>,
    /// What was asked for, to ask again.
    pub(crate) source: Source,
}

/// One way to reach a [`Device`].
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whether it leads through a relay, which is slow.
    pub relay: bool,
}

impl Device {
    /// What is missing or of no use is named in the error.
    pub(crate) fn from_wire(device: wire::Device, source: &Source) -> Result<Self, WireProblem> {
        let client_identifier = device.client_identifier.ok_or(WireProblem::NoClientIdentifier)?;
        let access_token = device.access_token.ok_or(WireProblem::AccessToken("it is missing"))?;
        let access_token = access_token.into_token().map_err(WireProblem::AccessToken)?;
        let usable = |(index, connection)| match Connection::from_wire(connection) {
            Ok(connection) => Some(connection),
            Err(problem) => {
                tracing::warn!(index, problem, "skipped a connection of a device");
                None
            }
        };
        let listed = device.connection.map(|listed| listed.0).unwrap_or_default();
        let mut connections = Vec::with_capacity(listed.len());
        connections.extend(listed.into_iter().enumerate().filter_map(usable));
        connections.sort_by_cached_key(Connection::rank);
        let (name, source) = (device.name, source.clone());
        Ok(Self { name, client_identifier, access_token, connections, source })
    }
}

impl Connection {
    fn from_wire(connection: wire::Connection) -> Result<Self, &'static str> {
        let uri = connection.uri.ok_or("it has no uri")?;
        let uri = uri.0.map_err(|_| "its uri can't be parsed")?;
        if !matches!(uri.scheme(), "http" | "https") {
            return Err("its uri is neither http nor https");
        }
        if crate::address::has_extras(&uri) {
            return Err("its uri has credentials, a query or a fragment");
        }
        let host = uri.host_str().ok_or("its uri has no host")?;
        let bare = || host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = || uri.port_or_known_default().unwrap_or_default();
        Ok(Self {
            protocol: connection.protocol.unwrap_or_else(|| uri.scheme().to_owned()),
            address: connection.address.unwrap_or_else(bare),
            port: connection.port.map_or_else(port, |port| port.0),
            local: connection.local.is_some_and(|flag| flag.0),
            relay: connection.relay.is_some_and(|flag| flag.0),
            uri,
        })
    }

    pub(crate) fn rank(&self) -> u8 {
        match (self.relay, self.local) {
            (true, _) => 2,
            (false, false) => 1,
            (false, true) => 0,
        }
    }
}

pub(crate) enum WireProblem {
    NoClientIdentifier,
    AccessToken(&'static str),
}
