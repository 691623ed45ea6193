//! Maintainers' commands of plex-auth: `cargo xtask` lists them.
#![allow(clippy::print_stdout, reason = "what a command finds goes to stdout")]

#[path = "../../build.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod build;
mod document;
mod facts;
mod generated;
mod reader;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::build::references;
use crate::document::printable;
use crate::facts::Facts;
use crate::generated::{DEPARTURES, Files, PUBLIC_API};

const FRAGMENT: &str = "openapi/plex-auth.json";
const UPSTREAM: &str = "openapi/upstream.txt";
const README: &str = "openapi/README.md";

/// Maintainers' commands of plex-auth. Exit codes: 0 nothing found, 1 something found, 2 the command
/// could not do its work.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Print how an upstream API description differs from openapi/upstream.txt
    Drift {
        /// The description: OpenAPI 3.x, YAML or JSON
        file: PathBuf,
    },
    /// Write all generated files
    Accept {
        /// An upstream API description, to replace openapi/upstream.txt
        file: Option<PathBuf>,
        /// The commit that the file is from, if git does not know it
        #[arg(long, value_name = "COMMIT", requires = "file")]
        from: Option<String>,
    },
    /// Compare all generated files with what `accept` would write
    Check,
}

fn main() -> ExitCode {
    let (reason, code) = match run(Command::parse()) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(found)) => (found, 1),
        Err(error) => (format!("{error:#}"), 2),
    };
    eprintln!("{reason}");
    ExitCode::from(code)
}

/// What a command found and what to do about it, or `None` if all is well.
fn run(command: Command) -> anyhow::Result<Option<String>> {
    // This folder or one above it.
    let here = env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join(FRAGMENT).is_file());
    let root = root.with_context(|| format!("no {FRAGMENT} here or above"))?;
    let document = document::open(&root.join(FRAGMENT)).context(FRAGMENT)?;
    let fragment = facts::read(&document, &document).context(FRAGMENT)?;
    let upstream = facts::parse(&fs::read_to_string(root.join(UPSTREAM)).context(UPSTREAM)?);

    let name = |file: &Path| printable(&file.display().to_string());
    let read = |file: &Path| -> anyhow::Result<(Facts, Vec<&String>)> {
        let facts = document::open(file).and_then(|it| facts::read(&it, &document));
        let facts = facts.with_context(|| name(file))?;
        // An operation that upstream never had is not lost.
        let ours = fragment.keys().filter(|title| upstream.contains_key(*title));
        let lost = ours.filter(|title| !facts.contains_key(*title)).collect();
        Ok((facts, lost))
    };
    match command {
        Command::Drift { file } => {
            let (new, lost) = read(&file)?;
            let diff = facts::diff((UPSTREAM, &upstream), ("the file", &new));
            print!("{diff}");
            let mut found = format!("{} differs from {UPSTREAM}: see {README}.", name(&file));
            if !lost.is_empty() {
                found += &format!(" {lost:?} moved, or cannot be read, or is gone.");
            }
            Ok((!diff.is_empty()).then_some(found))
        }
        Command::Accept { file: None, .. } => {
            accept(root, generated::files(root, &fragment, &upstream)?)
        }
        Command::Accept { file: Some(file), from } => {
            let (mut new, lost) = read(&file)?;
            ensure!(
                lost.is_empty(),
                "nothing is written: the file does not have {lost:?}. Change {FRAGMENT} first."
            );
            new.entry(generated::origin(&file, from)).or_default();
            accept(root, generated::files(root, &fragment, &new)?)
        }
        Command::Check => check(root, generated::files(root, &fragment, &upstream)?),
    }
}

fn accept(root: &Path, files: Files) -> anyhow::Result<Option<String>> {
    let write = |(name, text)| {
        println!("{name}: written");
        fs::write(root.join(name), text).context(name)
    };
    files.into_iter().try_for_each(write)?;
    // Last, because it needs a crate that compiles.
    generated::public_api(root)?.map(|api| write((PUBLIC_API, api))).transpose()?;
    Ok(None)
}

fn check(root: &Path, mut files: Files) -> anyhow::Result<Option<String>> {
    let readme = fs::read_to_string(root.join(README));
    let explain = |readme: String| facts::unexplained(&readme, &files[DEPARTURES]);
    let mut found = readme.map_or_else(|_| Vec::new(), explain);
    let api = generated::public_api(root)?;
    let is_skipped = api.is_none();
    files.extend(api.map(|api| (PUBLIC_API, api)));
    files.retain(|name, text| fs::read_to_string(root.join(name)).ok().as_ref() != Some(text));
    if !files.is_empty() {
        let names: Vec<_> = files.into_keys().collect();
        found.push(format!("out of date: {}. Run `cargo xtask accept`.", names.join(", ")));
    }
    let must_run = env::var_os("FAIL_IF_SKIPPED").is_some_and(|value| !value.is_empty());
    ensure!(!(found.is_empty() && is_skipped && must_run), "a file was skipped");
    Ok((!found.is_empty()).then(|| found.join("\n")))
}
