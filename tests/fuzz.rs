//! The decoding, for as long as there is time: not part of `cargo test`.
//!
//! `PLEX_AUTH_FUZZ_SECONDS=600 cargo test --test fuzz -- --ignored --nocapture`; the default is 60.

#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod support;

use std::time::{Duration, Instant};

use plex_auth::wire;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::any::{answer, call_with, json};

#[test]
#[ignore = "takes as long as it is told to"]
fn no_body_panics() {
    let seconds = std::env::var("PLEX_AUTH_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let bytes = prop::collection::vec(any::<u8>(), 0..400).boxed();
    let damaged = (json(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    let damaged = damaged.prop_map(|(json, at, byte, cut)| {
        let mut bytes = json.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        bytes
    });
    let damaged = damaged.boxed();
    let mut rounds = 0_u64;
    while Instant::now() < end {
        // Each round has its own random numbers; a failure shows the smallest body that fails.
        let mut runner = TestRunner::new(Config { cases: 500, ..Config::default() });
        let bodies = prop_oneof![bytes.clone(), damaged.clone()];
        runner.run(&bodies, |body| decode(&body)).unwrap();
        let mut runner = TestRunner::new(Config { cases: 50, ..Config::default() });
        runner
            .run(&answer(), |answer| {
                call_with(answer);
                Ok(())
            })
            .unwrap();
        let status = prop::sample::select(vec![200, 401, 503]);
        let body = prop_oneof![json().prop_map(String::into_bytes), damaged.clone()];
        let whole = (status, body);
        let whole = whole.prop_map(|(status, body)| support::respond(status, &[], body));
        runner
            .run(&whole, |answer| {
                call_with(answer);
                Ok(())
            })
            .unwrap();
        rounds += 1;
    }
    println!("{} bodies decoded, {} answers", rounds * 500, rounds * 100);
}

/// What can be read can be written, shown and read again.
fn decode(body: &[u8]) -> Result<(), TestCaseError> {
    fn again<T>(body: &[u8]) -> Result<(), TestCaseError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let Ok(value) = serde_json::from_slice::<T>(body) else { return Ok(()) };
        let written = serde_json::to_vec(&value).unwrap();
        let read: T = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(format!("{value:?}"), format!("{read:?}"));
        Ok(())
    }
    again::<wire::TransientTokenBody>(body)?;
    again::<wire::SourceBody>(body)?;
    again::<wire::ErrorBody>(body)
}
