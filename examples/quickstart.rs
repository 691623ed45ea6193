//! Both calls: mint a transient token, look up a source.
//!
//! `cargo run --example quickstart` asks a mock server on 127.0.0.1 that it starts itself. With
//! `PLEX_URL` and `PLEX_TOKEN` it asks a real one; `PLEX_SOURCE` (`server://..`) adds the second
//! call, `PLEX_CLIENT_IDENTIFIER` replaces `plex-auth-quickstart`. `-- --show-token` shows tokens.
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::process::ExitCode;
use std::time::SystemTime;

use httpmock::MockServer;
use plex_auth::{Client, Source, Token};
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
    let mut show_token = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--show-token" => show_token = true,
            _ => return Err("the only option is --show-token".into()),
        }
    }

    let (url, token, source) = match (setting("PLEX_URL"), setting("PLEX_TOKEN")) {
        (Some(url), Some(token)) => (url, token, setting("PLEX_SOURCE")),
        (Some(_), None) => return Err("PLEX_URL is set: set PLEX_TOKEN too".into()),
        (None, Some(_)) => return Err("PLEX_TOKEN is set: set PLEX_URL too".into()),
        (None, None) => {
            let server = start_mock_server().await;
            println!("No PLEX_URL is set: asking a mock server at {}.", server.base_url());
            let source = setting("PLEX_SOURCE").unwrap_or_else(|| "server://243b47".to_owned());
            (server.base_url(), "owner-token".to_owned(), Some(source))
        }
    };
    let identifier = setting("PLEX_CLIENT_IDENTIFIER");
    let client = Client::builder(url)
        .token(token)
        .client_identifier(identifier.as_deref().unwrap_or("plex-auth-quickstart"))
        .product("plex-auth quickstart")
        .version(env!("CARGO_PKG_VERSION"))
        .build()?;

    let transient = client.transient_token().await?;
    println!("\nTransient token");
    println!("  token:       {}", shown(transient.token(), show_token));
    let left = transient.expires_at().duration_since(SystemTime::now()).unwrap_or_default();
    println!("  expires in:  {:.1} hours at most", left.as_secs_f64() / 3600.0);

    let Some(source) = source else {
        println!("\nSet PLEX_SOURCE (server://.. or provider://..) to look up a source too.");
        return Ok(());
    };
    let source: Source = source.parse()?;
    let device = client.source_connection_information(&source).await?;
    println!("\nSource {source}");
    println!("  name:        {}", device.name.as_deref().unwrap_or("(none)"));
    println!("  identifier:  {}", device.client_identifier);
    println!("  token:       {}", shown(&device.access_token, show_token));
    if device.connections.is_empty() {
        println!("  no connections");
    }
    for connection in &device.connections {
        let way = match (connection.relay, connection.local) {
            (true, _) => "relayed",
            (false, true) => "local",
            (false, false) => "remote",
        };
        println!("  {way:<12} {}", connection.uri);
    }
    Ok(())
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn shown(token: &Token, show: bool) -> String {
    let token = token.expose_secret();
    if show { token.to_owned() } else { format!("({} characters, masked)", token.len()) }
}

/// What a server with one source would answer; the bodies are those of `openapi/plex-auth.json`.
async fn start_mock_server() -> MockServer {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.method("POST").path("/security/token").query_param("type", "delegation");
            then.status(200).json_body(json!({ "MediaContainer": {
                "size": 0, "token": "transient-90904684-f91a-4391-8bf7-e0dfa7240285"
            }}));
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method("GET").path("/security/resources");
            then.status(200).json_body(json!({ "MediaContainer": { "size": 1, "Device": {
                "name": "PlexCorp (plex-corp)",
                "clientIdentifier": "243b471948ace337a8f92f129ec97d1902fcb1df",
                "accessToken": "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a",
                "Connection": [
                    {
                        "protocol": "https", "address": "139.162.158.105", "port": 8443,
                        "uri": "https://139-162-158-105.93b10b279ff8456686414add109854cd.plex.direct:8443",
                        "local": false, "relay": true
                    },
                    {
                        "protocol": "https", "address": "10.0.2.123", "port": 32400,
                        "uri": "https://10-0-2-123.93b10b279ff8456686414add109854cd.plex.direct:32400",
                        "local": true
                    }
                ]
            }}}));
        })
        .await;
    server
}
