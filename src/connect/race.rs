//! The race of the candidates: one queue of events and one timer. The first verified one wins.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use super::candidates::{Choice, Chooser, Class, GAP, starts};
use crate::client::{Client, Operation, Retries, after};
use crate::error::{CandidateError, Details, Error, ErrorKind, escape};
use crate::source::{Connection, Device, Source};

/// How long a verified remote connection waits for a local one that was started before it.
const LOCAL_HEAD_START: Duration = Duration::from_millis(150);
/// When the source is looked up again.
const REFRESH_AFTER: Duration = Duration::from_secs(3);
/// How long to retry when all candidates left have failed transiently.
const RESTART: Duration = Duration::from_secs(5);
/// The timeout of a reconnection's first attempt, whose pooled connection may be dead.
const FIRST_ANSWER: Duration = Duration::from_millis(500);
/// How many times a candidate is asked.
const MAX_ATTEMPTS: u32 = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Starts at this time, or when nothing else runs.
    Waiting(Instant),
    Running,
    /// Failed transiently, for the first time at this time, and is retried.
    Retrying(Instant),
    /// Failed for the first time at this time, or was skipped, and is not retried.
    Failed(Instant),
}

struct Candidate {
    connection: Connection,
    state: State,
    retries: Retries,
    /// The error of the last attempt, or the reason why it was skipped.
    error: Option<Error>,
}

enum Event {
    /// A candidate, by its index, was asked for its identity.
    Asked(usize, Result<(), Error>),
    LookedUp(Result<Device, Error>),
}

/// Whether the source is looked up again beside the race.
enum Refresh {
    At(Instant),
    Running,
    Done(Instant),
}

pub(super) struct Race<'a> {
    client: &'a Client,
    source: &'a Source,
    /// From the latest look-up, whose access token is used.
    device: Device,
    chooser: Chooser<'a>,
    deadline: Instant,
    is_reconnection: bool,
    /// By class within each look-up.
    candidates: Vec<Candidate>,
    events: FuturesUnordered<BoxFuture<'a, Event>>,
    refresh: Refresh,
    /// Why the second look-up failed, for the error's text.
    problem: String,
    /// A verified candidate, and until when it waits for a local one.
    verified: Option<(usize, Instant)>,
}

impl<'a> Race<'a> {
    /// A reconnection begins with a look-up with `refresh=1`, so there is no second one.
    pub(super) fn new(
        client: &'a Client,
        source: &'a Source,
        device: Device,
        is_reconnection: bool,
        chooser: Chooser<'a>,
        deadline: Instant,
    ) -> Self {
        let begin = Instant::now();
        let listed = device.connections.clone();
        let mut race = Self {
            client,
            source,
            device,
            chooser,
            deadline,
            is_reconnection,
            candidates: Vec::new(),
            events: FuturesUnordered::new(),
            refresh: match is_reconnection {
                true => Refresh::Done(begin),
                false => Refresh::At(after(begin, REFRESH_AFTER)),
            },
            problem: String::new(),
            verified: None,
        };
        let time = deadline.saturating_duration_since(begin);
        race.add(listed, |classes| starts(classes, time));
        race
    }

    /// Adds connections, which start at the times from now that `starts` returns.
    fn add(&mut self, listed: Vec<Connection>, starts: impl Fn(&[Class]) -> Vec<Duration>) {
        let now = Instant::now();
        let chosen = self.chooser.choose(listed);
        let usable = chosen.iter().filter(|choice| choice.skipped.is_none());
        let mut starts = starts(&usable.map(|choice| choice.class).collect::<Vec<_>>()).into_iter();
        for Choice { connection, skipped, .. } in chosen {
            let state = match skipped {
                None => State::Waiting(after(now, starts.next().unwrap_or_default())),
                Some(_) => State::Failed(now),
            };
            let error = skipped.map(|reason| Error::new(ErrorKind::Skipped, reason));
            let retries = Retries::without_jitter(self.deadline);
            self.candidates.push(Candidate { connection, state, retries, error });
        }
    }

