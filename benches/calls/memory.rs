//! The resident memory of calls in flight, each client in a process of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use rustix::process::{Resource, getrlimit};
use tokio::time::sleep;

use crate::clients::{Client, Result};
use crate::report::{Goal, Line, Section};
use crate::{Bench, ROLE};

/// Calls that are in flight before it is measured, so that what is there once does not count.
const BEFORE: usize = 64;

pub fn section(bench: &Bench) -> Result<Section> {
    if !cfg!(target_os = "linux") {
        return Ok(Section { table: "skipped: it reads Linux's /proc\n".into(), ..<_>::default() });
    }
    let limit = getrlimit(Resource::Nofile).current;
    let mut lines = Vec::new();
    for (name, count) in [("memory1024_vs_reqwest", 1_024), ("memory10000_vs_reqwest", 10_000)] {
        if limit.is_some_and(|limit| limit < 2 * BEFORE as u64 + count) {
            println!("{name} skipped: a process may open no more than {limit:?} files");
            continue;
        }
        let (mut ours, mut baseline) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds(5) {
            ours.push(measure("plex-auth", count, &bench.server.address)?);
            baseline.push(measure("baseline", count, &bench.server.address)?);
        }
        let unit = "resident bytes a call";
        lines.push(Line::of(name, unit, Goal::AtMost(1.1), &ours, &baseline));
    }
    Ok(lines.into())
}

fn measure(client: &str, count: u64, address: &str) -> Result<f64> {
    let role = format!("memory {client} {count} {address}");
    let output = Command::new(env::current_exe()?).env(ROLE, role).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| format!("{client}, {count} calls: {output:?}").into())
}

/// Makes so many calls that are never answered, and prints the resident bytes of one.
pub async fn child(client: &str, count: usize, address: &str) -> Result<()> {
    const BATCH: usize = 64;
    let client = Arc::new(Client::named(client, &format!("{address}/held"))?);
    let before = held(address)?;
    let (mut started, mut resident_before) = (0, 0);
    while started < BEFORE + count {
        let batch = BATCH.min(BEFORE + count - started);
        for _ in 0..batch {
            let client = client.clone();
            tokio::spawn(async move { client.token().await });
        }
        started += batch;
        while held(address)? < before + started {
            sleep(Duration::from_millis(2)).await;
        }
        if started == BEFORE {
            resident_before = resident()?;
        }
    }
    sleep(Duration::from_millis(50)).await;
    println!("{}", (resident()? - resident_before) as f64 / count as f64);
    process::exit(0)
}

/// How many calls the server has not answered.
fn held(address: &str) -> Result<usize> {
    let mut tcp = TcpStream::connect(address)?;
    tcp.write_all(b"GET /count HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    tcp.read_to_string(&mut response)?;
    Ok(response.rsplit("\r\n").next().unwrap_or_default().parse()?)
}

fn resident() -> Result<usize> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).ok_or("an odd /proc/self/statm")?;
    Ok(pages.parse::<usize>()? * rustix::param::page_size())
}
