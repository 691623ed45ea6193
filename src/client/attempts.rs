//! One call: its attempts, the waits between them, and its deadline.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use progenitor_client::ResponseValue;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::address;
use crate::api::Raw;
use crate::client::explain::{self, Context};
use crate::error::{Error, ErrorKind};
use crate::token::Timestamp;

/// How many times a call is retried after a connection failure.
const MAX_CONNECTS: u32 = 2;

/// The retry budget of a call: its backoff, and how many retries are left.
pub(crate) struct Retries {
    waits: ExponentialBackoff,
    /// How many more after a connection failure.
    connects: u32,
    deadline: Instant,
}

impl Retries {
    /// With jitter, so that clients don't return to a restarted server all at once.
    pub(crate) fn new(retries: u32, connects: u32, deadline: Instant) -> Self {
        Self { waits: waits(retries).with_jitter().build(), connects, deadline }
    }

    /// Without jitter, because a user is waiting: a source that was down for 3 s is found 0.75 s
    /// after it returns, with jitter up to 4 s.
    pub(crate) fn without_jitter(deadline: Instant) -> Self {
        Self { waits: waits(u32::MAX).build(), connects: u32::MAX, deadline }
    }

    /// The wait before the next attempt, at least `Retry-After`. `None` if no retries are left, or
    /// if the attempt would start after the deadline.
    pub(crate) fn wait(&mut self, error: &Error) -> Option<Duration> {
        if error.is_connection_failure() {
            self.connects = self.connects.checked_sub(1)?;
        }
        let wait = self.waits.next()?;
        let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
        let fits = Instant::now().checked_add(wait)? < self.deadline;
        fits.then(|| tracing::debug!(%error, ?wait, "transient failure, retrying"))?;
        Some(wait)
    }
}

/// 250 ms, doubling to 4 s. Jitter adds up to 100 %.
fn waits(retries: u32) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(4))
        .with_max_times(retries.try_into().unwrap_or(usize::MAX))
}

/// A call in progress.
pub(crate) struct Call<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) max_retries: u32,
    pub(crate) deadline: Instant,
    /// An earlier deadline for the first attempt, whose pooled connection may be dead. `None`:
    /// reqwest's own timeout covers it.
    pub(crate) first_until: Option<Instant>,
}

impl Call<'_> {
    /// The same call with other timeouts, from now on: for all attempts, and for the first one.
    pub(crate) fn within(mut self, timeout: Duration, first: Duration) -> Self {
        let now = Instant::now();
        self.context.timeout = timeout;
        self.deadline = after(now, timeout);
        self.first_until = Some(after(now, first.min(timeout)));
        self
    }

    /// Makes attempts until one succeeds or fails permanently, no retries are left, or no attempt
    /// fits before the deadline.
    pub(crate) async fn run<T, U, F>(
        &self,
        request: impl Fn() -> F,
        read: impl Fn(Timestamp, T) -> Result<U, Error>,
    ) -> Result<U, Error>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        check_runtime()?;
        let mut retries = None;
        let (mut number, mut until) = (0_u32, self.first_until);
        loop {
            number = number.saturating_add(1);
            let error = match self.attempt(number, until, request(), &read).await {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let retries = retries
                .get_or_insert_with(|| Retries::new(self.max_retries, MAX_CONNECTS, self.deadline));
            let is_cut_off = until.is_some_and(|until| until <= Instant::now());
            match retries.wait(&error) {
                // The dropped request took its connection with it, so no wait is needed.
                Some(_) if is_cut_off => {}
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
            until = Some(self.deadline);
        }
    }

    /// Makes one attempt (`number` counts from 1), adds operation and origin to its error, and logs
    /// it.
    pub(crate) async fn attempt<T, U>(
        &self,
        number: u32,
        until: Option<Instant>,
        request: impl Future<Output = Result<ResponseValue<T>, Raw>>,
        read: impl Fn(Timestamp, T) -> Result<U, Error>,
    ) -> Result<U, Error>
    where
        T: DeserializeOwned,
    {
        let sent_at = Timestamp::now();
        let answer = async {
            match request.await {
                Ok(response) => Ok(response.into_inner()),
                // Boxed to keep the future small: most calls succeed.
                Err(raw) => Box::pin(explain::fallback(raw, &self.context)).await,
            }
        };
        let body = match until {
            None => answer.await,
            Some(until) => timeout_at(until, Box::pin(answer)).await.unwrap_or_else(|_| {
                let is_last = until >= self.deadline;
                Err(if is_last { explain::timed_out(&self.context) } else { explain::no_answer() })
            }),
        };
        let result = body.and_then(|body| read(sent_at, body));
        let result = result.map_err(|error| self.add_to(error, number));

        let error = result.as_ref().err();
        let status = error.map_or(Some(StatusCode::OK), Error::status);
        tracing::debug!(
            operation = self.context.operation.name(),
            origin = address::origin(self.context.address),
            status = status.map(|status| status.as_u16()),
            error = error.map(|error| tracing::field::display(error.kind())),
            elapsed = ?sent_at.monotonic.elapsed(),
            "request finished"
        );
        result
    }

    /// Adds the operation, the origin and the number of attempts to an error.
    pub(crate) fn add_to(&self, error: Error, attempts: u32) -> Error {
        error.with(|details| {
            details.operation = self.context.operation.text().to_owned();
            details.origin = Some(address::origin(self.context.address));
            let is_sent = details.kind != ErrorKind::HttpSetup;
            details.attempts = if is_sent { attempts } else { 0 };
        })
    }
}

/// Requests and timers panic without a runtime.
pub(crate) fn check_runtime() -> Result<(), Error> {
    let summary = "no tokio runtime, or one that is shutting down: await the call in one";
    Handle::try_current().map(drop).map_err(|_| Error::new(ErrorKind::NoRuntime, summary))
}

/// `start + time`, limited to about 30 years, because a clock can overflow.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(time.min(FAR)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_from_250_ms_to_4_s_and_jitter_only_lengthens_them() {
        let error = Error::new(ErrorKind::Unavailable, "");
        for _ in 0..100 {
            let mut retries = Retries::new(7, 0, after(Instant::now(), Duration::MAX));
            for least in [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0] {
                let wait = retries.wait(&error).unwrap().as_secs_f64();
                assert!(wait >= least && wait <= 2.0 * least, "{wait} {least}");
            }
            assert_eq!(retries.wait(&error), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_ends_after_the_deadline_is_none() {
        let error = Error::new(ErrorKind::Connect, "");
        let soon = after(Instant::now(), Duration::from_millis(200));
        assert_eq!(Retries::new(9, 9, soon).wait(&error), None);
        let late = after(Instant::now(), Duration::from_secs(60));
        let mut retries = Retries::new(9, 2, late);
        assert!(retries.wait(&error).is_some() && retries.wait(&error).is_some());
        assert_eq!(retries.wait(&error), None);
    }
}
