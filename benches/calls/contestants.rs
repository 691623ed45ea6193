//! Who is compared.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use plex_auth::{Client, Source};
use tokio::sync::Mutex;

use crate::opponent::ByHand;

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

pub const SOURCE: &str = "server://243b471948ace337a8f92f129ec97d1902fcb1df";
const TOKEN: &str = "9rTq2mXw7KvB4nZc8LhD";
const MAX_BYTES: usize = 1024 * 1024;

pub enum Contestant {
    PlexAuth(Client, Source),
    ByHand(ByHand),
    Hyper(Mutex<SendRequest<Empty<Bytes>>>, String),
}

impl Contestant {
    pub fn plex_auth(address: &str) -> Result<Self> {
        Ok(Self::PlexAuth(Self::client(address)?, SOURCE.parse()?))
    }

    pub fn client(address: &str) -> Result<Client> {
        let client = Client::builder(format!("http://{address}"));
        Ok(client.token(TOKEN).client_identifier("bench").build()?)
    }

    pub fn by_hand(address: &str) -> Result<Self> {
        Self::by_hand_up_to(address, MAX_BYTES)
    }

    pub fn unbounded(address: &str) -> Result<Self> {
        Self::by_hand_up_to(address, usize::MAX)
    }

    fn by_hand_up_to(address: &str, max_bytes: usize) -> Result<Self> {
        let by_hand = ByHand::new(format!("http://{address}"), TOKEN, max_bytes);
        Ok(Self::ByHand(by_hand.map_err(|error| error.to_string())?))
    }

    /// The floor: one connection, no pool, no limits, no types.
    pub async fn hyper(address: &str) -> Result<Self> {
        let tcp = tokio::net::TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        Ok(Self::Hyper(Mutex::new(sender), address.to_owned()))
    }

    /// Mints a token.
    pub async fn token(&self) -> Result<()> {
        let length = match self {
            Self::PlexAuth(client, _) => {
                client.transient_token().await?.token().expose_secret().len()
            }
            Self::ByHand(by_hand) => by_hand.token().await?.len(),
            Self::Hyper(sender, address) => {
                let request = hyper::Request::post("/security/token?type=delegation&scope=all")
                    .header("host", address)
                    .header("accept", "application/json")
                    .header("x-plex-client-identifier", "bench")
                    .header("x-plex-token", TOKEN)
                    .body(Empty::new())?;
                let answer = sender.lock().await.send_request(request).await?;
                let body = answer.into_body().collect().await?.to_bytes();
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
            Self::ByHand(by_hand) => by_hand.device(SOURCE).await?.connections.len(),
            Self::Hyper(..) => 50,
        };
        if connections == 50 { Ok(()) } else { Err("not the device that was sent".into()) }
    }
}
