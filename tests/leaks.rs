//! No token where it could be read: not in what the crate's types show, not in errors, not in the
//! log of any crate, whatever the fault.

#![cfg(feature = "rustls")]
#![allow(clippy::print_stdout, reason = "measured numbers are for people to see")]

mod matrix;
mod support;

use std::error::Error as _;
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use matrix::{Secrets, Seen, kind_of};
use plex_auth::{Client, Error, Source, Token, wire};
use support::leak::{Search, subscriber};

/// The one test of this file that may set the subscriber and the panic hook of the process.
#[test]
fn no_fault_shows_a_token() {
    let secrets = Secrets::random();
    let search = Arc::new(Search::new(&secrets.all()));
    let leaks = Arc::new(Mutex::new(Vec::new()));

    let in_log = {
        let (search, leaks) = (search.clone(), leaks.clone());
        let lines = Arc::new(AtomicUsize::new(0));
        let counted = lines.clone();
        let subscriber = subscriber(move |line| {
            counted.fetch_add(1, SeqCst);
            if search.finds_in(line) {
                let target = line.split(' ').next().unwrap_or_default();
                leaks.lock().unwrap().push(format!("the log of {target}"));
            }
        });
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    };
    {
        let (search, leaks) = (search.clone(), leaks.clone());
        std::panic::set_hook(Box::new(move |panic| {
            if search.finds_in(&panic.to_string()) {
                leaks.lock().unwrap().push("a panic's message".to_owned());
            }
        }));
    }
    let outcome = {
        let (search, leaks) = (search.clone(), leaks.clone());
        matrix::run(
            secrets,
            |_| true,
            move |seen| {
                for (what, text) in shown(seen) {
                    if search.finds_in(&text) {
                        leaks.lock().unwrap().push(format!("{what} of {}", seen.test));
                    }
                }
            },
        )
    };
    drop(std::panic::take_hook());

    let lines = in_log.load(SeqCst);
    println!("{} cases, {lines} log records", outcome.cases);
    assert!(lines > outcome.cases, "the log was not recorded");
    let mut leaks = std::mem::take(&mut *leaks.lock().unwrap());
    leaks.sort();
    leaks.dedup();
    assert!(leaks.is_empty(), "a token shows in:\n{}", leaks.join("\n"));
}

