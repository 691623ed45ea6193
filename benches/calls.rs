//! A call that gets a token, one at a time: CPU, latency, allocations.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::Bench;
use crate::baseline::Result;
use crate::network::Network;

/// The calls of a round.
const CALLS: usize = 500;

/// CPU and median latency in us, and allocations, of one call.
type Sample = [f64; 3];

const NAMES: [(&str, &str); 3] = [
    ("cpu_vs_reqwest", "us of CPU"),
    ("p50_vs_reqwest", "us, median latency"),
    ("allocs_vs_reqwest", "allocations"),
];

pub fn measure(bench: &mut Bench) -> Result<String> {
    let network = Network::start(&[], &[])?;
    let ours = async || Ok(network.client.transient_token().await?.expose_secret().len());
    let theirs = async || Ok(network.baseline.token().await?.len());
    let (mut samples_of_ours, mut samples_of_theirs) = (Vec::new(), Vec::new());
    // In turn, as a machine is not as fast at all times.
    for _ in 0..bench.rounds(150) {
        samples_of_ours.push(sample(bench, &ours)?);
        samples_of_theirs.push(sample(bench, &theirs)?);
    }

    let mut table = String::from(
        "| a call | plex-auth | by hand | ratio | quartiles of the ratio |\n|---|---|---|---|---|\n",
    );
    for (index, (name, unit)) in NAMES.into_iter().enumerate() {
        let of = |samples: &[Sample]| samples.iter().map(|one| one[index]).collect::<Vec<_>>();
        let (ours, theirs) = (of(&samples_of_ours), of(&samples_of_theirs));
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        let [first, ratio, third] = quartiles(ratios);
        let ([_, ours, _], [_, theirs, _]) = (quartiles(ours), quartiles(theirs));
        table += &format!(
            "| {unit} | {ours:.1} | {theirs:.1} | {ratio:.3} | {first:.3} to {third:.3} |\n"
        );
        bench.ratio(name, ratio);
    }
    Ok(table)
}

/// The servers have a thread of their own, so that this thread's CPU time and allocations are the
/// client's.
fn sample(bench: &Bench, call: &impl AsyncFn() -> Result<usize>) -> Result<Sample> {
    let mut latencies = Ok(Vec::new());
    let began = ThreadTime::now();
    let allocated = allocation_counter::measure(|| {
        latencies = bench.runtime.block_on(time(call));
    });
    let cpu = us(began.elapsed());
    let [_, latency, _] = quartiles(latencies?);
    Ok([cpu / CALLS as f64, latency, allocated.count_total as f64 / CALLS as f64])
}

async fn time(call: &impl AsyncFn() -> Result<usize>) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(CALLS);
    while latencies.len() < CALLS {
        let began = Instant::now();
        if call().await? != 46 {
            return Err("not the token that was sent".into());
        }
        latencies.push(us(began.elapsed()));
    }
    Ok(latencies)
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
