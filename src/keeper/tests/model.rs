//! The keeper against a plain statement of its rules, in random interleavings.
//!
//! [`Model`] has the history and answers from it: is there a good token, is a mint under way, is it
//! time for one? After each operation [`Run::check`] compares what the keeper did and what its
//! callers wait for.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// So many callers ask for a token.
    Call(usize),
    /// One of the waiting callers is cancelled.
    Cancel(usize),
    /// A mint that has not ended does, the last one with 0, the one before with 1.
    End(usize, Ending),
    /// One of the tokens that were given out is reported, the last one with 0.
    Report(usize),
    Pass(Duration),
    /// The wall clock is set, by so many hours.
    Set(i64),
}

fn op() -> impl Strategy<Value = Op> {
    let ending = prop_oneof![
        4 => Just(Ending::Token),
        4 => Just(Ending::Failure),
        1 => (0..90_u64).prop_map(|seconds| Ending::RetryAfter(Duration::from_secs(seconds))),
        2 => Just(Ending::Dropped),
    ];
    let pass = prop_oneof![
        4 => 0..12_u64,
        2 => 8..12_u64,
        2 => 10..90_u64,
        1 => 100..400_u64,
        1 => Just(47 * 3600),
        1 => Just(48 * 3600),
        1 => (47 * 3600 + 3580)..(48 * 3600_u64),
    ];
    prop_oneof![
        6 => (1..4_usize).prop_map(Op::Call),
        2 => (0..4_usize).prop_map(Op::Cancel),
        6 => (prop_oneof![9 => Just(0), 1 => Just(1_usize)], ending)
            .prop_map(|(back, ending)| Op::End(back, ending)),
        4 => prop_oneof![4 => Just(0), 1 => 1..4_usize].prop_map(Op::Report),
        // The milliseconds keep every moment apart from the end of every wait.
        6 => pass.prop_map(|seconds| Op::Pass(Duration::from_secs(seconds) + 13 * SECOND / 1000)),
        1 => (-60..60_i64).prop_map(Op::Set),
    ]
}

/// What has happened, and the rules in terms of it. Times are counted from the start.
#[derive(Default)]
struct Model {
    min_time_left: Duration,
    now: Duration,
    /// By how much the wall clock is ahead, in hours.
    ahead: i64,
    mints: Vec<Mint>,
    history: Vec<(Duration, What)>,
}

#[derive(Clone, Copy)]
struct Mint {
    sent: Duration,
    ahead: i64,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    /// A token came from the mint of that number.
    Token(usize),
    Failed(Option<Duration>),
    RefusedWhenNew,
    RefusedLater,
}

impl Model {
    /// The number of the token that the keeper gives out, and when it came.
    fn token(&self) -> Option<(usize, Duration)> {
        let mut token = None;
        for (when, what) in &self.history {
            match what {
                What::Token(number) => token = Some((*number, *when)),
                What::RefusedWhenNew | What::RefusedLater => token = None,
                What::Failed(_) => {}
            }
        }
        token
    }

    fn time_left(&self) -> Duration {
        let Some((number, _)) = self.token() else { return Duration::ZERO };
        let mint = self.mints[number - 1];
        let by_monotonic = self.now - mint.sent;
        let hours = self.ahead - mint.ahead;
        let distance = Duration::from_secs(3600 * hours.unsigned_abs());
        let by_wall =
            if hours < 0 { by_monotonic.saturating_sub(distance) } else { by_monotonic + distance };
        (48 * HOUR).saturating_sub(by_monotonic.max(by_wall))
    }

    fn good(&self) -> bool {
        self.time_left() > Duration::ZERO
    }

    fn fresh(&self) -> bool {
        self.good() && self.time_left() >= self.min_time_left
    }

    fn under_way(&self) -> Option<Mint> {
        let mint = *self.mints.last()?;
        (!mint.ended && self.now - mint.sent < TIMEOUT + SECOND).then_some(mint)
    }

    /// What is left of the wait before the next mint, and whether a failure is the reason.
    fn wait(&self) -> Option<(Duration, bool)> {
        let doubled = |row: usize| Duration::from_secs((1 << row.min(10)) / 2).min(HOUR / 12);
        let mut until = (Duration::ZERO, false);
        for index in 0..self.history.len() {
            let so_far = &self.history[..=index];
            let (when, what) = self.history[index];
            let (wait, failed) = match what {
                What::Failed(Some(wait)) => (wait.max(SECOND), true),
                What::Failed(None) => (doubled(failures_in_a_row(so_far)), true),
                What::RefusedWhenNew => (doubled(refusals_in_a_row(so_far)), false),
                What::RefusedLater | What::Token(_) => continue,
            };
            if when + wait > until.0 {
                until = (when + wait, failed);
            }
        }
        (until.0 > self.now).then(|| (until.0 - self.now, until.1))
    }
}

fn failures_in_a_row(history: &[(Duration, What)]) -> usize {
    let mints = history.iter().rev().filter(|(_, what)| match what {
        What::Token(_) | What::Failed(_) => true,
        What::RefusedWhenNew | What::RefusedLater => false,
    });
    mints.take_while(|(_, what)| matches!(what, What::Failed(_))).count()
}

/// A token that was not refused until the next one came ends the row.
fn refusals_in_a_row(history: &[(Duration, What)]) -> usize {
    let tokens = history.iter().rev().filter(|(_, what)| !matches!(what, What::Failed(_)));
    let mut row = 0;
    let mut came_after = false;
    for (_, what) in tokens {
        match what {
            What::RefusedWhenNew => {
                row += 1;
                came_after = false;
            }
            What::Token(_) if came_after => break,
            What::Token(_) => came_after = true,
            What::RefusedLater | What::Failed(_) => break,
        }
    }
    row
}

