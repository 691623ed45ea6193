//! A flight: one task for all who want its result. They wait for it, each with a timeout of their own,
//! and share how it ended. The next one starts a second after the last one started.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument as _;

use crate::client::{after, check_runtime};
use crate::error::{Error, ErrorKind};

/// The minimum time between two starts.
pub(super) const SPACING: Duration = Duration::from_secs(1);

/// What a caller gets.
pub(super) enum Turn<T> {
    /// This, at once.
    Answer(Result<T, Error>),
    /// The result of the run in progress, or of the next one. The caller waits until so long after
    /// its start.
    Wait(Duration),
}

/// A state `S`, and the runs that change it, whose callers get a `T`.
pub(super) struct Flight<S, T>(Arc<Mutex<Inner<S, T>>>);

struct Inner<S, T> {
    state: S,
    /// When the last run started, or will start.
    started: Option<Instant>,
    running: Option<watch::Receiver<Option<Result<T, Error>>>>,
}

impl<S, T> Flight<S, T>
where
    S: Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(super) fn new(state: S) -> Self {
        Self(Arc::new(Mutex::new(Inner { state, started: None, running: None })))
    }

    /// Reads or changes the state.
    pub(super) fn with<R>(&self, read: impl FnOnce(&mut S) -> R) -> R {
        read(&mut self.lock().state)
    }

    /// `turn` decides what the caller gets, from the state and whether a run is in progress. `land`
    /// puts the result of a run into the state, and returns what all who wait for it get. `None`: the
    /// caller has waited long enough, and the run goes on.
    pub(super) async fn join<R, F>(
        &self,
        turn: impl Fn(&mut S, bool) -> Turn<T>,
        run: impl Fn() -> F,
        land: fn(&mut S, Result<R, Error>) -> Result<T, Error>,
    ) -> Option<Result<T, Error>>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
    {
        loop {
            let (until, mut running, task) = match self.board(&turn, &run, land) {
                Ok(boarded) => boarded,
                Err(answer) => return Some(answer),
            };
            if let Some(task) = task {
                match timeout_at(until, task).await.ok()? {
                    Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => return Some(Err(check_runtime().err().unwrap_or_else(ended))),
                    Ok(()) => {}
                }
            }
            let landed = timeout_at(until, running.wait_for(Option::is_some)).await.ok()?;
            // It is closed without a result where the runtime of the run has ended.
            if let Ok(result) = landed.map(|result| result.clone()) {
                return result;
            }
        }
    }

    /// Joins the run in progress or starts one, unless there is an answer. The caller who starts a
    /// run gets its task, too, with its panic.
    fn board<R, F>(
        &self,
        turn: &impl Fn(&mut S, bool) -> Turn<T>,
        run: &impl Fn() -> F,
        land: fn(&mut S, Result<R, Error>) -> Result<T, Error>,
    ) -> Result<Boarded<T>, Result<T, Error>>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
    {
        let mut inner = self.lock();
        let Inner { state, started, running } = &mut *inner;
        let current = running.clone().filter(|running| running.has_changed().is_ok());
        let patience = match turn(state, current.is_some()) {
            Turn::Answer(answer) => return Err(answer),
            Turn::Wait(patience) => patience,
        };
        check_runtime().map_err(Err)?;
        if let (Some(running), Some(started)) = (current, *started) {
            return Ok((after(started, patience), running, None));
        }
        let now = Instant::now();
        let start = started.map_or(now, |started| now.max(after(started, SPACING)));
        let (sender, receiver) = watch::channel(None);
        (*started, *running) = (Some(start), Some(receiver.clone()));
        let (flight, run) = (Self(self.0.clone()), run());
        let task = async move {
            if start > now {
                sleep_until(start).await;
            }
            let result = run.await;
            let result = land(&mut flight.lock().state, result);
            sender.send_replace(Some(result));
        };
        let task = tokio::spawn(task.in_current_span());
        Ok((after(start, patience), receiver, Some(task)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when a caller waits, for what, and the task if it started one.
type Boarded<T> = (Instant, watch::Receiver<Option<Result<T, Error>>>, Option<JoinHandle<()>>);

fn ended() -> Error {
    Error::new(ErrorKind::NoRuntime, "the tokio runtime has ended: await the call in another one")
}
