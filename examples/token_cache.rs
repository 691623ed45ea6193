//! Caches a transient token, and fetches a new one when it was refused.
//!
//! `cargo run --example token_cache` asks a mock server that restarts. With `PLEX_URL` and
//! `PLEX_TOKEN` it asks a real one.

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::time::Instant;

use plex_auth::reqwest::{Method, StatusCode};
use plex_auth::{Client, TokenCache};

mod shared;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = shared::server().await?;
    let client = Client::builder(&server.url)
        .token(&server.token)
        .client_identifier("plex-auth-token-cache")
        .build()?;
    let cache = TokenCache::new(client.clone());

    println!("the player plays: {}", play(&client, &cache).await?);
    println!("and again, with the token from memory: {}", play(&client, &cache).await?);
    server.restart();
    println!("after a restart of the server: {}", play(&client, &cache).await?);
    Ok(())
}

/// What a player does that has a token of its own.
async fn play(client: &Client, cache: &TokenCache) -> Result<StatusCode, Box<dyn Error>> {
    loop {
        let begun = Instant::now();
        let token = cache.token().await?;
        println!("  a token after {:?}", begun.elapsed());
        let player = client.with_token(&token)?;
        let status = player.request(Method::HEAD, "/library/sections")?.send().await?.status();
        if status != StatusCode::UNAUTHORIZED {
            return Ok(status);
        }
        println!("  it was refused");
        cache.invalidate(&token);
    }
}
