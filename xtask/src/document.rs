//! An OpenAPI description in YAML or JSON.

use std::fs;
use std::path::Path;

use anyhow::{anyhow, ensure};
use serde_json::Value;

/// Plex's own description has 670 KB and 35,000 nodes. The parser also limits the depth.
const MAX_BYTES: u64 = 4_000_000;
const MAX_NODES: usize = 60_000;

pub(crate) fn open(path: &Path) -> anyhow::Result<Value> {
    let file = fs::metadata(path)?;
    ensure!(file.is_file(), "it is not a file");
    ensure!(file.len() <= MAX_BYTES, "it has more than {MAX_BYTES} bytes");
    let text = fs::read_to_string(path)?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let mut reason = printable(&error.to_string());
        reason.truncate(200);
        anyhow!("neither YAML nor JSON: {reason}")
    })
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
