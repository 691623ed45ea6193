//! An OpenAPI description in YAML or JSON, and its references.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{anyhow, ensure};
use serde_json::Value;

/// Plex's own description has 670 KB and 35,000 nodes. The parser also limits the depth.
const MAX_BYTES: u64 = 4_000_000;
const MAX_NODES: usize = 60_000;

/// How many references may lead from one to the next.
pub(crate) const MAX_CHAIN: usize = 20;

pub(crate) fn open(path: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_BYTES, "it has more than {MAX_BYTES} bytes");
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| anyhow!("neither YAML nor JSON: {}", printable(&error.to_string())))
}

/// What a reference refers to, in the same file.
pub(crate) fn target<'a>(root: &'a Value, reference: &Value) -> Option<&'a Value> {
    root.pointer(reference.as_str()?.strip_prefix('#')?)
}

/// A part of a description, or the one that its references lead to.
pub(crate) fn resolve<'a>(root: &'a Value, mut value: &'a Value) -> Option<&'a Value> {
    for _ in 0..MAX_CHAIN {
        match value.get("$ref") {
            Some(reference) => value = target(root, reference)?,
            None => return Some(value),
        }
    }
    None
}

/// One line of printable ASCII, so that it cannot control a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            _ => line.extend(c.escape_unicode()),
        }
    }
    line
}
