//! Streams a file, and resumes where its connection ended.
//!
//! `cargo run --example stream` asks a mock server that ends each connection early. With `PLEX_URL`,
//! `PLEX_TOKEN` and `PLEX_FILE` (`/library/parts/..`) it asks a real one.

#![allow(clippy::print_stdout, reason = "an example")]

use std::env;
use std::error::Error;
use std::time::Duration;

use plex_auth::Client;
use plex_auth::reqwest::{Method, StatusCode, header::RANGE};
use tokio::time::timeout;

mod shared;

/// How long the server may be silent.
const PAUSE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = shared::server().await?;
    let client = Client::builder(&server.url)
        .token(&server.token)
        .client_identifier("plex-auth-stream")
        .build()?;
    let path = env::var("PLEX_FILE").unwrap_or("/library/parts/1/file.mkv".to_owned());

    let mut received = 0;
    loop {
        let before = received;
        match stream(&client, &path, &mut received).await {
            Ok(()) => break,
            // Without a step forward it is not worth another attempt.
            Err(error) if received == before => return Err(error),
            Err(error) => println!("resuming after {received} bytes: {error}"),
        }
    }
    println!("{received} bytes");
    Ok(())
}

async fn stream(client: &Client, path: &str, received: &mut u64) -> Result<(), Box<dyn Error>> {
    let request = client
        .request(Method::GET, path)?
        .header(RANGE, format!("bytes={received}-"))
        .timeout(Duration::MAX); // the client's `timeout` would include the body
    let mut response = timeout(PAUSE, request.send()).await??.error_for_status()?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        *received = 0; // the server sends all of it
    }
    while let Some(bytes) = timeout(PAUSE, response.chunk()).await?? {
        *received += bytes.len() as u64; // a player would take `bytes`
    }
    Ok(())
}
