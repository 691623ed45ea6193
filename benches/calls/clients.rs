//! The clients that are compared.

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use plex_auth::Source;
use tokio::sync::Mutex;

use crate::baseline::Baseline;

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

pub const SOURCE: &str = "server://243b471948ace337a8f92f129ec97d1902fcb1df";
pub const TOKEN: &str = "9rTq2mXw7KvB4nZc8LhD";
pub const MAX_BYTES: usize = 1024 * 1024;

pub enum Client {
    PlexAuth(plex_auth::Client, Source),
    Baseline(Baseline),
    Hyper(Mutex<SendRequest<Empty<Bytes>>>, String),
}

/// This crate's client.
pub fn plex_auth(address: &str) -> Result<plex_auth::Client> {
    let client = plex_auth::Client::builder(format!("http://{address}"));
    Ok(client.token(TOKEN).client_identifier("bench").build()?)
}

impl Client {
    pub fn plex_auth(address: &str) -> Result<Self> {
        Ok(Self::PlexAuth(plex_auth(address)?, SOURCE.parse()?))
    }

    pub fn baseline(address: &str) -> Result<Self> {
        let base = format!("http://{address}");
        Ok(Self::Baseline(Baseline::new(base, TOKEN, MAX_BYTES, |http| http)?))
    }

    /// The baseline without a limit on the body.
    pub fn unbounded(address: &str) -> Result<Self> {
        let base = format!("http://{address}");
        Ok(Self::Baseline(Baseline::new(base, TOKEN, usize::MAX, |http| http)?))
    }

    /// The least that a call can cost: one connection, no pool, no limits, no types.
    pub async fn hyper(address: &str) -> Result<Self> {
        let tcp = tokio::net::TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        Ok(Self::Hyper(Mutex::new(sender), address.to_owned()))
    }

    /// A client by the name that a child is started with.
    pub fn named(name: &str, address: &str) -> Result<Self> {
        match name {
            "plex-auth" => Self::plex_auth(address),
            "baseline" => Self::baseline(address),
            _ => Err("an unknown client".into()),
        }
    }

    /// Gets a transient token.
    pub async fn token(&self) -> Result<()> {
        let length = match self {
            Self::PlexAuth(client, _) => client.transient_token().await?.expose_secret().len(),
            Self::Baseline(baseline) => baseline.token().await?.len(),
            Self::Hyper(sender, address) => {
                let request = hyper::Request::post("/security/token?type=delegation&scope=all")
                    .header("host", address)
                    .header("accept", "application/json")
                    .header("x-plex-client-identifier", "bench")
                    .header("x-plex-token", TOKEN)
                    .header("content-length", "0")
                    .body(Empty::new())?;
                let response = sender.lock().await.send_request(request).await?;
                let body = response.into_body().collect().await?.to_bytes();
                let body: serde_json::Value = serde_json::from_slice(&body)?;
                body["MediaContainer"]["token"].as_str().map_or(0, str::len)
            }
        };
        if length == 46 { Ok(()) } else { Err("not the token that was sent".into()) }
    }

    /// Looks up a device with 50 connections.
    pub async fn device(&self) -> Result<()> {
        let connections = match self {
            Self::PlexAuth(client, source) => {
                client.source_connection_information(source).await?.connections.len()
            }
            Self::Baseline(baseline) => baseline.device(SOURCE).await?.connections.len(),
            Self::Hyper(..) => return Err("only the others do this".into()),
        };
        if connections == 50 { Ok(()) } else { Err("not the device that was sent".into()) }
    }
}
