//! Both calls: get a transient token, look up a source.
//!
//! `cargo run --example quickstart` asks a mock server on 127.0.0.1 that it starts itself. With
//! `PLEX_URL` it shows the identity of a real one, and with `PLEX_URL` and `PLEX_TOKEN` it gets a
//! token instead; `PLEX_SOURCE` (`server://..`) adds the second call, `PLEX_CLIENT_IDENTIFIER`
//! replaces `plex-auth-quickstart`. `-- --show-token` shows tokens.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use httpmock::MockServer;
use plex_auth::{Client, Source, Token};
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
    let show_token = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--show-token") => true,
        Some(_) => return Err("the only option is --show-token".into()),
    };
    let mut source: Option<Source> = setting("PLEX_SOURCE").map(Source::try_from).transpose()?;
    let (url, token, _mock) = match (setting("PLEX_URL"), setting("PLEX_TOKEN")) {
        (Some(url), Some(token)) => (url, token, None),
        (Some(url), None) => return show_identity(out, url).await,
        (None, Some(_)) => return Err("PLEX_TOKEN is set: set PLEX_URL too".into()),
        (None, None) => {
            let asked = source.get_or_insert(Source::server("243b47")?);
            let server = start_mock_server(asked).await;
            writeln!(out, "No PLEX_URL is set: asking a mock server at {}.", server.base_url())?;
            (server.base_url(), "owner-token".to_owned(), Some(server))
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
    writeln!(out, "\nTransient token")?;
    writeln!(out, "  token:       {}", masked(transient.token(), show_token))?;
    let hours = transient.time_left().as_secs_f64() / 3600.0;
    writeln!(out, "  expires in:  {hours:.1} hours at most")?;

    let Some(source) = source else {
        writeln!(out, "\nSet PLEX_SOURCE (server://.. or provider://..) to look up a source too.")?;
        return Ok(());
    };
    let device = client.source_connection_information(&source).await?;
    writeln!(out, "\nSource {source}")?;
    writeln!(out, "  name:        {}", device.name.as_deref().unwrap_or("(none)"))?;
    writeln!(out, "  identifier:  {}", device.client_identifier)?;
    writeln!(out, "  token:       {}", masked(&device.access_token, show_token))?;
    if device.connections.is_empty() {
        writeln!(out, "  no connections")?;
    }
    for connection in &device.connections {
        let kind = match (connection.relay, connection.local) {
            (true, _) => "relayed",
            (false, true) => "local",
            (false, false) => "remote",
        };
        writeln!(out, "  {kind:<12} {}", connection.uri)?;
    }
    Ok(())
}

/// The server's identity, which needs no token.
async fn show_identity(out: &mut impl Write, url: String) -> Result<(), Box<dyn Error>> {
    // A client needs a token; this call does not send it.
    let client =
        Client::builder(url).token("unset").client_identifier("plex-auth-quickstart").build()?;
    let identity = client.identity().await?;
    writeln!(out, "Server at {}", client.address())?;
    writeln!(out, "  identifier:  {}", identity.machine_identifier)?;
    writeln!(out, "  version:     {}", identity.version.as_deref().unwrap_or("(unknown)"))?;
    writeln!(
        out,
        "\nSet PLEX_TOKEN to get a transient token, and PLEX_SOURCE to look up a source."
    )?;
    Ok(())
}

/// A variable that is set and not empty.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn masked(token: &Token, show: bool) -> String {
    let token = token.expose_secret();
    if show { token.to_owned() } else { format!("({} characters, masked)", token.len()) }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A server that knows this source; the bodies are like those of `openapi/plex-auth.json`.
async fn start_mock_server(source: &Source) -> MockServer {
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
            when.method("GET").path("/security/resources").query_param("source", source.as_ref());
            then.status(200).json_body(json!({ "MediaContainer": { "size": 1, "Device": {
                "name": "PlexCorp (plex-corp)",
                "clientIdentifier": source.identifier(),
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
