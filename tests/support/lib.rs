//! The harness: a server on a real socket that does what a script says, and remembers its requests.
//!
//! ```ignore
//! let server = Server::start(|_| json(r#"{"MediaContainer":{"token":"fresh"}}"#));
//! let token = server.client().transient_token().await?;
//! assert_eq!(server.request().path(), "/security/token");
//! ```
//!
//! - A script gets each [`Request`] and returns bytes, a [`Step`] or several; [`respond`] and [`json`]
//!   make bytes. [`Server::raw`] plays its steps on each connection, before it has read anything.
//! - [`Server::start_tls`] does the same behind TLS, with a certificate of [`tls::AUTHORITY`].
//! - [`Server::client`] makes a client with short limits that trusts it. [`Call`] is an operation, for
//!   tests of all of them.
//! - [`net::Net`] is a network of names with a stopped clock, for tests of time. [`leak`] searches logs
//!   and errors for tokens.
//! - Servers run in a runtime of their own, so that [`no_tasks_left`] sees the client's tasks alone.

#![allow(missing_debug_implementations, reason = "nobody prints the harness")]
#![allow(clippy::type_complexity, reason = "tables of cases")]

pub mod leak;
pub mod net;
pub mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use plex_auth::{Client, ClientBuilder, Error, Source};
use serde_json::{Value, json as value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::tls::AUTHORITY;

/// The caller's token, unless a test chooses another.
pub const TOKEN: &str = "9rTq2mXw7KvB4nZc8LhD";

/// What a server does next. After the last step of an answer the connection is kept alive, after
/// the last one of a raw script it is closed.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends the same bytes again and again, for ever.
    Endless(Vec<u8>),
    /// Sends the bytes one at a time.
    Trickle(Vec<u8>, Duration),
    Pause(Duration),
    /// Says nothing more, and keeps the connection open until the client closes it.
    Silence,
    Close,
    /// Closes with a TCP reset (`SO_LINGER` of 0).
    Reset,
}

/// What a script returns: bytes, a [`Step`] or several.
#[derive(Clone, Debug)]
pub struct Steps(Vec<Step>);

impl From<Vec<Step>> for Steps {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

impl From<Step> for Steps {
    fn from(step: Step) -> Self {
        Self(vec![step])
    }
}

impl From<Vec<u8>> for Steps {
    fn from(bytes: Vec<u8>) -> Self {
        Step::Send(bytes).into()
    }
}

/// A response with a `Content-Length`, unless `headers` frame the body.
pub fn respond(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let framed = |(name, _): &(&str, &str)| {
        ["content-length", "transfer-encoding"].contains(&&*name.to_ascii_lowercase())
    };
    if !headers.iter().any(framed) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A 200 with JSON.
pub fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    respond(200, &[("Content-Type", "application/json")], body)
}

/// An operation of `openapi/plex-auth.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Token,
    LookUp,
}

impl Call {
    pub const ALL: [Self; 2] = [Self::Token, Self::LookUp];

    /// Its method and path.
    pub fn operation(self) -> (&'static str, &'static str) {
        match self {
            Self::Token => ("POST", "/security/token"),
            Self::LookUp => ("GET", "/security/resources"),
        }
    }

    /// A good body, as small as possible.
    pub fn good(self, token: &str) -> Value {
        match self {
            Self::Token => value!({"MediaContainer": {"token": token}}),
            Self::LookUp => value!({"MediaContainer": {"Device": {
                "clientIdentifier": "243b47", "accessToken": token,
                "Connection": {"uri": "http://10.0.2.1:32400", "local": "1"},
            }}}),
        }
    }

    /// Makes the call. Returns the token that it results in.
    pub async fn make(self, client: &Client) -> Result<String, Error> {
        match self {
            Self::Token => {
                client.transient_token().await.map(|token| token.expose_secret().to_owned())
            }
            Self::LookUp => {
                let source = Source::server("243b47")?;
                let device = client.source_connection_information(&source).await;
                device.map(|device| device.access_token.expose_secret().to_owned())
            }
        }
    }
}

