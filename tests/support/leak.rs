//! A search for tokens in whatever a program shows, above all in its log.

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, LazyLock, Mutex};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plex_auth::Error;
use plex_auth::reqwest::Url;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

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

/// A token of any characters that it may have, but those that are escaped in quotes.
pub fn random_token() -> String {
    let letters = std::iter::repeat_with(|| {
        char::from(b'!' + (RandomState::new().build_hasher().finish() % 94) as u8)
    });
    // Without those that a mistake in pasting would explain, or that escaping changes.
    letters.filter(|letter| !"\"\\'`&?%:<>".contains(*letter)).take(40).collect()
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
pub fn subscriber(sink: impl Fn(&str) + Send + Sync + 'static) -> impl Subscriber {
    // Once a process; another test may have done it.
    let _ = tracing_log::LogTracer::init();
    // While there is just one, what other threads log first is switched off for all of them.
    static SECOND: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);
    tracing_subscriber::registry().with(Recorder { sink: Box::new(sink) })
}

/// The same, into a string.
pub fn recorder() -> (impl Subscriber, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let copy = text.clone();
    let subscriber = subscriber(move |line| {
        let mut text = copy.lock().unwrap();
        text.push_str(line);
        text.push('\n');
    });
    (subscriber, text)
}

struct Recorder {
    sink: Box<dyn Fn(&str) + Send + Sync>,
}

impl Recorder {
    fn record(&self, name: &str, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(name.to_owned());
        fields(&mut line);
        (self.sink)(&line.0);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, span: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        self.record(span.metadata().name(), |line| span.record(line));
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        self.record("", |line| values.record(line));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.record(event.metadata().target(), |line| event.record(line));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Unescaped, too: not every subscriber escapes.
        write!(self.0, " {field}={value} {value:?}").unwrap();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
