//! A transient token that is always good, though its server restarts between mint and use.
//!
//! `cargo run --example keeper` asks a mock server on 127.0.0.1 that it starts, and restarts,
//! itself. With `PLEX_URL` and `PLEX_TOKEN` it asks a real one, which it can't restart;
//! `PLEX_SOURCE` (`server://..`) is what it looks up there, `PLEX_CLIENT_IDENTIFIER` replaces
//! `plex-auth-keeper`.
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use httpmock::{Mock, MockServer};
use plex_auth::{Client, Source, TokenKeeper, TransientToken};
use serde_json::json;

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
    match (setting("PLEX_URL"), setting("PLEX_TOKEN")) {
        (Some(url), Some(token)) => real(url, token).await,
        (Some(_), None) => Err("PLEX_URL is set: set PLEX_TOKEN too".into()),
        (None, Some(_)) => Err("PLEX_TOKEN is set: set PLEX_URL too".into()),
        (None, None) => mock().await,
    }
}

async fn real(url: String, token: String) -> Result<(), Box<dyn Error>> {
    let client = client(url, token)?;
    let keeper = TokenKeeper::new(client.clone());
    show_tokens(&keeper).await?;
    match setting("PLEX_SOURCE") {
        Some(source) => look_up(&client, &keeper, &source.parse()?).await?,
        None => {
            println!("\nSet PLEX_SOURCE (server://.. or provider://..) to look up a source too.");
        }
    }
    Ok(())
}

async fn mock() -> Result<(), Box<dyn Error>> {
    let server = MockServer::start_async().await;
    println!("No PLEX_URL is set: asking a mock server at {}.", server.base_url());
    let client = client(server.base_url(), "owner-token".to_owned())?;
    let keeper = TokenKeeper::new(client.clone());
    let source = "server://243b47".parse()?;

    let life = start(&server, "transient-90904684-f91a-4391-8bf7-e0dfa7240285").await;
    show_tokens(&keeper).await?;
    look_up(&client, &keeper, &source).await?;
    println!("  the server has minted {} token so far", life[0].calls_async().await);

    println!("\nThe server restarts: it knows that token no more");
    for mock in life {
        mock.delete_async().await;
    }
    let life = start(&server, "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a").await;
    look_up(&client, &keeper, &source).await?;
    println!("  the server has minted {} token since", life[0].calls_async().await);
    Ok(())
}

async fn show_tokens(keeper: &TokenKeeper) -> Result<(), plex_auth::Error> {
    println!("\nTransient token");
    let start = Instant::now();
    let token = keeper.token().await?;
    println!("  at first:    {}, after {:.1?}", shown(&token), start.elapsed());
    let left = token.expires_at().duration_since(SystemTime::now()).unwrap_or_default();
    println!("  expires in:  {:.1} hours at most", left.as_secs_f64() / 3600.0);
    let start = Instant::now();
    let again = keeper.token().await?;
    let same = again.token().expose_secret() == token.token().expose_secret();
    let which = if same { "the same one, from memory" } else { "another one" };
    println!("  once more:   {which}, after {:.1?}", start.elapsed());
    Ok(())
}

/// What a player would do with the token that it was given.
async fn look_up(
    client: &Client,
    keeper: &TokenKeeper,
    source: &Source,
) -> Result<(), plex_auth::Error> {
    println!("\nLook up {source} with the token");
    let call = async |token: TransientToken| {
        let client = client.with_token(token.token().clone())?;
        client.source_connection_information(source).await
    };
    let refused = |error: &plex_auth::Error| {
        let refused = error.is_auth();
        if refused {
            println!("  refused:     {error}");
            println!("  once more with a new token, a second later if the old one was new");
        }
        refused
    };
    let device = keeper.run(call, refused).await?;
    println!("  name:        {}", device.name.as_deref().unwrap_or("(none)"));
    println!("  connections: {}", device.connections.len());
    Ok(())
}

fn client(url: String, token: String) -> Result<Client, plex_auth::Error> {
    let identifier = setting("PLEX_CLIENT_IDENTIFIER");
    Client::builder(url)
        .token(token)
        .client_identifier(identifier.as_deref().unwrap_or("plex-auth-keeper"))
        .product("plex-auth keeper")
        .version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn shown(token: &TransientToken) -> String {
    format!("({} characters, masked)", token.token().expose_secret().len())
}

/// A server that mints this token (the first mock) and takes no other.
async fn start<'a>(server: &'a MockServer, token: &str) -> [Mock<'a>; 3] {
    let mint = server
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
    [mint, resources, refused]
}
