//! From a source to a client that answers, past addresses that don't.
//!
//! `cargo run --example connect` starts servers of its own on 127.0.0.1: one that knows the source,
//! and the addresses that it lists: a relay, a dead port, a silent one, another server and the
//! right one. With `PLEX_URL`, `PLEX_TOKEN` and `PLEX_SOURCE` (`server://..`) it connects by way of
//! a real server; `PLEX_CLIENT_IDENTIFIER` replaces `plex-auth-connect`. Tokens are never shown.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use httpmock::{Mock, MockServer};
use plex_auth::{Client, Connection, Source, SourceKind, Token};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    match (setting("PLEX_URL"), setting("PLEX_TOKEN"), setting("PLEX_SOURCE")) {
        (Some(url), Some(token), Some(source)) => connect(url, token, source.parse()?).await,
        (None, None, None) => {
            let home = Home::start().await?;
            home.introduce()?;
            connect(home.asked.base_url(), "owner-token".to_owned(), Source::server(RIGHT)?)
                .await?;
            home.conclude().await
        }
        _ => Err("set PLEX_URL, PLEX_TOKEN and PLEX_SOURCE, or none of them".into()),
    }
}

async fn connect(url: String, token: String, source: Source) -> Result<(), Box<dyn Error>> {
    let identifier = setting("PLEX_CLIENT_IDENTIFIER");
    let client = Client::builder(url)
        .token(token)
        .client_identifier(identifier.as_deref().unwrap_or("plex-auth-connect"))
        .product("plex-auth connect")
        .version(env!("CARGO_PKG_VERSION"))
        .build()?;

    let started = Instant::now();
    let server = client.connect(&source).await?;
    println!("\nConnected to {source} in {:.1?}", started.elapsed());
    println!("  name:        {}", server.device().name.as_deref().unwrap_or("(none)"));
    println!("  address:     {} ({})", server.client().address(), way(server.connection()));
    println!("  token:       {}", masked(&server.device().access_token));
    if source.kind() == SourceKind::Server {
        let transient = server.client().transient_token().await?;
        println!("  minted:      {}", masked(transient.token()));
    }
    Ok(())
}

fn way(connection: &Connection) -> &'static str {
    match (connection.relay, connection.local) {
        (true, _) => "relayed",
        (false, true) => "local",
        (false, false) => "remote",
    }
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn masked(token: &Token) -> String {
    format!("({} characters, masked)", token.expose_secret().len())
}

const RIGHT: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const OTHER: &str = "5d2c0f6e8a1b4c3d9e7f00112233445566778899";

/// What stands in for a server, and for the addresses that it lists for the source.
struct Home {
    asked: MockServer,
    relay: StandIn,
    dead: String,
    silent: TcpListener,
    lying: StandIn,
    right: StandIn,
}

impl Home {
    async fn start() -> std::io::Result<Self> {
        let home = Self {
            asked: MockServer::start_async().await,
            relay: StandIn::start(RIGHT).await,
            // The port is free again at the end of the line.
            dead: url(&TcpListener::bind("127.0.0.1:0").await?)?,
            // Nobody takes its connections until the end.
            silent: TcpListener::bind("127.0.0.1:0").await?,
            lying: StandIn::start(OTHER).await,
            right: StandIn::start(RIGHT).await,
        };
        let connections: Vec<Value> = home
            .addresses()?
            .iter()
            .map(|(what, uri)| json!({ "uri": uri, "local": true, "relay": *what == "relay" }))
            .collect();
        let device = json!({
            "name": "PlexCorp (plex-corp)",
            "clientIdentifier": RIGHT,
            "accessToken": "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a",
            "Connection": connections,
        });
        home.asked
            .mock_async(|when, then| {
                when.method("GET").path("/security/resources");
                then.status(200)
                    .json_body(json!({ "MediaContainer": { "size": 1, "Device": device } }));
            })
            .await;
        Ok(home)
    }

    fn addresses(&self) -> std::io::Result<[(&'static str, String); 5]> {
        Ok([
            ("relay", self.relay.server.base_url()),
            ("dead", self.dead.clone()),
            ("silent", url(&self.silent)?),
            ("lying", self.lying.server.base_url()),
            ("right", self.right.server.base_url()),
        ])
    }

    fn introduce(&self) -> std::io::Result<()> {
        println!("No PLEX_URL is set: asking a mock server at {}.", self.asked.base_url());
        println!("It lists five addresses for the source:");
        for (what, uri) in self.addresses()? {
            println!("  {what:<12} {uri}");
        }
        Ok(())
    }

    async fn conclude(&self) -> Result<(), Box<dyn Error>> {
        let (mut tcp, _) = timeout(Duration::from_secs(5), self.silent.accept()).await??;
        let mut sent = String::new();
        tcp.read_to_string(&mut sent).await?;
        let tokens = sent.to_ascii_lowercase().matches("x-plex-token").count();

        println!("\nWhat each was sent");
        for (what, (asked, tokens)) in [
            ("silent", (1, tokens)),
            ("lying", self.lying.seen().await),
            ("relay", self.relay.seen().await),
            ("right", self.right.seen().await),
        ] {
            println!("  {what:<12} asked who it is: {asked}, tokens: {tokens}");
        }
        Ok(())
    }
}

fn url(listener: &TcpListener) -> std::io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// A server that says who it is, and mints tokens for those that have one.
struct StandIn {
    server: MockServer,
    asked: usize,
    minted: usize,
}

impl StandIn {
    async fn start(identifier: &str) -> Self {
        let server = MockServer::start_async().await;
        let identity = json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } });
        let minted = json!({ "MediaContainer": {
            "size": 0, "token": "transient-90904684-f91a-4391-8bf7-e0dfa7240285"
        }});
        let asked = server.mock_async(|when, then| {
            when.method("GET").path("/identity").header_missing("x-plex-token");
            then.status(200).json_body(identity);
        });
        let asked = asked.await.id();
        let minted = server.mock_async(|when, then| {
            when.header_exists("x-plex-token");
            then.status(200).json_body(minted);
        });
        let minted = minted.await.id();
        Self { server, asked, minted }
    }

    /// How many times it was asked who it is, and how many tokens it was sent.
    async fn seen(&self) -> (usize, usize) {
        let asked = Mock::new(self.asked, &self.server).calls_async().await;
        (asked, Mock::new(self.minted, &self.server).calls_async().await)
    }
}
