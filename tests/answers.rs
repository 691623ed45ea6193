//! What comes back with a 200: every dress that real servers use, and what is of no use.

mod support;

use std::time::{Duration, SystemTime};

use plex_auth::{BodyKind, Device, Error, Source, TransientToken};
use support::{Server, json, respond};

async fn minted(answer: Vec<u8>) -> Result<TransientToken, Error> {
    let server = Server::start(move |_| answer.clone());
    server.client().transient_token().await
}

async fn found(answer: Vec<u8>) -> Result<Device, Error> {
    let server = Server::start(move |_| answer.clone());
    let source: Source = "server://243b47".parse().unwrap();
    server.client().source_connection_information(&source).await
}

fn device(device: &str) -> Vec<u8> {
    json(format!(r#"{{"MediaContainer":{{"size":1,"Device":{device}}}}}"#))
}

const MINIMAL: &str = r#"{"clientIdentifier":"c","accessToken":"a"}"#;

#[tokio::test]
async fn a_transient_token_expires_48_hours_after_it_was_asked_for() {
    let before = SystemTime::now();
    let minted = minted(json(r#"{"MediaContainer":{"size":0,"token":"transient-1"}}"#)).await;
    let minted = minted.unwrap();
    let after = SystemTime::now();
    assert_eq!(minted.token().expose_secret(), "transient-1");
    let lifetime = Duration::from_secs(48 * 3600);
    assert!((before + lifetime..=after + lifetime).contains(&minted.expires_at()));
}

#[tokio::test]
async fn the_device_seen_in_the_wild_is_read_whole() {
    let device = found(device(
        r#"{"name":"PlexCorp (plex-corp)","clientIdentifier":"243b47","accessToken":"transient-2",
        "Connection":[{"protocol":"https","address":"10.0.2.123","port":32400,"local":true,
        "uri":"https://10-0-2-123.93b1.plex.direct:32400"}]}"#,
    ));
    let device = device.await.unwrap();
    assert_eq!(device.name.as_deref(), Some("PlexCorp (plex-corp)"));
    assert_eq!(device.client_identifier, "243b47");
    assert_eq!(device.access_token.expose_secret(), "transient-2");
    let connection = &device.connections[0];
    assert_eq!(connection.uri.as_str(), "https://10-0-2-123.93b1.plex.direct:32400/");
    assert_eq!(
        (connection.protocol.as_str(), connection.address.as_str()),
        ("https", "10.0.2.123")
    );
    assert_eq!((connection.port, connection.local, connection.relay), (32400, true, false));
}

#[tokio::test]
async fn a_device_and_a_connection_may_stand_alone_or_in_a_list() {
    let one = r#"{"clientIdentifier":"c","accessToken":"a","Connection":
        {"uri":"http://10.0.0.1:32400","port":"32400","local":"1","relay":0,"IPv6":false}}"#;
    for body in [one.to_owned(), format!("[{one}]")] {
        let device = found(device(&body)).await.unwrap();
        assert_eq!(device.connections.len(), 1);
        let connection = &device.connections[0];
        assert_eq!((connection.port, connection.local, connection.relay), (32400, true, false));
    }
}

#[tokio::test]
async fn what_a_connection_leaves_out_comes_from_its_uri() {
    for (uri, protocol, address, port) in [
        ("https://a.example:8443", "https", "a.example", 8443),
        ("https://a.example", "https", "a.example", 443),
        ("http://[2001:db8::1]:32400", "http", "2001:db8::1", 32400),
    ] {
        let body = format!(
            r#"{{"clientIdentifier":"c","accessToken":"a","Connection":[{{"uri":"{uri}"}}]}}"#
        );
        let device = found(device(&body)).await.unwrap();
        let connection = &device.connections[0];
        assert_eq!(connection.protocol, protocol);
        assert_eq!((connection.address.as_str(), connection.port), (address, port));
        assert_eq!((connection.local, connection.relay), (false, false));
    }
}

#[tokio::test]
async fn connections_come_best_first_and_otherwise_in_the_servers_order() {
    let body = r#"{"clientIdentifier":"c","accessToken":"a","Connection":[
        {"uri":"https://relay1","relay":true},{"uri":"https://remote1"},
        {"uri":"https://local1","local":true},{"uri":"https://relay2","relay":true,"local":true},
        {"uri":"https://local2","local":true},{"uri":"https://remote2","local":false}]}"#;
    let device = found(device(body)).await.unwrap();
    let hosts: Vec<_> = device.connections.iter().filter_map(|c| c.uri.host_str()).collect();
    assert_eq!(hosts, ["local1", "local2", "remote1", "remote2", "relay1", "relay2"]);
}

