//! One call: its attempts, the waits between them, and its deadline.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use progenitor_client::{Error as Raw, ResponseValue};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::address;
use crate::client::Client;
use crate::error::{Details, Error, ErrorKind};
use crate::token::Timestamp;

/// What a call is for, for the texts of its errors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    TransientToken,
    Source,
    Identity,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::TransientToken => "getting a transient token",
            Self::Source => "looking up a source",
            Self::Identity => "verifying a connection",
        }
    }
}

pub(super) const NO_DEVICE: &str = "the server does not know this source: it lists no device with \
                                    its identifier";

/// The waits between attempts: 250 ms, doubling to 4 s, with jitter of up to as much again, so that
/// the clients of a restarted server don't come back all at once.
pub(crate) fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(4))
        .with_jitter()
        .without_max_times()
}

/// How many times a call is attempted when no connection can be made.
const MAX_CONNECTS: u32 = 3;

/// A call under way. Knows what its errors need to know.
pub(crate) struct Call<'a> {
    pub(super) client: &'a Client,
    pub(super) operation: Operation,
    pub(super) address: &'a Url,
    deadline: Instant,
    attempts: AtomicU32,
}

impl Client {
    pub(crate) fn call(&self, operation: Operation) -> Call<'_> {
        let deadline = after(Instant::now(), self.0.settings.timeout);
        let (address, attempts) = (self.address(), AtomicU32::new(0));
        Call { client: self, operation, address, deadline, attempts }
    }
}

impl<'a> Call<'a> {
    /// The same call to another address, within another time.
    pub(crate) fn to(self, address: &'a Url, deadline: Instant) -> Self {
        Self { address, deadline, ..self }
    }

    /// Makes attempts until one succeeds, fails in a way that is not transient, or no more fit.
    /// Also returns when the request that succeeded was sent.
    pub(super) async fn run<T, F>(&self, request: impl Fn() -> F) -> Result<(Timestamp, T), Error>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        check_runtime()?;
        let attempt = || async {
            let sent_at = Timestamp::now();
            self.attempt(&request).await.map(|body| (sent_at, body))
        };
        // Most calls need no loop and no timer beside reqwest's own.
        match attempt().await {
            Err(error) if error.is_retryable() => {
                let retries = Box::pin(self.retry(error, attempt));
                timeout_at(self.deadline, retries).await.unwrap_or_else(|_| Err(self.timed_out()))
            }
            result => result,
        }
    }

    /// The attempts after a first one that failed. Its error goes through the loop too, which
    /// decides on the first wait by it.
    async fn retry<T, F>(&self, error: Error, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let max_retries = usize::try_from(self.client.0.settings.max_retries).unwrap_or(usize::MAX);
        let mut connects: u32 = 0;
        let mut first = Some(error);
        let attempts = || {
            let first = first.take();
            async {
                match first {
                    Some(error) => Err(error),
                    None => attempt().await,
                }
            }
        };
        attempts
            .retry(backoff().with_max_times(max_retries))
            .when(Error::is_retryable)
            .adjust(|error, wait| {
                connects = connects.saturating_add((error.kind() == ErrorKind::Connect).into());
                if connects < MAX_CONNECTS { self.wait(error, wait?) } else { None }
            })
            .await
    }

    pub(crate) async fn attempt<T, F>(&self, request: impl Fn() -> F) -> Result<T, Error>
    where
        T: DeserializeOwned,
        F: Future<Output = Result<ResponseValue<T>, Raw>>,
    {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match request().await {
            Ok(response) => Ok(response.into_inner()),
            Err(raw) => Box::pin(self.recover(raw)).await,
        }
    }

    /// The wait before the next attempt, which a server can lengthen by `Retry-After`. There is no
    /// next one when it would begin after the deadline.
    pub(crate) fn wait(&self, error: &Error, wait: Duration) -> Option<Duration> {
        let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
        let fits = Instant::now().checked_add(wait)? < self.deadline;
        let status = error.status().map(|status| status.as_u16());
        let attempts = self.attempts.load(Ordering::Relaxed);
        if fits {
            tracing::debug!(status, attempts, ?wait, "transient failure, retrying");
        }
        fits.then_some(wait)
    }

    /// An error of this call, to be completed.
    pub(crate) fn details(&self, kind: ErrorKind, summary: impl Into<String>) -> Details {
        Details {
            operation: self.operation.name().into(),
            origin: Some(address::origin(self.address)),
            attempts: self.attempts.load(Ordering::Relaxed),
            ..Details::new(kind, summary)
        }
    }

    /// A response with status 200 that can't be used.
    pub(crate) fn unusable(&self, kind: ErrorKind, summary: impl Into<String>) -> Error {
        Details { status: Some(StatusCode::OK), ..self.details(kind, summary) }.into()
    }

    pub(super) fn timed_out(&self) -> Error {
        let limit = self.client.0.settings.timeout;
        let summary = format!("no complete response within {limit:?} (`timeout`)");
        self.details(ErrorKind::Timeout, summary).into()
    }
}

/// Requests and timers panic where there is no runtime.
pub(crate) fn check_runtime() -> Result<(), Error> {
    let summary = "no tokio runtime, or one that is shutting down: await the call in one";
    Handle::try_current().map(drop).map_err(|_| Error::new(ErrorKind::NoRuntime, summary))
}

/// The instant so much later, or as late as a clock goes.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    const AN_AGE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(time.min(AN_AGE)).unwrap_or(start)
}

/// `Retry-After`: seconds, or a date until which to wait. Anything else is no wait.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder as _;
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, wait) in [
            ("0", Some(0)),
            ("1", Some(1)),
            (" 86400 ", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_from_250_ms_to_4_s_and_jitter_only_lengthens_them() {
        for _ in 0..100 {
            let waits = backoff().build().take(7).map(|wait| wait.as_secs_f64());
            for (wait, least) in waits.zip([0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]) {
                assert!(wait >= least && wait <= 2.0 * least, "{wait} {least}");
            }
        }
    }
}
