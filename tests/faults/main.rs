//! Each fault of the tables, against a hostile server on real sockets. The log of the process is
//! recorded: a process of its own.

#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod bodies;
mod case;
mod certificates;
mod connection;
mod sizes;
mod statuses;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{LazyLock, Mutex};
use std::thread::Builder;

use support::Call;

use case::{Case, Row, SEARCH};

const TABLES: [(&str, &[Row]); 5] = [
    ("Connection", connection::ROWS),
    ("TLS", certificates::ROWS),
    ("Sizes", sizes::ROWS),
    ("Status", statuses::ROWS),
    ("Bodies", bodies::ROWS),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|(_, rows)| *rows)
}

static LOG_RECORDS: AtomicUsize = AtomicUsize::new(0);
/// Where a token was found.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many cases run at once: most of them wait most of the time.
const WORKERS: usize = 12;

/// The rows that failed. Each case runs in a thread and a runtime of its own, so that a panic names
/// its row, and the tasks left in it can be counted.
static FAILED: LazyLock<Vec<&str>> = LazyLock::new(|| {
    search_log_and_panics();
    let cases = [(Call::Token, false), (Call::LookUp, true)];
    let cases = cases.into_iter().flat_map(|case| rows().map(move |row| (row, case)));
    let (cases, failed) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some((row, (call, https))) = next else { break };
                    let case = Case { call, https };
                    let thread = Builder::new().name(format!("{}, {case:?}", row.fault));
                    if thread.spawn(move || run(row, case)).unwrap().join().is_err() {
                        failed.lock().unwrap().push(row.fault);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
});

fn run(row: &Row, case: Case) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        (row.run)(case).await;
        assert_eq!(support::tasks_left().await, 0, "tasks outlive the client");
    });
}

fn search_log_and_panics() {
    let log = support::leak::subscriber(|line| {
        LOG_RECORDS.fetch_add(1, SeqCst);
        if SEARCH.finds_in(line) {
            let target = line.split(' ').next().unwrap_or_default();
            LEAKS.lock().unwrap().push(format!("the log of {target}"));
        }
    });
    tracing::subscriber::set_global_default(log).unwrap();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if SEARCH.finds_in(&panic.to_string()) {
            LEAKS.lock().unwrap().push("a panic's message".to_owned());
        } else {
            print(panic);
        }
    }));
}

/// The panics above the message of this one say what went wrong in which row.
#[test]
fn each_fault_has_its_result() {
    assert!(FAILED.is_empty(), "{FAILED:#?}");
}

