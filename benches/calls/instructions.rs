//! Instructions of a call in user space, counted by valgrind: the same in every run, whatever else
//! the machine does.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::clients::{Client, Result};
use crate::report::Section;
use crate::{Bench, ROLE};

type Counts = BTreeMap<String, f64>;

const CALLS: [(&str, &str); 2] =
    [("token", "getting a token"), ("device", "a source with 50 connections")];

pub fn section(bench: &Bench) -> Result<Section> {
    let valgrind = Command::new("valgrind").arg("--version").output();
    if !valgrind.is_ok_and(|output| output.status.success()) {
        return Ok(Section { table: "skipped: no valgrind\n".into(), ..<_>::default() });
    }
    let mut section = Section::default();
    for (call, title) in CALLS {
        let ours = count(bench, "plex-auth", call)?;
        if !ours.contains_key("reqwest") {
            return Err("built without line numbers: `debug` of [profile.bench]".into());
        }
        let theirs = count(bench, "baseline", call)?;
        let total = |counts: &Counts| counts.values().sum::<f64>();
        let (all, all_theirs) = (total(&ours), total(&theirs));
        let mut rows: Vec<_> = ours.keys().chain(theirs.keys()).collect();
        rows.sort();
        rows.dedup();
        let of = |counts: &Counts, owner: &str| counts.get(owner).copied().unwrap_or_default();
        rows.sort_by_key(|owner| (of(&theirs, owner) - of(&ours, owner)) as i64);
        section.table += &format!(
            "| {title}: instructions of | plex-auth | baseline | more |\n|---|---|---|---|\n\
             | all | {all:.0} | {all_theirs:.0} | {:.0} |\n",
            all - all_theirs
        );
        let mut row = |owner: &str, ours: f64, theirs: f64| {
            section.table +=
                &format!("| {owner} | {ours:.0} | {theirs:.0} | {:.0} |\n", ours - theirs);
        };
        let (mut rest, mut rest_theirs) = (0.0, 0.0);
        for owner in rows {
            let (ours, theirs) = (of(&ours, owner), of(&theirs, owner));
            if (ours - theirs).abs() >= 50.0 {
                row(owner, ours, theirs);
            } else {
                rest += ours;
                rest_theirs += theirs;
            }
        }
        row("where the difference is below 50", rest, rest_theirs);
        section.table += "\n";
        section.ratios +=
            &format!("ratio instructions_{call}_vs_reqwest {:.3}\n", all / all_theirs);
    }
    Ok(section)
}

/// What a call costs once all is warm, by owner: the difference of many calls and few.
fn count(bench: &Bench, client: &str, call: &str) -> Result<Counts> {
    const FEW: usize = 50;
    let more = if bench.quick { 50 } else { 1_000 };
    let few = run(client, call, FEW, &bench.server.address)?;
    let mut counts = run(client, call, FEW + more, &bench.server.address)?;
    for (owner, count) in &mut counts {
        *count = (*count - few.get(owner).copied().unwrap_or_default()) / more as f64;
    }
    Ok(counts)
}

fn run(client: &str, call: &str, calls: usize, address: &str) -> Result<Counts> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{client}.{call}"));
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe()?)
        .env(ROLE, format!("calls {client} {call} {calls} {address}"))
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("{client}, {call}: valgrind ended with {status}").into());
    }
    Ok(parse(&fs::read_to_string(file)?))
}

/// Makes so many calls.
pub async fn child(client: &str, call: &str, calls: usize, address: &str) -> Result<()> {
    let client = Client::named(client, address)?;
    for _ in 0..calls {
        match call {
            "token" => client.token().await?,
            _ => client.device().await?,
        }
    }
    Ok(())
}

/// The instructions in callgrind's file by owner, without those of the functions that a function
/// calls. Source: "Callgrind Format Specification" in valgrind's manual.
fn parse(profile: &str) -> Counts {
    let mut names: HashMap<(bool, &str), &str> = HashMap::new();
    let mut counts = Counts::new();
    let (mut file, mut function, mut is_call) = ("", "", false);
    for line in profile.lines() {
        if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
            if !is_call {
                *counts.entry(owner(file, function)).or_default() += cost.unwrap_or_default();
            }
            is_call = false;
        } else if let Some((key, value)) = line.split_once('=') {
            // A name is written once, behind a number that stands for it from then on.
            let is_function = matches!(key, "fn" | "cfn");
            let (number, name) = value.split_once(' ').unwrap_or((value, ""));
            let is_named = is_function || matches!(key, "fl" | "fi" | "fe" | "cfi" | "cfl");
            if is_named && !name.is_empty() {
                names.insert((is_function, number), name);
            }
            let name = names.get(&(is_function, number)).copied().unwrap_or_default();
            match key {
                "fl" | "fi" | "fe" => file = name,
                "fn" => function = name,
                "calls" => is_call = true,
                _ => {}
            }
        }
    }
    counts
}

/// Whose code it is, by the file that it was written in. The standard library's counts for the
/// function that it was inlined in.
fn owner(file: &str, function: &str) -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let root = own.trim_end_matches("benches/");
    let crates = file.split_once("/registry/src/").and_then(|(_, path)| path.split('/').nth(1));
    let starts = |names: &[&str]| names.iter().any(|name| function.starts_with(name));
    if let Some(name) = crates {
        name[..name.rfind('-').unwrap_or(name.len())].replace('_', "-")
    } else if file.contains("/library/") || file.starts_with("/rustc/") {
        let path = function.trim_start_matches(['<', '&']).trim_start_matches("mut ");
        match path.split_once("::").map_or("", |(name, _)| name) {
            "calls" => BENCHMARK.to_owned(),
            "plex_auth" if function.contains("::generated::") => GENERATED.to_owned(),
            "" | "alloc" | "core" | "std" | "__rustc" => STANDARD.to_owned(),
            // A method of a primitive type.
            name if name.contains(' ') => STANDARD.to_owned(),
            name => name.replace('_', "-"),
        }
    } else if file.ends_with("/out/client.rs") {
        GENERATED.to_owned()
    } else if file.starts_with(own) || file.starts_with("benches/") {
        BENCHMARK.to_owned()
    } else if file.starts_with(root) || file.starts_with("src/") {
        "plex-auth".to_owned()
    } else if starts(&["malloc", "free", "calloc", "realloc", "_int_", "unlink_chunk", "tcache"]) {
        "libc: malloc and free".to_owned()
    } else if starts(&["mem", "__mem"]) {
        "libc: copying and comparing".to_owned()
    } else {
        "libc: the rest".to_owned()
    }
}

const BENCHMARK: &str = "the benchmark, with the baseline";
const GENERATED: &str = "generated code";
const STANDARD: &str = "Rust's standard library, not inlined";
