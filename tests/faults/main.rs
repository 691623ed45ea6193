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

/// The rows that failed. Each case runs in a thread of its own, whose name a panic shows.
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
                    let thread = Builder::new().name(format!("{}, {call:?}", row.fault));
                    if thread.spawn(move || run(row, call, https)).unwrap().join().is_err() {
                        failed.lock().unwrap().push(row.fault);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
});

fn run(row: &Row, call: Call, https: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let case = Case { call, https, runtime };
    (row.run)(&case);
    case.runtime.block_on(support::no_tasks_left());
}

fn search_log_and_panics() {
    let log = support::leak::subscriber(|line| {
        LOG_RECORDS.fetch_add(1, SeqCst);
        if SEARCH.finds_in(line) {
            let target = line.split_whitespace().nth(1).unwrap_or_default();
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

/// Each row that fails has panicked in a thread of its name, with the reason.
#[test]
fn each_fault_has_its_result() {
    assert!(FAILED.is_empty(), "{:#?}", *FAILED);
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
    let made = document().replace("\r\n", "\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    // Git may have changed the line ends.
    let read = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(read == made, "docs/faults.md is stale: run the test with UPDATE_DOCS=1");
}

fn document() -> String {
    let mut text = include_str!("head.md").to_owned();
    for (title, rows) in TABLES {
        text += &format!("\n## {title}\n\n| fault | result |\n|---|---|\n");
        for Row { fault, result, .. } in rows {
            text += &format!("| {fault} | {result} |\n");
        }
    }
    text + "\n" + include_str!("outside.md")
}

/// The documents name only tests that exist and run: not ignored, in a file that is compiled, or a
/// row of the tables.
#[test]
fn each_test_that_the_documents_name_runs() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let targets = read("tests/Cargo.toml");
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
                && (targets.contains(&format!("path = \"{file}.rs\""))
                    || file.split_once('/').is_some_and(|(ring, module)| {
                        let modules = read(&format!("tests/{ring}/mod.rs"));
                        modules.contains(&format!("mod {module};"))
                    }))
        } else {
            continue;
        };
        assert!(runs, "no such test: {span}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}
