//! Each fault of the tables, against a hostile server on real sockets: a test of its own name. The
//! log of the process is recorded: a process of its own.

mod bodies;
mod case;
mod certificates;
mod connection;
mod sizes;
mod statuses;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread::{Builder, JoinHandle};

use libtest_mimic::{Arguments, Trial};
use support::Call;

use case::{Case, Row, SEARCH};

const TABLES: [(&str, &[Row]); 5] = [
    ("Connection", connection::ROWS),
    ("TLS", certificates::ROWS),
    ("Sizes", sizes::ROWS),
    ("Status", statuses::ROWS),
    ("Bodies", bodies::ROWS),
];

static LOG_RECORDS: AtomicUsize = AtomicUsize::new(0);
/// Where a token was found.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many faults are tried at once: most of them wait most of the time.
const WORKERS: usize = 6;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(WORKERS);
    search_log_and_panics();
    let rows = TABLES.iter().flat_map(|(_, rows)| *rows);
    let faults = rows.map(|row| Fault { row, passed: OnceLock::new() });
    let faults: &[Fault] = faults.collect::<Vec<_>>().leak();
    let mut tests: Vec<_> =
        faults.iter().map(|fault| test(fault.row.name, || check(fault))).collect();
    tests.push(test("no_fault_shows_a_token", || no_fault_shows_a_token(faults)));
    tests.push(test("the_table_in_the_docs_is_up_to_date", the_table_in_the_docs_is_up_to_date));
    libtest_mimic::run(&arguments, tests).exit();
}

fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// A row, tried once in a process.
struct Fault {
    row: &'static Row,
    passed: OnceLock<bool>,
}

impl Fault {
    /// Each call has a thread of its own, whose name a panic shows.
    fn passes(&self) -> bool {
        *self.passed.get_or_init(|| {
            let row = self.row;
            let calls = [(Call::Token, false), (Call::LookUp, true)].map(|(call, https)| {
                let thread = Builder::new().name(format!("{}, {call:?}", row.name));
                thread.spawn(move || run(row, call, https)).unwrap()
            });
            calls.map(JoinHandle::join).iter().all(Result::is_ok)
        })
    }
}

fn check(fault: &Fault) {
    assert!(fault.passes(), "{}", fault.row.fault);
    check_leaks();
}

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

/// A fault that runs alone is checked, too.
fn check_leaks() {
    let leaks = LEAKS.lock().unwrap();
    assert!(leaks.is_empty(), "a token shows in {leaks:#?}");
}

/// Tries those that have not run, so that it means the same when it runs alone.
fn no_fault_shows_a_token(faults: &[Fault]) {
    for fault in faults {
        fault.passes();
    }
    assert!(LOG_RECORDS.load(SeqCst) > 1_000, "the log was not recorded");
    check_leaks();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// With `UPDATE_DOCS` set it writes the document.
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
        text += &format!("\n## {title}\n\n| fault | result | test |\n|---|---|---|\n");
        for Row { name, fault, result, .. } in rows {
            text += &format!("| {fault} | {result} | `{name}` |\n");
        }
    }
    text + "\n" + include_str!("outside.md")
}
