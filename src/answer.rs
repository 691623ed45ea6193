//! Reading what a server says when it doesn't give what was asked for.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use crate::wire::ErrorBody;
use crate::{Token, hooks};

/// What a body is, by its first bytes: servers mislabel them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyKind {
    /// No bytes, or white space.
    Empty,
    /// JSON.
    Json,
    /// HTML: a PMS's usual error, or a proxy's page.
    Html,
    /// XML: a PMS that is starting, or that was not asked for JSON.
    Xml,
    /// Compressed, which this crate never asks for.
    Compressed,
    /// Other text.
    Text,
    /// Not text.
    Binary,
}

impl fmt::Display for BodyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing",
            Self::Json => "JSON",
            Self::Html => "HTML",
            Self::Xml => "XML",
            Self::Compressed => "compressed data, which was not asked for",
            Self::Text => "text",
            Self::Binary => "binary data",
        })
    }
}

impl BodyKind {
    pub(crate) fn of(body: &[u8]) -> Self {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
        let begins = |with: &str| {
            body.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
        };
        match body {
            [] => Self::Empty,
            [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Compressed,
            [b'<', ..] if begins("<!doctype html") || begins("<html") => Self::Html,
            [b'<', ..] => Self::Xml,
            _ if std::str::from_utf8(body).is_err() => Self::Binary,
            _ if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() => Self::Json,
            _ => Self::Text,
        }
    }
}

/// What an error's body says.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) kind: Option<BodyKind>,
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
}

impl Words {
    /// Reads as much of an error's body as can matter: it may be endless, or never come.
    pub(crate) async fn read(mut response: Response, token: &Token, deadline: Instant) -> Self {
        const MAX_BYTES: usize = 64 * 1024;
        const PATIENCE: Duration = Duration::from_secs(2);

        if hooks::is_encoded(response.headers()) {
            return Self { kind: Some(BodyKind::Compressed), ..Self::default() };
        }
        let mut body = Vec::new();
        let reading = async {
            while body.len() < MAX_BYTES
                && let Ok(Some(chunk)) = response.chunk().await
            {
                body.extend_from_slice(&chunk);
            }
        };
        // What has come until then is what there is to tell.
        let patience = deadline.saturating_duration_since(Instant::now()).min(PATIENCE);
        let _ = tokio::time::timeout(patience, reading).await;

        let kind = BodyKind::of(&body);
        let (code, message) = match kind {
            BodyKind::Json => in_json(&body).unwrap_or_default(),
            BodyKind::Xml => in_xml(&body).unwrap_or_default(),
            _ => Default::default(),
        };
        let message = message.map(|text| shown(&text, token)).filter(|text| !text.is_empty());
        // A number can be a token, too.
        let code = code.filter(|code| {
            let code = code.to_string();
            shown(&code, token) == code
        });
        Self { kind: Some(kind), code, message }
    }
}

type CodeAndMessage = (Option<i64>, Option<String>);

fn in_json(body: &[u8]) -> Option<CodeAndMessage> {
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    let entry = body.errors.into_iter().next()?;
    Some((entry.code, entry.message))
}

/// `<Response code="503" title="Maintenance" status="..." />`, seen while a server starts.
fn in_xml(body: &[u8]) -> Option<CodeAndMessage> {
    let document = roxmltree::Document::parse(std::str::from_utf8(body).ok()?).ok()?;
    let response = document.root_element();
    let words = ["title", "status"].map(|name| response.attribute(name).unwrap_or_default());
    let code = response.attribute("code").and_then(|code| code.parse().ok());
    Some((code, Some(words.join(": "))))
}

/// A server's words as a person may see them: what could be a token masked, what could steer a
/// terminal escaped, and then at most 256 characters of it.
pub(crate) fn shown(text: &str, token: &Token) -> String {
    const MAX_CHARS: usize = 256;

    let masked = masked(text.as_bytes(), token.expose_secret().as_bytes());
    let mut shown = String::new();
    let mut inside = false;
    for (at, char) in text.char_indices() {
        let hidden = masked.get(at).copied().unwrap_or_default();
        match char {
            _ if hidden && inside => {}
            _ if hidden => shown.push_str("[masked]"),
            '"' | '\'' | '\\' => shown.push(char),
            _ => shown.extend(char.escape_debug()),
        }
        inside = hidden;
    }
    if shown.chars().count() > MAX_CHARS {
        shown = shown.chars().take(MAX_CHARS - 1).chain(['…']).collect();
    }
    shown
}

