//! The faults that pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BOTH, Case, Cases, HTTP, OK, one_of, one_retry, retries};
use crate::{Step, Steps, respond};

fn kind(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        503 => "Unavailable",
        _ => "Status",
    }
}

/// Refuses the first requests.
fn refuse(case: &Case, number: usize, refusals: usize, status: u16, wait: &str) -> Vec<u8> {
    match number < refusals {
        true => respond(status, &[("Retry-After", wait)], ""),
        false => case.good(),
    }
}

pub(super) fn short_wait(cases: &mut Cases) {
    for status in [429, 503] {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (wait, least) in [("0", 750), (" 0 ", 750), (past, 750), ("1", 2_000)] {
            cases.each(HTTP, move |case| async move {
                let scripted = case.clone();
                let server =
                    case.server(move |request| refuse(&scripted, request.number, 2, status, wait));
                let client = case.client(&server, retries);
                let started = Instant::now();
                case.expect(&client, wait, OK.attempts(3)).await;
                // 250 ms and twice as much, or what the server asks for.
                let waited = started.elapsed() >= Duration::from_millis(least);
                case.check(waited, wait, "it did not wait");
                case.check_requests(&server, wait, Some(3));
            });
        }
    }
}

pub(super) fn long_wait(cases: &mut Cases) {
    for status in [429, 503] {
        for (wait, says) in [
            ("86400", "wait 86400 s"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", "it asks to wait "),
            ("18446744073709551615", "wait 18446744073709551615 s"),
        ] {
            let expected = one_of(kind(status)).says(says).within(Duration::ZERO).attempts(1);
            cases.answer(wait, BOTH, retries, expected, move |case, number| {
                refuse(case, number, 9, status, wait)
            });
        }
    }
}

pub(super) fn nonsense_wait(cases: &mut Cases) {
    for wait in ["soon", "-1", "1.5", "18446744073709551616", "", "1 s", "\u{fc}", "1, 2"] {
        let expected = one_of("Unavailable").attempts(2);
        cases.answer(wait, HTTP, one_retry, expected, move |case, number| {
            refuse(case, number, 9, 503, wait)
        });
    }
}

pub(super) fn recovers(cases: &mut Cases) {
    let recoveries = [("second attempt", 1), ("third attempt", 2), ("never", 9)];
    for status in [429, 502, 503, 504, 520, 521, 522, 523, 524, 530, 0] {
        let kind = if status == 0 { "Connect" } else { kind(status) };
        for (at, refusals) in recoveries {
            let expected = match refusals {
                9 => one_of(kind).says(" (3 attempts in ").attempts(3),
                _ => OK.attempts(refusals + 1),
            };
            cases.answer(at, HTTP, retries, expected, move |case, number| -> Steps {
                match status {
                    0 if number < refusals as usize => Step::Reset.into(),
                    _ => refuse(case, number, refusals as usize, status, "").into(),
                }
            });
        }
    }
    for status in [400, 401, 403, 404, 408, 425, 500, 501, 505, 519, 525, 526, 529, 531] {
        let expected = one_of(kind(status)).attempts(1);
        cases.answer("not retried", HTTP, retries, expected, move |case, number| {
            refuse(case, number, 9, status, "0")
        });
    }
}

pub(super) fn outage(cases: &mut Cases) {
    cases.each(HTTP, |case| async move {
        const CALLS: usize = 256;
        let good = case.good();
        let server = Arc::new(case.server(move |_| good.clone()));
        let client = case.client(&server, |builder| builder.max_retries(3));
        let stopping = {
            let server = server.clone();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    server.stop();
                    std::thread::sleep(Duration::from_millis(20));
                    server.go_on();
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let calls = (0..CALLS).map(|_| case.call(&client));
        for result in futures_util::future::join_all(calls).await {
            let attempts = result.as_ref().map_or_else(plex_auth::Error::attempts, |_| 1);
            let expected = one_of("Ok Connect BodyCutShort Timeout").attempts(attempts);
            case.check_result(&client, "during", expected, &result);
        }
        stopping.join().unwrap();
        case.expect(&client, "afterwards", one_of("Ok")).await;
    });
}
