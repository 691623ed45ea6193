//! An upstream API description: `cargo xtask drift` reads it, and prints nothing but plain lines.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "modules of other programs")]

#[path = "../../openapi/resolve.rs"]
mod references;
#[path = "../../xtask/src/document.rs"]
mod document;
#[path = "../../xtask/src/facts.rs"]
mod facts;
#[path = "../../xtask/src/reader.rs"]
mod reader;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

static FRAGMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/plex-auth.json");
    document::open(Path::new(path)).unwrap()
});

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let file = std::env::temp_dir().join(format!("plex-auth-fuzz-{}", std::process::id()));
    fs::write(&file, text).unwrap();
    let Ok(document) = document::open(&file) else { return };
    let Ok(read) = facts::read(&document, &FRAGMENT) else { return };
    let diff = facts::diff(("old", &Default::default()), ("new", &read));
    assert!(diff.lines().all(|line| line.chars().all(|c| matches!(c, ' '..='~'))), "{diff:?}");
});
