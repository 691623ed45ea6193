//! Each fault of the matrix, against a hostile server on real sockets.

#![cfg(feature = "rustls")]
#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod matrix;
mod support;

use std::sync::LazyLock;

use matrix::{Outcome, Secrets};

/// All at once, because most of them wait. Each test then looks at its own part.
static OUTCOME: LazyLock<Outcome> = LazyLock::new(|| {
    let only = std::env::var("FAULT").ok();
    let which = |fault: &matrix::Fault| only.as_ref().is_none_or(|only| only == fault.test);
    matrix::run(Secrets::random(), which, |_| {})
});

#[track_caller]
fn check(test: &str) {
    if let Some(wrong) = OUTCOME.wrong.get(test) {
        let shown: Vec<_> = wrong.iter().take(10).map(String::as_str).collect();
        panic!("{} of {test} went wrong:\n{}", wrong.len(), shown.join("\n"));
    }
}

macro_rules! tests {
    ($($test:ident)*) => {
        const TESTS: &[&str] = &[$(stringify!($test)),*];
        $(#[test]
        fn $test() {
            check(stringify!($test));
        })*
    };
}

tests! {
    a_name_that_does_not_resolve_is_named_as_such
    a_refused_connection_is_tried_again
    a_closed_connection_is_tried_again
    a_reset_before_the_answer_is_tried_again
    a_reset_in_the_body_is_a_body_cut_short
    silence_ends_in_a_timeout
    a_trickle_ends_in_a_timeout
    a_tls_handshake_that_never_ends_is_a_timeout
    interim_answers_for_ever_end_in_a_timeout
    an_idle_connection_closed_by_the_server_is_replaced
    an_answer_that_nobody_asked_for_is_not_taken
    what_is_not_http_is_named_as_such
    a_certificate_of_an_unknown_issuer_is_refused
    a_certificate_for_another_name_is_refused
    an_expired_certificate_is_refused
    a_plain_server_behind_https_gets_nothing
    a_tls_server_behind_http_is_named_as_such
    a_root_certificate_of_the_closure_is_trusted
    a_body_without_end_is_cut_at_the_limit
    an_error_body_without_end_is_not_waited_for
    a_content_length_that_lies_is_refused
    the_body_limit_is_exact
    a_huge_head_is_refused
    a_broken_chunk_is_a_body_cut_short
    a_compressed_body_is_refused
    each_status_has_its_error
    interim_statuses_are_passed_over
    an_interim_status_is_no_answer
    a_status_that_is_none_is_refused
    a_redirect_is_never_followed
    a_body_cut_short_at_any_byte_is_an_error
    any_json_in_any_place_is_an_answer_or_an_error
    deep_nesting_is_no_stack_overflow
    a_key_that_comes_twice_is_refused
    a_number_of_any_length_is_survived
    a_token_that_no_header_can_carry_is_refused
    a_good_status_with_another_body_is_not_json
    an_error_that_repeats_a_token_is_masked
    a_message_cannot_steer_a_terminal
    an_xml_error_cannot_blow_up
    a_device_that_is_not_the_source_is_no_answer
    retry_after_is_honoured
    a_wait_that_does_not_fit_is_given_to_the_caller
    a_retry_after_that_is_nonsense_is_no_wait
    a_server_that_recovers_is_asked_no_more_than_needed
    an_outage_hits_each_of_256_calls_at_once
    a_dropped_future_leaves_the_client_usable
}

#[test]
fn the_matrix_has_at_least_2000_cases() {
    println!("{} cases", OUTCOME.cases);
    assert!(OUTCOME.cases >= 2_000 || std::env::var_os("FAULT").is_some());
}

#[test]
fn every_fault_has_its_test() {
    let faults: Vec<_> = matrix::table().iter().map(|fault| fault.test).collect();
    assert_eq!(faults, TESTS);
}

/// `UPDATE_DOCS=1 cargo test --test faults the_table` writes it anew.
#[test]
fn the_table_in_the_docs_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    // Git may have changed the line ends.
    let read = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(read == made, "docs/faults.md is stale: run the test with UPDATE_DOCS=1");
}

