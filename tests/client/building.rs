//! What a builder and the other inputs accept and refuse, and how they fit into other people's code.

use std::time::{Duration, SystemTime};

use plex_auth::reqwest::StatusCode;
use plex_auth::{
    Client, ClientBuilder, Connected, Connection, Device, Error, ErrorKind, Source, Token,
    TransientToken,
};
use serde::Deserialize;
use serde_json::json;
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(Token: std::str::FromStr, TryFrom<String>, TryFrom<&'static str>);
assert_impl_all!(Token: TryFrom<&'static String>, From<&'static Token>, From<TransientToken>);
assert_impl_all!(Token: From<&'static TransientToken>, serde::de::DeserializeOwned);
assert_not_impl_any!(Token: std::fmt::Display, serde::Serialize);
assert_not_impl_any!(TransientToken: std::fmt::Display, serde::Serialize);
assert_not_impl_any!(Device: std::fmt::Display, serde::Serialize);
assert_impl_all!(Source: Ord, std::hash::Hash, AsRef<str>, TryFrom<String>, serde::Serialize);

fn complete(address: &str) -> ClientBuilder {
    let builder = Client::builder(address).token("t").client_identifier("c");
    builder.configure_http(|http| http.tls_certs_only([]))
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, text: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (kind, 0), "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn what_is_missing_or_the_first_mistake_is_named() {
    let nas = || Client::builder("http://nas");
    let missing = nas().client_identifier("c").build();
    assert_refused(missing, ErrorKind::InvalidToken, "missing: call `.token(");
    let missing = nas().token("t").build();
    assert_refused(missing, ErrorKind::InvalidSetting, "`client_identifier`: it is missing");
    let several = nas().product("a\nb").token("").device("").build();
    assert_refused(several, ErrorKind::InvalidSetting, "`product`");
}

#[test]
fn each_invalid_setting_is_named() {
    let nas = || complete("http://nas");
    for (builder, setting) in [
        (nas().client_identifier(""), "client_identifier"),
        (nas().user_agent("a\r\nb"), "user_agent"),
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
        assert_refused(builder.build(), ErrorKind::InvalidSetting, &format!("`{setting}`"));
    }
}

#[test]
fn plain_http_to_a_public_host_has_to_be_allowed() {
    for address in ["http://plex.example.com:32400", "http://8.8.8.8", "http://[2001:db8::1]"] {
        let refused = complete(address).allow_insecure_http(false).build();
        assert_refused(refused, ErrorKind::InvalidAddress, ".allow_insecure_http(true)");
        complete(address).allow_insecure_http(true).build().unwrap();
    }
    complete("https://plex.example.com").build().unwrap();
}

#[test]
fn what_is_wrong_with_a_source_is_named() {
    for (text, part) in [
        ("", "must begin with"),
        ("243b47", "must begin with"),
        ("server://", "no identifier"),
        ("server://a b", "white space"),
        ("server://a\u{0}", "control character"),
        ("http://x", "scheme"),
        ("server://server://x", "prefix of its own"),
    ] {
        assert_refused(text.parse::<Source>(), ErrorKind::InvalidSource, part);
    }
    assert_refused(Source::server(""), ErrorKind::InvalidSource, "no identifier");
    assert_refused(Source::provider(" "), ErrorKind::InvalidSource, "white space");
}

#[test]
fn a_token_and_a_source_come_from_a_configuration() {
    #[derive(Deserialize)]
    struct Config {
        token: Token,
        source: Source,
    }
    let text = r#"{"token":"abc","source":"provider://tv.plex.provider.vod"}"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert_eq!(config.token.expose_secret(), "abc");
    assert_eq!(config.source.identifier(), "tv.plex.provider.vod");
    assert_eq!(config.source, Source::try_from(config.source.to_string()).unwrap());
    assert_eq!(json!(config.source), "provider://tv.plex.provider.vod");
    for text in [r#"{"token":"Bearer abc","source":"server://a"}"#, r#"{"token":"a","source":"a"}"#]
    {
        let error = serde_json::from_str::<Config>(text).err().unwrap();
        assert!(error.to_string().starts_with("invalid "), "{error}");
    }
}

#[test]
fn a_client_takes_every_kind_of_token() {
    let text = "abc".to_owned();
    let token: Token = text.parse().unwrap();
    let transient = TransientToken::for_test(token.clone(), SystemTime::now());
    let client = complete("http://nas").token(&text).token(text).token(&token).build().unwrap();
    client.with_token(&transient).unwrap().with_token(transient).unwrap();
}

#[test]
fn errors_devices_tokens_and_handles_are_made_without_a_server() {
    let error = Error::for_test(ErrorKind::Unavailable).with_retry_after(Duration::from_secs(5));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    assert!(error.is_retryable() && error.status() == Some(StatusCode::SERVICE_UNAVAILABLE));
    let changed = error.clone().with_status(StatusCode::BAD_GATEWAY);
    assert_eq!(changed.status(), Some(StatusCode::BAD_GATEWAY));
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE), "a clone was changed");

    let uri = "https://10-0-2-1.93b1.plex.direct:32400".parse().unwrap();
    let device = Device::for_test("243b47", "secret".parse().unwrap(), [uri]);
    let connection = device.connections[0].clone();
    let client = complete(connection.uri.as_str()).build().unwrap();
    let connected = Connected::for_test(client, connection.clone());
    assert_eq!(connected.connection(), connection);
    assert_eq!(connected.client().address(), &connection.uri);
    let kept = serde_json::to_string(&connection).unwrap();
    assert_eq!(serde_json::from_str::<Connection>(&kept).unwrap(), connection);

    let fetched = SystemTime::now() - Duration::from_secs(47 * 3_600);
    let token = TransientToken::for_test("abc".parse().unwrap(), fetched);
    assert_eq!(token.expires_at(), fetched + Duration::from_secs(48 * 3_600));
    assert!(token.time_left() <= Duration::from_secs(3_600));
}