/// The good answer to each operation, and 404 to anything else.
pub fn good(request: &Request, token: &str) -> Vec<u8> {
    let asked = (request.method(), request.path());
    match Call::ALL.into_iter().find(|call| call.operation() == asked) {
        Some(call) => json(call.good(token).to_string()),
        None => respond(404, &[], ""),
    }
}

/// Waits until it is so, whether tokio's clock is stopped or not, and panics after a while.
pub async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "not so within 10 s");
        let pause = || std::thread::sleep(Duration::from_millis(1));
        tokio::task::spawn_blocking(pause).await.unwrap();
    }
}

/// Waits until no task is alive in this runtime.
pub async fn no_tasks_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    until(|| metrics.num_alive_tasks() == 0).await;
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many the server had seen before, on all connections.
    pub number: usize,
    /// Request line and headers, without the empty line.
    pub head: String,
}

impl Request {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().into_iter().find(|(header, _)| header == name).map(|(_, value)| value)
    }

    /// All headers, names in small letters.
    pub fn headers(&self) -> Vec<(String, &str)> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect()
    }
}

/// The server. It stops when it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    script: Script,
    tls: Option<TlsAcceptor>,
    connections: AtomicUsize,
    open: AtomicUsize,
    silent: AtomicUsize,
    count: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    /// The first bytes of connections that sent something else than a whole request.
    other: Mutex<Vec<u8>>,
}

/// What a server does, on each request or on each connection.
pub enum Script {
    Answers(Box<dyn Fn(&Request) -> Steps + Send + Sync>),
    Raw(Steps),
}

impl Script {
    pub fn answers<S: Into<Steps>>(script: impl Fn(&Request) -> S + Send + Sync + 'static) -> Self {
        Self::Answers(Box::new(move |request| script(request).into()))
    }
}

/// How many requests are remembered, so that a flood does not fill the memory.
const REMEMBERED: usize = 1_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("servers").enable_all().build().unwrap()
});

/// A port that refuses connections, and that nothing else can take while its socket is kept.
pub fn refusing_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

impl Server {
    /// Answers each request as `script` says.
    pub fn start<S: Into<Steps>>(script: impl Fn(&Request) -> S + Send + Sync + 'static) -> Self {
        Self::new(Script::answers(script), None)
    }

    /// As [`start`](Self::start), behind TLS.
    pub fn start_tls<S: Into<Steps>>(
        config: Arc<ServerConfig>,
        script: impl Fn(&Request) -> S + Send + Sync + 'static,
    ) -> Self {
        Self::new(Script::answers(script), Some(config))
    }

    /// Does this on each connection.
    pub fn raw(steps: impl Into<Steps>) -> Self {
        Self::new(Script::Raw(steps.into()), None)
    }

    pub fn new(script: Script, tls: Option<Arc<ServerConfig>>) -> Self {
        let shared = Arc::new(Shared {
            script,
            tls: tls.map(TlsAcceptor::from),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            requests: Mutex::default(),
            other: Mutex::default(),
        });
        let (socket, address) = refusing_port();
        let _inside = RUNTIME.enter();
        let accepting = RUNTIME.spawn(accept(socket.listen(4096).unwrap(), shared.clone()));
        Self { address, shared, accepting: accepting.abort_handle() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, or `https`.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A builder for a client of this server, with a token, a client identifier and short limits.
    pub fn builder(&self) -> ClientBuilder {
        builder(self.url())
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// The requests so far, the first 1,000 of them.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "one request was expected");
        requests.into_iter().next().unwrap()
    }

    /// How many requests have come.
    pub fn count(&self) -> usize {
        self.shared.count.load(SeqCst)
    }

    /// How many connections have come.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// How many of them have reached [`Step::Silence`].
    pub fn silent(&self) -> usize {
        self.shared.silent.load(SeqCst)
    }

    /// What came that was not a whole request.
    pub fn other_bytes(&self) -> Vec<u8> {
        self.shared.other.lock().unwrap().clone()
    }
}

impl Drop for Server {
    /// Refuses new connections, and cuts the open ones.
    fn drop(&mut self) {
        self.accepting.abort();
        // The socket is closed once the task is gone.
        while !self.accepting.is_finished() {
            std::thread::yield_now();
        }
    }
}

/// A builder with a token, a client identifier and short limits, which trusts [`tls::AUTHORITY`].
/// Without the system's CA certificates, which take time to load.
pub fn builder(url: impl Into<String>) -> ClientBuilder {
    Client::builder(url)
        .token(TOKEN)
        .client_identifier("plex-auth-tests")
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(10))
        .max_retries(0)
        .configure_http(|http| http.tls_certs_only([AUTHORITY.root()]))
}

/// Sets every optional client header.
pub fn with_every_header(builder: ClientBuilder) -> ClientBuilder {
    builder
        .product("Käthe's Remote")
        .version("2.4")
        .platform("Linux")
        .platform_version("6.1")
        .device("PC")
        .model("M1")
        .device_vendor("Acme")
        .device_name("Käthe's TV \u{1f4fa}")
        .marketplace("store")
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut serving = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        while serving.try_join_next().is_some() {}
        // First, so that a connection that was counted is open until it was closed.
        shared.open.fetch_add(1, SeqCst);
        shared.connections.fetch_add(1, SeqCst);
        let shared = shared.clone();
        serving.spawn(async move {
            let _open = Ended(&shared.open);
            // How a connection ends is the script's or the client's business.
            let _ = serve(tcp, &shared).await;
        });
    }
}

