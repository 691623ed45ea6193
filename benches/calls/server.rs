//! The server that both sides ask: raw hyper, in a process of its own, so that its CPU time is not
//! counted.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

const VARIABLE: &str = "PLEX_AUTH_BENCH_SERVER";

/// The server's process. It ends when this is dropped.
pub struct Server {
    process: Child,
    pub address: String,
}

impl Server {
    /// Starts this program again, as the server.
    pub fn start() -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
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

/// Whether this process is to be the server.
pub fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

pub async fn serve() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let token = Bytes::from_static(
        br#"{"MediaContainer":{"size":0,"token":"transient-90904684-f91a-4391-8bf7-e0dfa7240285"}}"#,
    );
    let device = Bytes::from(device(50));
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (token, device) = (token.clone(), device.clone());
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let is_token = request.uri().path() == "/security/token";
            let body = if is_token { token.clone() } else { device.clone() };
            let answer = hyper::Response::builder()
                .header("content-type", "application/json")
                .body(Full::new(body));
            async { Ok::<_, Infallible>(answer.unwrap_or_default()) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
        tokio::spawn(connection);
    }
}

/// The answer for a device with so many connections.
fn device(connections: usize) -> String {
    let connections: Vec<_> = (0..connections)
        .map(|index| {
            format!(
                r#"{{"protocol":"https","address":"10.0.2.{index}","port":32400,"local":{},"relay":false,
                "uri":"https://10-0-2-{index}.93b10b279ff8456686414add109854cd.plex.direct:32400"}}"#,
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
