//! The fault matrix: the faults, the cases that each is tried with, and the engine that runs them.
//!
//! `table.rs` lists the faults and what a caller gets. [`run`] runs all of them.

mod bodies;
mod certificates;
mod connection;
mod sizes;
mod statuses;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use plex_auth::{Client, ClientBuilder, Error, Source};
use serde_json::{Value, json as value};
use tokio_rustls::rustls::ServerConfig;

use crate::leak::{Search, shown, subscriber};
use crate::tls::AUTHORITY;
use crate::{Request, Script, Server, Step, Steps, json};
pub use sizes::{byte_by_byte, padded_chunks};
pub use table::table;

/// How many cases run at once: most of them wait most of the time.
const WORKERS: usize = 16;

/// How long a call may take beyond its limit: the machine may be busy.
const MARGIN: Duration = Duration::from_secs(10);

/// A row of the table.
pub struct Fault {
    pub section: &'static str,
    /// The name of the test.
    pub test: &'static str,
    pub fault: &'static str,
    pub result: &'static str,
    cases: fn(&mut Cases),
}

/// Tokens, made anew for each run.
pub struct Secrets {
    /// The caller's token: any visible ASCII.
    pub caller: String,
    /// The token that the server returns.
    pub returned: String,
}

impl Secrets {
    pub fn random() -> Self {
        let token = || {
            let letter = |_| {
                let number = RandomState::new().build_hasher().finish() % 94;
                char::from(b'!' + number as u8)
            };
            // Not in quotes.
            format!("k{}9", (0..38).map(letter).collect::<String>())
        };
        Self { caller: token(), returned: token() }
    }

    pub fn search(&self) -> Search {
        Search::new(&[&self.caller, &self.returned])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    TransientToken,
    LookUp,
    Refresh,
}

impl Method {
    /// A good body, as small as possible.
    pub fn good(self, token: &str) -> Value {
        let connection = value!({"uri": "http://10.0.2.1:32400", "local": "1"});
        match self {
            Self::TransientToken => value!({"MediaContainer": {"token": token}}),
            _ => value!({"MediaContainer": {"Device": {
                "clientIdentifier": "243b47", "accessToken": token, "Connection": connection,
            }}}),
        }
    }
}

/// What a call should result in.
#[derive(Clone, Copy)]
pub struct Expected {
    /// `Ok` or names of error kinds, separated by blanks: one of them.
    kinds: &'static str,
    says: &'static str,
    attempts: u32,
    /// How many requests the server sees, where that is certain.
    requests: Option<usize>,
    limit: Duration,
    /// Whether the token may be another than the run's.
    any_token: bool,
}

pub const fn one_of(kinds: &'static str) -> Expected {
    let limit = Duration::from_secs(20);
    Expected { kinds, says: "", attempts: 1, requests: None, limit, any_token: false }
}

pub const OK: Expected = one_of("Ok").attempts(1);

impl Expected {
    pub const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// How many attempts the error counts, and how many requests the server sees.
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, requests: Some(attempts as usize), ..self }
    }

    pub const fn any_token(self) -> Self {
        Self { any_token: true, ..self }
    }

    pub const fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

pub type Settings = fn(ClientBuilder) -> ClientBuilder;

pub fn plain(builder: ClientBuilder) -> ClientBuilder {
    builder
}

pub fn one_retry(builder: ClientBuilder) -> ClientBuilder {
    builder.max_retries(1)
}

pub fn retries(builder: ClientBuilder) -> ClientBuilder {
    builder.max_retries(2)
}

const SHORT: Duration = Duration::from_millis(700);

/// Retries are on, to show that a time-out is not retried.
pub fn short(builder: ClientBuilder) -> ClientBuilder {
    builder.timeout(SHORT).max_retries(2)
}

/// A case while it runs.
#[derive(Clone)]
pub struct Case {
    pub method: Method,
    pub https: bool,
    pub secrets: Arc<Secrets>,
    test: &'static str,
    run: Arc<Run>,
}

struct Run {
    search: Search,
    leaks: Mutex<BTreeSet<String>>,
    calls: AtomicUsize,
    wrong: Mutex<BTreeMap<&'static str, Vec<String>>>,
}

impl Case {
    pub fn good(&self) -> Vec<u8> {
        json(self.body())
    }

    pub fn body(&self) -> String {
        self.method.good(&self.secrets.returned).to_string()
    }

    pub fn server<S: Into<Steps>>(
        &self,
        script: impl Fn(&Request) -> S + Send + Sync + 'static,
    ) -> Server {
        Server::new(Script::answers(script), self.https.then(localhost))
    }