fn document() -> String {
    let mut text = "# What each fault comes to\n\n\
        Made by `tests/faults.rs` from the matrix itself (`tests/matrix/`); don't edit it.\n\n\
        Each fault is tried with each of the three methods, over `http` and, where it matters, \
        `https`. For each call it is checked that it ends within its time, with the error named \
        here, a text that says where and what to do, and the number of tries; that each request \
        carried the token where it belongs and nowhere else; and that no task outlives the client. \
        `tests/leaks.rs` searches all that these calls show for tokens, `tests/memory.rs` measures \
        the memory they take. All names are tests of `tests/faults.rs`.\n"
        .to_owned();
    let mut area = "";
    for fault in matrix::table() {
        if area != fault.area {
            area = fault.area;
            text +=
                &format!("\n## {area}\n\n| fault | what the caller gets | test |\n|---|---|---|\n");
        }
        text += &format!("| {} | {} | `{}` |\n", fault.fault, fault.gets, fault.test);
    }
    text += "\n## Beside the matrix\n\n| fault | what the caller gets | test |\n|---|---|---|\n";
    for (fault, gets, test) in BESIDE {
        text += &format!("| {fault} | {gets} | `{test}` |\n");
    }
    text
}

/// What can't be a row, because it needs a process or a runtime of its own.
const BESIDE: &[(&str, &str, &str)] = &[
    (
        "a call outside a tokio runtime",
        "`NoRuntime`",
        "caller.rs: a_call_outside_a_runtime_is_an_error",
    ),
    (
        "clones in several threads and runtimes",
        "each the answer",
        "caller.rs: clones_work_in_several_threads_and_runtimes",
    ),
    (
        "one of the runtimes shut down between calls",
        "the answer",
        "caller.rs: a_clone_works_after_its_siblings_runtime_was_shut_down",
    ),
    (
        "one of the runtimes shut down in the middle of a call",
        "the others' answers",
        "caller.rs: a_runtime_shut_down_in_the_middle_of_a_call_harms_no_other",
    ),
    (
        "a dropped call",
        "its connection is closed",
        "caller.rs: a_call_that_was_dropped_closes_its_connection",
    ),
    ("10,000 calls at once", "each the answer", "crowd.rs: each_of_10_000_calls_at_once_ends"),
    (
        "a server that restarts between a mint and the token's use",
        "the answer, with one new token",
        "keeper.rs: run_survives_a_restart_between_mint_and_use",
    ),
    (
        "a mint whose runtime ends",
        "the token, by a mint on the runtime of a waiter",
        "keeper.rs: a_mint_whose_runtime_ends_is_started_anew_on_that_of_a_waiter",
    ),
    (
        "a relay, a dead, a silent, a lying and the right address of a device",
        "the right one; no other is sent a token",
        "connect.rs: the_right_one_of_five_is_found_in_two_seconds_and_no_other_gets_a_token",
    ),
    (
        "a server that proves itself and is replaced by another",
        "`Tls`; the token is not sent",
        "connect.rs: a_server_that_is_replaced_after_its_proof_never_sees_the_token",
    ),
    (
        "a certificate for another name, or from nobody, at a device's address",
        "`NoConnection`, with `Tls` for it",
        "connect.rs: a_certificate_for_another_name_or_from_nobody_is_no_proof",
    ),
    (
        "a device list that names loopback ports",
        "each is asked who it is, without a token",
        "connect.rs: loopback_ports_in_a_list_are_asked_who_they_are_and_nothing_else",
    ),
    (
        "a device list that names link-local addresses, or what the builder would refuse",
        "skipped",
        "connect.rs: what_the_builder_would_refuse_is_skipped",
    ),
    (
        "a resolver that refuses `plex.direct`",
        "the answer without DNS, or an error that names the likely cause",
        "connect.rs: a_resolver_that_refuses_plex_direct_is_named_as_the_likely_cause",
    ),
    ("any bytes, any answer, any setting", "a value or an error, no panic", "no_panic.rs, fuzz.rs"),
    ("what a closure tries to undo", "nothing is undone", "closure.rs"),
];

/// A test's name in a document is worth something while there is such a test.
#[test]
fn each_test_that_the_documents_name_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap() + &document();
    let mut named = 0;
    for span in text.split('`').skip(1).step_by(2) {
        let Some((file, test)) = span.split_once(".rs: ") else { continue };
        let source = std::fs::read_to_string(root.join(format!("tests/{file}.rs"))).unwrap();
        let listed = file == "faults" && TESTS.contains(&test);
        assert!(listed || source.contains(&format!("fn {test}(")), "no test {span}");
        named += 1;
    }
    assert!(named > 10);
}
