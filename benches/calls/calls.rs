//! Calls one at a time and many at once: CPU, latency, throughput, allocations.

use std::hint;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plex_auth::TokenCache;
use rustix::time::{ClockId, clock_gettime};

use crate::allocations::counted;
use crate::clients::{Client, Result, plex_auth};
use crate::report::{Goal, Line, Section, median};
use crate::{Bench, plot};

/// What one round of calls took.
#[derive(Clone, Copy)]
struct Round {
    /// CPU time of this process, in us a call.
    cpu: f64,
    /// The median latency, in us.
    p50: f64,
    /// Calls a second.
    throughput: f64,
}

/// Throughput (calls a second) and CPU (us a call) with so many calls at once.
pub struct Point {
    pub at_once: usize,
    pub plex_auth: (f64, f64),
    pub baseline: (f64, f64),
}

type Shared = Arc<Client>;

pub fn section(bench: &Bench) -> Result<Section> {
    let mut lines = bench.one_at_a_time()?;
    lines.push(bench.at_once("throughput64_vs_reqwest", 64)?);
    lines.push(bench.at_once("throughput1024_vs_reqwest", 1024)?);
    lines.append(&mut bench.allocations()?);
    lines.push(bench.devices()?);
    lines.push(bench.cache()?);
    Ok(Section { plot: Some(plot::svg(&bench.curve()?)?), ..lines.into() })
}

impl Bench {
    fn pair(&self) -> Result<[Shared; 2]> {
        let address = &self.server.address;
        Ok([Client::plex_auth(address)?.into(), Client::baseline(address)?.into()])
    }

    /// One call at a time: CPU and latency, of all clients.
    fn one_at_a_time(&self) -> Result<Vec<Line>> {
        let [ours, baseline] = self.pair()?;
        let unbounded = Client::unbounded(&self.server.address)?.into();
        let hyper = self.runtime.block_on(Client::hyper(&self.server.address))?.into();
        let clients = [ours, baseline, unbounded, hyper];
        let rounds = self.interleave(&clients, 120, |client| self.calls(client, 1, 500, false))?;
        let [cpu, p50] = [|round: &Round| round.cpu, |round: &Round| round.p50];
        let line = |name, unit, goal, other: usize, of| {
            compare(name, unit, goal, &rounds[0], &rounds[other], of)
        };
        let (at_most, us) = (Goal::AtMost(1.03), "us of CPU a call");
        Ok(vec![
            line("cpu_vs_reqwest", us, at_most, 1, cpu),
            line("p50_vs_reqwest", "us a call, median", at_most, 1, p50),
            line("cpu_vs_hyper", us, Goal::Shown, 3, cpu),
            line("cpu_vs_reqwest_unbounded", us, Goal::Shown, 2, cpu),
        ])
    }

    /// So many calls at once: how many a second.
    fn at_once(&self, name: &'static str, at_once: usize) -> Result<Line> {
        let each = (8_192 / at_once).max(8);
        let calls = |client: &Shared| self.calls(client, at_once, each, false);
        let rounds = self.interleave(&self.pair()?, 60, calls)?;
        let (unit, goal) = ("calls a second", Goal::AtLeast(0.98));
        Ok(compare(name, unit, goal, &rounds[0], &rounds[1], |round| round.throughput))
    }

    /// A device with 50 connections: CPU.
    fn devices(&self) -> Result<Line> {
        let calls = |client: &Shared| self.calls(client, 1, 200, true);
        let rounds = self.interleave(&self.pair()?, 100, calls)?;
        let (name, unit) = ("resources50_vs_reqwest", "us of CPU a call");
        Ok(compare(name, unit, Goal::AtMost(1.05), &rounds[0], &rounds[1], |round| round.cpu))
    }

