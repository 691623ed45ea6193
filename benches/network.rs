//! The servers that the clients ask, in the harness of the tests, and the clients.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};
use support::tls::AUTHORITY;
use support::{Request, Server, Step};

use crate::baseline::{Baseline, Result};

pub const SOURCE: &str = "server://243b471948ace337a8f92f129ec97d1902fcb1df";
const TOKEN: &str = "9rTq2mXw7KvB4nZc8LhD";
/// plex-auth resolves it without DNS.
const HOST: &str = "127-0-0-1.93b10b279ff8456686414add109854cd.plex.direct";

/// One address of the source.
#[derive(Clone, Copy)]
pub struct Address {
    /// `local`, `remote` or `relay`.
    pub place: &'static str,
    /// How long its first answer takes. None: it accepts connections and never answers.
    pub answers_after: Option<Duration>,
}

pub struct Network {
    pub client: plex_auth::Client,
    pub baseline: Arc<Baseline>,
    /// The source's addresses.
    pub addresses: Vec<(Url, Address)>,
    servers: Vec<Server>,
    _asked: Server,
}

impl Network {
    /// A look-up with `refresh=1` lists the refreshed addresses instead, if there are any.
    pub fn start(listed: &[Address], refreshed: &[Address]) -> Result<Self> {
        let (mut addresses, mut servers) = (Vec::new(), Vec::new());
        for &address in listed.iter().chain(refreshed) {
            let server = start(address.answers_after);
            let uri = format!("https://{HOST}:{}", server.address().port()).parse()?;
            addresses.push((uri, address));
            servers.push(server);
        }
        let (before, after) = addresses.split_at(listed.len());
        let after = if after.is_empty() { before } else { after };
        let (listed, refreshed) = (device(before), device(after));
        let asked = Server::start(move |request| {
            let is_refreshed = request.target().contains("refresh=1");
            answer(request, if is_refreshed { &refreshed } else { &listed })
        });

        let root = AUTHORITY.root();
        let baseline = Baseline::new(&asked.url(), TOKEN, |http| {
            http.resolve(HOST, asked.address()).tls_certs_only([root.clone()])
        })?;
        let client = plex_auth::Client::builder(asked.url())
            .token(TOKEN)
            .client_identifier("bench")
            .configure_http(move |http| http.tls_certs_only([root.clone()]))
            .build()?;
        Ok(Self { client, baseline: baseline.into(), addresses, servers, _asked: asked })
    }

    /// How many connections were opened to the source's addresses.
    pub fn opened(&self) -> usize {
        self.servers.iter().map(Server::connections).sum()
    }
}

/// Starts the server of one address of the source.
fn start(answers_after: Option<Duration>) -> Server {
    let Some(delay) = answers_after else { return Server::raw(Step::Silence) };
    Server::start_tls(AUTHORITY.server(HOST), move |request| {
        let pause = if request.number == 0 { delay } else { Duration::ZERO };
        let identity = json!({ "machineIdentifier": identifier() });
        vec![Step::Pause(pause), Step::Send(answer(request, &identity))]
    })
}

/// A token where one is asked for, else this content.
fn answer(request: &Request, content: &Value) -> Vec<u8> {
    let token = json!({ "size": 0, "token": "transient-90904684-f91a-4391-8bf7-e0dfa7240285" });
    let is_token = request.path() == "/security/token";
    let content = if is_token { &token } else { content };
    support::json(json!({ "MediaContainer": content }).to_string())
}

fn identifier() -> &'static str {
    SOURCE.trim_start_matches("server://")
}

fn device(addresses: &[(Url, Address)]) -> Value {
    let connection = |(uri, address): &(Url, Address)| {
        let (local, relay) = (address.place == "local", address.place == "relay");
        json!({ "protocol": "https", "uri": uri.as_str(), "local": local, "relay": relay })
    };
    let connections: Vec<_> = addresses.iter().map(connection).collect();
    json!({ "Device": {
        "clientIdentifier": identifier(),
        "accessToken": "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a",
        "Connection": connections,
    }})
}
