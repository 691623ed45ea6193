//! Maintainers' commands of plex-auth: `cargo xtask` lists them.
#![allow(clippy::print_stdout, reason = "what a command finds goes to stdout")]

#[path = "../../build.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod build;
mod document;
mod facts;
mod generated;
mod reader;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

use crate::document::Document;
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

/// What a command found and what to do about it, or `None` if all is well.
type Outcome = anyhow::Result<Option<String>>;

fn main() -> ExitCode {
    let (reason, code) = match run(Arguments::parse().command) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(reason)) => (reason, 1),
        Err(error) => (format!("{error:#}"), 2),
    };
    eprintln!("{reason}");
    ExitCode::from(code)
}

fn run(command: Command) -> Outcome {
    // This folder or one above it.
    let here = env::current_dir()?;
    let mut folders = here.ancestors();
    let root = folders.find(|folder| folder.join(FRAGMENT).is_file());
    let root = root.with_context(|| format!("no {FRAGMENT} here or above"))?;
    let fragment = Document::open(&root.join(FRAGMENT))?;
    let read = |file: &Path| -> anyhow::Result<Facts> {
        let facts = Facts::of(&Document::open(file)?, &fragment);
        facts.with_context(|| file.display().to_string())
    };
    let facts = read(&root.join(FRAGMENT))?;
    let upstream = fs::read_to_string(root.join(UPSTREAM)).context(UPSTREAM);
    let upstream = upstream.map(|text| Facts::parse(&text));
    match command {
        Command::Drift { file } => drift(&facts, &upstream?, &file, &read(&file)?),
        Command::Accept { file: None } => accept(root, &facts, &upstream?),
        Command::Accept { file: Some(file) } => {
            let new = read(&file)?;
            check_for_losses(&facts, upstream.ok().as_ref(), &new)?;
            accept(root, &facts, &new)
        }
        Command::Check => check(root, &facts, &upstream?),
    }
}

fn drift(fragment: &Facts, upstream: &Facts, file: &Path, new: &Facts) -> Outcome {
    let watched: Vec<_> = fragment.operations().collect();
    let is_there = watched.iter().any(|title| new.has(title));
    ensure!(is_there, "{}: it has none of {}", file.display(), watched.join(", "));
    let diff = upstream.diff(UPSTREAM, new, "the file");
    print!("{diff}");
    let reason = format!("{} differs from {UPSTREAM}: see openapi/README.md", file.display());
    Ok((!diff.is_empty()).then_some(reason))
}

/// Refuses a description without an operation that the fragment has and that is watched today.
fn check_for_losses(fragment: &Facts, old: Option<&Facts>, new: &Facts) -> anyhow::Result<()> {
    let is_lost = |title: &&str| !new.has(title) && old.is_none_or(|old| old.has(title));
    let lost: Vec<_> = fragment.operations().filter(is_lost).collect();
    let lost = lost.join(", ");
    ensure!(
        lost.is_empty(),
        "nothing is written: the file does not have {lost}. Change {FRAGMENT} first."
    );
    Ok(())
}

fn accept(root: &Path, fragment: &Facts, upstream: &Facts) -> Outcome {
    let mut files = generated::files(root, fragment, upstream)?;
    files.insert(UPSTREAM, upstream.to_string());
    for (name, text) in files {
        let file = root.join(name);
        fs::create_dir_all(file.parent().unwrap_or(root)).context(name)?;
        fs::write(file, text).context(name)?;
        println!("{name}: written");
    }
    Ok(None)
}

fn check(root: &Path, fragment: &Facts, upstream: &Facts) -> Outcome {
    let mut outdated = Vec::new();
    for (name, text) in generated::files(root, fragment, upstream)? {
        let old = fs::read_to_string(root.join(name)).unwrap_or_default();
        if old != text {
            print!("{}", text::diff(name, &old, &text));
            outdated.push(name);
        }
    }
    let reason = format!("out of date: {}. Run `cargo xtask accept`.", outdated.join(", "));
    Ok((!outdated.is_empty()).then_some(reason))
}
