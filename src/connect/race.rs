//! The race of the candidates: one queue of events and one timer. The first verified one wins.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use super::candidates::{Chooser, Class, GAP, starts};
use crate::client::{Client, Operation, Retries, after};
use crate::error::{CandidateError, Error, ErrorKind};
use crate::source::{Connection, Device, Source};

/// How long a verified remote connection waits for a local one that was started before it.
const LOCAL_HEAD_START: Duration = Duration::from_millis(150);
/// When the source is looked up again.
const REFRESH_AFTER: Duration = Duration::from_secs(3);
/// How long candidates are waited for that fail in a transient way, when there are no others.
const RESTART: Duration = Duration::from_secs(5);
/// How long the first attempt may take where a pooled connection may be dead.
const FIRST_ANSWER: Duration = Duration::from_millis(500);
/// How many times a candidate is asked.
const MAX_ATTEMPTS: u32 = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Starts at this time, or when nothing else runs.
    Waiting(Instant),
    /// Was asked for the first time, as the candidate with this number.
    Running(usize),
    /// Has failed in a transient way, and is asked again.
    Retrying,
    Failed,
}

struct Candidate {
    connection: Connection,
    state: State,
    attempts: u32,
    /// When the first attempt is cut off, because a pooled connection may be dead.
    first_until: Option<Instant>,
    retries: Retries,
    error: Option<Error>,
}

enum Event {
    /// A candidate, by its index, was asked for its identity.
    Asked(usize, Result<(), Error>),
    LookedUp(Result<Device, Error>),
}

/// Whether the source is looked up again beside the race.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    At(Instant),
    Running,
    Done(Instant),
}

pub(super) struct Race<'a> {
    client: &'a Client,
    source: &'a Source,
    /// With the access token that counts.
    device: Device,
    chooser: Chooser<'a>,
    candidates: Vec<Candidate>,
    events: FuturesUnordered<BoxFuture<'a, Event>>,
    started: usize,
    is_reconnection: bool,
    refresh: Refresh,
    /// The text about a look-up that failed.
    problem: String,
    /// Since when all that is left fails in a transient way.
    stuck: Option<Instant>,
    /// A verified candidate, and until when it waits for a local one.
    verified: Option<(usize, Instant)>,
    deadline: Instant,
}

