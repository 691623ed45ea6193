//! The generated client, formatted for review.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::{panic, process};

use anyhow::{Context, Error};
use similar::TextDiff;

use crate::{FRAGMENT, Outcome, build};

const SNAPSHOT: &str = "tests/snapshots/client.rs";

const HEADER: &str = "\
// What `build.rs` makes of `openapi/plex-auth.json`, with every feature on. Not compiled: it is here
// so that a change of the fragment or of the generator shows as a diff. Made by
// `cargo xtask codegen`.

";

pub(crate) fn write(root: &Path) -> Outcome {
    let snapshot = root.join(SNAPSHOT);
    let code = generated(root)?;
    fs::create_dir_all(snapshot.parent().unwrap_or(root)).context(SNAPSHOT)?;
    fs::write(&snapshot, code).context(SNAPSHOT)?;
    Ok(None)
}

pub(crate) fn check(root: &Path) -> Outcome {
    let is = generated(root)?;
    let was = match fs::read_to_string(root.join(SNAPSHOT)) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.context(SNAPSHOT)?,
    };
    if was == is {
        return Ok(None);
    }
    let diff = TextDiff::from_lines(&was, &is);
    print!("{}", diff.unified_diff().header(SNAPSHOT, "generated"));
    Ok(Some(format!(
        "{SNAPSHOT} is not what build.rs makes of {FRAGMENT}: run `cargo xtask codegen`, and commit \
         the diff once you have read it"
    )))
}

fn generated(root: &Path) -> anyhow::Result<String> {
    let fragment = fs::read_to_string(root.join(FRAGMENT)).context(FRAGMENT)?;
    // The generator panics at what it does not support.
    panic::set_hook(Box::new(|panic| {
        eprintln!("{FRAGMENT}: {panic}");
        process::exit(2);
    }));
    let generated = build::generate(&fragment, true, true).map_err(Error::msg).context(FRAGMENT)?;
    let _ = panic::take_hook();
    let mocks = generated.mocks.unwrap_or_default();
    let code = format!("{}\npub mod mocks {{ {mocks} }}", generated.client);
    let code = syn::parse_file(&code).context("the generated code")?;
    Ok(format!("{HEADER}{}", prettyplease::unparse(&code)))
}