/// Which bytes to hide: each piece of the caller's token of 8 bytes, in any case, and each run of
/// 16 or more characters that tokens are made of with a digit in it.
fn masked(text: &[u8], token: &[u8]) -> Vec<bool> {
    const PIECE: usize = 8;
    const RUN: usize = 16;

    let mut masked = vec![false; text.len()];
    let mut hide = |from: usize, length: usize| {
        masked.iter_mut().skip(from).take(length).for_each(|hidden| *hidden = true);
    };

    // Whatever the case: in a host, capitals have become small letters.
    let (small, token) = (text.to_ascii_lowercase(), token.to_ascii_lowercase());
    let piece = token.len().clamp(1, PIECE);
    let pieces: HashSet<&[u8]> = token.windows(piece).collect();
    for (at, window) in small.windows(piece).enumerate() {
        if pieces.contains(window) {
            hide(at, piece);
        }
    }

    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let mut at = 0;
    for run in text.chunk_by(|one, next| in_token(one) == in_token(next)) {
        if run.len() >= RUN && run.iter().all(in_token) && run.iter().any(u8::is_ascii_digit) {
            hide(at, run.len());
        }
        at = at.saturating_add(run.len());
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "Zk3-owner-token-9f8e7d";

    fn shown(text: &str) -> String {
        super::shown(text, &Token::try_from(TOKEN).unwrap())
    }

    #[test]
    fn a_body_is_known_by_its_bytes() {
        for (body, kind) in [
            ("", BodyKind::Empty),
            (" \r\n", BodyKind::Empty),
            ("{\"a\":1}", BodyKind::Json),
            ("\u{FEFF}[1]", BodyKind::Json),
            ("<HTML><head>", BodyKind::Html),
            ("<!DOCTYPE html>\n<p>", BodyKind::Html),
            ("<Response code=\"503\"/>", BodyKind::Xml),
            ("<?xml version=\"1.0\"?><MediaContainer/>", BodyKind::Xml),
            ("{\"a\":", BodyKind::Text),
            ("no idea", BodyKind::Text),
        ] {
            assert_eq!(BodyKind::of(body.as_bytes()), kind, "{body}");
        }
        assert_eq!(BodyKind::of(b"\x1F\x8B\x08"), BodyKind::Compressed);
        assert_eq!(BodyKind::of(b"\xFF\xFE"), BodyKind::Binary);
    }

    #[test]
    fn the_callers_token_is_masked_whole_and_in_pieces() {
        assert_eq!(shown(&format!("no {TOKEN}, sorry")), "no [masked], sorry");
        assert_eq!(shown("bad: owner-tok!"), "bad: [masked]!");
        assert_eq!(shown("an owner came by"), "an owner came by");
    }

    #[test]
    fn a_token_is_masked_before_the_text_is_cut() {
        let text = format!("{}{TOKEN}", "x ".repeat(124));
        let shown = shown(&text);
        assert!(shown.ends_with("[masked]"), "{shown}");
        assert_eq!(shown.chars().count(), 256);
    }

    #[test]
    fn what_could_be_another_token_is_masked() {
        assert_eq!(shown("use transient-90904684-f91a now"), "use [masked] now");
        assert_eq!(shown("an-uncommonly-long-word"), "an-uncommonly-long-word");
    }

    #[test]
    fn a_short_token_is_masked_too() {
        let token = Token::try_from("abc").unwrap();
        assert_eq!(super::shown("no abc here", &token), "no [masked] here");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(shown("\u{1b}[31mred\u{202e}\n\"ü\" \\"), "\\u{1b}[31mred\\u{202e}\\n\"ü\" \\");
    }

    #[test]
    fn words_are_cut_at_256_characters() {
        let shown = shown(&"ü ".repeat(300));
        assert_eq!(shown.chars().count(), 256);
        assert!(shown.ends_with('…'));
    }
}
