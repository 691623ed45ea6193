//! A search for tokens in whatever a program shows, above all in its log.

use std::collections::HashSet;
use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use plex_auth::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// How many characters of a token in a row are a leak.
const PIECE: usize = 8;

/// Every piece of some tokens, in every encoding in which a program might show them.
pub struct Search {
    pieces: HashSet<u64>,
    /// Quickly rules out most windows of a text.
    sieve: Vec<bool>,
    /// Longer encodings: lists of numbers, hexadecimal digits.
    lists: Vec<String>,
}

impl Search {
    pub fn new(tokens: &[&str]) -> Self {
        let mut search =
            Self { pieces: HashSet::new(), sieve: vec![false; 1 << 16], lists: Vec::new() };
        for token in tokens {
            for encoded in encodings(token) {
                for piece in encoded.as_bytes().windows(PIECE) {
                    let piece = u64::from_be_bytes(piece.try_into().unwrap());
                    search.sieve[sieve_index(piece)] = true;
                    search.pieces.insert(piece);
                }
            }
            for piece in token.as_bytes().windows(PIECE) {
                search.lists.push(format!("{piece:?}").trim_matches(['[', ']']).to_owned());
                search.lists.push(piece.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
        search
    }

    pub fn finds_in(&self, text: &str) -> bool {
        // In lower case, too: a URL's host is shown so.
        let (mut window, mut lower) = (0, 0);
        // How many characters in a row could belong to a list.
        let (mut run, mut longest) = (0, 0);
        for byte in text.bytes() {
            window = window << 8 | u64::from(byte);
            lower = lower << 8 | u64::from(byte.to_ascii_lowercase());
            if self.is_piece(window) || (lower != window && self.is_piece(lower)) {
                return true;
            }
            run = if byte.is_ascii_hexdigit() || b", ".contains(&byte) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest >= 2 * PIECE && self.lists.iter().any(|list| text.contains(list))
    }

    fn is_piece(&self, window: u64) -> bool {
        self.sieve[sieve_index(window)] && self.pieces.contains(&window)
    }
}

fn sieve_index(window: u64) -> usize {
    (window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

fn encodings(token: &str) -> Vec<String> {
    let percent = |keep: fn(u8) -> bool| {
        token.bytes().fold(String::new(), |mut text, byte| {
            match keep(byte) {
                true => text.push(char::from(byte)),
                false => write!(text, "%{byte:02X}").unwrap(),
            }
            text
        })
    };
    let mut encodings = vec![
        token.to_owned(),
        token.to_ascii_lowercase(),
        percent(|byte| byte.is_ascii_alphanumeric()),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        percent(|byte| !b" \"#<>?`{}%&+".contains(&byte)),
        percent(|byte| byte.is_ascii_alphanumeric()).to_lowercase(),
        serde_json::to_string(token).unwrap().trim_matches('"').to_owned(),
        format!("{token:?}").trim_matches('"').to_owned(),
        format!("{:?}", format!("{token:?}")).trim_matches('"').to_owned(),
        token.as_bytes().escape_ascii().to_string(),
        token.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
    ];
    // By where in a group of three bytes the token begins; what others share is left out.
    for before in 0..3 {
        let bytes = [&b"\0\0"[..before], token.as_bytes()].concat();
        let whole = bytes.len() / 3 * 3;
        for base64 in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = base64.encode(&bytes[..whole]);
            encodings.push(text[if before == 0 { 0 } else { before + 1 }..].to_owned());
        }
    }
    encodings
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
