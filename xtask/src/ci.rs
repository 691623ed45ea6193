//! What a change has to pass, besides the commands of the README.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::{Found, Outcome, codegen, fragment};

type Chore = fn(&Path) -> Outcome;

/// Arguments of cargo. Each feature is seen alone, and without tests: those need crates that switch
/// on more of the dependencies than a user gets.
const STEPS: [&str; 14] = [
    "fmt --all --check",
    "clippy --package plex-auth --no-default-features -- -D warnings",
    "clippy --package plex-auth --no-default-features --features rustls -- -D warnings",
    "clippy --package plex-auth --no-default-features --features schemars -- -D warnings",
    "clippy --package plex-auth --no-default-features --features httpmock -- -D warnings",
    "clippy --package plex-auth --all-features -- -D warnings",
    "clippy --workspace --all-targets --all-features -- -D warnings",
    "clippy --package plex-auth --all-targets --no-default-features -- -D warnings",
    "test --package plex-auth --no-default-features",
    "test --workspace --all-features",
    "test --package plex-auth --all-features --test fuzz -- --ignored",
    "doc --package plex-auth --no-deps --all-features",
    "deny check licenses bans sources",
    "package --package plex-auth",
];

pub(crate) fn run(root: &Path) -> Outcome {
    let chores: [(&str, Chore); 2] = [
        ("cargo xtask fragment", |root| fragment::check(root, None)),
        ("cargo xtask codegen --check", codegen::check),
    ];
    for (command, chore) in chores {
        println!("$ {command}");
        if let Found::Something(reason) = chore(root)? {
            return Ok(Found::Something(reason));
        }
    }
    for step in STEPS {
        // A person may look before committing; what CI packages is what is committed.
        let allow_dirty = step.starts_with("package") && env::var_os("CI").is_none();
        let step = if allow_dirty { format!("{step} --allow-dirty") } else { step.to_owned() };
        println!("$ cargo {step}");
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(step.split(' '))
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(root)
            .status()
            .map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Ok(Found::Something(format!("`cargo {step}` failed")));
        }
    }
    Ok(Found::Nothing)
}