    pub fn raw_server<S: Into<Steps>>(
        &self,
        script: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> Server {
        Server::new(Script::raw(script), self.https.then(localhost))
    }

    pub fn client(&self, server: &Server, settings: Settings) -> Client {
        self.client_at(&server.url(), settings)
    }

    /// A client with the case's token.
    pub fn client_at(&self, url: &str, settings: Settings) -> Client {
        let builder = crate::builder(url).token(&*self.secrets.caller);
        let builder = settings(builder.timeout(Duration::from_secs(20)));
        self.search("ClientBuilder", &format!("{builder:?}"));
        let client = builder.build().unwrap();
        self.search("Client", &format!("{client:?}"));
        client
    }

    /// The token that the case's method results in.
    pub async fn call(&self, client: &Client) -> Result<String, Error> {
        let source = Source::server("243b47")?;
        let device = match self.method {
            Method::TransientToken => {
                let token = client.transient_token().await?;
                self.search("TransientToken", &format!("{token:?}"));
                return Ok(token.expose_secret().to_owned());
            }
            Method::LookUp => client.source_connection_information(&source).await?,
            Method::Refresh => client.refresh_source_connection_information(&source).await?,
        };
        self.search("Device", &format!("{device:?}"));
        Ok(device.access_token.expose_secret().to_owned())
    }

    /// Calls, and checks the result. Returns the error.
    pub async fn expect(
        &self,
        client: &Client,
        at: impl AsRef<str>,
        expected: Expected,
    ) -> Option<Error> {
        let at = at.as_ref();
        let started = Instant::now();
        let limit = expected.limit + MARGIN;
        let result = tokio::time::timeout(limit, self.call(client)).await;
        // A thread that stands still does not see the time-out.
        let Some(result) = result.ok().filter(|_| started.elapsed() < limit) else {
            self.report(at, format!("it took {:?}", started.elapsed()));
            return None;
        };
        self.check_result(client, at, expected, &result);
        result.err()
    }

    pub fn check_result(
        &self,
        client: &Client,
        at: &str,
        expected: Expected,
        result: &Result<String, Error>,
    ) {
        self.run.calls.fetch_add(1, SeqCst);
        let kind = match result {
            Ok(_) => "Ok".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        if !expected.kinds.split(' ').any(|expected| expected == kind) {
            let text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            self.report(at, format!("{kind} instead of {}: {text}", expected.kinds));
        }
        match result {
            Ok(token) => {
                let right = expected.any_token || *token == self.secrets.returned;
                self.check(right, at, "another token was returned");
            }
            Err(error) => self.check_error(client, at, expected, error),
        }
    }

    fn check_error(&self, client: &Client, at: &str, expected: Expected, error: &Error) {
        self.search("Error", &shown(error));
        let text = error.to_string();
        if !text.contains(expected.says) {
            self.report(at, format!("it does not say «{}»: {text}", expected.says));
        }
        let origin = client.address().origin().ascii_serialization();
        if error.origin() != Some(&*origin) || !text.contains(&origin) {
            self.report(at, format!("it does not say where: {text}"));
        }
        if error.attempts() != expected.attempts {
            let (counted, expected) = (error.attempts(), expected.attempts);
            self.report(at, format!("{counted} attempts, not {expected}"));
        }
        self.check(!text.contains(char::is_control), at, "a control character in the text");
    }

    /// Each request had the caller's token where it belongs, and there were as many as expected.
    pub fn check_requests(&self, server: &Server, at: &str, requests: Option<usize>) {
        if let Some(requests) = requests.filter(|requests| *requests != server.count()) {
            self.report(at, format!("{} requests, not {requests}", server.count()));
        }
        for request in server.requests() {
            let once = request.head.matches(&self.secrets.caller).count() == 1;
            let right = once && request.header("x-plex-token") == Some(&self.secrets.caller);
            self.check(right, at, "the token is not where it belongs");
        }
    }

    pub fn check(&self, right: bool, at: &str, problem: &str) {
        if !right {
            self.report(at, problem.to_owned());
        }
    }

    fn report(&self, at: &str, problem: String) {
        let scheme = if self.https { "https" } else { "http" };
        let text = format!("{at} ({:?}, {scheme}): {problem}", self.method);
        self.run.wrong.lock().unwrap().entry(self.test).or_default().push(text);
    }

    fn search(&self, what: &str, text: &str) {
        if self.run.search.finds_in(text) {
            self.run.leaks.lock().unwrap().insert(format!("{what} in {}", self.test));
        }
    }
}

fn localhost() -> Arc<ServerConfig> {
    static CONFIG: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| AUTHORITY.server("127.0.0.1"));
    CONFIG.clone()
}

type Play = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The cases of the faults, collected.
pub struct Cases {
    run: Arc<Run>,
    secrets: Arc<Secrets>,
    test: &'static str,
    plays: Vec<(&'static str, Play)>,
}

/// The schemes that a fault is tried with: is it `https`?
pub const HTTP: &[bool] = &[false];
pub const HTTPS: &[bool] = &[true];
pub const BOTH: &[bool] = &[false, true];

impl Cases {
    /// A case for each method and scheme.
    pub fn each<F>(&mut self, schemes: &[bool], play: impl Fn(Case) -> F + Clone + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        for &https in schemes {
            for method in [Method::TransientToken, Method::LookUp, Method::Refresh] {
                let play = play.clone();
                let (secrets, run) = (self.secrets.clone(), self.run.clone());
                let case = Case { method, https, secrets, test: self.test, run };
                self.plays.push((self.test, Box::new(move || Box::pin(play(case)))));
            }
        }
    }

