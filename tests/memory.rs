//! How much memory the matrix takes: in a process of its own, because tests share one.

#![cfg(feature = "rustls")]
#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod matrix;
mod support;

/// The most that this process has had in memory at once.
#[cfg(target_os = "linux")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// The hostile server counts, too: it streams, and remembers little.
#[cfg(target_os = "linux")]
#[test]
fn the_matrix_stays_under_64_mib() {
    let before = peak_mib();
    let outcome = matrix::run(matrix::Secrets::random(), |_| true, |_| {});
    let peak = peak_mib();
    println!("{} cases, {peak} MiB at most, {before} MiB before", outcome.cases);
    assert!(peak < 64, "{peak} MiB");
}
