//! The files that `accept` writes and `check` compares, apart from upstream's facts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::{fs, panic};

use anyhow::{Context as _, Error, ensure};

use crate::build::codegen;
use crate::facts::Facts;
use crate::{FRAGMENT, UPSTREAM};

const DEPARTURES: &str = "openapi/departures.diff";
const CLIENT: &str = "openapi/generated/client.rs";
const MOCKS: &str = "openapi/generated/mocks.rs";
const PUBLIC_API: &str = "tests/snapshots/public_api.txt";

const HEADER: &str = "\
// Generated from `openapi/plex-auth.json` by `cargo xtask accept`. This is compiled when the feature
// `codegen` is off.

";

/// The files that can be made here, by name. Prints which one cannot.
pub(crate) fn files(
    root: &Path,
    fragment: &Facts,
    upstream: &Facts,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let source = fs::read_to_string(root.join(FRAGMENT)).context(FRAGMENT)?;
    // The generator panics at what it does not support, and prints why.
    let code = panic::catch_unwind(|| codegen::generate(&source))
        .unwrap_or_else(|_| Err("the generator does not support it".to_owned()));
    let code = code.map_err(Error::msg).context(FRAGMENT)?;
    let mut files = BTreeMap::from([
        (DEPARTURES, upstream.diff(UPSTREAM, fragment, FRAGMENT)),
        (CLIENT, format_code(&code.client)?),
        (MOCKS, format_code(&code.mocks)?),
    ]);
    match public_api(root)? {
        Ok(api) => _ = files.insert(PUBLIC_API, api),
        Err(reason) => println!("{PUBLIC_API}: skipped, {reason}"),
    }
    Ok(files)
}

fn format_code(code: &str) -> anyhow::Result<String> {
    let code = syn::parse_file(code).context("the generated code")?;
    Ok(format!("{HEADER}{}", prettyplease::unparse(&code)))
}

/// The public API, or why it cannot be listed here.
fn public_api(root: &Path) -> anyhow::Result<Result<String, &'static str>> {
    let nightly = |arguments: &[&str]| {
        Command::new("cargo").arg("+nightly").args(arguments).current_dir(root).output()
    };
    let works = |arguments| nightly(arguments).is_ok_and(|output| output.status.success());
    if !works(&["--version"]) {
        return Ok(Err("there is no nightly toolchain"));
    }
    if !works(&["public-api", "--version"]) {
        return Ok(Err("cargo-public-api is not installed"));
    }
    let Output { status, stdout, stderr } =
        nightly(&["public-api", "--package", "plex-auth", "--all-features", "-sss"])?;
    ensure!(status.success(), "cargo public-api: {}", String::from_utf8_lossy(&stderr));
    Ok(Ok(String::from_utf8(stdout)?))
}
