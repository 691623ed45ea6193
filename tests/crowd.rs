//! 10,000 calls at once, in a process of their own; their server in another.

#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use plex_auth::Error;
use support::{Server, good};

const CALLS: usize = 10_000;

#[test]
fn each_of_10_000_calls_at_once_ends() {
    const ROLE: &str = "PLEX_AUTH_TEST_SERVER";
    if std::env::var_os(ROLE).is_some() {
        let server = Server::start(|request| good(request, "fresh"));
        println!("\nat {}", server.url());
        // Until the parent goes away.
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "each_of_10_000_calls_at_once_ends", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("at ").map(str::to_owned)).unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(60);
    let builder = support::builder(url).connect_timeout(limit).timeout(limit).max_retries(3);
    let client = builder.build().unwrap();
    let results = runtime.block_on(async {
        let calls = join_all((0..CALLS).map(|_| client.transient_token()));
        tokio::time::timeout(limit + Duration::from_secs(10), calls).await.expect("a call hangs")
    });
    let done = results.iter().filter(|result| result.is_ok()).count();
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        // The system may not allow so many sockets: that is told as what it is.
        assert!(matches!(error, Error::Connection(_) | Error::Timeout(_)), "{error}");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    println!("{done} of {CALLS} answered, {} MiB at most", peak_mib());
    assert!(done > 0);
    runtime.block_on(async {
        drop(client);
        let metrics = tokio::runtime::Handle::current().metrics();
        while metrics.num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