/// What a race ends with: the device with the connection that won, or why there is none.
pub(super) type Outcome = Result<(Device, Connection), (String, Vec<CandidateError>)>;

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
        let refresh = match is_reconnection {
            true => Refresh::Done(begin),
            false => Refresh::At(after(begin, REFRESH_AFTER)),
        };
        let (candidates, events, problem) = Default::default();
        let (stuck, verified) = (None, None);
        let listed = device.connections.clone();
        let mut race = Self {
            client,
            source,
            device,
            chooser,
            candidates,
            events,
            started: 0,
            is_reconnection,
            refresh,
            problem,
            stuck,
            verified,
            deadline,
        };
        let time = deadline.saturating_duration_since(begin);
        race.add(listed, |classes| starts(classes, time));
        race
    }

    /// Adds connections, which start at the times from now that `starts` says.
    fn add(&mut self, listed: Vec<Connection>, starts: impl Fn(&[Class]) -> Vec<Duration>) {
        let chosen = self.chooser.choose(listed);
        let usable = chosen.iter().filter(|choice| choice.skipped.is_none());
        let mut starts = starts(&usable.map(|choice| choice.class).collect::<Vec<_>>()).into_iter();
        let now = Instant::now();
        for choice in chosen {
            let state = match choice.skipped {
                None => State::Waiting(after(now, starts.next().unwrap_or_default())),
                Some(_) => State::Failed,
            };
            let error = choice.skipped.map(|reason| Error::new(ErrorKind::Skipped, reason));
            let retries = Retries::without_jitter(MAX_ATTEMPTS, self.deadline);
            let connection = choice.connection;
            let (attempts, first_until) = (0, None);
            let candidate = Candidate { connection, state, attempts, first_until, retries, error };
            self.candidates.push(candidate);
        }
    }

    pub(super) async fn run(mut self) -> Outcome {
        loop {
            self.start_what_is_due();
            self.look_up_what_is_due();
            if let Some(winner) = self.winner() {
                return Ok((self.device, winner));
            }
            let wake = match self.wake() {
                Some(wake) if Instant::now() < self.deadline => wake.min(self.deadline),
                _ => break,
            };
            match timeout_at(wake, self.events.next()).await {
                Ok(Some(Event::Asked(index, Ok(())))) => self.verify(index),
                Ok(Some(Event::Asked(index, Err(error)))) => self.fail(index, error),
                Ok(Some(Event::LookedUp(device))) => self.join(device),
                Ok(None) | Err(_) => {}
            }
        }
        let errors = self.candidates.iter().map(|candidate| self.candidate_error(candidate));
        Err((self.problem.clone(), errors.collect()))
    }

    fn is_any(&self, is_alike: impl Fn(State) -> bool) -> bool {
        self.candidates.iter().any(|candidate| is_alike(candidate.state))
    }

    /// Starts every candidate whose time has come, or the next one where nothing runs that may still
    /// succeed.
    fn start_what_is_due(&mut self) {
        loop {
            let waiting = self.candidates.iter().enumerate();
            let waiting = waiting.filter_map(|(index, candidate)| match candidate.state {
                State::Waiting(at) => Some((at, index)),
                _ => None,
            });
            let Some((at, index)) = waiting.min() else { return };
            let may_succeed = |state| matches!(state, State::Running(_) | State::Retrying);
            if at > Instant::now() && self.is_any(may_succeed) {
                return;
            }
            self.started = self.started.saturating_add(1);
            let started = State::Running(self.started);
            self.ask(index, started, Duration::ZERO);
        }
    }

    /// Asks a candidate for its identity, after a wait.
    fn ask(&mut self, index: usize, state: State, wait: Duration) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        candidate.state = state;
        candidate.attempts = candidate.attempts.saturating_add(1);
        let (number, uri) = (candidate.attempts, candidate.connection.uri.clone());
        let (client, source) = (self.client, self.source);
        let is_limited = self.is_reconnection && number == 1;
        let until = is_limited.then(|| after(Instant::now(), FIRST_ANSWER));
        candidate.first_until = until;
        let asking = async move {
            if source.is_provider() {
                // It has no `/identity`: its certificate is checked at the first call.
                return Event::Asked(index, Ok(()));
            }
            sleep(wait).await;
            let call = client.call_to(&uri, Operation::Identity);
            let request = client.0.api.get_identity(&uri);
            // The race watches over the rest of the time.
            let verified = call.attempt(number, until, request, |_, body| {
                match source.matches(&body.media_container.machine_identifier) {
                    true => Ok(()),
                    false => {
                        let summary = "another server answers there";
                        Err(Error::unusable(ErrorKind::WrongServer, summary))
                    }
                }
            });
            Event::Asked(index, verified.await)
        };
        self.events.push(asking.boxed());
    }

    /// Looks the source up again, once: when its time has come, or when every candidate has failed.
    fn look_up_what_is_due(&mut self) {
        let Refresh::At(at) = self.refresh else { return };
        if Instant::now() >= at || !self.is_any(|state| state != State::Failed) {
            self.refresh = Refresh::Running;
            let (client, source) = (self.client, self.source);
            self.events.push(client.look_up(source, true).map(Event::LookedUp).boxed());
        }
    }

    /// The connection that has won.
    fn winner(&self) -> Option<Connection> {
        let (winner, until) = self.verified?;
        let winner = self.candidates.get(winner)?;
        let number = |candidate: &Candidate| match candidate.state {
            State::Running(number) => Some(number),
            _ => None,
        };
        let is_waited_for = |other: &Candidate| {
            let is_earlier = number(other).is_some_and(|other| Some(other) < number(winner));
            is_earlier && is_local_https(&other.connection)
        };
        let waits = Instant::now() < until && self.candidates.iter().any(is_waited_for);
        (!waits).then(|| winner.connection.clone())
    }

    /// When something happens next that is no event, or nothing when nothing can happen any more.
    fn wake(&mut self) -> Option<Instant> {
        let starts = self.candidates.iter().filter_map(|candidate| match candidate.state {
            State::Waiting(at) => Some(at),
            _ => None,
        });
        let refresh = match self.refresh {
            Refresh::At(at) => Some(at),
            Refresh::Running | Refresh::Done(_) => None,
        };
        let until = self.verified.map(|(_, until)| until);
        let others = starts.chain(refresh).chain(until).min();

        let is_fresh = |state| matches!(state, State::Waiting(_) | State::Running(_));
        if self.is_any(is_fresh) {
            self.stuck = None;
            return Some(others.unwrap_or(self.deadline));
        }
        let stuck = *self.stuck.get_or_insert_with(Instant::now);
        match self.refresh {
            Refresh::Done(at) if self.is_any(|state| state == State::Retrying) => {
                let end = after(stuck.max(at), RESTART);
                (Instant::now() < end).then_some(end)
            }
            Refresh::Done(_) => None,
            Refresh::At(_) | Refresh::Running => Some(others.unwrap_or(self.deadline)),
        }
    }

    fn verify(&mut self, index: usize) {
        let Some(candidate) = self.candidates.get(index) else { return };
        let waits = match candidate.connection {
            Connection { local: false, relay: false, .. } => LOCAL_HEAD_START,
            _ => Duration::ZERO,
        };
        // What comes second wins only where the first waits for it.
        if self.verified.is_none() || is_local_https(&candidate.connection) {
            let until = after(Instant::now(), waits).min(self.deadline);
            self.verified = Some((index, until));
        }
    }

    fn fail(&mut self, index: usize, error: Error) {
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        if candidate.first_until.take().is_some_and(|until| until <= Instant::now()) {
            // It has not failed: the next attempt has a new connection.
            let state = candidate.state;
            return self.ask(index, state, Duration::ZERO);
        }
        candidate.error = Some(error.clone());
        if candidate.attempts >= MAX_ATTEMPTS {
            candidate.state = State::Failed;
            return;
        }
        let suggested = error.suggested_address().cloned();
        let suggested = suggested.and_then(|uri| self.chooser.replace(&candidate.connection, uri));
        if let Some(connection) = suggested {
            // The same machine, by the name that its certificate has.
            candidate.connection = connection;
            let state = candidate.state;
            return self.ask(index, state, Duration::ZERO);
        }
        let is_transient = error.is_retryable() || error.kind() == ErrorKind::Timeout;
        match is_transient.then(|| candidate.retries.wait(&error)).flatten() {
            Some(wait) => self.ask(index, State::Retrying, wait),
            None => candidate.state = State::Failed,
        }
    }

    /// The answer of the second look-up: new addresses join at once, in the order of their class.
    fn join(&mut self, device: Result<Device, Error>) {
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

    fn candidate_error(&self, candidate: &Candidate) -> CandidateError {
        let Candidate { connection, state, attempts, .. } = candidate;
        let unfinished = |summary| {
            let call = self.client.call_to(&connection.uri, Operation::Identity);
            call.add_to(Error::new(ErrorKind::Timeout, summary), *attempts)
        };
        let error = match (&candidate.error, state) {
            (Some(error), _) => error.clone(),
            (None, State::Waiting(_)) => unfinished("not tried before the time was up"),
            (None, _) => unfinished("no answer before the time was up"),
        };
        let origin = crate::address::origin(&connection.uri);
        CandidateError { origin, relay: connection.relay, error }
    }
}

fn is_local_https(connection: &Connection) -> bool {
    connection.local && !connection.relay && connection.uri.scheme() == "https"
}
