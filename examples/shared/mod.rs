//! What the examples ask: a real server, or a mock server on 127.0.0.1.

#![allow(dead_code, reason = "not every example uses all of it")]

use std::env;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use plex_auth::Source;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const IDENTIFIER: &str = "243b471948ace337a8f92f129ec97d1902fcb1df";
/// The file of the mock server, which ends each connection after a part of it.
const FILE: &[u8] = &[7; 1_000_000];
const PART: usize = 400_000;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) source: Option<Source>,
    pub(crate) is_mock: bool,
    /// How often the mock server has started.
    starts: Arc<AtomicU32>,
}

/// The server of `PLEX_URL`, `PLEX_TOKEN` and `PLEX_SOURCE`, or a mock server.
pub(crate) async fn server() -> Result<Server, Box<dyn Error>> {
    let starts = Arc::new(AtomicU32::new(1));
    let Ok(url) = env::var("PLEX_URL") else {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(accept(listener, url.clone(), starts.clone()));
        let source = Some(Source::server(IDENTIFIER)?);
        return Ok(Server { url, token: "owner".to_owned(), source, is_mock: true, starts });
    };
    let source = env::var("PLEX_SOURCE").ok().map(Source::try_from).transpose()?;
    let token = env::var("PLEX_TOKEN").map_err(|_| "set PLEX_TOKEN, too")?;
    Ok(Server { url, token, source, is_mock: false, starts })
}

impl Server {
    /// The mock server forgets the tokens that it has made.
    pub(crate) fn restart(&self) {
        self.starts.fetch_add(1, SeqCst);
    }
}

async fn accept(listener: TcpListener, url: String, starts: Arc<AtomicU32>) -> io::Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(serve(tcp, url.clone(), starts.load(SeqCst)));
    }
}

/// Answers one request.
async fn serve(mut tcp: TcpStream, url: String, start: u32) -> io::Result<()> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        request.push(tcp.read_u8().await?.into());
    }
    let request = request.to_ascii_lowercase();
    let is_valid = |token: &str| request.contains(&format!("x-plex-token: {token}\r\n"));
    let is_to = |path: &str| request.contains(&format!(" {path}"));
    let range = request.split_once("range: bytes=").and_then(|(_, range)| range.split_once('-'));
    let from: usize = range.and_then(|(from, _)| from.parse().ok()).unwrap_or_default();

    let mut status = "200 OK".to_owned();
    let body = if is_to("/identity") {
        format!(r#"{{"MediaContainer":{{"machineIdentifier":"{IDENTIFIER}"}}}}"#)
    } else if !["owner".to_owned(), format!("access-{start}"), format!("transient-{start}")]
        .iter()
        .any(|token| is_valid(token))
    {
        status = "401 Unauthorized".to_owned();
        String::new()
    } else if is_to("/security/token") {
        format!(r#"{{"MediaContainer":{{"token":"transient-{start}"}}}}"#)
    } else if is_to("/security/resources") {
        // The first one refuses connections.
        format!(
            r#"{{"MediaContainer":{{"Device":{{"name":"PlexCorp","clientIdentifier":"{IDENTIFIER}",
            "accessToken":"access-{start}","Connection":[{{"uri":"http://127.0.0.1:1","local":true}},
            {{"uri":"{url}","local":true}}]}}}}}}"#
        )
    } else if is_to("/library/parts/") {
        return send_file(tcp, from).await;
    } else {
        r#"{"MediaContainer":{"size":0}}"#.to_owned()
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(body.as_bytes()).await
}

/// Sends a part of the rest of the file.
async fn send_file(mut tcp: TcpStream, from: usize) -> io::Result<()> {
    let rest = FILE.get(from..).unwrap_or_default();
    let (length, last, size) = (rest.len(), FILE.len() - 1, FILE.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(&rest[..length.min(PART)]).await
}
