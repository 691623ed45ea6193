//! The fault matrix, to be run by a test that looks at what comes out: see [`run`].
//!
//! `table.rs` says which faults there are, and what the caller gets.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

mod bodies;
mod statuses;
mod table;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use plex_auth::{Client, ClientBuilder, Device, Error, Source, TransientToken};

use crate::support::tls::Authority;
use crate::support::{self, Server};
pub use table::table;

/// How many cases run at once: most of them wait most of the time.
const WORKERS: usize = 16;

/// How long a call may last beyond its limit: the machine may be busy.
const MARGIN: Duration = Duration::from_secs(10);

/// A row of the table.
pub struct Fault {
    pub area: &'static str,
    /// The name of the test.
    pub test: &'static str,
    pub fault: &'static str,
    pub gets: &'static str,
    cases: fn(&mut Cases),
}

/// Tokens, made anew for each run.
#[derive(Clone)]
pub struct Secrets {
    /// The caller's token: any visible ASCII.
    pub caller: String,
    /// What the server gives.
    pub returned: String,
    /// A token of someone else's that a server shows in its errors.
    pub shown: String,
}

impl Secrets {
    pub fn random() -> Self {
        let visible: Vec<u8> = (b'!'..=b'~').collect();
        let plain: Vec<u8> = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').collect();
        Self {
            caller: random(&visible, 40),
            returned: random(&visible, 40),
            // The promise is about runs with a digit.
            shown: format!("{}7{}", random(&plain, 12), random(&plain, 12)),
        }
    }

    pub fn all(&self) -> [&str; 3] {
        [&self.caller, &self.returned, &self.shown]
    }
}

fn random(alphabet: &[u8], length: usize) -> String {
    let letter = |_| {
        let number = RandomState::new().build_hasher().finish();
        char::from(alphabet[(number % alphabet.len() as u64) as usize])
    };
    (0..length).map(letter).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Mint,
    LookUp,
    Refresh,
}

pub const METHODS: [Method; 3] = [Method::Mint, Method::LookUp, Method::Refresh];

impl Method {
    /// A good body, as small as can be.
    pub fn good(self, token: &str) -> String {
        let token = serde_json::to_string(token).unwrap();
        match self {
            Self::Mint => format!(r#"{{"MediaContainer":{{"token":{token}}}}}"#),
            _ => format!(
                r#"{{"MediaContainer":{{"Device":{{"clientIdentifier":"243b47","accessToken":{token},"Connection":{{"uri":"http://10.0.2.1:32400","local":"1"}}}}}}}}"#
            ),
        }
    }
}

/// What a good call gave.
#[derive(Clone, Debug)]
pub enum Answer {
    Minted(TransientToken),
    Found(Device),
}

impl Answer {
    pub fn token(&self) -> &str {
        match self {
            Self::Minted(token) => token.token().expose_secret(),
            Self::Found(device) => device.access_token.expose_secret(),
        }
    }
}

/// What should come of a call.
#[derive(Clone, Copy)]
pub struct Expected {
    /// Names of [`Error`]'s variants, or `Ok`: one of them.
    kinds: &'static [&'static str],
    says: &'static str,
    tries: u32,
    /// How many requests the server sees, where that is certain.
    requests: Option<usize>,
    limit: Duration,
    /// Whether the token that is returned may be another than the run's.
    any_token: bool,
}

pub const fn one_of(kinds: &'static [&'static str]) -> Expected {
    let limit = Duration::from_secs(20);
    Expected { kinds, says: "", tries: 1, requests: None, limit, any_token: false }
}

impl Expected {
    pub const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// How often the crate says that it tried, and how many requests that makes.
    pub const fn tries(self, tries: u32) -> Self {
        Self { tries, requests: Some(tries as usize), ..self }
    }

    pub const fn any_token(self) -> Self {
        Self { any_token: true, ..self }
    }

