//! Which failures are tried again, and when.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::Error;

/// When a call that starts now has had its time.
pub(crate) fn deadline(started: std::time::Instant, timeout: Duration) -> Instant {
    const AN_AGE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let end = started.checked_add(timeout.min(AN_AGE));
    end.unwrap_or(started).into()
}

/// The waits between tries, unless the server asks for others: 250 ms, doubling, with a jitter of
/// up to as much again, so that the clients of a restarted server don't come back all at once.
pub(crate) fn waits(max_retries: u32) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .with_max_times(usize::try_from(max_retries).unwrap_or(usize::MAX))
        .build()
}

/// How long to wait before the next try. There is none after a failure that does not pass, when the
/// number of tries is used up, and when the wait would not end before the deadline.
pub(crate) fn wait(
    error: &Error,
    waits: &mut ExponentialBackoff,
    deadline: Instant,
) -> Option<Duration> {
    if !error.is_retryable() {
        return None;
    }
    let wait = waits.next()?;
    let wait = error.retry_after().unwrap_or(wait);
    let fits = Instant::now().checked_add(wait)? < deadline;
    let status = error.status().map(|status| status.as_u16());
    tracing::debug!(status, ?wait, fits, "a failure of a passing kind");
    fits.then_some(wait)
}

/// `Retry-After`: seconds, or a date that the wait ends at. Nonsense is no wait.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &'static str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let headers = [(RETRY_AFTER, reqwest::header::HeaderValue::from_static(value))];
        retry_after(&HeaderMap::from_iter(headers), now)
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
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
            assert_eq!(parsed(value), wait.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn an_answer_without_retry_after_asks_for_no_wait() {
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }
}
