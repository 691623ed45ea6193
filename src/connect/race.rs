//! One race for one list: each candidate starts at its time, is asked until its patience ends, and
//! may win from its time on.

use std::time::Duration;

use backon::BackoffBuilder as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Url;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::candidates::Candidate;
use crate::address;
use crate::client::{Client, Operation, after, ms, waits};
use crate::error::{CandidateError, Error, ErrorKind};
use crate::source::{Connection, Source};

/// How long a candidate is asked, or for `connect_timeout` if that is longer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many times it is asked.
const MAX_ATTEMPTS: u32 = 6;

pub(super) struct Race<'a> {
    client: &'a Client,
    source: &'a Source,
    begun: Instant,
    skipped: Vec<Candidate>,
    candidates: Vec<Candidate>,
    /// The state of each candidate.
    states: watch::Sender<Vec<State>>,
}

#[derive(Clone, Default)]
struct State {
    attempts: u32,
    /// Why the last attempt failed.
    error: Option<Error>,
    /// Whether it is not asked again.
    has_failed: bool,
    has_won: bool,
}

impl<'a> Race<'a> {
    pub(super) fn new(client: &'a Client, source: &'a Source, chosen: Vec<Candidate>) -> Self {
        let (candidates, skipped) =
            chosen.into_iter().partition::<Vec<_>, _>(|candidate| candidate.skipped.is_none());
        let (states, _) = watch::channel(vec![State::default(); candidates.len()]);
        Self { client, source, begun: Instant::now(), skipped, candidates, states }
    }

    /// The connection that wins, at the address that was verified. `None` if all have failed.
    pub(super) async fn run(&self) -> Option<Connection> {
        let running = self.candidates.iter().enumerate();
        let mut running: FuturesUnordered<_> =
            running.map(|(index, candidate)| self.candidate(index, candidate)).collect();
        while let Some(done) = running.next().await {
            if done.is_some() {
                return done;
            }
        }
        None
    }

    async fn candidate(&self, index: usize, candidate: &Candidate) -> Option<Connection> {
        let is_earlier = |other: &Candidate| other.class < candidate.class;
        let earlier = self.candidates.iter().take_while(|other| is_earlier(other)).count();
        self.until(candidate.starts, |states| have_failed(states, index)).await;
        let uri = self.ask(index, candidate).await?;
        self.until(candidate.wins, |states| have_failed(states, earlier)).await;
        self.update(index, |state| state.has_won = true);
        Some(Connection { uri, ..candidate.connection.clone() })
    }

    /// Waits until a time after the start of the race, or until the states are so.
    async fn until(&self, time: Duration, is_so: impl Fn(&[State]) -> bool) {
        let mut states = self.states.subscribe();
        let early = states.wait_for(|states| is_so(states));
        let _ = timeout_at(after(self.begun, time), early).await;
    }

    /// Waits until each candidate has failed once, or until a time after the start.
    pub(super) async fn until_each_failed(&self, time: Duration) {
        self.until(time, |states| states.iter().all(|state| state.error.is_some())).await;
    }

    /// Asks a candidate for its identity. Its address once it is verified: the listed one, or the
    /// one that its certificate gives.
    async fn ask(&self, index: usize, candidate: &Candidate) -> Option<Url> {
        let limit = self.client.0.settings.connect_timeout;
        let begun = Instant::now();
        let patience = after(begun, PATIENCE.max(limit));
        // Without jitter, because a user is waiting.
        let mut waits = waits(MAX_ATTEMPTS).build();
        let mut uri = candidate.connection.uri.clone();
        for attempts in 1..=MAX_ATTEMPTS {
            self.update(index, |state| state.attempts = attempts);
            let until = after(Instant::now(), limit).min(patience);
            let mut wait = None;
            let error = match timeout_at(until, self.client.verify(&uri, self.source)).await {
                Ok(Ok(())) => return Some(uri),
                Ok(Err(error)) => {
                    if let Some(suggested) = error.suggested_address() {
                        // The same machine, by the name that its certificate is valid for.
                        uri = suggested.clone();
                        wait = Some(Duration::ZERO);
                    } else if error.is_retryable() || error.kind() == ErrorKind::Timeout {
                        wait = waits.next();
                    }
                    error
                }
                Err(_) => {
                    wait = waits.next();
                    // The last answer stays the error.
                    let last =
                        self.states.borrow().get(index).and_then(|state| state.error.clone());
                    last.unwrap_or_else(|| self.no_answer(&uri, "no response in time"))
                }
            };
            let next = wait.map(|wait| after(Instant::now(), wait));
            let may_ask = attempts < MAX_ATTEMPTS && next.is_some_and(|next| next < patience);
            if !may_ask {
                tracing::debug!(
                    origin = address::origin(&uri),
                    local = candidate.connection.local,
                    relay = candidate.connection.relay,
                    error = %error.kind(),
                    elapsed_ms = ms(begun.elapsed()),
                    "candidate failed"
                );
            }
            self.update(index, |state| {
                state.error = Some(error);
                state.has_failed = !may_ask;
            });
            match wait.filter(|_| may_ask) {
                None => break,
                Some(Duration::ZERO) => {}
                Some(wait) => sleep(wait).await,
            }
        }
        None
    }

    fn no_answer(&self, uri: &Url, summary: &str) -> Error {
        let call = self.client.call(uri, Operation::Identity, PATIENCE);
        call.add_to(Error::new(ErrorKind::Timeout, summary), 0)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut State)) {
        self.states.send_modify(|states| {
            states.get_mut(index).map(change);
        });
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Candidate> + Clone {
        self.candidates.iter().chain(&self.skipped)
    }

    /// Why each candidate but the winner was not used, in the order of their classes.
    pub(super) fn errors(&self, is_won: bool) -> Vec<CandidateError> {
        let states = self.states.borrow();
        let tried = self.candidates.iter().zip(states.iter());
        let tried = tried.filter(|(_, state)| !state.has_won).map(|(candidate, state)| {
            let uri = &candidate.connection.uri;
            let error = match &state.error {
                Some(error) => error.clone(),
                None if is_won && state.attempts == 0 => Error::new(ErrorKind::Skipped, LATE),
                None if is_won => Error::new(ErrorKind::Skipped, format!("no answer yet: {LATE}")),
                None if state.attempts == 0 => {
                    self.no_answer(uri, "not tried before the time was up")
                }
                None => self.no_answer(uri, "no answer before the time was up"),
            };
            let error = error.with(|details| {
                details.attempts = state.attempts;
                details.summary.push_str(candidate.hint);
            });
            (candidate, error)
        });
        let skipped = self.skipped.iter().map(|candidate| {
            (candidate, Error::new(ErrorKind::Skipped, candidate.skipped.unwrap_or_default()))
        });
        let mut errors: Vec<_> = tried.chain(skipped).collect();
        errors.sort_by_key(|(candidate, _)| candidate.class);
        let error = |(candidate, error): (&Candidate, Error)| {
            let Connection { ref uri, local, relay, .. } = candidate.connection;
            CandidateError { origin: address::origin(uri), local, relay, error }
        };
        errors.into_iter().map(error).collect()
    }
}

const LATE: &str = "another one was verified first";

/// Whether the first `count` have failed for good.
fn have_failed(states: &[State], count: usize) -> bool {
    states.iter().take(count).all(|state| state.has_failed)
}