    pub const fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

/// The name of an error's variant.
pub fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::Invalid { .. } => "Invalid",
        Error::HttpSetup(_) => "HttpSetup",
        Error::NoRuntime => "NoRuntime",
        Error::Connection(_) => "Connection",
        Error::Tls(_) => "Tls",
        Error::Timeout(_) => "Timeout",
        Error::Protocol(_) => "Protocol",
        Error::BadRequest(_) => "BadRequest",
        Error::Unauthorized(_) => "Unauthorized",
        Error::Forbidden(_) => "Forbidden",
        Error::NotFound(_) => "NotFound",
        Error::TooManyRequests(_) => "TooManyRequests",
        Error::Unavailable(_) => "Unavailable",
        Error::Redirect(_) => "Redirect",
        Error::UnexpectedStatus(_) => "UnexpectedStatus",
        Error::BodyTooLarge(_) => "BodyTooLarge",
        Error::BodyCutShort(_) => "BodyCutShort",
        Error::NotJson(_) => "NotJson",
        Error::UnexpectedJson(_) => "UnexpectedJson",
        Error::NoToken(_) => "NoToken",
        Error::NoMatchingDevice(_) => "NoMatchingDevice",
        _ => "another",
    }
}

/// The same authority for all cases: keys take time to make.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// One case while it runs: the method, the wire, and where to report.
#[derive(Clone)]
pub struct Case {
    pub method: Method,
    pub secure: bool,
    pub secrets: Arc<Secrets>,
    test: &'static str,
    run: Arc<Run>,
}

struct Run {
    look: Box<dyn Fn(&Seen<'_>) + Send + Sync>,
    count: AtomicUsize,
    wrong: Mutex<BTreeMap<&'static str, Vec<String>>>,
}

/// What a test gets to see of each call.
pub struct Seen<'a> {
    pub test: &'static str,
    pub client: &'a Client,
    pub builder: &'a ClientBuilder,
    pub result: &'a Result<Answer, Error>,
}

/// A client, and the builder that would make the same one, for its `Debug`.
pub struct Caller {
    pub client: Client,
    builder: ClientBuilder,
}

impl Case {
    /// A builder with this case's token, which trusts the authority.
    pub fn builder(&self, url: &str) -> ClientBuilder {
        let builder = support::builder(url).token(&*self.secrets.caller);
        let builder = builder.timeout(Duration::from_secs(20));
        if !self.secure {
            return builder;
        }
        let root = AUTHORITY.root();
        builder.configure_http(move |http| http.tls_certs_only([root]))
    }

    pub fn caller(&self, server: &Server, tweak: fn(ClientBuilder) -> ClientBuilder) -> Caller {
        self.caller_at(&server.url(), tweak)
    }

    pub fn caller_at(&self, url: &str, tweak: fn(ClientBuilder) -> ClientBuilder) -> Caller {
        let client = tweak(self.builder(url)).build().unwrap();
        Caller { client, builder: tweak(self.builder(url)) }
    }

    /// A caller who does not trust the authority.
    pub fn stranger_at(&self, url: &str) -> Caller {
        let builder = || support::builder(url).token(&*self.secrets.caller).max_retries(2);
        Caller { client: builder().build().unwrap(), builder: builder() }
    }

    pub async fn call(&self, client: &Client) -> Result<Answer, Error> {
        let source = Source::server("243b47")?;
        match self.method {
            Method::Mint => client.transient_token().await.map(Answer::Minted),
            Method::LookUp => {
                client.source_connection_information(&source).await.map(Answer::Found)
            }
            Method::Refresh => {
                client.refresh_source_connection_information(&source).await.map(Answer::Found)
            }
        }
    }

    /// Calls and looks at what came of it.
    pub async fn expect(&self, caller: &Caller, at: impl Into<String>, expected: Expected) {
        let started = Instant::now();
        let limit = expected.limit + MARGIN;
        let at = at.into();
        match tokio::time::timeout(limit, self.call(&caller.client)).await {
            Ok(result) => self.judge(caller, &at, expected, &result),
            Err(_) => self.complain(&at, format!("it hangs after {:?}", started.elapsed())),
        }
    }

