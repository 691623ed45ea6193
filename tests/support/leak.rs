//! Looking for tokens in whatever a program shows, its log first of all.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// How many characters of a token in a row are a leak.
const PIECE: usize = 8;

/// Every piece of some tokens, in every dress in which a program might show them.
pub struct Search {
    pieces: HashSet<u64>,
    /// Tells quickly of most windows of a text that they are no piece.
    sieve: Vec<bool>,
}

impl Search {
    pub fn new(tokens: &[&str]) -> Self {
        let mut search = Self { pieces: HashSet::new(), sieve: vec![false; 1 << 16] };
        for token in tokens {
            for dress in dresses(token) {
                for piece in dress.windows(PIECE) {
                    let piece = number(piece);
                    search.sieve[sieve_index(piece)] = true;
                    search.pieces.insert(piece);
                }
            }
        }
        search
    }

    pub fn finds_in(&self, text: &str) -> bool {
        // In small letters, too: hosts are written so.
        let (mut window, mut small) = (0, 0);
        for byte in text.bytes() {
            window = window << 8 | u64::from(byte);
            small = small << 8 | u64::from(byte.to_ascii_lowercase());
            if self.is_piece(window) || (small != window && self.is_piece(small)) {
                return true;
            }
        }
        has_long_list(text) && (self.is_in_decimals(text) || self.is_in_hexadecimals(text))
    }

    /// As in the debug output of a `Vec<u8>`.
    fn is_in_decimals(&self, text: &str) -> bool {
        let mut lists = text.split(|char: char| !char.is_ascii_digit() && !", ".contains(char));
        lists.any(|list| {
            let bytes: Vec<u8> =
                list.split(',').filter_map(|number| number.trim().parse().ok()).collect();
            bytes.windows(PIECE).any(|piece| self.is_piece(number(piece)))
        })
    }

    fn is_in_hexadecimals(&self, text: &str) -> bool {
        let mut runs = text.split(|char: char| !char.is_ascii_hexdigit());
        runs.any(|run| {
            run.as_bytes().windows(2 * PIECE).any(|digits| {
                let bytes = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
                let bytes: Vec<u8> =
                    bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
                self.is_piece(number(&bytes))
            })
        })
    }

    fn is_piece(&self, window: u64) -> bool {
        self.sieve[sieve_index(window)] && self.pieces.contains(&window)
    }
}

fn number(piece: &[u8]) -> u64 {
    u64::from_be_bytes(piece.try_into().unwrap())
}

fn sieve_index(window: u64) -> usize {
    (window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

/// Whether there are 8 numbers in a row, or 16 digits.
fn has_long_list(text: &str) -> bool {
    let (mut commas, mut digits) = (0, 0);
    for byte in text.bytes() {
        match byte {
            b',' => commas += 1,
            b'0'..=b'9' | b'a'..=b'f' => digits += 1,
            b' ' => {}
            _ => (commas, digits) = (0, 0),
        }
        if commas >= 7 || digits >= 16 {
            return true;
        }
    }
    false
}

/// The ways in which a token may be written.
fn dresses(token: &str) -> Vec<Vec<u8>> {
    let percent = |keep: fn(u8) -> bool| {
        token.bytes().fold(String::new(), |mut text, byte| {
            if keep(byte) {
                text.push(char::from(byte));
            } else {
                write!(text, "%{byte:02X}").unwrap();
            }
            text
        })
    };
    let mut dresses = vec![
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
            dresses.push(text[if before == 0 { 0 } else { before + 1 }..].to_owned());
        }
    }
    dresses.into_iter().map(String::into_bytes).collect()
}

/// A subscriber that hands every span and event of every crate, at every level, to `sink`, as
/// text. Records of the `log` crate come along.
pub fn subscriber(sink: impl Fn(&str) + Send + Sync + 'static) -> impl tracing::Subscriber {
    // Once a process; another test may have done it.
    let _ = tracing_log::LogTracer::init();
    tracing_subscriber::registry().with(Recorder { sink: Box::new(sink) })
}

/// The same, into a string.
pub fn recorder() -> (impl tracing::Subscriber, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let into = text.clone();
    let subscriber = subscriber(move |line| {
        let mut text = into.lock().unwrap();
        text.push_str(line);
        text.push('\n');
    });
    (subscriber, text)
}

struct Recorder {
    sink: Box<dyn Fn(&str) + Send + Sync>,
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::Id,
        _: Context<'_, S>,
    ) {
        let mut line = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        (self.sink)(&line.0);
    }

    fn on_record(&self, _: &tracing::Id, values: &tracing::span::Record<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        (self.sink)(&line.0);
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        (self.sink)(&line.0);
    }
}

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        // As it is, too: not every subscriber escapes.
        write!(self.0, " {field}={value} {value:?}").unwrap();
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