#[tokio::test]
async fn a_connection_of_no_use_is_skipped() {
    let body = r#"{"clientIdentifier":"c","accessToken":"a","Connection":[{"uri":"::"},{},
        {"uri":""},{"uri":"ftp://a"},{"uri":"https://u:p@a"},{"uri":"https://a?X-Plex-Token=s"},
        {"uri":null},{"uri":"mailto:a@b"},{"uri":"https://good"}]}"#;
    let device = found(device(body)).await.unwrap();
    let uris: Vec<_> = device.connections.iter().map(|c| c.uri.as_str()).collect();
    assert_eq!(uris, ["https://good/"]);
}

#[tokio::test]
async fn a_device_needs_no_name_and_no_connection() {
    let device = found(device(MINIMAL)).await.unwrap();
    assert_eq!(device.name, None);
    assert!(device.connections.is_empty());
}

#[tokio::test]
async fn a_single_device_is_the_answer_whatever_its_identifier() {
    assert_eq!(found(device(MINIMAL)).await.unwrap().client_identifier, "c");
}

#[tokio::test]
async fn of_several_devices_the_one_that_was_asked_for_is_the_answer() {
    let other = r#"{"clientIdentifier":"243b47","accessToken":"right"}"#;
    let device = found(device(&format!("[{MINIMAL},{other},{MINIMAL}]"))).await.unwrap();
    assert_eq!(device.access_token.expose_secret(), "right");
}

#[tokio::test]
async fn no_device_or_none_that_matches_is_an_error_of_its_own() {
    let answers = [
        device("[]"),
        device("null"),
        device(&format!("[{MINIMAL},{MINIMAL}]")),
        json(r#"{"MediaContainer":{}}"#),
    ];
    for answer in answers {
        let error = found(answer).await.unwrap_err();
        assert!(matches!(error, Error::NoMatchingDevice(_)), "{error:?}");
        assert_eq!(error.status().unwrap(), 200);
    }
}

#[tokio::test]
async fn an_answer_without_a_usable_token_is_an_error() {
    for container in [
        "{}",
        r#"{"token":null}"#,
        r#"{"token":""}"#,
        r#"{"token":"a\nb"}"#,
        r#"{"token":"a\u0000b"}"#,
        r#"{"token":"tök"}"#,
        r#"{"token":" a"}"#,
    ] {
        let error = minted(json(format!(r#"{{"MediaContainer":{container}}}"#))).await.unwrap_err();
        assert!(matches!(error, Error::NoToken(_)), "{container}: {error:?}");
        assert!(error.to_string().contains("MediaContainer.token"), "{error}");
    }
    for token in ["", r#""accessToken":"","#, r#""accessToken":"a b","#] {
        let body = format!(r#"{{{token}"clientIdentifier":"c"}}"#);
        let error = found(device(&body)).await.unwrap_err();
        assert!(matches!(error, Error::NoToken(_)), "{error:?}");
        assert!(error.to_string().contains("accessToken"), "{error}");
    }
}

#[tokio::test]
async fn what_came_in_place_of_json_is_named_and_not_shown() {
    for (body, kind) in [
        ("", BodyKind::Empty),
        ("<html><body>secret-body</body></html>", BodyKind::Html),
        ("<?xml version=\"1.0\"?><MediaContainer token=\"secret-body\"/>", BodyKind::Xml),
        ("secret-body", BodyKind::Text),
        ("{\"secret-body\": nope}", BodyKind::Text),
    ] {
        // Whatever its Content-Type says.
        let error = minted(json(body)).await.unwrap_err();
        let Error::NotJson(failure) = &error else { panic!("{error:?}") };
        assert_eq!(failure.body_kind, Some(kind));
        let text = format!("{error} {error:?}");
        assert!(text.contains("MediaContainer.token"), "{text}");
        assert!(!text.contains("secret-body"), "{text}");
    }
}

#[tokio::test]
async fn json_of_another_shape_is_told_by_its_place_and_not_shown() {
    for body in [
        r#"{"MediaContainer":{"token":{"secret-body":1}}}"#,
        r#"{"MediaContainer":"secret-body"}"#,
        r#"{"MediaContainer":{"token":["secret-body"]}}"#,
        r#"{"secret-body":{}}"#,
        r#"["secret-body"]"#,
        r#""secret-body""#,
    ] {
        let error = minted(json(body)).await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedJson(_)), "{body}: {error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("line 1, column"), "{text}");
        assert!(!text.contains("secret-body"), "{text}");
    }
    let error = found(device(r#"{"accessToken":"a"}"#)).await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedJson(_)), "{error:?}");
    assert!(error.to_string().contains("clientIdentifier"), "{error}");
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_name() {
    for answer in [
        respond(200, &[("Content-Encoding", "gzip")], b"\x1f\x8b\x08"),
        respond(200, &[("Content-Encoding", "br")], b"{}"),
        json(b"\x1f\x8b\x08"),
    ] {
        let error = minted(answer).await.unwrap_err();
        assert!(matches!(error, Error::NotJson(_)), "{error:?}");
        assert!(error.to_string().contains("compressed"), "{error}");
    }
}
