//! Whatever a caller gives and a server sends: a value or an `Error`, never a panic.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use plex_auth::{Client, Source, Token};
use proptest::prelude::*;
use support::any::{answer, call_with, json, run, survives};
use support::{Server, respond};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "\\PC{0,40}",
        "[a-z]{0,9}:/{0,3}[a-zA-Z0-9.:%@\\[\\]-]{0,30}/{0,2}[a-z?#=&]{0,10}",
        "(http|https|server|provider|HTTP)://\\PC{0,40}",
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_nanos(1)),
        (any::<u64>(), 0..1_000_000_000u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

proptest! {
    #[test]
    fn no_token_panics(text in text()) {
        if let Some(token) = survives(Token::try_from(text.clone())) {
            prop_assert_eq!(token.expose_secret(), text);
        }
    }

    #[test]
    fn no_source_panics(text in text()) {
        survives(Source::server(&text));
        survives(Source::provider(&text));
        if let Some(source) = survives(text.parse::<Source>()) {
            prop_assert_eq!(source.to_string(), text);
            prop_assert!(!source.identifier().is_empty());
        }
    }

    #[test]
    fn no_setting_panics(
        address in text(),
        token in text(),
        header in text(),
        (connect, whole) in (duration(), duration()),
        size in any::<usize>(),
        retries in any::<u32>(),
        insecure in any::<bool>(),
    ) {
        let client = Client::builder(address).token(token).client_identifier(&header);
        let client = client.device_name(&header).product(&header).platform_version(&header);
        let client = client.connect_timeout(connect).timeout(whole).max_response_bytes(size);
        let client = if insecure { client.allow_insecure_http() } else { client };
        let client = client.max_retries(retries).configure_http(|http| http.tls_certs_only([]));
        drop(format!("{client:?}"));
        survives(client.build());
    }

    /// The settings that can be used are used: a call with each of them ends.
    #[test]
    fn no_limit_panics_in_a_call(
        (connect, whole) in (duration(), duration()),
        size in any::<usize>(),
        retries in any::<u32>(),
        source in "[!-~]{1,40}",
    ) {
        let server = &*GOOD;
        let client = server.builder().connect_timeout(connect).timeout(whole);
        let client = client.max_response_bytes(size).max_retries(retries).build();
        if let Some(client) = survives(client) {
            let source = Source::server(source);
            run(async {
                survives(client.transient_token().await);
                if let Some(source) = survives(source) {
                    survives(client.source_connection_information(&source).await);
                }
            });
        }
    }

    #[test]
    fn no_answer_panics(answer in answer()) {
        call_with(answer);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        call_with(bytes);
    }
}

// Few of them come as far as a connection's address.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_body_panics(body in json(), status in prop::sample::select(vec![200, 200, 200, 401, 503])) {
        call_with(respond(status, &[], body));
    }
}

static GOOD: LazyLock<Server> =
    LazyLock::new(|| Server::start(|request| support::good(request, "fresh")));