/// All that a caller could print after a call.
fn shown(seen: &Seen<'_>) -> Vec<(&'static str, String)> {
    let mut shown = vec![("Debug of Client", format!("{:?} {:?}", seen.client, seen.builder))];
    match seen.result {
        Ok(answer) => shown.push(("Debug of the answer", debug(answer))),
        Err(error) => shown.extend(told(error)),
    }
    shown
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

fn told(error: &Error) -> Vec<(&'static str, String)> {
    let mut told = vec![(kind_of(error), format!("{error} {error:?}"))];
    if let Some(message) = error.failure().and_then(|failure| failure.message.as_deref()) {
        told.push(("Failure::message", message.to_owned()));
    }
    let mut source = error.source();
    while let Some(error) = source {
        told.push(("an error's source", format!("{error} {error:?}")));
        source = error.source();
    }
    told
}

#[track_caller]
fn assert_hidden(search: &Search, what: &str, text: &str) {
    assert!(!search.finds_in(text), "{what} shows a token");
}

#[test]
fn no_public_type_shows_a_token() {
    let secrets = Secrets::random();
    let search = Search::new(&secrets.all());
    let token = || Token::try_from(&*secrets.caller).unwrap();
    assert_hidden(&search, "Token", &debug(&token()));
    assert_hidden(&search, "Some(Token)", &debug(&Some(token())));

    let builder = || Client::builder("http://127.0.0.1:9").token(token()).client_identifier("id");
    assert_hidden(&search, "ClientBuilder", &debug(&builder()));
    let client = builder().build().unwrap();
    assert_hidden(&search, "Client", &debug(&client));
    let other = client.with_token(&*secrets.returned).unwrap();
    assert_hidden(&search, "Client::with_token", &debug(&other));
}

/// What is generated derives `Debug`: the types in it must hide what they hold.
#[test]
fn no_generated_type_shows_a_token() {
    let secrets = Secrets::random();
    let search = Search::new(&secrets.all());
    let given = serde_json::to_string(&secrets.returned).unwrap();

    let minted = format!(r#"{{"MediaContainer":{{"token":{given}}}}}"#);
    let minted: wire::TransientTokenBody = serde_json::from_str(&minted).unwrap();
    assert_hidden(&search, "TransientTokenBody", &debug(&minted));
    assert_hidden(&search, "TransientTokenContainer", &debug(&minted.media_container));
    assert_hidden(&search, "WireToken", &debug(&minted.media_container.token));

    let found = format!(r#"{{"MediaContainer":{{"Device":{{"accessToken":{given}}}}}}}"#);
    let found: wire::SourceBody = serde_json::from_str(&found).unwrap();
    assert_hidden(&search, "SourceBody", &debug(&found));
    assert_hidden(&search, "SourceContainer", &debug(&found.media_container));
    assert_hidden(&search, "Device", &debug(&found.media_container.device.unwrap().0[0]));
}

/// A token in the wrong place, or with a newline from a file, is a common mistake.
#[test]
fn no_refused_setting_is_repeated() {
    let secrets = Secrets::random();
    let search = Search::new(&secrets.all());
    let caller = &secrets.caller;
    let ok = || Client::builder("http://127.0.0.1:9").token("x").client_identifier("id");
    let builds = [
        Client::builder(format!("http://{caller}")).build(),
        Client::builder(format!("http://user:{}@127.0.0.1", secrets.shown)).build(),
        Client::builder(format!("http://127.0.0.1/?X-Plex-Token={caller}")).build(),
        Client::builder(format!("http://127.0.0.1/#{caller}")).build(),
        Client::builder(caller).build(),
        Client::builder(format!("http://[{caller}]/")).build(),
        Client::builder(format!("ftp://127.0.0.1/{caller}")).build(),
        ok().token(format!("{caller}\n")).build(),
        ok().token(format!("{caller}\u{e9}")).build(),
        ok().client_identifier(format!("{caller}\n")).build(),
        ok().device_name(format!(" {caller}")).build(),
        ok().build().unwrap().with_token(format!("{caller} ")),
    ];
    for (number, build) in builds.into_iter().enumerate() {
        // Some random characters make a good host or path of it: then nothing was refused.
        let Err(error) = build else { continue };
        for (what, text) in told(&error) {
            assert_hidden(&search, &format!("{what} of setting {number}"), &text);
        }
    }
    let sources = [
        caller.parse::<Source>(),
        format!("https://{caller}").parse(),
        Source::server(format!("{caller} ")),
        Source::provider(format!("server://{caller}")),
    ];
    for error in sources.into_iter().filter_map(Result::err) {
        for (what, text) in told(&error) {
            assert_hidden(&search, what, &text);
        }
    }
}

/// A URL's host is in small letters, which is still the token.
#[tokio::test]
async fn a_token_in_a_redirects_host_is_masked() {
    let token = "QwErTyUiOpAsDfGhJkLz";
    let server = support::Server::start(move |_| {
        support::respond(302, &[("Location", &format!("https://a.{token}.example/"))], "")
    });
    let client = server.builder().token(token).build().unwrap();
    let error = client.transient_token().await.unwrap_err();
    let search = Search::new(&[token]);
    assert_hidden(&search, "a redirect", &format!("{error} {error:?}"));
    assert!(error.to_string().contains("https://a.[masked].example"), "{error}");
}

#[tokio::test]
async fn a_code_that_is_the_token_is_not_shown() {
    let token = "4071593286";
    let server = support::Server::start(move |_| {
        support::respond(401, &[], format!(r#"{{"errors":[{{"code":{token}}}]}}"#))
    });
    let client = server.builder().token(token).build().unwrap();
    let error = client.transient_token().await.unwrap_err();
    let search = Search::new(&[token]);
    assert_hidden(&search, "a code", &format!("{error} {error:?}"));
    assert_eq!(error.failure().unwrap().code, None);
}

/// What an example prints is what people paste into an issue.
#[test]
fn the_quickstart_shows_no_token() {
    // Cargo builds the examples before it runs the tests.
    let binary: PathBuf = std::env::current_exe().unwrap();
    let binary = binary.parent().and_then(|deps| deps.parent()).unwrap();
    let binary = binary.join("examples/quickstart").with_extension(std::env::consts::EXE_EXTENSION);
    if !binary.exists() {
        eprintln!("no example was built: nothing to look at");
        return;
    }
    let secrets = Secrets::random();
    let search = Search::new(&secrets.all());
    let (given, asked) = (secrets.returned.clone(), secrets.caller.clone());
    let server = support::Server::start(move |request| {
        let known = request.header("x-plex-token") == Some(&asked);
        match (known, request.path()) {
            (true, "/security/token") => support::json(matrix::Method::Mint.good(&given)),
            (true, _) => support::json(matrix::Method::LookUp.good(&given)),
            (false, _) => support::respond(401, &[], ""),
        }
    });
    let run = |token: &str| {
        let output = Command::new(&binary)
            .env("PLEX_URL", server.url())
            .env("PLEX_TOKEN", token)
            .env("PLEX_SOURCE", "server://243b47")
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (success, text) = run(&secrets.caller);
    assert_hidden(&search, "the quickstart's output", &text);
    assert!(success, "the quickstart failed");
    let (success, text) = run(&secrets.shown);
    assert_hidden(&search, "the quickstart's failure", &text);
    assert!(!success, "the quickstart succeeded with a wrong token");
}

/// A search that finds nothing would find nothing anywhere.
#[test]
fn the_search_finds_a_token_in_every_dress() {
    let token = "k7%&\"\\<Z+q/9=x~w{R}3'm!Yp8#Tb$5J";
    let search = Search::new(&[token]);
    let middle = &token[9..18];
    let base64 = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    for (dress, text) in [
        ("plain", format!("x{token}y")),
        ("piece", format!("it is {middle}!")),
        ("small letters", token.to_ascii_lowercase()),
        ("debug", format!("{:?}", format!("a{token}"))),
        ("json", serde_json::json!({ "a": token }).to_string()),
        ("base64", base64(format!("a{token}").as_bytes())),
        ("base64 of another place", base64(format!("ab{token}c").as_bytes())),
        ("bytes", format!("{:?}", token.as_bytes())),
        ("hexadecimal", token.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("byte string", token.as_bytes().escape_ascii().to_string()),
        (
            "URL",
            plex_auth::reqwest::Url::parse_with_params("a://b", [("t", token)]).unwrap().into(),
        ),
    ] {
        assert!(search.finds_in(&text), "not found: {dress}");
    }
    for text in
        ["", "a token of seven: k7%&\"\\<", "X-Plex-Token: Sensitive", "[1, 2, 3, 4, 5, 6, 7]"]
    {
        assert!(!search.finds_in(text), "found in {text}");
    }
}
