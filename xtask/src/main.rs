//! Maintainers' commands of plex-auth: `cargo xtask` lists them.
#![allow(clippy::print_stdout, reason = "what a command finds goes to stdout")]

#[path = "../../build.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod build;
mod codegen;
mod compare;
mod compare_schemas;
mod document;
mod extract;
mod fragment;
mod reader;
mod schema;
mod servers;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::compare::compare;
use crate::extract::Extract;

const FRAGMENT: &str = "openapi/plex-auth.json";
const UPSTREAM: &str = "openapi/upstream.json";

/// Maintainers' commands of plex-auth. Exit codes: 0 nothing found, 1 something found, 2 the command
/// could not do its work.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the changes of an upstream API description since openapi/upstream.json
    Drift {
        /// The description: OpenAPI 3.x, YAML or JSON
        file: PathBuf,
        /// Write it to openapi/upstream.json instead
        #[arg(long)]
        accept: bool,
    },
    /// Check that openapi/departures.toml lists where the fragment departs from upstream
    Fragment {
        /// An upstream description to compare with instead of openapi/upstream.json, before it is
        /// accepted
        file: Option<PathBuf>,
    },
    /// Write the generated client, formatted, to tests/snapshots/client.rs
    Codegen {
        /// Compare instead, and print the diff
        #[arg(long)]
        check: bool,
    },
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

fn run(command: Option<Command>) -> Outcome {
    let Some(command) = command else {
        Arguments::command().print_help()?;
        return Ok(None);
    };
    // This folder or one above it.
    let here = env::current_dir()?;
    let mut folders = here.ancestors();
    let root = folders.find(|folder| folder.join(FRAGMENT).is_file());
    let root = root.with_context(|| format!("no {FRAGMENT} here or above"))?;
    match command {
        Command::Drift { file, accept: false } => drift(root, &file),
        Command::Drift { file, accept: true } => accept(root, &file),
        Command::Fragment { file } => fragment::check(root, file.as_deref()),
        Command::Codegen { check: false } => codegen::write(root),
        Command::Codegen { check: true } => codegen::check(root),
    }
}

fn drift(root: &Path, file: &Path) -> Outcome {
    let new = Extract::open(file)?;
    let old = Extract::open_whole(&root.join(UPSTREAM))?;
    let client = Extract::open_whole(&root.join(FRAGMENT))?;
    let changes = compare(&old, &new, &client);
    for change in &changes {
        println!("{}{}", change.line, change.note);
    }
    let breaking = changes.iter().filter(|change| change.breaking).count();
    println!("{breaking} breaking, {} compatible", changes.len() - breaking);
    let reason = format!("{} differs from {UPSTREAM}: see openapi/README.md", file.display());
    Ok((!changes.is_empty()).then_some(reason))
}

fn accept(root: &Path, file: &Path) -> Outcome {
    let text = format!("{:#}\n", Extract::open_whole(file)?.to_json());
    fs::write(root.join(UPSTREAM), text).context(UPSTREAM)?;
    println!("{UPSTREAM} is written: read its diff, then run `cargo xtask fragment`");
    Ok(None)
}
