//! The baseline: what a careful person writes with `reqwest` instead of using this crate, with the
//! same settings, requests, limits and results.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use url::Url;

use crate::clients::Result;

pub struct Baseline {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    max_bytes: usize,
}

impl Baseline {
    pub fn new(
        base: String,
        token: &str,
        max_bytes: usize,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self> {
        let http = configure(reqwest::Client::builder())
            .no_proxy()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .pool_idle_timeout(Duration::from_secs(15))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()?;
        let mut secret = HeaderValue::from_str(token)?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("baseline/1.0.0")),
            (
                HeaderName::from_static("x-plex-client-identifier"),
                HeaderValue::from_static("bench"),
            ),
            (HeaderName::from_static("x-plex-token"), secret),
        ]);
        Ok(Self { http, base, headers, max_bytes })
    }

    pub async fn token(&self) -> Result<String> {
        let response = self
            .http
            .post(format!("{}/security/token", self.base))
            .query(&[("type", "delegation"), ("scope", "all")])
            .headers(self.headers.clone())
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"))
            .send()
            .await?;
        let body: TokenBody = serde_json::from_slice(&self.body(response).await?)?;
        Ok(body.container.token)
    }

    pub async fn device(&self, source: &str) -> Result<Device> {
        let response = self
            .http
            .get(format!("{}/security/resources", self.base))
            .query(&[("source", source)])
            .headers(self.headers.clone())
            .send()
            .await?;
        let body: DeviceBody = serde_json::from_slice(&self.body(response).await?)?;
        Ok(body.container.device)
    }

    /// Who answers at an address, asked without the token.
    pub async fn identity(&self, base: &Url) -> Result<String> {
        let url = base.join("identity")?;
        let response = self.http.get(url).header(ACCEPT, "application/json").send().await?;
        let body: IdentityBody = serde_json::from_slice(&self.body(response).await?)?;
        Ok(body.container.machine_identifier)
    }

    /// Copies the body into one buffer as it arrives: a response keeps the read buffer of every
    /// piece alive.
    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>> {
        if response.status() != 200 {
            return Err(response.status().to_string().into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > self.max_bytes - body.len() {
                return Err("too large".into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(rename = "MediaContainer")]
    container: TokenContainer,
}

#[derive(Deserialize)]
struct TokenContainer {
    token: String,
}

#[derive(Deserialize)]
struct IdentityBody {
    #[serde(rename = "MediaContainer")]
    container: IdentityContainer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityContainer {
    machine_identifier: String,
}

#[derive(Deserialize)]
struct DeviceBody {
    #[serde(rename = "MediaContainer")]
    container: DeviceContainer,
}

#[derive(Deserialize)]
struct DeviceContainer {
    #[serde(rename = "Device")]
    device: Device,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "a user's fields")]
pub struct Device {
    pub name: Option<String>,
    pub client_identifier: String,
    pub access_token: String,
    #[serde(rename = "Connection")]
    pub connections: Vec<Connection>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "a user's fields")]
pub struct Connection {
    pub uri: Url,
    pub protocol: String,
    pub address: String,
    pub port: u16,
    pub local: bool,
    #[serde(default)]
    pub relay: bool,
}
