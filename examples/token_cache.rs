//! Caches a transient token of a server that restarts and forgets it.
//!
//! `cargo run --example token_cache` asks a mock server on 127.0.0.1 that it starts, and restarts,
//! itself. With `PLEX_URL` and `PLEX_TOKEN` it asks a real one, which it can't restart; it looks up
//! `PLEX_SOURCE` (`server://..`) there. `PLEX_CLIENT_IDENTIFIER` replaces `plex-auth-token-cache`.
//! Tokens are never shown.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use httpmock::{Mock, MockServer};
use plex_auth::{Client, Device, ErrorKind, Source, TokenCache, TransientToken};
use serde_json::json;

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

async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    match (setting("PLEX_URL"), setting("PLEX_TOKEN")) {
        (Some(url), Some(token)) => {
            let client = client(url, token)?;
            let cache = TokenCache::new(client.clone());
            show_tokens(out, &cache).await?;
            match setting("PLEX_SOURCE") {
                Some(source) => look_up(out, &client, &cache, &source.parse()?).await,
                None => {
                    writeln!(out, "\nSet PLEX_SOURCE (server://..) to look up a source too.")?;
                    Ok(())
                }
            }
        }
        (Some(_), None) => Err("PLEX_URL is set: set PLEX_TOKEN too".into()),
        (None, Some(_)) => Err("PLEX_TOKEN is set: set PLEX_URL too".into()),
        (None, None) => with_mock_server(out).await,
    }
}

async fn with_mock_server(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let server = MockServer::start_async().await;
    writeln!(out, "No PLEX_URL is set: asking a mock server at {}.", server.base_url())?;
    let client = client(server.base_url(), "owner-token".to_owned())?;
    let cache = TokenCache::new(client.clone());
    let source = "server://243b47".parse()?;

    let mocks = start(&server, "transient-90904684-f91a-4391-8bf7-e0dfa7240285").await;
    show_tokens(out, &cache).await?;
    look_up(out, &client, &cache, &source).await?;
    writeln!(out, "  tokens so far: {}", mocks[0].calls_async().await)?;

    writeln!(out, "\nThe server restarts and forgets that token")?;
    for mock in mocks {
        mock.delete_async().await;
    }
    let mocks = start(&server, "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a").await;
    look_up(out, &client, &cache, &source).await?;
    writeln!(out, "  tokens since:  {}", mocks[0].calls_async().await)?;
    Ok(())
}

async fn show_tokens(out: &mut impl Write, cache: &TokenCache) -> Result<(), Box<dyn Error>> {
    writeln!(out, "\nTransient token")?;
    let start = Instant::now();
    let token = cache.token().await?;
    writeln!(out, "  fetched:     {}, in {:.1?}", masked(&token), start.elapsed())?;
    let hours = token.time_left().as_secs_f64() / 3600.0;
    writeln!(out, "  expires in:  {hours:.1} hours at most")?;
    let start = Instant::now();
    let again = cache.token().await?;
    let is_same = again.expose_secret() == token.expose_secret();
    let which = if is_same { "the same, from memory" } else { "another one" };
    writeln!(out, "  once more:   {which}, in {:.1?}", start.elapsed())?;
    Ok(())
}

/// Uses the token, here for a look-up, and retries with a new one after a 401.
async fn look_up(
    out: &mut impl Write,
    client: &Client,
    cache: &TokenCache,
    source: &Source,
) -> Result<(), Box<dyn Error>> {
    writeln!(out, "\nLook up {source} with the token")?;
    let token = cache.token().await?;
    let mut result = use_token(client, &token, source).await;
    if let Err(error) = &result
        && error.kind() == ErrorKind::Unauthorized
    {
        writeln!(out, "  refused:     {error}")?;
        cache.invalidate(&token);
        result = use_token(client, &cache.token().await?, source).await;
    }
    let device = result?;
    writeln!(out, "  name:        {}", device.name.as_deref().unwrap_or("(none)"))?;
    writeln!(out, "  connections: {}", device.connections.len())?;
    Ok(())
}

async fn use_token(
    client: &Client,
    token: &TransientToken,
    source: &Source,
) -> Result<Device, plex_auth::Error> {
    client.with_token(token)?.source_connection_information(source).await
}

fn client(url: String, token: String) -> Result<Client, plex_auth::Error> {
    let identifier = setting("PLEX_CLIENT_IDENTIFIER");
    Client::builder(url)
        .token(token)
        .client_identifier(identifier.as_deref().unwrap_or("plex-auth-token-cache"))
        .product("plex-auth token cache")
        .version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn masked(token: &TransientToken) -> String {
    format!("({} characters, masked)", token.expose_secret().len())
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A server that returns this token (the first mock) and accepts no other.
async fn start<'a>(server: &'a MockServer, token: &str) -> [Mock<'a>; 3] {
    let fetch = server
        .mock_async(|when, then| {
            when.method("POST").path("/security/token").header("x-plex-token", "owner-token");
            then.status(200).json_body(json!({ "MediaContainer": { "size": 0, "token": token } }));
        })
        .await;
    let resources = server
        .mock_async(|when, then| {
            when.method("GET").path("/security/resources").header("x-plex-token", token);
            then.status(200).json_body(json!({ "MediaContainer": { "size": 1, "Device": {
                "name": "PlexCorp (plex-corp)",
                "clientIdentifier": "243b47",
                "accessToken": "transient-7a3f1c52-0b1e-4a57-9d3c-5e2f8b6a9c10",
                "Connection": [{
                    "protocol": "https", "address": "10.0.2.123", "port": 32400, "local": true,
                    "uri": "https://10-0-2-123.93b10b279ff8456686414add109854cd.plex.direct:32400"
                }]
            }}}));
        })
        .await;
    let refused = server
        .mock_async(|when, then| {
            when.method("GET").path("/security/resources").header_not("x-plex-token", token);
            then.status(401).body("<html><head><title>Unauthorized</title></head></html>");
        })
        .await;
    [fetch, resources, refused]
}
