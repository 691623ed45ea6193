//! The files that `accept` writes and `check` compares.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, panic};

use anyhow::{Context as _, Error, ensure};

use crate::build::codegen;
use crate::document::printable;
use crate::facts::{self, COMMENT, Facts};
use crate::{FRAGMENT, UPSTREAM};

pub(crate) const DEPARTURES: &str = "openapi/departures.diff";
const CLIENT: &str = "openapi/generated/client.rs";
const MOCKS: &str = "openapi/generated/mocks.rs";
pub(crate) const PUBLIC_API: &str = "tests/snapshots/public_api.txt";

const HEADER: &str = "\
// Generated from `openapi/plex-auth.json` by `cargo xtask accept`. This is compiled when the feature
// `codegen` is off.

";

/// Names and texts.
pub(crate) type Files = BTreeMap<&'static str, String>;

/// All but the public API.
pub(crate) fn files(root: &Path, fragment: &Facts, upstream: &Facts) -> anyhow::Result<Files> {
    let source = fs::read_to_string(root.join(FRAGMENT))?;
    // The generator panics at what it does not support, and prints why.
    let code = panic::catch_unwind(|| codegen::generate(&source))
        .unwrap_or_else(|_| Err("the generator does not support it".to_owned()));
    let code = code.map_err(Error::msg).context(FRAGMENT)?;
    Ok(BTreeMap::from([
        (UPSTREAM, facts::write(upstream)),
        (DEPARTURES, facts::diff((UPSTREAM, upstream), (FRAGMENT, fragment))),
        (CLIENT, format_code(&code.client)?),
        (MOCKS, format_code(&code.mocks)?),
    ]))
}

fn format_code(code: &str) -> anyhow::Result<String> {
    let code = syn::parse_file(code).context("the generated code")?;
    Ok(format!("{HEADER}{}", prettyplease::unparse(&code)))
}

/// The commit that a file is from, and its date: as the caller says, or as git knows it. It is the
/// first line of upstream's facts, as a comment.
pub(crate) fn origin(file: &Path, from: Option<String>) -> String {
    let by_git = || {
        let file = file.canonicalize().ok()?;
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%H, %cs", "--"]).arg(&file).current_dir(file.parent()?);
        let commit = String::from_utf8(git.output().ok()?.stdout).ok()?;
        Some(commit).filter(|commit| !commit.is_empty())
    };
    let today = time::UtcDateTime::now().date();
    let from = from.map(|commit| format!("{commit}, {today}")).or_else(by_git);
    let from = from.unwrap_or_else(|| format!("unknown, {today}"));
    format!("{COMMENT} From commit {}", printable(from.trim()))
}

/// The public API. `None`, which is printed, if the tool for it is not installed.
pub(crate) fn public_api(root: &Path) -> anyhow::Result<Option<String>> {
    let nightly = |arguments: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "public-api"]).args(arguments).current_dir(root).output()
    };
    if !nightly(&["--version"]).is_ok_and(|output| output.status.success()) {
        println!(
            "{PUBLIC_API}: skipped. Install `rustup toolchain install nightly` and `cargo install \
             --locked cargo-public-api`, in the version of .ci/run."
        );
        return Ok(None);
    }
    let output = nightly(&["--package", "plex-auth", "--all-features", "-sss"])?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{PUBLIC_API}: cargo public-api failed: {reason}");
    Ok(Some(String::from_utf8(output.stdout)?))
}
