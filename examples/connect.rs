//! Connects to a source despite addresses that don't work, and reconnects after it restarts.
//!
//! `cargo run --example connect` starts mock servers on 127.0.0.1: one that knows the source, and
//! the addresses that it lists: a relay, a dead port, a silent one, another server and the right
//! one. With `PLEX_URL`, `PLEX_TOKEN` and `PLEX_SOURCE` (`server://..`) it looks the source up on a
//! real server; `PLEX_CLIENT_IDENTIFIER` replaces `plex-auth-connect`. Tokens are never shown.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use httpmock::{Mock, MockServer};
use plex_auth::reqwest::Url;
use plex_auth::{Client, Connected, Source, Token, TokenCache};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe (`| head`).
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(out: &mut impl Write) -> Result<()> {
    match (setting("PLEX_URL"), setting("PLEX_TOKEN"), setting("PLEX_SOURCE")) {
        (Some(url), Some(token), Some(source)) => {
            let source = source.parse()?;
            let client = builder(url, token).build()?;
            let server = connect(out, &client, &source, None).await?;
            get_token(out, &TokenCache::of_source(&server)).await
        }
        (None, None, None) => {
            let home = Home::start().await?;
            home.introduce(out)?;
            let source = Source::server(RIGHT)?;
            // The mock servers have no certificates.
            let builder = builder(home.asked.base_url(), "owner-token".to_owned());
            let client = builder.allow_insecure_http(true).build()?;
            let server = connect(out, &client, &source, None).await?;
            home.show_requests(out).await?;
            writeln!(out, "\nThe next time, the address that worked is tried first")?;
            let remembered = server.connection().uri;
            let server = connect(out, &client, &source, Some(&remembered)).await?;

            let cache = TokenCache::of_source(&server);
            get_token(out, &cache).await?;
            writeln!(out, "\nThe source restarts: it accepts neither token any more")?;
            home.right.restart().await;
            cache.invalidate(&cache.token().await?);
            get_token(out, &cache).await?;
            writeln!(out, "  reconnected: {}", server.client().address())?;
            Ok(())
        }
        _ => Err("set PLEX_URL, PLEX_TOKEN and PLEX_SOURCE, or none of them".into()),
    }
}

fn builder(url: String, token: String) -> plex_auth::ClientBuilder {
    let identifier = setting("PLEX_CLIENT_IDENTIFIER");
    Client::builder(url)
        .token(token)
        .client_identifier(identifier.as_deref().unwrap_or("plex-auth-connect"))
        .product("plex-auth connect")
        .version(env!("CARGO_PKG_VERSION"))
}

async fn connect(
    out: &mut impl Write,
    client: &Client,
    source: &Source,
    remembered: Option<&Url>,
) -> Result<Connected> {
    let started = Instant::now();
    let connect = client.connect(source);
    let server = match remembered {
        Some(uri) => connect.prefer(uri).await?,
        None => connect.await?,
    };
    let kind = match (server.connection().relay, server.connection().local) {
        (true, _) => "relayed",
        (false, true) => "local",
        (false, false) => "remote",
    };
    writeln!(out, "\nConnected to {source} in {:.1?}", started.elapsed())?;
    writeln!(out, "  name:        {}", server.device().name.as_deref().unwrap_or("(none)"))?;
    writeln!(out, "  address:     {} ({kind})", server.client().address())?;
    writeln!(out, "  token:       {}", masked(&server.device().access_token))?;
    Ok(server)
}

