//! The baseline: what a careful person writes with `reqwest` instead of using this crate, with the
//! same settings, requests and limits.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{ClientBuilder, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const MAX_BYTES: usize = 1024 * 1024;

pub struct Baseline {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Baseline {
    pub fn new(
        base: &str,
        token: &str,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self> {
        let http = configure(reqwest::Client::builder())
            .no_proxy()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .pool_idle_timeout(Duration::from_secs(15))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()?;
        let mut secret = HeaderValue::from_str(token)?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (USER_AGENT, HeaderValue::from_static("baseline/1.0.0")),
            (
                HeaderName::from_static("x-plex-client-identifier"),
                HeaderValue::from_static("bench"),
            ),
            (HeaderName::from_static("x-plex-token"), secret),
        ]);
        Ok(Self { http, base: base.to_owned(), headers })
    }

    pub async fn token(&self) -> Result<String> {
        let request = self
            .http
            .post(format!("{}/security/token", self.base))
            .query(&[("type", "delegation"), ("scope", "all")])
            .headers(self.headers.clone())
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let container: Container = send(request).await?;
        Ok(container.token)
    }

    /// The `Device` of a source.
    pub async fn device(&self, source: &str) -> Result<Value> {
        let request = self
            .http
            .get(format!("{}/security/resources", self.base))
            .query(&[("source", source)])
            .headers(self.headers.clone());
        let mut container: Value = send(request).await?;
        Ok(container["Device"].take())
    }

    /// The identifier of the server at an address, asked without the token.
    pub async fn identity(&self, base: &Url) -> Result<Value> {
        let request = self.http.get(base.join("identity")?).header(ACCEPT, "application/json");
        let mut container: Value = send(request).await?;
        Ok(container["machineIdentifier"].take())
    }
}

/// Copies the body into one buffer as it arrives: a response keeps the read buffer of every piece
/// alive.
async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let mut response = request.send().await?;
    if response.status() != 200 {
        return Err(response.status().to_string().into());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > MAX_BYTES - bytes.len() {
            return Err("too large".into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let body: Body<T> = serde_json::from_slice(&bytes)?;
    Ok(body.container)
}

#[derive(Deserialize)]
struct Body<T> {
    #[serde(rename = "MediaContainer")]
    container: T,
}

#[derive(Deserialize)]
struct Container {
    token: String,
}
