//! Chores of plex-auth: `cargo xtask` prints them.
#![allow(clippy::print_stdout, reason = "what a chore finds goes to stdout")]

#[path = "../../build.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod build;
mod build_cost;
mod ci;
mod codegen;
mod compare;
mod document;
mod extract;
mod fragment;
mod schema;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::{CommandFactory, Parser, Subcommand};

use crate::compare::compare;
use crate::extract::Extract;

const FRAGMENT: &str = "openapi/plex-auth.json";
const UPSTREAM: &str = "openapi/upstream.json";

/// Chores of plex-auth. Each ends 0 when all is well, 1 when it found something, and 2 when it
/// could not do its work.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Tell what an upstream description of the API says otherwise than openapi/upstream.json
    Drift {
        /// The description: OpenAPI 3.x, YAML or JSON
        file: PathBuf,
        /// Write openapi/upstream.json anew from it
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
    /// Measure what a user's cold release build costs, against reqwest by hand
    BuildCost,
    /// Run every check that a change has to pass, up to the first that fails
    Ci,
}

/// What a chore found.
type Outcome = Result<Found, String>;

enum Found {
    Nothing,
    /// What, and what to do about it.
    Something(String),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        None => {
            Arguments::command().print_help().map(|()| Found::Nothing).map_err(|e| e.to_string())
        }
        Some(command) => root().and_then(|root| run(command, &root)),
    };
    let (reason, code) = match outcome {
        Ok(Found::Nothing) => return ExitCode::SUCCESS,
        Ok(Found::Something(reason)) => (reason, 1),
        Err(reason) => (reason, 2),
    };
    eprintln!("{reason}");
    ExitCode::from(code)
}

fn run(command: Command, root: &Path) -> Outcome {
    match command {
        Command::Drift { file, accept } => drift(root, &file, accept),
        Command::Fragment { file } => fragment::check(root, file.as_deref()),
        Command::Codegen { check: false } => codegen::write(root),
        Command::Codegen { check: true } => codegen::check(root),
        Command::BuildCost => build_cost::run(root),
        Command::Ci => ci::run(root),
    }
}

/// The folder that holds the fragment: this one, or one above.
fn root() -> Result<PathBuf, String> {
    let here = env::current_dir().map_err(|error| error.to_string())?;
    let root = here.ancestors().find(|folder| folder.join(FRAGMENT).is_file());
    root.map(Path::to_owned).ok_or_else(|| format!("no {FRAGMENT} here or above"))
}

fn drift(root: &Path, file: &Path, accept: bool) -> Outcome {
    let new = Extract::open(file)?;
    let upstream = root.join(UPSTREAM);
    if accept {
        let text = format!("{:#}\n", new.to_json());
        fs::write(&upstream, text).map_err(|error| format!("{UPSTREAM}: {error}"))?;
        println!("{UPSTREAM} is written: read its diff, then run `cargo xtask fragment`");
        return Ok(Found::Nothing);
    }
    let old = Extract::open(&upstream)?;
    let client = Extract::open(&root.join(FRAGMENT))?;
    let changes = compare(&old, &new, &client);
    for change in &changes {
        println!("{change}");
    }
    let breaking = changes.iter().filter(|change| change.breaking).count();
    println!("{breaking} breaking, {} compatible", changes.len() - breaking);
    if changes.is_empty() {
        return Ok(Found::Nothing);
    }
    Ok(Found::Something(format!(
        "{} says something else than {UPSTREAM}; openapi/README.md tells what to do",
        file.display()
    )))
}