/// A transient token of the source, from the cache: it reconnects when the source has restarted.
async fn get_token(out: &mut impl Write, cache: &TokenCache) -> Result<()> {
    writeln!(out, "  transient:   {}", masked(cache.token().await?.token()))?;
    Ok(())
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn masked(token: &Token) -> String {
    format!("({} characters, masked)", token.expose_secret().len())
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

const RIGHT: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const OTHER: &str = "5d2c0f6e8a1b4c3d9e7f00112233445566778899";
const OLD_TOKEN: &str = "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a";
const NEW_TOKEN: &str = "transient-0b7f1d35-6a0e-4f0c-9a53-2f4c7f1e8d11";

/// A mock of a server, and of the addresses that it lists for the source.
struct Home {
    asked: MockServer,
    relay: Target,
    dead: String,
    silent: TcpListener,
    lying: Target,
    right: Target,
}

impl Home {
    async fn start() -> Result<Self> {
        let home = Self {
            asked: MockServer::start_async().await,
            relay: Target::start(RIGHT).await,
            // The listener is dropped here, so the port refuses connections.
            dead: url(&TcpListener::bind("127.0.0.1:0").await?)?,
            // Its connections are accepted only at the end.
            silent: TcpListener::bind("127.0.0.1:0").await?,
            lying: Target::start(OTHER).await,
            right: Target::start(RIGHT).await,
        };
        let connections: Vec<Value> = home
            .addresses()?
            .iter()
            .map(|(what, uri)| json!({ "uri": uri, "local": true, "relay": *what == "relay" }))
            .collect();
        for (refresh, token) in [(false, OLD_TOKEN), (true, NEW_TOKEN)] {
            let device = json!({
                "name": "PlexCorp (plex-corp)",
                "clientIdentifier": RIGHT,
                "accessToken": token,
                "Connection": connections,
            });
            home.asked
                .mock_async(|when, then| {
                    let when = when.method("GET").path("/security/resources");
                    match refresh {
                        true => when.query_param("refresh", "1"),
                        false => when.query_param_missing("refresh"),
                    };
                    then.status(200)
                        .json_body(json!({ "MediaContainer": { "size": 1, "Device": device } }));
                })
                .await;
        }
        Ok(home)
    }

    fn addresses(&self) -> Result<[(&'static str, String); 5]> {
        Ok([
            ("relay", self.relay.server.base_url()),
            ("dead", self.dead.clone()),
            ("silent", url(&self.silent)?),
            ("lying", self.lying.server.base_url()),
            ("right", self.right.server.base_url()),
        ])
    }

    fn introduce(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "No PLEX_URL is set: asking a mock server at {}.", self.asked.base_url())?;
        writeln!(out, "It lists five addresses for the source:")?;
        for (what, uri) in self.addresses()? {
            writeln!(out, "  {what:<12} {uri}")?;
        }
        Ok(())
    }

    async fn show_requests(&self, out: &mut impl Write) -> Result<()> {
        let (mut tcp, _) = timeout(Duration::from_secs(5), self.silent.accept()).await??;
        let mut sent = String::new();
        tcp.read_to_string(&mut sent).await?;
        let tokens = sent.to_ascii_lowercase().matches("x-plex-token").count();

        writeln!(out, "\nRequests to each")?;
        for (what, (asked, tokens)) in [
            ("silent", (1, tokens)),
            ("lying", self.lying.requests().await),
            ("relay", self.relay.requests().await),
            ("right", self.right.requests().await),
        ] {
            writeln!(out, "  {what:<12} for its identity: {asked}, with a token: {tokens}")?;
        }
        Ok(())
    }
}

fn url(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// A server that shows its identity, and accepts one token.
struct Target {
    server: MockServer,
    identity: usize,
    accepted: usize,
}

impl Target {
    async fn start(identifier: &str) -> Self {
        let server = MockServer::start_async().await;
        let body = json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } });
        let identity = server.mock_async(|when, then| {
            when.method("GET").path("/identity").header_missing("x-plex-token");
            then.status(200).json_body(body);
        });
        let identity = identity.await.id();
        let accepted = Self::accept(&server, OLD_TOKEN).await;
        Self { server, identity, accepted }
    }

    async fn accept(server: &MockServer, token: &str) -> usize {
        let body = json!({ "MediaContainer": {
            "size": 0, "token": "transient-90904684-f91a-4391-8bf7-e0dfa7240285"
        }});
        let accepted = server.mock_async(|when, then| {
            when.method("POST").path("/security/token").header("x-plex-token", token);
            then.status(200).json_body(body);
        });
        accepted.await.id()
    }

    /// Accepts another token only, as after a restart.
    async fn restart(&self) {
        Mock::new(self.accepted, &self.server).delete_async().await;
        Self::accept(&self.server, NEW_TOKEN).await;
        self.server
            .mock_async(|when, then| {
                when.method("POST").path("/security/token");
                then.status(401).body("<html><head><title>Unauthorized</title></head></html>");
            })
            .await;
    }

    /// The number of requests for its identity, and of requests with a token.
    async fn requests(&self) -> (usize, usize) {
        let identity = Mock::new(self.identity, &self.server).calls_async().await;
        (identity, Mock::new(self.accepted, &self.server).calls_async().await)
    }
}
