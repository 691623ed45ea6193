//! The servers that the clients ask, on loopback in a thread of their own, and the clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use url::Url;

use crate::baseline::{Baseline, Result};

pub const SOURCE: &str = "server://243b471948ace337a8f92f129ec97d1902fcb1df";
const TOKEN: &str = "9rTq2mXw7KvB4nZc8LhD";
/// plex-auth resolves it without DNS.
const HOST: &str = "127-0-0-1.93b10b279ff8456686414add109854cd.plex.direct";
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a source is down that comes back.
const DOWN: Duration = Duration::from_secs(3);

/// One address of the source.
#[derive(Clone, Copy)]
pub struct Address {
    /// `local`, `remote` or `relay`.
    pub place: &'static str,
    pub behaviour: Behaviour,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// Accepts connections and never answers.
    Silent,
    /// Makes the TLS handshake so many milliseconds late, and answers.
    Answers(u64),
    /// The port is closed while the source is down.
    Refused,
    /// A proxy answers while the source is down.
    BadGateway,
}

pub struct Network {
    pub client: plex_auth::Client,
    pub baseline: Arc<Baseline>,
    /// The source's addresses.
    pub addresses: Vec<(Url, Address)>,
    /// How many connections were opened to the source's addresses.
    pub opened: Arc<AtomicUsize>,
    /// Ends all servers when it is dropped.
    _servers: Runtime,
}

impl Network {
    /// A look-up with `refresh=1` lists the refreshed addresses instead, if there are any.
    pub fn start(listed: &[Address], refreshed: &[Address]) -> Result<Self> {
        let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let certified = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let certificate = certified.cert.der().clone();
        let root = reqwest::Certificate::from_der(&certificate)?;
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], certified.signing_key.into())?;
        let (tls, opened) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(AtomicUsize::new(0)));

        let (asked, addresses) = servers.block_on(async {
            let mut addresses = Vec::new();
            for &address in listed.iter().chain(refreshed) {
                addresses.push((listen(address, tls.clone(), opened.clone())?, address));
            }
            let (before, after) = addresses.split_at(listed.len());
            let after = if after.is_empty() { before } else { after };
            let listener = TcpListener::bind(ANY_PORT).await?;
            let asked = format!("http://{}", listener.local_addr()?);
            tokio::spawn(look_up(listener, device(before), device(after)));
            Result::Ok((asked, addresses))
        })?;

        let baseline = Baseline::new(&asked, TOKEN, |http| {
            http.resolve(HOST, ANY_PORT).tls_certs_only([root.clone()])
        })?;
        let client = plex_auth::Client::builder(asked)
            .token(TOKEN)
            .client_identifier("bench")
            .configure_http(move |http| http.tls_certs_only([root.clone()]))
            .build()?;
        Ok(Self { client, baseline: baseline.into(), addresses, opened, _servers: servers })
    }
}

/// The server that is asked.
async fn look_up(listener: TcpListener, listed: String, refreshed: String) -> io::Result<()> {
    let token = json!({ "size": 0, "token": "transient-90904684-f91a-4391-8bf7-e0dfa7240285" });
    let token = container(&token);
    loop {
        let (tcp, _) = listener.accept().await?;
        let (token, listed, refreshed) = (token.clone(), listed.clone(), refreshed.clone());
        tokio::spawn(answer(tcp, move |head| match head {
            _ if head.contains("/security/token") => (200, token.clone()),
            _ if head.contains("refresh=1") => (200, refreshed.clone()),
            _ => (200, listed.clone()),
        }));
    }
}

/// Starts the server of one address of the source.
fn listen(address: Address, tls: TlsAcceptor, opened: Arc<AtomicUsize>) -> Result<Url> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(ANY_PORT)?;
    let uri = format!("https://{HOST}:{}", socket.local_addr()?.port()).parse()?;
    let serve = move |listener| serve(listener, address.behaviour, tls, opened);
    if address.behaviour == Behaviour::Refused {
        // A port that is bound and not listened at is refused.
        tokio::spawn(async move {
            sleep(DOWN).await;
            serve(socket.listen(128)?).await
        });
    } else {
        tokio::spawn(serve(socket.listen(128)?));
    }
    Ok(uri)
}

async fn serve(
    listener: TcpListener,
    behaviour: Behaviour,
    tls: TlsAcceptor,
    opened: Arc<AtomicUsize>,
) -> io::Result<()> {
    let started = Instant::now();
    let identity = container(&json!({ "machineIdentifier": identifier() }));
    let mut silent = Vec::new();
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        opened.fetch_add(1, SeqCst);
        if behaviour == Behaviour::Silent {
            silent.push(tcp);
            continue;
        }
        let (tls, identity) = (tls.clone(), identity.clone());
        tokio::spawn(async move {
            if let Behaviour::Answers(late @ 1..) = behaviour {
                sleep(Duration::from_millis(late)).await;
            }
            let is_proxy = behaviour == Behaviour::BadGateway;
            let status = || if is_proxy && started.elapsed() < DOWN { 502 } else { 200 };
            answer(tls.accept(tcp).await?, |_| (status(), identity.clone())).await
        });
    }
}

/// Answers each request of a connection with the status and body for its head.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    response: impl Fn(&str) -> (u16, String),
) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await? > 0 {
        if head.ends_with("\r\n\r\n") {
            let (status, body) = response(&head);
            let length = body.len();
            let response = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(response.as_bytes()).await?;
            stream.flush().await?;
            head.clear();
        }
    }
    Ok(())
}

fn identifier() -> &'static str {
    SOURCE.trim_start_matches("server://")
}

fn device(addresses: &[(Url, Address)]) -> String {
    let connection = |(uri, address): &(Url, Address)| {
        let (local, relay) = (address.place == "local", address.place == "relay");
        json!({ "protocol": "https", "uri": uri, "local": local, "relay": relay })
    };
    let connections: Vec<_> = addresses.iter().map(connection).collect();
    container(&json!({ "Device": {
        "clientIdentifier": identifier(),
        "accessToken": "transient-fa75f159-b9d2-42b6-8fbd-1761c7a4195a",
        "Connection": connections,
    }}))
}

fn container(content: &Value) -> String {
    json!({ "MediaContainer": content }).to_string()
}