    pub fn judge(
        &self,
        caller: &Caller,
        at: &str,
        expected: Expected,
        result: &Result<Answer, Error>,
    ) {
        self.run.count.fetch_add(1, SeqCst);
        let kind = result.as_ref().map_or_else(kind_of, |_| "Ok");
        if !expected.kinds.contains(&kind) {
            let text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            self.complain(at, format!("{kind} instead of {:?}: {text}", expected.kinds));
        }
        match result {
            Ok(answer) if !expected.any_token && answer.token() != self.secrets.returned => {
                self.complain(at, "another token was returned".to_owned());
            }
            Ok(_) => {}
            Err(error) => self.judge_error(caller, at, expected, error),
        }
        let Caller { client, builder } = caller;
        (self.run.look)(&Seen { test: self.test, client, builder, result });
    }

    fn judge_error(&self, caller: &Caller, at: &str, expected: Expected, error: &Error) {
        let text = error.to_string();
        if !text.contains(expected.says) {
            self.complain(at, format!("it does not say «{}»: {text}", expected.says));
        }
        let Some(failure) = error.failure() else { return };
        let origin = caller.client.address().origin().ascii_serialization();
        if failure.origin != origin || !text.contains(&origin) {
            self.complain(at, format!("it does not say where: {text}"));
        }
        if failure.tries != expected.tries {
            self.complain(at, format!("{} tries, not {}", failure.tries, expected.tries));
        }
        if failure.elapsed > expected.limit + MARGIN {
            self.complain(at, format!("it took {:?}", failure.elapsed));
        }
        if text.chars().any(char::is_control) {
            self.complain(at, "a control character in the text".to_owned());
        }
    }

    /// Each request had the caller's token where it belongs, and there were so many.
    pub fn check_requests(&self, server: &Server, at: &str, requests: Option<usize>) {
        if let Some(requests) = requests.filter(|requests| *requests != server.count()) {
            self.complain(at, format!("{} requests, not {requests}", server.count()));
        }
        for request in server.requests() {
            let alone = !request.target().contains(&self.secrets.caller)
                && request.head.matches(&self.secrets.caller).count() == 1;
            if request.header("x-plex-token") != Some(&self.secrets.caller) || !alone {
                self.complain(at, "the token is not where it belongs".to_owned());
            }
        }
    }

    pub fn check(&self, right: bool, at: &str, problem: &str) {
        if !right {
            self.complain(at, problem.to_owned());
        }
    }

    fn complain(&self, at: &str, problem: String) {
        let wire = if self.secure { "https" } else { "http" };
        let text = format!("{at} ({:?}, {wire}): {problem}", self.method);
        self.run.wrong.lock().unwrap().entry(self.test).or_default().push(text);
    }
}

type Play = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The cases of a fault.
pub struct Cases {
    run: Arc<Run>,
    secrets: Arc<Secrets>,
    test: &'static str,
    plays: Vec<(&'static str, Play)>,
}

/// Over what a fault is tried.
#[derive(Clone, Copy)]
pub enum Wires {
    Http,
    Https,
    Both,
}

impl Cases {
    /// A case for each method and wire.
    pub fn each<F>(&mut self, wires: Wires, play: impl Fn(Case) -> F + Clone + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let wires: &[bool] = match wires {
            Wires::Http => &[false],
            Wires::Https => &[true],
            Wires::Both => &[false, true],
        };
        for &secure in wires {
            for method in METHODS {
                let play = play.clone();
                let (secrets, run) = (self.secrets.clone(), self.run.clone());
                let case = Case { method, secure, secrets, test: self.test, run };
                self.plays.push((self.test, Box::new(move || Box::pin(play(case)))));
            }
        }
    }

