//! `cargo bench`: this crate beside a client written by hand, in one run on one machine.
//!
//! The last lines, `ratio NAME VALUE`, are for scripts. Arguments after `cargo bench --`:
//!
//! - names of sections, such as `connect`, measure only these;
//! - `--save` writes the tables and the plot of what was measured into `docs/`;
//! - `--quick` measures so little that the numbers mean nothing: it shows that the benchmark works.
#![allow(clippy::print_stdout, reason = "a benchmark reports to a person")]
#![allow(
    missing_debug_implementations,
    unreachable_pub,
    reason = "a program has no public interface"
)]

mod allocations;
mod baseline;
mod calls;
mod clients;
mod connect;
mod instructions;
mod memory;
mod plot;
mod report;
mod server;

use std::process::Command;
use std::time::Instant;
use std::{env, fs, process, thread};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use clients::Result;
use report::Section;

/// What all sections need.
pub struct Bench {
    /// One thread for the clients: the other core is the server's.
    pub runtime: Runtime,
    pub server: server::Server,
    pub quick: bool,
}

impl Bench {
    /// How many rounds are made.
    pub fn rounds(&self, wanted: usize) -> usize {
        if self.quick { wanted.div_ceil(40) } else { wanted }
    }
}

type Measure = fn(&Bench) -> Result<Section>;

const SECTIONS: [(&str, Measure); 4] = [
    ("calls", calls::section),
    ("memory", memory::section),
    ("connect", connect::section),
    ("instructions", instructions::section),
];

/// The variable that makes this program a child of its own: `server`, `memory ..`, `calls ..`.
pub const ROLE: &str = "PLEX_AUTH_BENCH_ROLE";

fn main() -> Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: files.maximum, ..files })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Ok(role) = env::var(ROLE) {
        let role: Vec<_> = role.split(' ').collect();
        return match *role {
            ["server"] => runtime.block_on(server::serve()),
            ["memory", client, count, address] => {
                runtime.block_on(memory::child(client, count.parse()?, address))
            }
            ["calls", client, call, count, address] => {
                runtime.block_on(instructions::child(client, call, count.parse()?, address))
            }
            _ => Err("an unknown role".into()),
        };
    }

    let arguments: Vec<_> = env::args().skip(1).collect();
    let is_given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let chosen = arguments.iter().filter(|argument| !argument.starts_with("--"));
    if let Some(unknown) = chosen.clone().find(|name| SECTIONS.iter().all(|(one, _)| one != name)) {
        println!("no section {unknown}: they are {:?}", SECTIONS.map(|(name, _)| name));
        process::exit(2);
    }
    let all = chosen.count() == 0;

    let (started, mut ratios) = (Instant::now(), String::new());
    let bench = Bench { runtime, server: server::Server::start()?, quick: is_given("--quick") };
    for (name, measure) in SECTIONS.into_iter().filter(|(name, _)| all || is_given(name)) {
        let section = measure(&bench)?;
        println!("## {name}\n\n{}", section.table);
        if is_given("--save") {
            save(name, &section)?;
        }
        ratios += &section.ratios;
    }
    println!("took {:.0} s\n\n{ratios}", started.elapsed().as_secs_f64());
    Ok(())
}

/// Puts a table between its marks in `docs/performance.md`, and the plot beside it.
fn save(name: &str, section: &Section) -> Result<()> {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.svg");

    let page = fs::read_to_string(PAGE)?;
    let marks = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->")];
    let missing = || format!("docs/performance.md has no {}", marks[0]);
    let (before, rest) = page.split_once(&marks[0]).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&marks[1]).ok_or_else(missing)?;
    let Section { table, .. } = section;
    let where_and_when = where_and_when()?;
    fs::write(PAGE, format!("{before}{}{table}\n{where_and_when}\n{}{after}", marks[0], marks[1]))?;
    if let Some(plot) = &section.plot {
        fs::write(PLOT, plot)?;
    }
    Ok(())
}

fn where_and_when() -> Result<String> {
    let print = |program: &str, argument: &str| -> Result<String> {
        let output = Command::new(program).arg(argument).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let (date, system, rust) =
        (print("date", "+%F")?, print("uname", "-srm")?, print("rustc", "-V")?);
    let cores = thread::available_parallelism()?;
    Ok(format!("Measured on {date}: {system}, {cores} cores, {rust}."))
}