struct Caller {
    call: Call,
    /// How many mints had been started before it asked.
    after: usize,
    /// It has been without a good token, so it waits for a new one, even if a clock that is set
    /// back makes the old one good again.
    in_need: bool,
}

struct Run {
    model: Model,
    mints: Mints,
    keeper: TokenKeeper,
    callers: Vec<Caller>,
    given: Vec<TransientToken>,
}

impl Run {
    async fn step(&mut self, op: Op) {
        let before = self.mints.count();
        let mut last_mint_failed = false;
        match op {
            Op::Call(number) => {
                let call = || Caller { call: call(&self.keeper), after: before, in_need: false };
                self.callers.extend(std::iter::repeat_with(call).take(number));
            }
            Op::Cancel(index) if index < self.callers.len() => {
                self.callers.remove(index).call.abort();
            }
            Op::End(back, ending) => {
                let Some(index) = before.checked_sub(back + 1) else { return };
                if self.model.mints[index].ended {
                    return;
                }
                self.model.mints[index].ended = true;
                self.mints.end_one(index + 1, ending);
                // The end of a mint that a later one took the place of counts no more.
                if back == 0 {
                    last_mint_failed = self.ended(index + 1, ending);
                }
            }
            Op::Report(back) => {
                let Some(index) = self.given.len().checked_sub(back + 1) else { return };
                let token = &self.given[index];
                self.keeper.invalidate(token);
                if let Some((held, came)) = self.model.token()
                    && held == number(token)
                {
                    let new = self.model.now - came < 10 * SECOND;
                    let what = if new { What::RefusedWhenNew } else { What::RefusedLater };
                    self.model.history.push((self.model.now, what));
                }
            }
            Op::Pass(time) => {
                self.model.now += time;
                advance(time).await;
            }
            Op::Set(hours) => {
                self.model.ahead = hours;
                SET_FORWARD.set(3600 * hours);
            }
            Op::Cancel(_) => {}
        }
        settle().await;
        self.check(op, before, last_mint_failed);
    }

    /// Whether it has failed.
    fn ended(&mut self, number: usize, ending: Ending) -> bool {
        let what = match ending {
            Ending::Token => What::Token(number),
            Ending::Failure => What::Failed(None),
            Ending::RetryAfter(wait) => What::Failed(Some(wait)),
            Ending::Dropped => return false,
        };
        self.model.history.push((self.model.now, what));
        matches!(what, What::Failed(_))
    }

    fn check(&mut self, op: Op, before: usize, last_mint_failed: bool) {
        let model = &mut self.model;
        let (good, wait) = (model.good(), model.wait());

        // A mint begins when somebody asks, there is none under way, it is time for one and no wait.
        let wanted = !self.callers.is_empty();
        let due = !model.fresh() && model.under_way().is_none() && wait.is_none();
        let started = self.mints.count() - before;
        assert!(started <= 1, "{started} mints were started");
        assert!(started == 0 || (wanted && due), "a mint was started: {wanted} {due}");
        if matches!(op, Op::Call(_)) {
            assert_eq!(started == 1, due, "asked for a token, a mint was due or not");
        }
        for _ in 0..started {
            model.mints.push(Mint { sent: model.now, ahead: model.ahead, ended: false });
        }

        let under_way = model.under_way();
        let mut renewing = 0;
        let (given, count) = (&mut self.given, self.mints.count());
        self.callers.retain_mut(|caller| {
            caller.in_need |= !good;
            match (&mut caller.call).now_or_never() {
                Some(Ok(Ok(token))) => {
                    // A good token, the one that the keeper has.
                    assert!(good);
                    assert_eq!(Some(number(&token)), model.token().map(|(number, _)| number));
                    given.push(token);
                    false
                }
                Some(Ok(Err(Error::NoRuntime))) => {
                    // It started two mints that were lost.
                    assert!(!good && count - caller.after >= 2);
                    false
                }
                Some(Ok(Err(error))) => {
                    // Without a good token, the error of the mint, or one for a long wait.
                    assert!(!good);
                    let long = wait.filter(|(left, _)| *left > 30 * SECOND);
                    let refused = matches!(error, Error::RefusedWhenNew { .. });
                    assert!(last_mint_failed && !refused || long.is_some());
                    assert!(last_mint_failed || long.is_some_and(|(_, failed)| failed != refused));
                    false
                }
                Some(Err(error)) => panic!("{error}"),
                None => {
                    // Waiting for a mint, or for the time to begin one.
                    let soon = wait.is_some_and(|(left, _)| left <= 30 * SECOND);
                    assert!(under_way.is_some() || soon && caller.in_need, "it waits for nothing");
                    if !caller.in_need {
                        renewing += 1;
                    }
                    true
                }
            }
        });
        // With a good token only the caller that renews it, and not for long.
        let new = under_way.is_some_and(|mint| model.now - mint.sent < 5 * SECOND);
        assert!(renewing == 0 || renewing == 1 && new, "{renewing} wait for a renewal");
    }
}

fn run(ops: &[Op], min_time_left: Duration) {
    SET_FORWARD.set(0);
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mints = Mints::default();
        let keeper = mints.keeper(min_time_left);
        let model = Model { min_time_left, ..Model::default() };
        let mut run = Run { model, mints, keeper, callers: Vec::new(), given: Vec::new() };
        for op in ops {
            run.step(*op).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_keeper_does_what_its_rules_say(
        ops in prop::collection::vec(op(), 1..80),
        min_time_left in prop_oneof![Just(Duration::ZERO), Just(HOUR), Just(48 * HOUR - SECOND)],
    ) {
        run(&ops, min_time_left);
    }
}
