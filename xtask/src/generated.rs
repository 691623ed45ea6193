//! The files that `accept` writes and `check` compares.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, panic};

use anyhow::{Context as _, Error, ensure};

use crate::build::codegen;
use crate::facts::{self, Facts};
use crate::{FRAGMENT, UPSTREAM};

const DEPARTURES: &str = "openapi/departures.diff";
const CLIENT: &str = "openapi/generated/client.rs";
const MOCKS: &str = "openapi/generated/mocks.rs";
const PUBLIC_API: &str = "tests/snapshots/public_api.txt";

const HEADER: &str = "\
// Generated from `openapi/plex-auth.json` by `cargo xtask accept`. This is compiled when the feature
// `codegen` is off.

";

/// The files that can be made here, with their names. Prints which one cannot.
pub(crate) fn files(
    root: &Path,
    fragment: &Facts,
    upstream: &Facts,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let source = fs::read_to_string(root.join(FRAGMENT))?;
    // The generator panics at what it does not support, and prints why.
    let code = panic::catch_unwind(|| codegen::generate(&source))
        .unwrap_or_else(|_| Err("the generator does not support it".to_owned()));
    let code = code.map_err(Error::msg).context(FRAGMENT)?;
    let mut files = BTreeMap::from([
        (UPSTREAM, facts::write(upstream)),
        (DEPARTURES, facts::diff((UPSTREAM, upstream), (FRAGMENT, fragment))),
        (CLIENT, format_code(&code.client)?),
        (MOCKS, format_code(&code.mocks)?),
    ]);
    match public_api(root)? {
        Some(api) => _ = files.insert(PUBLIC_API, api),
        None => println!("{PUBLIC_API}: skipped, no nightly toolchain with cargo-public-api"),
    }
    Ok(files)
}

fn format_code(code: &str) -> anyhow::Result<String> {
    let code = syn::parse_file(code).context("the generated code")?;
    Ok(format!("{HEADER}{}", prettyplease::unparse(&code)))
}

/// The public API, if it can be listed here.
fn public_api(root: &Path) -> anyhow::Result<Option<String>> {
    let nightly = |arguments: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "public-api"]).args(arguments).current_dir(root).output()
    };
    if !nightly(&["--version"]).is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let output = nightly(&["--package", "plex-auth", "--all-features", "-sss"])?;
    ensure!(
        output.status.success(),
        "cargo public-api: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Some(String::from_utf8(output.stdout)?))
}
