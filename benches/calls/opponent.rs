//! The opponent: what a careful person writes with `reqwest`, in the place of this crate.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use url::Url;

pub struct ByHand {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    max_bytes: usize,
}

impl ByHand {
    pub fn new(base: String, token: &str, max_bytes: usize) -> Result<Self, Box<dyn Error>> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()?;
        let mut secret = HeaderValue::from_str(token)?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("by-hand/1.0.0")),
            (
                HeaderName::from_static("x-plex-client-identifier"),
                HeaderValue::from_static("bench"),
            ),
            (HeaderName::from_static("x-plex-token"), secret),
        ]);
        Ok(Self { http, base, headers, max_bytes })
    }

    pub async fn token(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let response = self
            .http
            .post(format!("{}/security/token", self.base))
            .query(&[("type", "delegation"), ("scope", "all")])
            .headers(self.headers.clone())
            .send()
            .await?;
        let body: TokenBody = serde_json::from_slice(&self.body(response).await?)?;
        Ok(body.container.token)
    }

    pub async fn device(&self, source: &str) -> Result<Device, Box<dyn Error + Send + Sync>> {
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

    async fn body(
        &self,
        mut response: reqwest::Response,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        if response.status() != 200 {
            return Err(response.status().to_string().into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.max_bytes {
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