/// Counts down when it is dropped.
struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

async fn serve(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let io: Box<dyn Wire> = match &shared.tls {
        Some(acceptor) => Box::new(acceptor.accept(tcp).await?),
        None => Box::new(tcp),
    };
    let mut connection = Connection { io, shared, unread: Vec::new() };
    match &shared.script {
        Script::Raw(steps) => {
            let _ = connection.play(steps.clone()).await?;
        }
        Script::Answers(script) => {
            while let Some(request) = connection.read().await? {
                if connection.play(script(&request)).await?.is_break() {
                    break;
                }
            }
        }
    }
    // With TLS, a close without a `close_notify` would be an attack.
    connection.io.shutdown().await
}

struct Connection<'a> {
    io: Box<dyn Wire>,
    shared: &'a Shared,
    unread: Vec<u8>,
}

type Flow = std::ops::ControlFlow<()>;

impl Connection<'_> {
    async fn play(&mut self, steps: Steps) -> io::Result<Flow> {
        for step in steps.0 {
            match step {
                Step::Send(bytes) => self.send(&bytes).await?,
                Step::Endless(bytes) => loop {
                    self.send(&bytes).await?;
                },
                Step::Trickle(bytes, every) => {
                    for byte in bytes {
                        self.send(&[byte]).await?;
                        tokio::time::sleep(every).await;
                    }
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Silence => {
                    self.shared.silent.fetch_add(1, SeqCst);
                    let _silent = Ended(&self.shared.silent);
                    while self.more().await? {
                        self.unread.clear();
                    }
                    return Ok(Flow::Break(()));
                }
                Step::Close => return Ok(Flow::Break(())),
                Step::Reset => {
                    self.io.tcp().set_zero_linger()?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        Ok(Flow::Continue(()))
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Reads what is there; `false` at the end. What is no request is remembered.
    async fn more(&mut self) -> io::Result<bool> {
        let had = self.unread.len();
        let got = self.io.read_buf(&mut self.unread).await;
        let mut other = self.shared.other.lock().unwrap();
        if matches!(self.shared.script, Script::Raw(_)) && other.len() < 16 * 1024 {
            other.extend_from_slice(&self.unread[had..]);
        }
        Ok(got? > 0)
    }

    /// The next request, or `None` when the client has closed the connection.
    async fn read(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            let found = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match found {
                Some(end) => break end,
                None if !self.more().await? => return Ok(None),
                None => {}
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end + 4);
        let number = self.shared.count.fetch_add(1, SeqCst);
        let request = Request { number, head };
        let mut requests = self.shared.requests.lock().unwrap();
        if requests.len() < REMEMBERED {
            requests.push(request.clone());
        }
        Ok(Some(request))
    }
}
