//! `cargo bench`: this crate beside a client written by hand, in one run on one machine.
//!
//! The last lines, `ratio NAME VALUE`, are for scripts. Arguments after `cargo bench --`:
//!
//! - `calls` or `connect` measures only this section;
//! - `--save` writes the tables and the plot of what was measured into `docs/`;
//! - `--quick` measures so little that the numbers mean nothing: it shows that the benchmark works.
//!
//! Not by criterion or divan: both finish with one client before they begin with the other, and
//! neither hands its results back.
#![allow(clippy::print_stdout, reason = "a benchmark reports to a person")]
#![allow(
    missing_debug_implementations,
    unreachable_pub,
    reason = "a program has no public interface"
)]

mod baseline;
mod calls;
mod connect;
mod network;
mod plot;

use std::process::Command;
use std::{env, fs};

use tokio::runtime::{Builder, Runtime};

use baseline::Result;

/// What both sections need.
pub struct Bench {
    /// Runs the clients in this thread.
    runtime: Runtime,
    quick: bool,
    save: bool,
    ratios: String,
}

impl Bench {
    fn rounds(&self, wanted: usize) -> usize {
        if self.quick { 1 } else { wanted }
    }

    fn ratio(&mut self, name: &str, value: f64) {
        self.ratios += &format!("ratio {name} {value:.4}\n");
    }
}

type Measure = fn(&mut Bench) -> Result<String>;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let is_given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (quick, save) = (is_given("--quick"), is_given("--save"));
    let mut bench = Bench { runtime, quick, save, ratios: String::new() };
    let sections: [(&str, Measure); 2] = [("calls", calls::measure), ("connect", connect::measure)];
    let all = !sections.iter().any(|(name, _)| is_given(name));
    for (name, measure) in sections.into_iter().filter(|(name, _)| all || is_given(name)) {
        let table = measure(&mut bench)?;
        println!("## {name}\n\n{table}");
        if save {
            write_to_docs(name, &table)?;
        }
    }
    println!("{}", bench.ratios);
    Ok(())
}

/// Puts a table between its marks in `docs/performance.md`.
fn write_to_docs(name: &str, table: &str) -> Result<()> {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    const MEASURED: &str =
        "echo \"Measured on $(date +%F): $(uname -srm), $(nproc) cores, $(rustc -V).\"";

    let page = fs::read_to_string(PAGE)?;
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let missing = || format!("docs/performance.md has no {start}");
    let (before, rest) = page.split_once(&start).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    let measured = Command::new("sh").args(["-c", MEASURED]).output()?.stdout;
    let measured = String::from_utf8(measured)?;
    fs::write(PAGE, format!("{before}{start}{table}\n{measured}{end}{after}"))?;
    Ok(())
}