    /// The device and the connection that won. Each turn starts what is due, looks for a winner,
    /// and then waits for an event or for the next time-based action.
    pub(super) async fn run(mut self) -> Result<(Device, Connection), Error> {
        loop {
            self.start_what_is_due();
            self.look_up_what_is_due();
            if let Some(connection) = self.winner() {
                return Ok((self.device, connection));
            }
            let end = self.end();
            if Instant::now() >= end {
                return Err(self.unreachable());
            }
            match timeout_at(self.next_due().min(end), self.events.next()).await {
                Ok(Some(Event::Asked(index, Ok(())))) => self.on_verified(index),
                Ok(Some(Event::Asked(index, Err(error)))) => self.on_failed(index, error),
                Ok(Some(Event::LookedUp(device))) => self.on_looked_up(device),
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Starts every candidate that is due, or the next one if no running candidate can still
    /// succeed.
    fn start_what_is_due(&mut self) {
        while let Some((at, index)) = self.next_start() {
            let may_succeed = |state| matches!(state, State::Running | State::Retrying(_));
            let mut states = self.candidates.iter().map(|candidate| candidate.state);
            if at > Instant::now() && states.any(may_succeed) {
                return;
            }
            self.ask(index, State::Running, 1, Duration::ZERO);
        }
    }

    /// The next candidate to start, and when.
    fn next_start(&self) -> Option<(Instant, usize)> {
        let candidates = self.candidates.iter().enumerate();
        let waiting = candidates.filter_map(|(index, candidate)| match candidate.state {
            State::Waiting(at) => Some((at, index)),
            _ => None,
        });
        waiting.min()
    }

    /// Verifies a candidate by its identity, after a wait.
    fn ask(&mut self, index: usize, state: State, number: u32, wait: Duration) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        candidate.state = state;
        let (client, source, uri) = (self.client, self.source, candidate.connection.uri.clone());
        let is_limited = self.is_reconnection && number == 1;
        let until = is_limited.then(|| after(Instant::now(), FIRST_ANSWER));
        let asking = async move {
            if source.is_provider() {
                // It has no `/identity`: its certificate is checked at the first call.
                return Event::Asked(index, Ok(()));
            }
            if !wait.is_zero() {
                // A sleep of zero takes up to a millisecond.
                sleep(wait).await;
            }
            let mut result = client.verify(&uri, source, number, until).await;
            if result.is_err() && until.is_some_and(|until| until <= Instant::now()) {
                // On a new connection.
                result = client.verify(&uri, source, number.saturating_add(1), None).await;
            }
            Event::Asked(index, result)
        };
        self.events.push(asking.boxed());
    }

    /// Looks the source up again, once: when it is due, or when every candidate has failed.
    fn look_up_what_is_due(&mut self) {
        let Refresh::At(at) = self.refresh else { return };
        let is_failed = |candidate: &Candidate| matches!(candidate.state, State::Failed(_));
        if Instant::now() >= at || self.candidates.iter().all(is_failed) {
            self.refresh = Refresh::Running;
            let (client, source) = (self.client, self.source);
            let call = client.call(Operation::Source);
            self.events.push(client.look_up(call, source, true).map(Event::LookedUp).boxed());
        }
    }

    /// The connection that has won.
    fn winner(&self) -> Option<Connection> {
        let (index, until) = self.verified?;
        let winner = &self.candidates.get(index)?.connection;
        let is_remote = !winner.local && !winner.relay;
        let is_awaited = |earlier: &Candidate| {
            earlier.state == State::Running && is_local_https(&earlier.connection)
        };
        let mut earlier = self.candidates.iter().take(index);
        let waits = is_remote && Instant::now() < until && earlier.any(is_awaited);
        (!waits).then(|| winner.clone())
    }

    /// When the race ends without a winner: in the past if no candidate can still succeed.
    fn end(&self) -> Instant {
        let Refresh::Done(mut since) = self.refresh else { return self.deadline };
        let mut time = Duration::ZERO;
        for candidate in &self.candidates {
            let (State::Retrying(at) | State::Failed(at)) = candidate.state else {
                return self.deadline;
            };
            since = since.max(at);
            if matches!(candidate.state, State::Retrying(_)) {
                time = RESTART;
            }
        }
        after(since, time).min(self.deadline)
    }

    /// The next time-based action: a start, the end of the head start, the second look-up, or the
    /// deadline.
    fn next_due(&self) -> Instant {
        let start = self.next_start().map(|(at, _)| at);
        let until = self.verified.map(|(_, until)| until);
        let refresh = if let Refresh::At(at) = self.refresh { Some(at) } else { None };
        [start, until, refresh].into_iter().flatten().min().unwrap_or(self.deadline)
    }

    /// A later one replaces the first only if it is local `https`, which the first waits for.
    fn on_verified(&mut self, index: usize) {
        let Some(candidate) = self.candidates.get(index) else { return };
        if self.verified.is_none() || is_local_https(&candidate.connection) {
            let until = after(Instant::now(), LOCAL_HEAD_START).min(self.deadline);
            self.verified = Some((index, until));
        }
    }

    fn on_failed(&mut self, index: usize, error: Error) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        let number = error.attempts().saturating_add(1);
        let since = match candidate.state {
            State::Retrying(since) => since,
            _ => Instant::now(),
        };
        let suggested = error.suggested_address().cloned();
        let suggested = suggested.and_then(|uri| self.chooser.replace(&candidate.connection, uri));
        let is_transient = error.is_retryable() || error.kind() == ErrorKind::Timeout;
        let next = if number > MAX_ATTEMPTS {
            None
        } else if let Some(connection) = suggested {
            // The same machine, by the name that its certificate is valid for.
            candidate.connection = connection;
            Some((candidate.state, Duration::ZERO))
        } else {
            let wait = is_transient.then(|| candidate.retries.wait(&error)).flatten();
            wait.map(|wait| (State::Retrying(since), wait))
        };
        candidate.error = Some(error);
        match next {
            Some((state, wait)) => self.ask(index, state, number, wait),
            None => candidate.state = State::Failed(since),
        }
    }

    /// New addresses start at once, in the order of their class.
    fn on_looked_up(&mut self, device: Result<Device, Error>) {
        self.refresh = Refresh::Done(Instant::now());
        match device {
            Ok(device) => {
                let gaps = |classes: &[Class]| {
                    (0..).map(|n| GAP.saturating_mul(n)).take(classes.len()).collect()
                };
                self.add(device.connections.clone(), gaps);
                self.device = device;
            }
            Err(error) => {
                self.problem = format!(", and looking it up again failed ({error})");
            }
        }
    }

    fn unreachable(self) -> Error {
        let errors = self.candidates.iter().map(|candidate| self.candidate_error(candidate));
        let candidates: Vec<_> = errors.collect();
        let problem = self.problem;
        let summary = match candidates.is_empty() {
            true => {
                format!("it has no connections{problem}: is it running, and signed in to plex.tv?")
            }
            false => format!("no connection works{problem}"),
        };
        let attempts = candidates.iter().map(|candidate| candidate.error.attempts());
        let attempts = attempts.fold(0, u32::saturating_add);
        let operation = format!("connecting to {}", escape(self.source.as_ref(), 100));
        let details = Details::new(ErrorKind::Unreachable, summary);
        Details { operation, attempts, candidates, ..details }.into()
    }

    fn candidate_error(&self, candidate: &Candidate) -> CandidateError {
        let Candidate { connection, state, error, .. } = candidate;
        let error = error.clone().unwrap_or_else(|| {
            let (summary, attempts) = match state {
                State::Waiting(_) => ("not tried before the time was up", 0),
                _ => ("no answer before the time was up", 1),
            };
            let call = self.client.call_to(&connection.uri, Operation::Identity);
            call.add_to(Error::new(ErrorKind::Timeout, summary), attempts)
        });
        let origin = crate::address::origin(&connection.uri);
        CandidateError { origin, local: connection.local, relay: connection.relay, error }
    }
}

fn is_local_https(connection: &Connection) -> bool {
    connection.local && !connection.relay && connection.uri.scheme() == "https"
}
