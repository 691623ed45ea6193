//! A search for tokens in whatever a program shows, above all in its log.

use std::error::Error as _;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plex_auth::Error;
use plex_auth::reqwest::Url;
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::FmtSpan;

/// How many characters of a token in a row are a leak. A multiple of three, so that base64 encodes
/// some of the pieces whole, wherever the token begins.
const PIECE: usize = 9;

/// Every piece of some tokens: plain, in upper or lower case, percent-encoded, in base64 and in
/// hexadecimal.
pub struct Search(AhoCorasick);

impl Search {
    pub fn new(tokens: &[&str]) -> Self {
        let pieces = tokens.iter().flat_map(|token| token.as_bytes().windows(PIECE));
        let encodings = pieces.flat_map(|piece| {
            let plain = String::from_utf8(piece.into()).unwrap();
            let url = Url::parse_with_params("a:b", [("", &plain)]).unwrap();
            let percent = url.query().unwrap()[1..].to_owned();
            let hex = piece.iter().map(|byte| format!("{byte:02x}")).collect();
            [plain, percent, STANDARD.encode(piece), hex]
        });
        Self(AhoCorasick::builder().ascii_case_insensitive(true).build(encodings).unwrap())
    }

    pub fn finds_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// A token of all the characters that it may have.
pub fn random_token() -> String {
    let characters = std::iter::repeat_with(|| {
        char::from(b'!' + (RandomState::new().build_hasher().finish() % 94) as u8)
    });
    let is_right = |char: &char| char.is_ascii_alphanumeric() || "-._~+".contains(*char);
    characters.filter(is_right).take(40).collect()
}

/// All that an error shows: `Display`, `Debug`, the server's message, the causes.
pub fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {:?}", error.server_message());
    for candidate in error.candidates() {
        write!(text, " {candidate} {}", shown(candidate.error())).unwrap();
    }
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, " {error} {error:?}").unwrap();
        source = error.source();
    }
    text
}

/// A subscriber that passes every span and event of every crate, at every level, to `sink`, as
/// text, and records of the `log` crate with them.
pub fn subscriber(sink: impl Fn(&str) + Clone + Send + Sync + 'static) -> impl Subscriber {
    // Once a process; another test may have done it.
    let _ = tracing_log::LogTracer::init();
    // While there is just one, what other threads log first is switched off for all of them.
    static SECOND: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);
    let subscriber = tracing_subscriber::fmt().without_time().with_max_level(Level::TRACE);
    let subscriber = subscriber.with_span_events(FmtSpan::NEW);
    subscriber.with_writer(move || Sink(sink.clone())).finish()
}

/// Records what this thread logs, into a string, until the guard is dropped.
pub fn record() -> (DefaultGuard, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let copy = text.clone();
    let recorder = subscriber(move |line| copy.lock().unwrap().push_str(line));
    (tracing::subscriber::set_default(recorder), text)
}

/// Is given each span or event in one piece.
struct Sink<F>(F);

impl<F: Fn(&str)> io::Write for Sink<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.0)(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
