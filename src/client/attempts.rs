//! One call: its attempts, the waits between them, and its deadline.

use std::mem;
use std::pin::pin;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt as _;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use progenitor_client::ResponseValue;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::address;
use crate::api::{Raw, body};
use crate::client::Client;
use crate::client::explain::{self, Context};
use crate::error::{Error, ErrorKind};
use crate::token::Timestamp;

/// How many times a call is retried after a connection failed or was closed.
const MAX_CONNECTS: u32 = 2;
/// How many requests an attempt without an answer makes, side by side.
const MAX_BESIDE: u32 = 3;
/// So that a connection that times out has ended its attempt before another request is made.
const GRACE: Duration = Duration::from_millis(50);

/// 250 ms, doubling to 4 s.
pub(crate) fn waits(retries: u32) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(4))
        .with_max_times(retries.try_into().unwrap_or(usize::MAX))
}

/// The retries that a call has left.
struct Retries {
    waits: ExponentialBackoff,
    connects: u32,
    /// Whether no connection was closed before: another one is at hand, so no wait is needed.
    is_first_close: bool,
    deadline: Instant,
}

impl Retries {
    /// With jitter, which adds up to 100 %, so that clients don't return to a restarted server all
    /// at once.
    fn new(retries: u32, deadline: Instant) -> Self {
        let waits = waits(retries).with_jitter().build();
        Self { waits, connects: MAX_CONNECTS, is_first_close: true, deadline }
    }

    /// The wait before the next attempt, at least `Retry-After`. `None` if no retries are left, or
    /// if the attempt would start after the deadline.
    fn wait(&mut self, error: &Error) -> Option<Duration> {
        if error.is_connection_failure() {
            self.connects = self.connects.checked_sub(1)?;
        }
        let mut wait = self.waits.next()?;
        if error.is_closed() && mem::take(&mut self.is_first_close) {
            wait = Duration::ZERO;
        }
        let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
        (Instant::now().checked_add(wait)? < self.deadline).then_some(wait)
    }
}

/// A call in progress.
pub(crate) struct Call<'a> {
    pub(crate) client: &'a Client,
    pub(crate) context: Context<'a>,
    pub(crate) deadline: Instant,
}