    /// What a call allocates, once all is warm.
    fn allocations(&self) -> Result<Vec<Line>> {
        const CALLS: usize = 1_000;
        let measure = |client: Shared| -> Result<(f64, f64)> {
            self.calls(&client, 1, 100, false)?;
            let mut result = Ok(());
            let (count, bytes) = counted(|| {
                result = self.runtime.block_on(async {
                    for _ in 0..CALLS {
                        client.token().await?;
                    }
                    Ok(())
                });
            });
            result.map(|()| (count as f64 / CALLS as f64, bytes as f64 / CALLS as f64))
        };
        let [ours, baseline] = self.pair()?.map(measure);
        let ((count, bytes), baseline) = (ours?, baseline?);
        let line =
            |name, unit, ours, theirs| Line::of(name, unit, Goal::AtMost(1.05), &[ours], &[theirs]);
        Ok(vec![
            line("allocs_vs_reqwest", "allocations a call", count, baseline.0),
            line("bytes_vs_reqwest", "bytes allocated a call", bytes, baseline.1),
        ])
    }

    /// A token that the cache has: ns from the call to the token.
    fn cache(&self) -> Result<Line> {
        const CALLS: u32 = 3_000;
        let cache = TokenCache::new(plex_auth(&self.server.address)?);
        let round = |_| {
            self.runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..CALLS {
                    hint::black_box(cache.token().await?);
                }
                Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS))
            })
        };
        let all = (0..self.rounds(300)).map(round).collect::<Result<_>>()?;
        Ok(Line::alone("cache_get_ns_1", "ns a call", Goal::AtMost(100.0), all))
    }

    /// Throughput and CPU from 1 to 1,024 calls at once.
    fn curve(&self) -> Result<Vec<Point>> {
        let clients = self.pair()?;
        let point = |power: u32| {
            let at_once = 1_usize << power;
            let each = (4_096 / at_once).max(8);
            let calls = |client: &Shared| self.calls(client, at_once, each, false);
            let rounds = self.interleave(&clients, 7, calls)?;
            let of = |rounds: &[Round]| {
                let all = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
                (all(|round| round.throughput), all(|round| round.cpu))
            };
            Ok(Point { at_once, plex_auth: of(&rounds[0]), baseline: of(&rounds[1]) })
        };
        (0..=10).map(point).collect()
    }

    fn calls(&self, client: &Shared, at_once: usize, each: usize, device: bool) -> Result<Round> {
        self.runtime.block_on(async {
            let calls = |client: Shared| async move {
                let mut latencies = Vec::with_capacity(each);
                for _ in 0..each {
                    let began = Instant::now();
                    match device {
                        true => client.device().await?,
                        false => client.token().await?,
                    }
                    latencies.push(us(began.elapsed()));
                }
                Ok(latencies)
            };
            let (began, cpu) = (Instant::now(), cpu_time());
            let latencies = if at_once == 1 {
                calls(client.clone()).await?
            } else {
                let tasks: Vec<_> =
                    (0..at_once).map(|_| tokio::spawn(calls(client.clone()))).collect();
                let mut all = Vec::with_capacity(at_once * each);
                for task in tasks {
                    let latencies: Result<_> = task.await?;
                    all.append(&mut latencies?);
                }
                all
            };
            let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
            let calls = latencies.len() as f64;
            Ok(Round {
                cpu: us(cpu) / calls,
                throughput: calls / took.as_secs_f64(),
                p50: median(latencies),
            })
        })
    }

    /// So many rounds of each client, after one that does not count, in rotating order.
    fn interleave(
        &self,
        clients: &[Shared],
        rounds: usize,
        round: impl Fn(&Shared) -> Result<Round>,
    ) -> Result<Vec<Vec<Round>>> {
        let mut made = vec![Vec::new(); clients.len()];
        for number in 0..=self.rounds(rounds) {
            for place in 0..clients.len() {
                let index = (number + place) % clients.len();
                let round = round(&clients[index])?;
                if number > 0 {
                    made[index].push(round);
                }
            }
        }
        Ok(made)
    }
}

fn compare(
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    ours: &[Round],
    theirs: &[Round],
    of: fn(&Round) -> f64,
) -> Line {
    let all = |rounds: &[Round]| rounds.iter().map(of).collect::<Vec<_>>();
    Line::of(name, unit, goal, &all(ours), &all(theirs))
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
