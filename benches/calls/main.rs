//! `cargo bench`: this crate and an opponent side by side, against one server in another process.
//!
//! Many short rounds, interleaved, in an order that turns; a ratio is the median over the rounds of
//! ours over the opponent's. The last lines are for machines. `cargo bench -- --save` also writes
//! the table and the plot into `docs/`.
#![allow(clippy::print_stdout, reason = "a benchmark reports to a person")]
#![allow(unreachable_pub, reason = "a program has no public interface")]

mod arena;
mod contestants;
mod counting;
mod opponent;
mod plot;
mod report;
mod server;

use std::fs;
use std::time::Instant;

use arena::Arena;
use contestants::Result;
use report::Line;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if server::is_wanted() {
        return Ok(runtime.block_on(server::serve())?);
    }
    let started = Instant::now();
    let server = server::Server::start()?;
    let arena = Arena { runtime, address: server.address.clone() };

    let mut lines = arena.one_at_a_time()?;
    lines.push(arena.at_once("throughput64_vs_reqwest", 64)?);
    lines.push(arena.at_once("throughput1024_vs_reqwest", 1024)?);
    lines.append(&mut arena.allocations()?);
    lines.push(arena.devices()?);
    lines.push(arena.keeper("keeper_get_ns_1", 1)?);
    lines.push(arena.keeper("keeper_get_ns_2", 2)?);
    let plot = plot::svg(&arena.curve()?)?;

    let table = Line::table(&lines);
    if std::env::args().any(|argument| argument == "--save") {
        save(&table, &plot)?;
    }
    println!("{table}\ntook {:.0} s\n", started.elapsed().as_secs_f64());
    for line in lines {
        println!("{}", line.ratio());
    }
    Ok(())
}

/// Puts the table between its marks in `docs/performance.md`, and the plot beside it.
fn save(table: &str, plot: &str) -> Result<()> {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
    const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.svg");
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->"];

    let page = fs::read_to_string(PAGE)?;
    let (before, rest) = page.split_once(MARKS[0]).ok_or("docs/performance.md has no table")?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or("docs/performance.md's table has no end")?;
    fs::write(PAGE, format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]))?;
    fs::write(PLOT, plot)?;
    Ok(())
}
