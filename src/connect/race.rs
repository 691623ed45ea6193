//! The race of the candidates: staggered starts, and the first verified one wins.

use std::time::Duration;

use backon::Retryable as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::candidates::Candidate;
use crate::client::{Client, Operation, after, backoff};
use crate::error::{Details, Error, ErrorKind};
use crate::source::{Connection, Source};

/// The time between two starts: the `Connection Attempt Delay` that RFC 8305 recommends in section
/// 5.
const GAP: Duration = Duration::from_millis(250);
/// By when every direct candidate has been started, however many there are.
const ALL_STARTED: Duration = Duration::from_secs(2);
/// When relays, which are slow, are started at the latest.
const RELAYS_AFTER: Duration = Duration::from_secs(3);

/// The first candidate that is verified before the deadline. The others then know why they were
/// not.
pub(super) async fn race(
    client: &Client,
    source: &Source,
    candidates: &mut [Candidate],
    deadline: Instant,
) -> Option<Connection> {
    let begin = Instant::now();
    let half = deadline.saturating_duration_since(begin).checked_div(2).unwrap_or_default();
    let relays_at = after(begin, RELAYS_AFTER.min(half));
    let usable = || candidates.iter().filter(|candidate| candidate.error.is_none());
    let direct = usable().filter(|candidate| !candidate.connection.relay).count();
    // Direct ones first. Collected, as a future that holds a closure like this is not `Send`.
    let queue = candidates.iter_mut().filter(|candidate| candidate.error.is_none());
    let mut queue = queue.collect::<Vec<_>>().into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let (mut started, mut direct_running): (usize, usize) = (0, 0);
    let mut next_start = begin;
    loop {
        let now = Instant::now();
        let due = queue.peek().map(|next| match next.connection.relay && direct_running > 0 {
            _ if running.is_empty() => now,
            true => next_start.max(relays_at),
            false => next_start,
        });
        if let Some(due) = due.filter(|due| *due <= now)
            && let Some(candidate) = queue.next()
        {
            started = started.saturating_add(1);
            direct_running = direct_running.saturating_add((!candidate.connection.relay).into());
            next_start = after(due, gap(started, direct, ALL_STARTED.min(half)));
            running.push(verify(client, source, candidate, deadline));
            continue;
        }
        let wake = due.map_or(deadline, |due| due.min(deadline));
        match timeout_at(wake, running.next()).await {
            Ok(Some(Ok(connection))) => return Some(connection.clone()),
            Ok(Some(Err(relay))) => {
                direct_running = direct_running.saturating_sub((!relay).into());
                next_start = next_start.min(Instant::now());
            }
            Ok(None) => return None,
            Err(_) if Instant::now() >= deadline => return None,
            Err(_) => {}
        }
    }
}

/// The time from the start of the candidate with this number, from 1, to that of the next one. The
/// second never starts early, so that a first one that answers is not disturbed; in a long list the
/// rest shares what is left until all direct ones have been started.
fn gap(number: usize, direct: usize, all_started: Duration) -> Duration {
    let first = GAP.min(all_started);
    let rest = u32::try_from(direct.saturating_sub(2)).unwrap_or(u32::MAX);
    match number {
        // Relays have a time of their own.
        _ if number == direct => Duration::ZERO,
        1 => first,
        _ if number > direct => GAP,
        _ => GAP.min(all_started.saturating_sub(first).checked_div(rest).unwrap_or(GAP)),
    }
}

/// Asks a candidate for its identity, again while it is starting or silent. Returns whether it is a
/// relay when it fails.
async fn verify<'a>(
    client: &Client,
    source: &Source,
    candidate: &'a mut Candidate,
    deadline: Instant,
) -> Result<&'a Connection, bool> {
    use ErrorKind::{Timeout, TooManyRequests, Unavailable, WrongServer};

    let Candidate { connection, error } = candidate;
    let call = client.call(Operation::Identity).to(&connection.uri, deadline);
    let once = || async {
        let body = call.attempt(|| client.0.api.get_identity(&connection.uri)).await?;
        match source.matches(&body.media_container.machine_identifier) {
            true => Ok(()),
            false => Err(call.unusable(WrongServer, "another server answers there")),
        }
    };
    let passes = |error: &Error| matches!(error.kind(), Timeout | TooManyRequests | Unavailable);
    let too_late = call.details(Timeout, "no answer before the time was up");
    *error = Some(Details { attempts: 1, ..too_late }.into());
    let retried = once.retry(backoff()).when(passes).adjust(|failed, wait| {
        // In case the time is up before the next answer.
        *error = Some(failed.clone());
        call.wait(failed, wait?)
    });
    let verified = retried.await;
    verified.map(|()| &*connection).map_err(|failed| {
        *error = Some(failed);
        connection.relay
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(direct: usize, half: Duration) -> Vec<Duration> {
        let gaps = (1..direct).map(|number| gap(number, direct, ALL_STARTED.min(half)));
        let mut at = Duration::ZERO;
        gaps.map(|gap| {
            at = at.saturating_add(gap);
            at
        })
        .collect()
    }

    #[test]
    fn every_direct_candidate_is_started_within_2_s_or_half_the_round() {
        for half in [50, 250, 1_000, 7_000].map(Duration::from_millis) {
            for direct in 2..=100 {
                let starts = starts(direct, half);
                assert!(starts[0] == GAP.min(half), "{direct} {half:?}");
                assert!(*starts.last().unwrap() <= ALL_STARTED.min(half), "{direct} {half:?}");
            }
        }
        let quarter = |number: u64| Duration::from_millis(250 * number);
        assert_eq!(starts(5, ALL_STARTED), [1, 2, 3, 4].map(quarter));
    }
}
