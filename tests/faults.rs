//! Each fault of the matrix, against a hostile server on real sockets.

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
