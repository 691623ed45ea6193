//! What a builder and the other inputs accept and refuse, and how they fit into other people's code.

use std::time::{Duration, SystemTime};

use plex_auth::reqwest::StatusCode;
use plex_auth::{
    Client, ClientBuilder, Connected, Connection, Device, Error, ErrorKind, Source, Token,
    TokenCache, TransientToken,
};
use serde::Deserialize;
use serde_json::json;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use support::{Server, good};

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
fn an_ipv4_address_is_four_decimal_numbers() {
    const OTHERS: &str = "192.168.001.020 192.168.1 10.0.5 3232235796 0x7f.1 0177.0.0.1 127.1 0x7f000001 \
        10.0.0.0x1 192.168.1.20. 0300.0250.1.24 00.0.0.0 %31%32%37.0.0.1 0x7f.1\\@127.0.0.1 0x7f.1?@127.0.0.1 １２７.0.0.1 127。0。0。1";
    for host in OTHERS.split(' ').filter(|host| !host.is_empty()) {
        for address in
            [format!("http://{host}"), format!("https://u@{host}:32400/plex?a@127.0.0.1")]
        {
            let refused = complete(&address).build();
            assert_refused(refused, ErrorKind::InvalidAddress, "four decimal numbers");
        }
        let kept = json!({ "uri": format!("http://{host}:32400") });
        serde_json::from_value::<Connection>(kept).unwrap_err();
    }
    for host in
        ["192.168.1.20", "127.0.0.1:32400", "10.0.0.1:1/plex", "10-0-2-123.93b1.plex.direct"]
    {
        complete(&format!("http://{host}")).build().unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_resolver_of_the_callers_is_not_checked() {
    let server = Server::start(|request| good(request, "fresh"));
    let address = server.url().replace("127.0.0.1", "nas");
    // 0.0.0.0 is this machine, but not a local address.
    let this = ([0, 0, 0, 0], 0).into();
    let client = complete(&address).configure_http(move |http| http.resolve("nas", this));
    client.build().unwrap().transient_token().await.unwrap();
    let localhost = server.url().replace("127.0.0.1", "localhost");
    complete(&localhost).build().unwrap().transient_token().await.unwrap();
}

#[test]
fn a_kept_connection_needs_its_uri_only() {
    let uri = "https://10-0-2-123.93b1.plex.direct:32400/";
    let connection: Connection = serde_json::from_value(json!({ "uri": uri })).unwrap();
    assert_eq!(connection, Connection::new(uri.parse().unwrap()));
    assert_eq!((&*connection.protocol, connection.port), ("https", 32400));
    assert_eq!(connection.address, "10-0-2-123.93b1.plex.direct");
    assert!(!connection.local && !connection.relay);
    let mut changed = Connection::new("http://[fd00::20]".parse().unwrap());
    assert_eq!((&*changed.address, changed.port), ("fd00::20", 80));
    changed.relay = true;
    changed.address = "nas".to_owned();
    let device = Device::new("243b47", Token::try_from("abc").unwrap(), vec![changed.clone()]);
    assert_eq!((&*device.client_identifier, device.name.as_deref()), ("243b47", None));
    let kept = json!(device.connections);
    assert_eq!(serde_json::from_value::<Vec<Connection>>(kept).unwrap(), [changed]);
    for uri in ["", "nas", "ftp://nas", "https://u:p@nas", "https://nas?X-Plex-Token=sEcReT"] {
        let error = serde_json::from_value::<Connection>(json!({ "uri": uri })).unwrap_err();
        assert_eq!(error.to_string(), "`uri` is not the URL of a connection");
    }
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
fn a_client_and_a_cache_take_every_kind_of_token() {
    let text = "abc".to_owned();
    let token: Token = text.parse().unwrap();
    let transient = TransientToken::for_test(token.clone(), SystemTime::now());
    let client = complete("http://nas").token(&text).token(text).token(&token).build().unwrap();
    let client = client.with_token(&transient).unwrap().with_token(transient.clone()).unwrap();
    let cache = TokenCache::new(client.with_token("abc").unwrap());
    cache.invalidate("abc");
    cache.invalidate(&transient);
    cache.invalidate(token);
}

#[test]
fn a_token_has_only_the_characters_of_a_token() {
    let all = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("-._~+==".chars());
    for token in ["x", "abc", "eyJh.eyJz.c2ln-_", "claims", &all.collect::<String>()] {
        assert_eq!(Token::try_from(token).unwrap().expose_secret(), token);
        assert_eq!(token.parse::<Token>().unwrap().expose_secret(), token);
    }
    for (text, names) in [
        ("sEcReT\n", "'\\n' in it"),
        (" sEcReT", "' ' in it"),
        ("\u{a0}sEcReT", "'\\u{a0}' in it"),
        ("sEc\u{202e}ReT", "'\\u{202e}' in it"),
        ("sEcReT\u{1b}", "'\\u{1b}' in it"),
        ("sEcReTä", "'ä' in it"),
        ("\"sEcReT\"", "'\"' in it"),
        ("'sEcReT'", "'\\'' in it"),
        ("“sEcReT”", "'“' in it"),
        ("<sEcReT>", "'<' in it"),
        ("X-Plex-Token=sEcReT", "'=' in it"),
        ("=sEcReT", "'=' in it"),
        ("==", "'=' in it"),
        ("X-Plex-Token: sEcReT", "':' in it"),
        ("Bearer sEcReT", "' ' in it"),
        ("sEcReT&X-Plex-Product=app", "'&' in it"),
        ("sEcReT%26type=1", "'%' in it"),
        ("sEcReT?type=1", "'?' in it"),
        ("https://host:32400/sEcReT", "':' in it"),
        ("/run/secrets/sEcReT", "'/' in it"),
        ("{\"token\": \"sEcReT\"}", "'{' in it"),
        ("${sEcReT}", "'$' in it"),
        ("%sEcReT%", "'%' in it"),
    ] {
        let error = Token::try_from(text).unwrap_err();
        assert_refused(Err::<(), _>(error.clone()), ErrorKind::InvalidToken, names);
        let error = error.to_string();
        assert!(error.ends_with("name, scheme, URL, path or placeholder"), "{error}");
        assert!(!error.contains("sEcReT") && !error.contains(char::is_control), "{error}");
        assert_eq!(complete("http://nas").token(text).build().unwrap_err().to_string(), error);
    }
    assert_refused(Token::try_from(""), ErrorKind::InvalidToken, "it is empty");
    for text in ["claim-sEcReT", "Claim-a b"] {
        assert_refused(Token::try_from(text), ErrorKind::InvalidToken, "it is a claim token");
    }
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
    let connection = Connection::new(uri);
    let token = Token::try_from("secret").unwrap();
    let client = complete("https://nas.example").build().unwrap();
    let device = Device::new("243b47", token.clone(), vec![connection.clone()]);
    let connected = Connected::for_test(client.clone(), device);
    assert_eq!(connected.connection(), connection);
    assert_eq!(connected.device().client_identifier, "243b47");
    let connected = Connected::for_test(client, Device::new("243b47", token, vec![]));
    assert_eq!(connected.connection().uri.as_str(), "https://nas.example/");

    let fetched = SystemTime::now() - Duration::from_secs(47 * 3_600);
    let token = TransientToken::for_test("abc".parse().unwrap(), fetched);
    assert_eq!(token.expires_at(), fetched + Duration::from_secs(48 * 3_600));
    assert!(token.time_left() <= Duration::from_secs(3_600));
}
