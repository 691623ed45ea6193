//! No token in what the crate's types and the quickstart show. `tests/faults/` searches what each
//! fault shows, the log of every crate included.

use std::fmt::Debug;
use std::process::Command;

use plex_auth::{Client, Error, Source, Token, TokenCache, wire};
use serde_json::from_value;
use support::leak::{Search, random_token, shown};
use support::{Call, Server, good};

/// The caller's token, the one that the server returns, and a search for both.
fn tokens() -> (String, String, Search) {
    let (caller, returned) = (random_token(), random_token());
    let search = Search::new(&[&caller, &returned]);
    (caller, returned, search)
}

#[track_caller]
fn assert_hidden(search: &Search, what: &str, value: &impl Debug) {
    assert!(!search.finds_in(&format!("{value:?} {value:#?}")), "{what} shows a token");
}

#[tokio::test]
async fn no_public_type_shows_a_token() {
    let (caller, returned, search) = tokens();
    let token = Token::try_from(&*caller).unwrap();
    assert_hidden(&search, "Token", &Some(&token));
    let server = Server::start(move |request| good(request, &returned));
    let builder = server.builder().token(token);
    assert_hidden(&search, "ClientBuilder", &builder);
    let client = builder.build().unwrap();
    assert_hidden(&search, "Client", &client);
    let device = client.source_connection_information(&Source::server("243b47").unwrap()).await;
    assert_hidden(&search, "Device", &device.unwrap());
    let cache = TokenCache::new(client);
    assert_hidden(&search, "TransientToken", &cache.token().await.unwrap());
    assert_hidden(&search, "TokenCache", &cache);
}

/// What is generated derives `Debug`: the types in it must hide what they hold.
#[test]
fn no_generated_type_shows_a_token() {
    let (_, returned, search) = tokens();
    let body: wire::TransientTokenBody = from_value(Call::Token.good(&returned)).unwrap();
    assert!(body.media_container.token.is_some());
    assert_hidden(&search, "TransientTokenBody", &body);
    let body: wire::SourceBody = from_value(Call::LookUp.good(&returned)).unwrap();
    assert_hidden(&search, "SourceBody", &body);
}

/// A token in the wrong place, or with a newline from a file, is a common mistake.
#[test]
fn no_refused_setting_is_repeated() {
    let (caller, _, search) = tokens();
    let ok = || Client::builder("http://127.0.0.1:9").token("x").client_identifier("id");
    let clients = [
        Client::builder(format!("http://{caller}")).build(),
        Client::builder(format!("http://user:{caller}@127.0.0.1")).build(),
        Client::builder(format!("http://127.0.0.1/?X-Plex-Token={caller}")).build(),
        Client::builder(&caller).build(),
        ok().token(format!("{caller}\n")).build(),
        ok().token(format!("X-Plex-Token={caller}")).build(),
        ok().client_identifier(format!("{caller}\n")).build(),
        ok().device_name(format!(" {caller}")).build(),
        ok().build().unwrap().with_token(format!("{caller} ")),
    ];
    let sources = [caller.parse::<Source>(), Source::server(format!("{caller} "))];
    let errors = clients.into_iter().filter_map(Result::err);
    let errors: Vec<Error> = errors.chain(sources.into_iter().filter_map(Result::err)).collect();
    // Some random characters make a good host or path of it.
    assert!(errors.len() > 9, "{errors:?}");
    for error in errors {
        assert!(!search.finds_in(&shown(&error)), "{:?} shows a token", error.kind());
    }
}

/// What an example prints is what people paste into an issue.
#[test]
fn the_quickstart_shows_no_token() {
    let (caller, returned, search) = tokens();
    let right = caller.clone();
    let server =
        Server::start(move |request| match request.header("x-plex-token") == Some(&right) {
            true => good(request, &returned),
            false => support::respond(401, &[], ""),
        });
    let wrong = caller.chars().rev().collect::<String>();
    for (token, works) in [(caller, true), (wrong, false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        command.env("PLEX_URL", server.url()).env("PLEX_TOKEN", token);
        let command = command.env("PLEX_SOURCE", "server://243b47").env("RUST_LOG", "trace");
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(!search.finds_in(&String::from_utf8_lossy(&text)), "it shows a token");
        assert_eq!(output.status.success(), works);
    }
}
