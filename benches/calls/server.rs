//! The server that the clients ask: raw hyper, in a process of its own, so that its CPU time is not
//! counted.

use std::convert::Infallible;
use std::future::pending;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::{env, io};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ROLE;
use crate::clients::Result;

/// The server's process. It ends when this is dropped.
pub struct Server {
    process: Child,
    pub address: String,
}

impl Server {
    /// Starts this program again, as the server.
    pub fn start() -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .env(ROLE, "server")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        Ok(Self { process, address: address.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers both calls. Under `/held` it never answers, and `/count` says how many wait there.
pub async fn serve() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let token = Bytes::from_static(
        br#"{"MediaContainer":{"size":0,"token":"transient-90904684-f91a-4391-8bf7-e0dfa7240285"}}"#,
    );
    let connections = (0..50).map(|index| {
        format!("https://10-0-2-{index}.93b10b279ff8456686414add109854cd.plex.direct:32400")
    });
    let device = Bytes::from(device(connections));
    let held = Arc::new(AtomicUsize::new(0));
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (token, device, held) = (token.clone(), device.clone(), held.clone());
        tokio::spawn(answer(tcp, move |path| match path {
            "/security/token" => Some(token.clone()),
            "/security/resources" => Some(device.clone()),
            "/count" => Some(held.load(SeqCst).to_string().into()),
            _ => {
                held.fetch_add(1, SeqCst);
                None
            }
        }));
    }
}

/// Answers each request on a connection with the body for its path, or never.
pub async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    body: impl Fn(&str) -> Option<Bytes>,
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let body = body(request.uri().path());
        async {
            let Some(body) = body else { return pending().await };
            let response = Response::builder().header("content-type", "application/json");
            Ok::<_, Infallible>(response.body(Full::new(body)).unwrap_or_default())
        }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

/// The response for a device with these connections.
pub fn device(connections: impl Iterator<Item = String>) -> String {
    let connections: Vec<_> = connections
        .enumerate()
        .map(|(index, uri)| {
            format!(
                r#"{{"protocol":"https","address":"10.0.2.{index}","port":32400,
                "local":{},"relay":false,"uri":"{uri}"}}"#,
                index % 2 == 0
            )
        })
        .collect();
    format!(
        r#"{{"MediaContainer":{{"size":1,"Device":{{"name":"PlexCorp (plex-corp)",
        "clientIdentifier":"243b471948ace337a8f92f129ec97d1902fcb1df",
        "accessToken":"transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a",
        "Connection":[{}]}}}}}}"#,
        connections.join(",")
    )
}
