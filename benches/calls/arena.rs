//! Where the contestants meet, and how they are measured.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use plex_auth::TokenKeeper;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::contestants::{Contestant, Result};
use crate::counting::counted;
use crate::report::{Goal, Line, median};

/// One thread for the clients: the other core is the server's.
pub struct Arena {
    pub runtime: Runtime,
    pub address: String,
}

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
    pub by_hand: (f64, f64),
}

type Shared = Arc<Contestant>;

impl Arena {
    fn pair(&self) -> Result<[Shared; 2]> {
        Ok([
            Contestant::plex_auth(&self.address)?.into(),
            Contestant::by_hand(&self.address)?.into(),
        ])
    }

    /// One call at a time: CPU and latency, against all.
    pub fn one_at_a_time(&self) -> Result<Vec<Line>> {
        let [ours, by_hand] = self.pair()?;
        let unbounded = Contestant::unbounded(&self.address)?.into();
        let floor = self.runtime.block_on(Contestant::hyper(&self.address))?.into();
        let contestants = [ours, by_hand, unbounded, floor];
        let rounds = turns(&contestants, 120, |one| self.calls(one, 1, 500, false))?;
        let [cpu, p50] = [|round: &Round| round.cpu, |round: &Round| round.p50];
        Ok(vec![
            compare(
                "cpu_vs_reqwest",
                "us of CPU a call",
                Goal::AtMost(1.02),
                &rounds[0],
                &rounds[1],
                cpu,
            ),
            compare(
                "p50_vs_reqwest",
                "us a call, median",
                Goal::AtMost(1.02),
                &rounds[0],
                &rounds[1],
                p50,
            ),
            compare("cpu_vs_hyper", "us of CPU a call", Goal::Shown, &rounds[0], &rounds[3], cpu),
            compare(
                "cpu_vs_reqwest_unbounded",
                "us of CPU a call",
                Goal::Shown,
                &rounds[0],
                &rounds[2],
                cpu,
            ),
        ])
    }

    /// So many calls at once: how many a second.
    pub fn at_once(&self, name: &'static str, at_once: usize) -> Result<Line> {
        let contestants = self.pair()?;
        let each = (8_192 / at_once).max(8);
        let rounds = turns(&contestants, 60, |one| self.calls(one, at_once, each, false))?;
        let unit = "calls a second";
        Ok(compare(name, unit, Goal::AtLeast(1.00), &rounds[0], &rounds[1], |round| {
            round.throughput
        }))
    }

    /// A device with 50 connections: CPU.
    pub fn devices(&self) -> Result<Line> {
        let contestants = self.pair()?;
        let rounds = turns(&contestants, 100, |one| self.calls(one, 1, 200, true))?;
        let name = "resources50_vs_reqwest";
        let unit = "us of CPU a call";
        Ok(compare(name, unit, Goal::AtMost(1.05), &rounds[0], &rounds[1], |round| round.cpu))
    }

    /// What a call allocates, once all is warm.
    pub fn allocations(&self) -> Result<Vec<Line>> {
        const CALLS: usize = 1_000;
        let measured = self.pair()?.map(|contestant| -> Result<(f64, f64)> {
            self.calls(&contestant, 1, 100, false)?;
            let mut result = Ok(());
            let (count, bytes) = counted(|| {
                result = self.runtime.block_on(async {
                    for _ in 0..CALLS {
                        contestant.token().await?;
                    }
                    Ok(())
                });
            });
            result.map(|()| (count as f64 / CALLS as f64, bytes as f64 / CALLS as f64))
        });
        let [ours, theirs] = measured;
        let (ours, theirs) = (ours?, theirs?);
        Ok(vec![
            Line::of(
                "allocs_vs_reqwest",
                "allocations a call",
                Goal::AtMost(1.10),
                &[ours.0],
                &[theirs.0],
            ),
            Line::of(
                "bytes_vs_reqwest",
                "bytes a call",
                Goal::AtMost(1.05),
                &[ours.1],
                &[theirs.1],
            ),
        ])
    }

