//! How a fault is tried: a hostile server, a client, a call, and what must hold for every call.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use plex_auth::{Client, ClientBuilder, Error, ErrorKind};
use support::leak::{Search, random_token, shown};
use support::tls::AUTHORITY;
use support::{Call, Request, Script, Server, Steps, json, respond};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::ServerConfig;

/// A fault, and what a caller gets.
pub(crate) struct Row {
    /// The test's, of at most ten words.
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) result: &'static str,
    pub(crate) run: fn(&Case),
}

/// The call and the scheme that a fault is tried with, in a runtime of its own, so that the tasks
/// that are left in it can be counted.
pub(crate) struct Case {
    pub(crate) call: Call,
    pub(crate) https: bool,
    pub(crate) runtime: Runtime,
}

/// The caller's token.
pub(crate) static CALLER: LazyLock<String> = LazyLock::new(random_token);
/// The token that servers return.
pub(crate) static RETURNED: LazyLock<String> = LazyLock::new(random_token);
pub(crate) static SEARCH: LazyLock<Search> = LazyLock::new(|| Search::new(&[&CALLER, &RETURNED]));

/// No call may take longer, on a busy machine either. A client's own time-out is twice as long.
const LIMIT: Duration = Duration::from_secs(10);

/// The time-out where one is expected.
pub(crate) const SHORT: Duration = Duration::from_millis(700);

/// What a call results in.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) says: &'static str,
    pub(crate) attempts: u32,
}

pub(crate) const OK: Expected = Expected { kind: None, says: "", attempts: 1 };

pub(crate) const fn fails(kind: ErrorKind, says: &'static str) -> Expected {
    Expected { kind: Some(kind), says, attempts: 1 }
}

/// Fails after a retry.
pub(crate) const fn retried(says: &'static str) -> Expected {
    Expected { kind: Some(ErrorKind::Connect), says, attempts: 2 }
}

pub(crate) const TIMES_OUT: Expected = fails(ErrorKind::Timeout, "700ms (`timeout`)");

impl Case {
    pub(crate) fn body(&self) -> String {
        self.call.good(&RETURNED).to_string()
    }

    pub(crate) fn good(&self) -> Vec<u8> {
        json(self.body())
    }

    pub(crate) fn server<S: Into<Steps>>(
        &self,
        script: impl Fn(&Request) -> S + Send + Sync + 'static,
    ) -> Server {
        self.start(Script::answers(script))
    }

    pub(crate) fn start(&self, script: Script) -> Server {
        static CONFIG: LazyLock<Arc<ServerConfig>> =
            LazyLock::new(|| AUTHORITY.server("127.0.0.1"));
        Server::new(script, self.https.then(|| CONFIG.clone()))
    }

    /// A client with one retry.
    pub(crate) fn client(
        &self,
        url: &str,
        settings: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Client {
        let builder = support::builder(url).token(&*CALLER).timeout(LIMIT * 2).max_retries(1);
        settings(builder).build().unwrap()
    }

    /// Calls once, and checks what has to hold for every result.
    pub(crate) fn call(&self, client: &Client, at: &str) -> Result<String, Error> {
        let started = Instant::now();
        let call = async { tokio::time::timeout(LIMIT, self.call.make(client)).await };
        let result = self.runtime.block_on(call);
        // A thread that stands still does not see the time-out.
        let elapsed = started.elapsed();
        let result = result.ok().filter(|_| elapsed < LIMIT);
        let result = result.unwrap_or_else(|| panic!("{at}: it took {elapsed:?}"));
        if let Err(error) = &result {
            assert!(!SEARCH.finds_in(&shown(error)), "{at}: a token shows in an error");
            let origin = client.address().origin().ascii_serialization();
            assert!(error.origin() == Some(&*origin), "{at}: another origin: {error}");
            assert!(error.to_string().contains(&origin), "{at}: it does not say where: {error}");
            assert!(!error.to_string().contains(char::is_control), "{at}: {error:?}");
        }
        result
    }

    pub(crate) fn expect(&self, client: &Client, at: &str, expected: Expected) -> Option<Error> {
        match self.call(client, at) {
            Ok(token) => {
                assert!(expected.kind.is_none(), "{at}: no error, but a value");
                assert!(token == *RETURNED, "{at}: another token was returned");
                None
            }
            Err(error) => {
                assert_eq!(Some(error.kind()), expected.kind, "{at}: {error}");
                assert!(error.to_string().contains(expected.says), "{at}: {error}");
                assert_eq!(error.attempts(), expected.attempts, "{at}: {error}");
                Some(error)
            }
        }
    }

    /// The usual way: a server that answers as `steps` says, a client, one call.
    pub(crate) fn answer(&self, at: &str, expected: Expected, steps: impl Into<Steps>) {
        self.answer_with(|builder| builder, at, expected, steps);
    }

    pub(crate) fn answer_with(
        &self,
        settings: impl Fn(ClientBuilder) -> ClientBuilder,
        at: &str,
        expected: Expected,
        steps: impl Into<Steps>,
    ) {
        let steps = steps.into();
        let server = self.server(move |_| steps.clone());
        self.expect(&self.client(&server.url(), settings), at, expected);
        // A busy server may have read nothing before a time-out.
        let is_late = expected.kind == Some(ErrorKind::Timeout) && server.count() == 0;
        assert!(is_late || server.count() == expected.attempts as usize, "{at}: requests");
        check_requests(&server, at);
    }
}

/// How the end of a body may be marked.
pub(crate) const FRAMINGS: [&str; 3] = ["Content-Length", "chunked", "until the close"];

/// The first `part` bytes of a body, in a framing that promises all of it.
pub(crate) fn framed(framing: &str, status: u16, body: &[u8], part: usize) -> Vec<u8> {
    match framing {
        "Content-Length" => {
            let mut whole = respond(status, &[], body);
            whole.truncate(whole.len() - (body.len() - part));
            whole
        }
        "chunked" => {
            let head = respond(status, &[("Transfer-Encoding", "chunked")], "");
            let size = format!("{:x}\r\n", body.len());
            let end: &[u8] = if part == body.len() { b"\r\n0\r\n\r\n" } else { b"" };
            [&head, size.as_bytes(), &body[..part], end].concat()
        }
        _ => [b"HTTP/1.1 200 OK\r\n\r\n", &body[..part]].concat(),
    }
}

/// Each request has the caller's token where it belongs, and nowhere else.
pub(crate) fn check_requests(server: &Server, at: &str) {
    for request in server.requests() {
        let is_once = request.head.matches(&*CALLER).count() == 1;
        let is_right = is_once && request.header("x-plex-token") == Some(&*CALLER);
        assert!(is_right, "{at}: the token is not where it belongs");
    }
}