impl Call<'_> {
    /// Makes attempts until one succeeds or fails for good, no retries are left, or the deadline
    /// passes. Then the last answer is the error.
    pub(crate) async fn run<T, U, F>(
        self,
        request: impl Fn(Client) -> F,
        read: impl Fn(Timestamp, T) -> Result<U, Error>,
    ) -> Result<U, Error>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        check_runtime()?;
        let begun = Instant::now();
        let (mut sent, mut last) = (0, None);
        let mut retries = None;
        let error = loop {
            let Some(result) = self.accompanied(&mut sent, &request, &read).await else {
                break last.unwrap_or_else(|| explain::timed_out(&self.context));
            };
            let error = match result {
                Err(error) if error.is_retryable() => error,
                Err(error) => break error,
                Ok(value) => return Ok(value),
            };
            let retries = retries.get_or_insert_with(|| {
                Retries::new(self.client.0.settings.max_retries, self.deadline)
            });
            let Some(wait) = retries.wait(&error) else { break error };
            tracing::debug!(
                operation = self.context.operation.name(),
                origin = address::origin(self.context.address),
                error = %error.kind(),
                elapsed_ms = ms(begun.elapsed()),
                ?wait,
                "transient failure, retrying"
            );
            if !wait.is_zero() {
                // A sleep of zero takes up to a millisecond.
                sleep(wait).await;
            }
            last = Some(error);
        };
        Err(self.add_to(error, sent))
    }

    /// An attempt. Its pooled connection may be dead without a sign, so while there is no answer it
    /// is joined by another one every `connect_timeout`, over a new connection. The first answer
    /// wins. `None`: the deadline has passed.
    async fn accompanied<T, U, F>(
        &self,
        sent: &mut u32,
        request: &impl Fn(Client) -> F,
        read: &impl Fn(Timestamp, T) -> Result<U, Error>,
    ) -> Option<Result<U, Error>>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        let begun = Instant::now();
        let until_after = |sent: u32| match self.client.0.settings.max_retries {
            0 => self.deadline,
            _ if sent >= MAX_BESIDE => self.deadline,
            _ => {
                let time = self.context.connect_timeout.saturating_mul(sent);
                after(begun, time.saturating_add(GRACE)).min(self.deadline)
            }
        };
        let mut until = until_after(1);
        *sent = sent.saturating_add(1);
        let mut first = pin!(self.attempt(request(self.client.clone()), read));
        if let Ok(result) = timeout_at(until, first.as_mut()).await {
            return Some(result);
        }
        if until >= self.deadline {
            return None;
        }

        // The pool may have more dead connections.
        let fresh = self.client.fresh();
        let mut running = FuturesUnordered::from_iter([Either::Left(first)]);
        for number in 2..=MAX_BESIDE {
            *sent = sent.saturating_add(1);
            running.push(Either::Right(self.attempt(request(fresh.clone()), read)));
            until = until_after(number);
            while let Ok(Some(result)) = timeout_at(until, running.next()).await {
                let is_answer = !result.as_ref().is_err_and(Error::is_closed);
                if is_answer || running.is_empty() {
                    return Some(result);
                }
            }
        }
        None
    }

    /// Makes one attempt, and logs it.
    pub(crate) async fn attempt<T, U>(
        &self,
        request: impl Future<Output = Result<ResponseValue<T>, Raw>>,
        read: impl Fn(Timestamp, T) -> Result<U, Error>,
    ) -> Result<U, Error>
    where
        T: DeserializeOwned,
    {
        let sent_at = Timestamp::now();
        let body = match request.await {
            Ok(response) => Ok(response.into_inner()),
            Err(Raw::InvalidResponsePayload(bytes, _)) => body::decode(&bytes)
                .map_err(|problem| explain::undecodable(problem, &bytes, &self.context)),
            // Boxed to keep the future small: most calls succeed.
            Err(raw) => Err(Box::pin(explain::explain(raw, &self.context)).await),
        };
        let result = body.and_then(|body| read(sent_at, body));
        let error = result.as_ref().err();
        self.log(error.map_or(Some(StatusCode::OK), Error::status), error, sent_at.monotonic);
        result
    }

    /// Logs that a request has ended.
    pub(crate) fn log(&self, status: Option<StatusCode>, error: Option<&Error>, sent_at: Instant) {
        tracing::debug!(
            operation = self.context.operation.name(),
            origin = address::origin(self.context.address),
            status = status.map(|status| status.as_u16()),
            error = error.map(|error| tracing::field::display(error.kind())),
            elapsed_ms = ms(sent_at.elapsed()),
            "request finished"
        );
    }

    /// Adds the operation, the origin and the number of attempts to an error.
    pub(crate) fn add_to(&self, error: Error, attempts: u32) -> Error {
        error.with(|details| {
            details.operation = self.context.operation.text().to_owned();
            details.origin = Some(address::origin(self.context.address));
            let is_sent = !matches!(details.kind, ErrorKind::HttpSetup | ErrorKind::InvalidAddress);
            details.attempts = if is_sent { attempts } else { 0 };
        })
    }
}

/// Requests and timers panic without a runtime.
pub(crate) fn check_runtime() -> Result<(), Error> {
    let summary = "no tokio runtime, or one that is shutting down: await the call in one";
    let none = |_| Error::new(ErrorKind::NoRuntime, summary);
    Handle::try_current().map(drop).map_err(none)
}

/// For the log, whose numbers can be compared.
pub(crate) fn ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// `start + time`, limited to about 30 years, because a clock can overflow.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(time.min(FAR)).unwrap_or(start)
}
