//! Connects to a source, asks it for something, and connects again from what an app has kept.
//!
//! `cargo run --example connect` asks a mock server, which lists an address that is dead, too. With
//! `PLEX_URL`, `PLEX_TOKEN` and `PLEX_SOURCE` (`server://..`) it asks a real one.

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use plex_auth::reqwest::Method;
use plex_auth::{Client, Connected};

mod shared;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let asked = shared::server().await?;
    let client = Client::builder(&asked.url)
        .token(&asked.token)
        .client_identifier("plex-auth-connect")
        .allow_insecure_http(asked.is_mock) // it has no certificate
        .build()?;
    let source = asked.source.as_ref().ok_or("set PLEX_SOURCE")?;

    let server = client.connect(source).await?;
    show(&server);
    let sections = server.send(|client| client.request(Method::GET, "/library/sections")).await?;
    println!("  answers {}", sections.status());

    println!("the next time, without a look-up:");
    let device = server.device();
    let last = server.connection().uri;
    show(&client.connect(source).device(device).prefer(&last).await?);

    println!("after a restart, when the source accepts no old token:");
    asked.restart();
    server.reconnect().await?;
    show(&server);
    Ok(())
}

fn show(server: &Connected) {
    println!("connected to {}", server.connection().uri);
    for other in server.candidates() {
        println!("  and not to {}: {}", other.origin(), other.error());
    }
}
