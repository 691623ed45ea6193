//! What a builder and the other inputs refuse, and that they name it.

use std::time::Duration;

use plex_auth::{Client, ClientBuilder, Error, Source, Token};

fn complete(address: &str) -> ClientBuilder {
    Client::builder(address).token("t").client_identifier("c")
}

#[track_caller]
fn problem<T: std::fmt::Debug>(result: Result<T, Error>) -> (&'static str, String) {
    match result.unwrap_err() {
        Error::Invalid { what, problem, .. } => (what, problem.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_missing_is_named() {
    let (what, text) = problem(Client::builder("http://nas").client_identifier("c").build());
    assert_eq!(what, "token");
    assert!(text.contains("missing") && text.contains(".token("), "{text}");
    let (what, text) = problem(Client::builder("http://nas").token("t").build());
    assert_eq!(what, "client_identifier");
    assert!(text.contains("missing") && text.contains("kept"), "{text}");
}

#[test]
fn the_first_mistake_is_named() {
    let builder = Client::builder("http://nas").product("a\nb").token("").device("");
    assert_eq!(problem(builder.build()).0, "product");
    let builder = Client::builder("nas").token("");
    assert_eq!(problem(builder.build()).0, "address");
}

#[test]
fn each_setting_that_cannot_be_used_is_named() {
    let nas = || complete("http://nas");
    for (builder, setting) in [
        (nas().token(""), "token"),
        (nas().token("a b"), "token"),
        (nas().token("line\n"), "token"),
        (nas().token("tokén"), "token"),
        (nas().token(String::from("nul\0")), "token"),
        (nas().client_identifier(""), "client_identifier"),
        (nas().product("a\0"), "product"),
        (nas().version("\t1"), "version"),
        (nas().platform("a\u{7f}"), "platform"),
        (nas().platform_version(" 1"), "platform_version"),
        (nas().device("\u{85}"), "device"),
        (nas().model(""), "model"),
        (nas().device_vendor("a\r\nX-Evil: 1"), "device_vendor"),
        (nas().device_name("TV "), "device_name"),
        (nas().marketplace("\u{1b}"), "marketplace"),
        (nas().timeout(Duration::ZERO), "timeout"),
        (nas().connect_timeout(Duration::ZERO), "connect_timeout"),
        (nas().max_response_bytes(0), "max_response_bytes"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{setting}` ")), "{setting}: {error}");
    }
}

#[test]
fn plain_http_beyond_the_home_needs_a_word() {
    for address in ["http://plex.example.com:32400", "http://8.8.8.8", "http://[2001:db8::1]"] {
        let (what, text) = problem(complete(address).build());
        assert_eq!(what, "address");
        assert!(text.contains("allow_insecure_http"), "{text}");
        complete(address).allow_insecure_http().build().unwrap();
    }
}

#[test]
#[cfg(feature = "rustls")]
fn https_may_go_anywhere() {
    complete("https://plex.example.com").build().unwrap();
}

#[test]
#[cfg(not(feature = "rustls"))]
fn https_without_its_feature_names_the_feature() {
    let (what, text) = problem(complete("https://plex.example.com").build());
    assert_eq!(what, "address");
    assert!(text.contains("`rustls`"), "{text}");
}

#[test]
fn extreme_settings_are_no_panic() {
    let client = complete("http://127.0.0.1:1")
        .timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .max_response_bytes(usize::MAX)
        .max_retries(u32::MAX)
        .build();
    client.unwrap();
}

#[test]
fn a_source_parses_and_prints_as_on_the_wire() {
    for text in ["server://243b47", "provider://tv.plex.provider.vod"] {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
    }
    let server = Source::server("243b47").unwrap();
    assert_eq!(server, "server://243b47".parse().unwrap());
    assert_eq!(server.identifier(), "243b47");
    assert_eq!(Source::provider("p").unwrap().to_string(), "provider://p");
}

#[test]
fn what_is_wrong_with_a_source_is_named() {
    for (text, part) in [
        ("", "must begin with"),
        ("243b47", "must begin with"),
        ("server:/x", "must begin with"),
        ("server:x", "must begin with"),
        ("server://", "no identifier"),
        ("provider://", "no identifier"),
        ("server://a b", "white space"),
        ("server://a\n", "white space"),
        ("server://a\u{0}", "control character"),
        ("http://x", "scheme"),
        ("Server://x", "scheme"),
        (" server://x", "scheme"),
        ("server://server://x", "prefix of its own"),
    ] {
        let (what, problem) = problem(text.parse::<Source>());
        assert_eq!(what, "source", "{text:?}");
        assert!(problem.contains(part), "{text:?}: {problem}");
    }
    assert_eq!(problem(Source::server("")).0, "source");
    assert_eq!(problem(Source::provider(" ")).0, "source");
}

#[test]
fn a_token_never_shows_itself() {
    let token = Token::try_from("my-secret-token").unwrap();
    assert_eq!(format!("{token:?}"), "Token([REDACTED])");
    assert_eq!(token.expose_secret(), "my-secret-token");
    let builder = complete("http://nas").token(token.clone());
    assert!(!format!("{builder:?}").contains("my-secret"));
    let client = builder.build().unwrap();
    assert!(!format!("{client:?} {:?}", client.with_token(token)).contains("my-secret"));
    let error = Token::try_from("my secret token").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}
