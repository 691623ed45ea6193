//! Both calls: get a transient token, look up a source.
//!
//! `cargo run --example quickstart` asks a mock server. With `PLEX_URL` and `PLEX_TOKEN` it asks a
//! real one, and looks up `PLEX_SOURCE` (`server://..`) there. It shows no token.

#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use plex_auth::Client;

mod shared;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = shared::server().await?;
    let client = Client::builder(server.url)
        .token(server.token)
        .client_identifier("plex-auth-quickstart")
        .product("plex-auth quickstart")
        .version(env!("CARGO_PKG_VERSION"))
        .build()?;

    let transient = client.transient_token().await?;
    println!("transient token of {}:", client.address());
    println!("  {} characters", transient.expose_secret().len());
    println!("  expires in {} hours at most", transient.time_left().as_secs().div_ceil(3600));

    let Some(source) = server.source else { return Ok(()) };
    let device = client.source_connection_information(&source).await?;
    println!("{source}: {}", device.name.as_deref().unwrap_or("(no name)"));
    for connection in &device.connections {
        let kind = match (connection.relay, connection.local) {
            (true, _) => "relayed",
            (false, true) => "local",
            (false, false) => "remote",
        };
        println!("  {kind:<8} {}", connection.uri);
    }
    Ok(())
}
