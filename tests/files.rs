//! A process without file descriptors: in one of its own.

#![cfg(unix)]

use std::fs::File;
use std::process::Command;

use plex_auth::{Client, ErrorKind};
use support::{Server, json};

/// The test runs itself again, with a limit on the descriptors.
#[test]
fn without_file_descriptors_the_error_says_so() {
    const URL: &str = "PLEX_AUTH_TEST_SERVER";
    if let Ok(url) = std::env::var(URL) {
        return without_files(&url);
    }
    let server = Server::start(|_| json("{}"));
    let this = std::env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" --nocapture"]).arg(this);
    let output = shell.env(URL, server.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::main(flavor = "current_thread")]
async fn without_files(url: &str) {
    // The name is resolved by the system, which then needs a descriptor.
    let named = url.replace("127.0.0.1", "localhost");
    let clients = [url, &named].map(|url| support::builder(url).max_retries(5).build().unwrap());
    // It starts the thread that resolves names.
    tokio::net::lookup_host("localhost:80").await.unwrap().for_each(drop);
    let files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for client in clients {
        let error = client.transient_token().await.unwrap_err();
        assert_says_so(&error);
    }
    let builder = Client::builder("https://127.0.0.1").token("t").client_identifier("c");
    if let Err(error) = builder.build() {
        assert_says_so(&error);
    }
    drop(files);
}

#[track_caller]
fn assert_says_so(error: &plex_auth::Error) {
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::HttpSetup, 0), "{error}");
    assert!(error.to_string().contains("no file descriptors are left"), "{error}");
}
