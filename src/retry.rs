//! Which failures are tried again, and when.

use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::Error;

/// Tries, and tries again while the failure is of a passing kind, the number of tries is not used
/// up, and the wait before the next one ends before the deadline does.
///
/// The wait is what the server asked for, or else 250 ms, doubling, with a jitter of up to as much
/// again, so that the clients of a restarted server don't come back all at once.
pub(crate) async fn retry<T, F>(
    attempt: impl FnMut() -> F,
    max_retries: u32,
    deadline: Option<Instant>,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let backoff = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .with_max_times(usize::try_from(max_retries).unwrap_or(usize::MAX));
    attempt
        .retry(backoff)
        .when(Error::is_retryable)
        .adjust(|error, wait| {
            let wait = error.retry_after().unwrap_or(wait?);
            let end = Instant::now().checked_add(wait)?;
            deadline.is_none_or(|deadline| end < deadline).then_some(wait)
        })
        .notify(|error, wait| {
            let status = error.status().map(|status| status.as_u16());
            tracing::debug!(status, ?wait, "trying again");
        })
        .await
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