    /// The usual case: a server that answers each request with what `script` makes, a client, one
    /// call.
    pub fn answer<S: Into<support::Steps>>(
        &mut self,
        at: &'static str,
        wires: Wires,
        tweak: fn(ClientBuilder) -> ClientBuilder,
        expected: Expected,
        script: impl Fn(&Case, usize) -> S + Clone + Send + Sync + 'static,
    ) {
        self.each(wires, move |case| {
            let script = script.clone();
            async move {
                let told = case.clone();
                let server = case.server(move |request| script(&told, request.number));
                let caller = case.caller(&server, tweak);
                case.expect(&caller, at, expected).await;
                case.check_requests(&server, at, expected.requests);
            }
        });
    }

    /// The same with a script for each connection.
    pub fn connection<S: Into<support::Steps>>(
        &mut self,
        at: &'static str,
        wires: Wires,
        tweak: fn(ClientBuilder) -> ClientBuilder,
        expected: Expected,
        script: impl Fn(&Case, usize) -> S + Clone + Send + Sync + 'static,
    ) {
        self.each(wires, move |case| {
            let script = script.clone();
            async move {
                let told = case.clone();
                let server = case.raw_server(move |number| script(&told, number));
                let caller = case.caller(&server, tweak);
                case.expect(&caller, at, expected).await;
                case.check_requests(&server, at, None);
                if let Some(requests) = expected.requests {
                    case.check(server.connections() == requests, at, "another number of tries");
                }
            }
        });
    }
}

impl Case {
    pub fn server<S: Into<support::Steps>>(
        &self,
        script: impl Fn(&support::Request) -> S + Send + Sync + 'static,
    ) -> Server {
        if self.secure { Server::start_tls(localhost(), script) } else { Server::start(script) }
    }

    pub fn raw_server<S: Into<support::Steps>>(
        &self,
        script: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> Server {
        if self.secure { Server::raw_tls(localhost(), script) } else { Server::raw(script) }
    }
}

fn localhost() -> Arc<tokio_rustls::rustls::ServerConfig> {
    static CONFIG: LazyLock<Arc<tokio_rustls::rustls::ServerConfig>> =
        LazyLock::new(|| AUTHORITY.server("127.0.0.1"));
    CONFIG.clone()
}

/// What came of a run of the matrix.
pub struct Outcome {
    pub cases: usize,
    /// By test: what was wrong.
    pub wrong: BTreeMap<&'static str, Vec<String>>,
}

/// Runs every case of the faults that `which` picks, many at once, each in a runtime of its own, so
/// that what is left in it when the client has been dropped can be counted. `look` sees each call.
pub fn run(
    secrets: Secrets,
    which: impl Fn(&Fault) -> bool,
    look: impl Fn(&Seen<'_>) + Send + Sync + 'static,
) -> Outcome {
    let run =
        Arc::new(Run { look: Box::new(look), count: AtomicUsize::new(0), wrong: Mutex::default() });
    let mut cases =
        Cases { run: run.clone(), secrets: Arc::new(secrets), test: "", plays: Vec::new() };
    for fault in table().iter().filter(|fault| which(fault)) {
        cases.test = fault.test;
        (fault.cases)(&mut cases);
    }
    let plays = Mutex::new(cases.plays.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = plays.lock().unwrap().next();
                    let Some((test, play)) = next else { break };
                    let started = Instant::now();
                    let left = catch(|| play_alone(play));
                    let problem = match left {
                        Ok(0) => None,
                        Ok(tasks) => Some(format!("{tasks} tasks outlive the client")),
                        Err(()) => Some("a panic".to_owned()),
                    };
                    if std::env::var_os("SHOW_SLOW").is_some() && started.elapsed().as_secs() > 2 {
                        eprintln!("{test}: {:?}", started.elapsed());
                    }
                    if let Some(problem) = problem {
                        run.wrong.lock().unwrap().entry(test).or_default().push(problem);
                    }
                }
            });
        }
    });
    let wrong = std::mem::take(&mut *run.wrong.lock().unwrap());
    Outcome { cases: run.count.load(SeqCst), wrong }
}

fn catch<T>(play: impl FnOnce() -> T) -> Result<T, ()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(play)).map_err(|_| ())
}

/// Tells how many tasks are left: they end soon after the client, or never.
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
