//! Ring 3: from a source to a server. What its tests share: lists, answers, a home with one source.

mod kept;
mod race;
mod reconnect;
mod token_cache;

use std::sync::Arc;
use std::time::Duration;

use plex_auth::{Connect, Connected, Error, Source};
use serde_json::{Value, json};
use support::net::Net;
use support::{Request, Server, respond};

const ID: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn source() -> Source {
    Source::server(ID).unwrap()
}

fn https(name: &str) -> String {
    format!("https://{name}.home.lan")
}

fn http(name: &str) -> String {
    format!("http://{name}.home.lan")
}

/// A connection as a server lists it.
fn local(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "local": true })
}

fn remote(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into() })
}

fn relay(uri: impl Into<String>) -> Value {
    json!({ "uri": uri.into(), "relay": true })
}

fn device(access_token: &str, connections: &[Value]) -> Vec<u8> {
    let device = json!({
        "clientIdentifier": ID, "accessToken": access_token, "Connection": connections
    });
    support::json(json!({ "MediaContainer": { "size": 1, "Device": [device] } }).to_string())
}

fn is_refresh(request: &Request) -> bool {
    request.target().contains("refresh=1")
}

fn identity_body(identifier: &str) -> String {
    json!({ "MediaContainer": { "size": 0, "machineIdentifier": identifier } }).to_string()
}

fn identity(identifier: &str) -> Vec<u8> {
    support::json(identity_body(identifier))
}

fn as_source(request: &Request) -> Vec<u8> {
    match request.path().ends_with("/identity") {
        true => identity(ID),
        false => support::json(r#"{"MediaContainer":{"token":"fresh"}}"#),
    }
}

fn as_another(_: &Request) -> Vec<u8> {
    identity("another")
}

/// A source that accepts this token only, and answers 401 to others.
fn accepting(token: &'static str) -> impl Fn(&Request) -> Vec<u8> {
    move |request| match request.header("x-plex-token") {
        Some(sent) if sent != token => respond(401, &[], ""),
        _ => as_source(request),
    }
}

/// Connects in this network, and returns how long it took, too: in ms, in steps of 10.
async fn connect_in(
    net: &Net,
    with: impl FnOnce(Connect) -> Connect,
) -> (Result<Connected, Error>, u128) {
    let client = net.client("asked", |builder| builder);
    let (result, took) = net.time(with(client.connect(&source())).into_future()).await;
    (result, took.as_millis() / 10 * 10)
}

/// A source at `http://source.home.lan`, the server that is asked for it, and the handle.
struct Home {
    net: Net,
    asked: Arc<Server>,
    server: Connected,
}

/// Lists the source with the access token `token-0`, and with another after each `refresh=1`.
fn as_asked(request: &Request) -> Vec<u8> {
    let number = if is_refresh(request) { request.number } else { 0 };
    device(&format!("token-{number}"), &[local(http("source"))])
}

/// Refuses to look the source up again.
fn refusing_refresh(request: &Request) -> Vec<u8> {
    match is_refresh(request) {
        true => respond(403, &[], ""),
        false => as_asked(request),
    }
}

impl Home {
    async fn new(asked: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let net = Net::new();
        let asked = net.http("asked", asked);
        net.http("source", as_source);
        let server = connect_in(&net, |connect| connect).await.0.unwrap();
        Self { net, asked, server }
    }

    fn token(&self) -> String {
        self.server.device().access_token.expose_secret().to_owned()
    }

    /// How often the source was looked up with `refresh=1`.
    fn refreshes(&self) -> usize {
        self.asked.requests().iter().filter(|request| is_refresh(request)).count()
    }
}
