//! What responses cost. Memory is a process's, so the client runs in one of its own, and its server
//! in another.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

use std::process::Command;
use std::time::Duration;

use plex_auth::{ErrorKind, Source};
use support::{Request, Server, Step, Steps, json, respond};

/// A number of `/proc/self/status`, in MiB: `VmRSS` is now, `VmHWM` the most so far.
fn mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() / 1024
}

const TOKEN: &str = "/security/token";
const SOURCE: &str = "/security/resources";

/// A response whose body comes in writes of one byte.
fn byte_by_byte(status: u16, body: &[u8]) -> Vec<Step> {
    let whole = respond(status, &[], body);
    let (head, body) = whole.split_at(whole.len() - body.len());
    let bytes = body.iter().map(|byte| Step::Send(vec![*byte]));
    std::iter::once(Step::Send(head.into())).chain(bytes).collect()
}

/// A response whose body comes in chunks of one byte, each with a size line of `padding` bytes.
fn padded_chunks(body: &[u8], padding: usize) -> Vec<Step> {
    let head = respond(200, &[("Transfer-Encoding", "chunked")], "");
    let size = format!("{:0padding$}1\r\n", 0);
    let chunk = |byte: &u8| Step::Send([size.as_bytes(), &[*byte], b"\r\n"].concat());
    let end = Step::Send(b"0\r\n\r\n".into());
    std::iter::once(Step::Send(head)).chain(body.iter().map(chunk)).chain([end]).collect()
}

/// White space, and a body that both calls can read.
fn padded(size: usize) -> Vec<u8> {
    let body = r#"{"errors":[],"MediaContainer":{"token":"a"}}"#;
    [" ".repeat(size - body.len()).as_bytes(), body.as_bytes()].concat()
}

/// As many of `inner`, by number, as fit into 1 MiB.
fn full(begin: &str, inner: impl Fn(usize) -> String, end: &str) -> Steps {
    let mut body = begin.to_owned();
    for next in (0..).map(inner) {
        if body.len() + next.len() + end.len() > 1024 * 1024 {
            break;
        }
        body += &next;
    }
    json(body + end).into()
}

/// Devices in JSON, each with as many of `inner` in its list as a list keeps, or fewer.
fn devices(inner: &str, times: usize) -> Steps {
    let device = format!(r#"{{"Connection":[{}null]}},"#, inner.repeat(times));
    full(r#"{"MediaContainer":{"Device":["#, |_| device.clone(), "null]}}")
}

fn xml(inner: impl Fn(usize) -> String) -> Steps {
    full("<MediaContainer>", inner, "</MediaContainer>")
}

/// A response, and the path that is asked.
type Case = (&'static str, &'static str, fn() -> Steps);

/// The numbers of pieces are those of the reports of what went wrong, or enough to see it.
const CASES: &[Case] = &[
    ("300,000 writes of a byte", TOKEN, || byte_by_byte(200, &padded(300_000)).into()),
    ("6,000 chunks with sizes of 8 kB", TOKEN, || padded_chunks(&padded(6_000), 8_000).into()),
    ("an error in writes", SOURCE, || byte_by_byte(404, &padded(60_000)).into()),
    ("an endless error", SOURCE, || {
        let head = b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec();
        vec![Step::Send(head), Step::Endless(vec![b'['; 64 * 1024])].into()
    }),
    ("empty connections", SOURCE, || devices("{},", 340)),
    ("URIs", SOURCE, || devices(r#"{"uri":"a:"},"#, 90)),
    ("lists in the place of a flag", SOURCE, || devices(r#"{"local":[[],[],[],[]]},"#, 340)),
    ("lists in the place of a token", TOKEN, || {
        full(r#"{"MediaContainer":{"token":["#, |_| "[],".to_owned(), "[]]}}")
    }),
    ("keys", SOURCE, || full(r#"{"MediaContainer":{"#, |at| format!(r#""{at}":0,"#), r#""":0}}"#)),
    ("XML connections", SOURCE, || {
        xml(|_| format!("<Device>{}</Device>", "<Connection/>".repeat(80)))
    }),
    ("XML elements", SOURCE, || xml(|_| format!("<a>{}</a>", "<b c=''/>".repeat(900)))),
    ("XML devices", SOURCE, || xml(|at| format!("<Device a='{at}'/>"))),
    ("XML attributes", SOURCE, || {
        xml(|at| {
            let attributes: String = (0..900).map(|number| format!(" a{number}=''")).collect();
            format!("<b{at}{attributes}/>")
        })
    }),
];

#[test]
fn a_body_of_1_mib_takes_less_than_64_mib() {
    fn script(request: &Request) -> Steps {
        let case = request.path().split('/').nth(1).unwrap();
        let (_, _, steps) = CASES[case.parse::<usize>().unwrap()];
        steps()
    }
    // The test runs itself again in a process of its own, as the client of this server.
    const URL: &str = "PLEX_AUTH_TEST_SERVER";
    let Ok(url) = std::env::var(URL) else {
        let server = Server::start(script);
        let mut command = Command::new(std::env::current_exe().unwrap());
        let status = command.arg("--nocapture").env(URL, server.url()).status();
        return assert!(status.unwrap().success(), "the client's process failed");
    };
    let source = Source::server("243b47").unwrap();
    let client = |case: usize| {
        let builder = support::builder(format!("{url}/{case}"));
        builder.timeout(Duration::from_secs(120)).build().unwrap()
    };
    drop(client(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = mib("VmRSS");
    for (number, (name, path, _)) in CASES.iter().enumerate() {
        let client = client(number);
        let result = runtime.block_on(async {
            match *path {
                TOKEN => client.transient_token().await.map(drop),
                _ => client.source_connection_information(&source).await.map(drop),
            }
        });
        // Only that it was read matters, and not what it was.
        let kind = result.err().map(|error| error.kind());
        let expected = [ErrorKind::NoDevice, ErrorKind::Decode, ErrorKind::NotFound];
        assert!(kind.is_none_or(|kind| expected.contains(&kind)), "{kind:?}: {name}");
        assert_eq!(kind.is_none(), number < 2, "{kind:?}: {name}");
        let growth = mib("VmHWM") - before;
        println!("{growth} MiB after {name}");
        assert!(growth < 64, "{growth} MiB: {name}");
    }
}