    /// The usual case: a server that answers each request, by its number, as `script` says, a
    /// client, one call.
    pub fn answer<S: Into<Steps>>(
        &mut self,
        at: &'static str,
        schemes: &[bool],
        settings: Settings,
        expected: Expected,
        script: impl Fn(&Case, usize) -> S + Clone + Send + Sync + 'static,
    ) {
        self.each(schemes, move |case| {
            let script = script.clone();
            async move {
                let scripted = case.clone();
                let server = case.server(move |request| script(&scripted, request.number));
                let client = case.client(&server, settings);
                case.expect(&client, at, expected).await;
                case.check_requests(&server, at, expected.requests);
            }
        });
    }

    /// These bytes in the place of a response, and a close.
    pub fn bytes(&mut self, at: &'static str, expected: Expected, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.answer(at, BOTH, retries, expected, move |_, _| {
            vec![Step::Send(bytes.clone()), Step::Close]
        });
    }
}

/// The result of a run.
pub struct Outcome {
    pub calls: usize,
    /// By test: what was wrong.
    pub wrong: BTreeMap<&'static str, Vec<String>>,
    /// Where a token was found.
    pub leaks: BTreeSet<String>,
    pub log_records: usize,
}

/// Runs every case of the faults that `which` picks, many at once, each in a runtime of its own, so
/// that the tasks left in it can be counted. Records the log of the process: once a process.
pub fn run(which: impl Fn(&Fault) -> bool) -> Outcome {
    let secrets = Secrets::random();
    let (leaks, calls, wrong) = Default::default();
    let run = Arc::new(Run { search: secrets.search(), leaks, calls, wrong });
    let mut cases =
        Cases { run: run.clone(), secrets: Arc::new(secrets), test: "", plays: Vec::new() };
    for fault in table().iter().filter(|fault| which(fault)) {
        cases.test = fault.test;
        (fault.cases)(&mut cases);
    }
    let records = record_log(&run);
    search_panics(&run);
    let plays = Mutex::new(cases.plays.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = plays.lock().unwrap().next();
                    let Some((test, play)) = next else { break };
                    let play = std::panic::AssertUnwindSafe(|| play_alone(play));
                    let problem = match std::panic::catch_unwind(play) {
                        Ok(0) => continue,
                        Ok(tasks) => format!("{tasks} tasks outlive the client"),
                        Err(_) => "a panic".to_owned(),
                    };
                    run.wrong.lock().unwrap().entry(test).or_default().push(problem);
                }
            });
        }
    });
    Outcome {
        calls: run.calls.load(SeqCst),
        wrong: std::mem::take(&mut *run.wrong.lock().unwrap()),
        leaks: std::mem::take(&mut *run.leaks.lock().unwrap()),
        log_records: records.load(SeqCst),
    }
}

fn record_log(run: &Arc<Run>) -> Arc<AtomicUsize> {
    let (run, records) = (run.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = records.clone();
    let subscriber = subscriber(move |line| {
        counted.fetch_add(1, SeqCst);
        if run.search.finds_in(line) {
            let target = line.split(' ').next().unwrap_or_default();
            run.leaks.lock().unwrap().insert(format!("the log of {target}"));
        }
    });
    tracing::subscriber::set_global_default(subscriber).unwrap();
    records
}

fn search_panics(run: &Arc<Run>) {
    let (run, print) = (run.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if run.search.finds_in(&panic.to_string()) {
            run.leaks.lock().unwrap().insert("a panic's message".to_owned());
        } else {
            print(panic);
        }
    }));
}

/// Returns how many tasks are left: they end soon after the client, or never.
fn play_alone(play: Play) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        play().await;
        tasks_left().await
    })
}

/// Waits until no task is alive in this runtime, and gives up after a while.
pub async fn tasks_left() -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    let started = Instant::now();
    while metrics.num_alive_tasks() > 0 && started.elapsed() < MARGIN {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    metrics.num_alive_tasks()
}
