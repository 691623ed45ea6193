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
use clap::{Parser, Subcommand};

use crate::facts::Facts;

const FRAGMENT: &str = "openapi/plex-auth.json";
const UPSTREAM: &str = "openapi/upstream.txt";

/// Maintainers' commands of plex-auth. Exit codes: 0 nothing found, 1 something found, 2 the command
/// could not do its work.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
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
    },
    /// Compare all generated files with what `accept` would write
    Check,
}

fn main() -> ExitCode {
    let (reason, code) = match run(Arguments::parse().command) {
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
    let fragment = document::open(&root.join(FRAGMENT)).context(FRAGMENT)?;
    let read = |file: &Path| -> anyhow::Result<Facts> {
        let facts = document::open(file).and_then(|document| facts::read(&document, &fragment));
        facts.with_context(|| file.display().to_string())
    };
    let facts = facts::read(&fragment, &fragment).context(FRAGMENT)?;
    let upstream = fs::read_to_string(root.join(UPSTREAM)).context(UPSTREAM)?;
    let upstream = facts::parse(&upstream);
    match command {
        Command::Drift { file } => {
            let diff = facts::diff((UPSTREAM, &upstream), ("the file", &read(&file)?));
            print!("{diff}");
            let found =
                format!("{} differs from {UPSTREAM}: see openapi/README.md", file.display());
            Ok((!diff.is_empty()).then_some(found))
        }
        Command::Accept { file: None } => accept(root, &facts, &upstream),
        Command::Accept { file: Some(file) } => {
            let new = read(&file)?;
            // An operation that upstream never had is not lost.
            let is_lost =
                |title: &&String| upstream.contains_key(*title) && !new.contains_key(*title);
            let lost: Vec<_> = facts.keys().filter(is_lost).collect();
            ensure!(
                lost.is_empty(),
                "nothing is written: the file does not have {lost:?}. Change {FRAGMENT} first."
            );
            accept(root, &facts, &new)
        }
        Command::Check => check(root, &facts, &upstream),
    }
}

fn accept(root: &Path, fragment: &Facts, upstream: &Facts) -> anyhow::Result<Option<String>> {
    for (name, text) in generated::files(root, fragment, upstream)? {
        fs::write(root.join(name), text).context(name)?;
        println!("{name}: written");
    }
    Ok(None)
}

fn check(root: &Path, fragment: &Facts, upstream: &Facts) -> anyhow::Result<Option<String>> {
    let mut outdated = generated::files(root, fragment, upstream)?;
    outdated.retain(|name, text| fs::read_to_string(root.join(name)).ok().as_ref() != Some(text));
    let names: Vec<_> = outdated.keys().copied().collect();
    let found = format!("out of date: {}. Run `cargo xtask accept`.", names.join(", "));
    Ok((!names.is_empty()).then_some(found))
}