    /// A token that the keeper has: ns from the call to the token, on so many threads at once.
    pub fn keeper(&self, name: &'static str, threads: usize) -> Result<Line> {
        const CALLS: u32 = 3_000;
        let client = Contestant::client(&self.address)?;
        let keeper = TokenKeeper::new(client);
        self.runtime.block_on(keeper.token())?;
        let get = |keeper: TokenKeeper, start: &AtomicUsize| -> Result<f64> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                // A barrier would wake one thread after the other.
                start.fetch_sub(1, SeqCst);
                while start.load(SeqCst) > 0 {
                    hint::spin_loop();
                }
                let began = Instant::now();
                for _ in 0..CALLS {
                    hint::black_box(keeper.token().await?);
                }
                Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS))
            })
        };
        let mut taken = Vec::new();
        for _ in 0..300 {
            let start = AtomicUsize::new(threads);
            let round: Result<Vec<_>> = thread::scope(|scope| {
                let running: Vec<_> =
                    (0..threads).map(|_| scope.spawn(|| get(keeper.clone(), &start))).collect();
                let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
                ended.map(|get| get.map_err(|_| "a thread panicked")?).collect()
            });
            taken.append(&mut round?);
        }
        Ok(Line::alone(name, "ns a call", Goal::AtMost(100.0), taken))
    }

    /// Throughput and CPU from 1 to 1,024 calls at once.
    pub fn curve(&self) -> Result<Vec<Point>> {
        let contestants = self.pair()?;
        (0..=10)
            .map(|power| {
                let at_once = 1 << power;
                let each = (4_096 / at_once).max(8);
                let rounds = turns(&contestants, 7, |one| self.calls(one, at_once, each, false))?;
                let of = |rounds: &[Round]| {
                    let all = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
                    (all(|round| round.throughput), all(|round| round.cpu))
                };
                Ok(Point { at_once, plex_auth: of(&rounds[0]), by_hand: of(&rounds[1]) })
            })
            .collect()
    }

    fn calls(&self, one: &Shared, at_once: usize, each: usize, device: bool) -> Result<Round> {
        self.runtime.block_on(async {
            let calls = |one: Shared| async move {
                let mut latencies = Vec::with_capacity(each);
                for _ in 0..each {
                    let began = Instant::now();
                    match device {
                        true => one.device().await?,
                        false => one.token().await?,
                    }
                    latencies.push(began.elapsed());
                }
                Ok(latencies)
            };
            let (began, cpu) = (Instant::now(), cpu_time());
            let latencies = if at_once == 1 {
                vec![calls(one.clone()).await?]
            } else {
                let tasks = (0..at_once).map(|_| tokio::spawn(calls(one.clone())));
                try_join_all(tasks).await?.into_iter().collect::<Result<_>>()?
            };
            let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
            let latencies: Vec<_> = latencies.into_iter().flatten().map(us).collect();
            let calls = latencies.len() as f64;
            Ok(Round {
                cpu: us(cpu) / calls,
                throughput: calls / took.as_secs_f64(),
                p50: median(latencies),
            })
        })
    }
}

/// Rounds of each, after one that doesn't count, in an order that turns.
fn turns(
    contestants: &[Shared],
    turns: usize,
    mut round: impl FnMut(&Shared) -> Result<Round>,
) -> Result<Vec<Vec<Round>>> {
    let mut rounds = vec![Vec::with_capacity(turns); contestants.len()];
    for turn in 0..=turns {
        for place in 0..contestants.len() {
            let who = (turn + place) % contestants.len();
            let round = round(&contestants[who])?;
            if turn > 0 {
                rounds[who].push(round);
            }
        }
    }
    Ok(rounds)
}

fn compare(
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    ours: &[Round],
    theirs: &[Round],
    of: impl Fn(&Round) -> f64,
) -> Line {
    let all = |rounds: &[Round]| rounds.iter().map(&of).collect::<Vec<_>>();
    Line::of(name, unit, goal, &all(ours), &all(theirs))
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