#[test]
fn no_fault_shows_a_token() {
    LazyLock::force(&FAILED);
    println!("{} log records", LOG_RECORDS.load(SeqCst));
    assert!(LOG_RECORDS.load(SeqCst) > 1_000, "the log was not recorded");
    let leaks = LEAKS.lock().unwrap();
    assert!(leaks.is_empty(), "a token shows in {leaks:#?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// With `UPDATE_DOCS` set it writes the document.
#[test]
fn the_table_in_the_docs_is_up_to_date() {
    let path = root().join("docs/faults.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    // Git may have changed the line ends.
    let read = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(read == made, "docs/faults.md is stale: run the test with UPDATE_DOCS=1");
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for (title, rows) in TABLES {
        text += &format!("\n## {title}\n\n| fault | result |\n|---|---|\n");
        for Row { fault, result, .. } in rows {
            text += &format!("| {fault} | {result} |\n");
        }
    }
    text + OUTSIDE
}

const HEAD: &str = "# Fault matrix

Written by `tests/faults/main.rs` from the tables next to it; don't edit it.

`tests/faults/` tries each fault of the tables with one call over `http` and the other over \
`https`. Each call must end \
in time, with the error named here, a text that says where it happened, and the right number of \
attempts. Each request must carry the token in its header and nowhere else. No task may outlive \
the client. No token may show in an error or its causes, in a panic, or in the log of any crate at \
`TRACE`. `tests/memory.rs` measures the memory that responses take.
";

/// A document may only name tests that exist, and that run: what is not ignored and in a file that
/// is a module or a target, or a row of the tables.
#[test]
fn each_test_that_the_documents_name_runs() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let (modules, targets) = (read("tests/main.rs"), read("tests/Cargo.toml"));
    let text = read("SECURITY.md") + &document();
    let mut named = 0;
    for span in text.split('`').skip(1).step_by(2) {
        let runs = if let Some(fault) = span.strip_prefix("faults: ") {
            rows().any(|row| row.fault.replace('`', "") == fault)
        } else if let Some((file, test)) = span.split_once(".rs: ") {
            let source = read(&format!("tests/{file}.rs"));
            let before = source.split_once(&format!("fn {test}(")).map(|(before, _)| before);
            let attributes = before.and_then(|before| before.rsplit("\n\n").next());
            attributes.is_some_and(|it| it.contains("test]") && !it.contains("#[ignore"))
                && (modules.contains(&format!("mod {file};"))
                    || targets.contains(&format!("path = \"{file}.rs\"")))
        } else {
            continue;
        };
        assert!(runs, "no such test: {span}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}

/// What needs a process or a runtime of its own, or another call.
const OUTSIDE: &str = "
## Outside the matrix

| fault | result | test |
|---|---|---|
| a call outside a tokio runtime | `NoRuntime` | `caller.rs: a_call_outside_a_runtime_is_an_error` |
| clones in several threads and runtimes | each the value | `caller.rs: clones_work_in_several_threads_and_runtimes` |
| one of the runtimes shut down between calls or in the middle of one | the others' values | `caller.rs: a_runtime_that_ends_between_calls_or_in_one_harms_no_other` |
| a dropped call | its connection is closed | `caller.rs: a_call_that_was_dropped_closes_its_connection` |
| a body of 300,000 writes, 1 MiB of short connections, devices, XML elements or attributes | less than 32 MiB of memory | `memory.rs: a_body_under_the_limit_takes_less_than_32_mib_however_it_is_cut` |
| a list of 340,000 connections | the first 1,000 are read, the unusable ones a count in the log | `answers.rs: unusable_connections_are_left_out_and_logged_as_a_count_of_the_first_1_000` |
| control characters, terminal escapes, bidirectional marks in a message | the status's error, escaped, at most 256 characters | `errors.rs: a_message_cannot_control_a_terminal_and_is_cut` |
| 10,000 callers of an empty cache | one request | `token_cache.rs: ten_thousand_callers_of_an_empty_cache_send_one_request` |
| a fetch whose caller's runtime ends | the token, fetched by a waiter | `token_cache.rs: after_a_callers_runtime_ends_a_waiter_in_another_one_fetches` |
| a relay, a dead, a silent, a lying and the right address of a device | the right one; no other is sent a token | `connect.rs: the_right_one_of_five_is_found_and_no_other_gets_a_token` |
| a server that is verified and then replaced by another | `Tls`; the token is not sent | `connect.rs: a_server_that_is_replaced_after_it_was_verified_never_gets_the_token` |
| a device list that names link-local addresses, or what the builder would refuse | skipped, with a reason | `connect.rs: a_candidate_that_must_not_be_asked_is_skipped_with_a_reason` |
| a device list with more than 100 addresses | 100 are tried, 10 are shown | `connect.rs: of_a_hostile_list_100_are_tried_and_10_are_shown` |
| a source that restarted | `Unauthorized`; after `reconnect` the value | `connect.rs: reconnect_brings_the_token_of_a_source_that_restarted` |
| 429, 502, 503, 504, 520 to 524, 530 | the value, when it comes in time | `retries.rs: a_transient_failure_is_retried` |
| any other failure | its error, not retried | `retries.rs: another_failure_is_not_retried` |
| `Retry-After`: 0 while a server starts | the value, after the usual waits | `retries.rs: a_server_that_starts_is_asked_for_some_seconds_with_5_retries_by_default` |
| `Retry-After`: 20 | the value, after 20 s | `retries.rs: a_retry_after_lengthens_the_wait` |
| `Retry-After`: 3,600 | `Unavailable` at once, with the wait | `retries.rs: a_wait_that_does_not_fit_into_the_time_out_ends_the_call_at_once` |
| status 200 with a PMS's XML | the value | `answers.rs: xml_is_read_for_both_calls_and_identity` |
| status 200 with HTML, text, nothing, half a JSON | `Decode` or `BodyCutShort`, which says what came | `answers.rs: what_came_in_place_of_the_expected_body_is_named_and_not_shown` |
| an empty token, a blank or a non-ASCII character in it, no token | `NoToken` | `answers.rs: a_response_without_a_usable_token_is_an_error_that_names_the_member` |
| no device, another one, several without the source's | `NoDevice` | `answers.rs: the_device_is_the_one_that_was_asked_for` |
| any bytes, any response, any setting | a value or an error, no panic | `no_panic.rs` |
| what a closure tries to undo | nothing is undone | `closure.rs` |
";
