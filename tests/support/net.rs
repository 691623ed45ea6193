//! A network of names, by tokio's clock, which stands still: time passes when a test says so, and
//! only while nothing is under way over a socket, so that no test depends on the machine's speed.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use plex_auth::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use plex_auth::{Client, ClientBuilder};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{self, Instant, sleep};
use tokio_rustls::rustls::ServerConfig;

use crate::tls::AUTHORITY;
use crate::{Request, Server, Steps};

/// Where a name under `.home.lan` leads.
#[derive(Clone)]
pub enum Lead {
    /// Nobody answers. So do names that begin with `silent`.
    Nowhere,
    /// To a server, and connecting takes this time.
    After(Duration, Arc<Server>),
    /// Connections are refused until so long after the network was made.
    From(Duration, Arc<Server>),
}

/// For a test whose runtime is single-threaded. The clock goes on when this is dropped.
pub struct Net {
    names: Names,
    /// Dropping it ends a task.
    _stopped: Sender<()>,
}

impl Drop for Net {
    fn drop(&mut self) {
        time::resume();
    }
}

#[derive(Clone)]
struct Names {
    made: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    leads: HashMap<String, Lead>,
    log: Vec<(String, Instant)>,
    servers: Vec<Arc<Server>>,
    /// How many connections to a server were begun.
    begun: usize,
}

/// Of its own clock: longer than any test needs.
const LIMIT: Duration = Duration::from_secs(400);

static TLS: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| AUTHORITY.server("*.home.lan"));

impl Net {
    #[allow(clippy::new_without_default, reason = "it stops the clock")]
    pub fn new() -> Self {
        // tokio moves a stopped clock on when everything waits, but not while such a task runs.
        let (stopped, kept) = channel();
        spawn_blocking(move || kept.recv());
        time::pause();
        let names = Names { made: Instant::now(), state: Arc::default() };
        Self { names, _stopped: stopped }
    }

    pub async fn advance(&self, time: Duration) {
        time::advance(time).await;
    }

    pub fn lead(&self, name: &str, lead: Lead) {
        let mut state = self.names.state.lock().unwrap();
        if let Lead::After(_, server) | Lead::From(_, server) = &lead {
            let is_new = !state.servers.iter().any(|known| Arc::ptr_eq(known, server));
            state.servers.extend(is_new.then(|| server.clone()));
        }
        state.leads.insert(name.to_owned(), lead);
    }

    /// A server at `http://NAME.home.lan`.
    pub fn http<S: Into<Steps>>(
        &self,
        name: &str,
        script: impl Fn(&Request) -> S + Send + Sync + 'static,
    ) -> Arc<Server> {
        self.add(name, Server::start(script))
    }

    /// A server at `https://NAME.home.lan`.
    pub fn https<S: Into<Steps>>(
        &self,
        name: &str,
        script: impl Fn(&Request) -> S + Send + Sync + 'static,
    ) -> Arc<Server> {
        self.add(name, Server::start_tls(TLS.clone(), script))
    }

    /// This server at `NAME.home.lan`.
    pub fn add(&self, name: &str, server: Server) -> Arc<Server> {
        let server = Arc::new(server);
        self.lead(name, Lead::After(Duration::ZERO, server.clone()));
        server
    }

    /// A client of `http://NAME.home.lan` in this network.
    pub fn client(&self, name: &str, with: impl Fn(ClientBuilder) -> ClientBuilder) -> Client {
        let builder = crate::builder(format!("http://{name}.home.lan"));
        let builder = builder.timeout(Duration::from_secs(30)).allow_insecure_http(true);
        with(self.join(builder)).build().unwrap()
    }

    /// Sends a client's requests through this network. Without a pool, each is in the log, and ends
    /// with its connection.
    pub fn join(&self, builder: ClientBuilder) -> ClientBuilder {
        let names = self.names.clone();
        builder
            .configure_http(move |http| http.dns_resolver(names.clone()).pool_max_idle_per_host(0))
    }

    /// The names that were connected to, each time that it happened, and how many milliseconds after
    /// the first, in steps of 10.
    pub fn log(&self) -> Vec<(String, u128)> {
        let log = &self.names.state.lock().unwrap().log;
        let since = |at: &Instant| at.duration_since(log[0].1).as_millis() / 10 * 10;
        log.iter().map(|(name, at)| (name.clone(), since(at))).collect()
    }

    pub fn times(&self, name: &str) -> Vec<u128> {
        self.log().into_iter().filter(|(found, _)| found == name).map(|(_, at)| at).collect()
    }

    /// As [`run`](Self::run). Returns how long it took, too.
    pub async fn time<T>(&self, future: impl Future<Output = T>) -> (T, Duration) {
        let begun = Instant::now();
        let result = self.run(future).await;
        (result, begun.elapsed())
    }

    /// Awaits a future while time passes, a millisecond whenever nothing is under way.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let passing = async {
            while begun.elapsed() < LIMIT {
                // What is ready runs first.
                for _ in 0..10 {
                    yield_now().await;
                }
                match self.names.is_quiet() {
                    true => self.advance(Duration::from_millis(1)).await,
                    false => {
                        let pause = || std::thread::sleep(Duration::from_micros(200));
                        spawn_blocking(pause).await.unwrap();
                    }
                }
            }
        };
        tokio::select! {
            biased;
            result = future => result,
            () = passing => panic!("not ready after {LIMIT:?}"),
        }
    }
}

impl Names {
    /// Whether all connections were accepted, and are closed or wait for nothing.
    fn is_quiet(&self) -> bool {
        let state = self.state.lock().unwrap();
        let accepted: usize = state.servers.iter().map(|server| server.connections()).sum();
        let is_idle = |server: &Arc<Server>| server.open() == server.silent();
        accepted == state.begun && state.servers.iter().all(is_idle)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, name) = (self.clone(), name.as_str().replace(".home.lan", ""));
        let mut state = self.state.lock().unwrap();
        state.log.push((name.clone(), Instant::now()));
        let lead = match state.leads.get(&name) {
            None if name.starts_with("silent") => Some(Lead::Nowhere),
            lead => lead.cloned(),
        };
        drop(state);
        Box::pin(async move {
            let server = match lead {
                Some(Lead::After(delay, server)) => {
                    // One of no time waits for the clock, too.
                    if !delay.is_zero() {
                        sleep(delay).await;
                    }
                    server
                }
                Some(Lead::From(time, server)) if names.made.elapsed() >= time => server,
                Some(Lead::Nowhere) => pending().await,
                Some(Lead::From(..)) | None => return Err("no such name".into()),
            };
            names.state.lock().unwrap().begun += 1;
            // Its port counts where the URL has none.
            let address: SocketAddr = server.address();
            Ok(Box::new(std::iter::once(address)) as Addrs)
        })
    }
}
