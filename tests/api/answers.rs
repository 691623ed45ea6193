//! What is read from a response of status 200, however the server writes it, and what is refused.

use plex_auth::wire::Lenient;
use plex_auth::{Device, Error, ErrorKind, Source, TransientToken};
use support::{Server, json, leak, respond};

async fn token(response: Vec<u8>) -> Result<TransientToken, Error> {
    let server = Server::start(move |_| response.clone());
    server.client().transient_token().await
}

async fn look_up(source: &str, response: Vec<u8>) -> Result<Device, Error> {
    let server = Server::start(move |_| response.clone());
    let source: Source = source.parse().unwrap();
    server.client().source_connection_information(&source).await
}

async fn found(response: Vec<u8>) -> Result<Device, Error> {
    look_up("server://243b47", response).await
}

fn device(device: &str) -> Vec<u8> {
    json(format!(r#"{{"MediaContainer":{{"size":1,"Device":{device}}}}}"#))
}

/// The device with these connections.
fn connections(list: &str) -> Vec<u8> {
    device(&format!(r#"{{"clientIdentifier":"243b47","accessToken":"a","Connection":[{list}]}}"#))
}

fn uris(device: &Device) -> Vec<&str> {
    device.connections.iter().map(|connection| connection.uri.as_str()).collect()
}

#[tokio::test]
async fn xml_is_read_for_both_calls() {
    const BEGIN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MediaContainer";
    let xml = |body: &str| respond(200, &[("Content-Type", "text/xml;charset=utf-8")], body);
    let body = format!("\u{feff}{BEGIN} token=\"t&#45;1\">\n<!-- token='no' --></MediaContainer>");
    assert_eq!(token(xml(&body)).await.unwrap().expose_secret(), "t-1");
    let body = r#" size="1">
         <Device name="K&#228;the&apos;s &amp; <!-- not" clientIdentifier="243b47"
           accessToken="transient-2" presence="1">
           <Connection protocol="https" address="10.0.2.1" port="32400" local="1"
             uri="https://10-0-2-1.93b1.plex.direct:32400"/> <!-- <Connection/> -->
           <Connection protocol='http' address='127.0.0.1' port='80' relay='0'/>
           <Connection uri="https://relay.example?a=1&amp;b=2" relay="1"></Connection>
           <Other><Connection uri="https://other.example"/></Other>
         </Device>
       </MediaContainer>"#;
    let device = found(xml(&format!("{BEGIN}{body}"))).await.unwrap();
    assert_eq!(device.name.as_deref(), Some("Käthe's & <!-- not"));
    assert_eq!(device.access_token.expose_secret(), "transient-2");
    let expected = ["https://10-0-2-1.93b1.plex.direct:32400/", "http://127.0.0.1/"];
    assert_eq!(uris(&device), expected);
    let [first, second] = &*device.connections else { panic!("{device:?}") };
    assert_eq!((&*first.protocol, &*first.address, first.port), ("https", "10.0.2.1", 32400));
    assert_eq!([first.local, first.relay, second.local, second.relay], [true, false, false, false]);
}

#[tokio::test]
async fn a_connection_is_completed_from_its_uri_or_its_parts() {
    for (connection, expected) in [
        (
            r#"{"protocol":"http","address":"2001:db8::1","port":"80","uri":""}"#,
            ("http://[2001:db8::1]/", "http", "2001:db8::1", 80),
        ),
        (
            r#"{"uri":"http://010.0.0.1","protocol":"HTTPS","address":"10.0.0.1"}"#,
            ("https://10.0.0.1/", "HTTPS", "10.0.0.1", 443),
        ),
        (
            r#"{"uri":"https://[::1]/plex","protocol":7,"address":[],"port":65536,"local":{}}"#,
            ("https://[::1]/plex", "https", "::1", 443),
        ),
    ] {
        let device = found(connections(connection)).await.unwrap();
        let first = &device.connections[0];
        let parts = (first.uri.as_str(), &*first.protocol, &*first.address, first.port);
        assert_eq!(parts, expected);
        assert_eq!((first.local, first.relay), (false, false));
    }
}

#[tokio::test]
async fn connections_come_best_first_and_otherwise_in_the_servers_order() {
    let device = found(connections(
        r#"{"uri":"https://relay1","relay":true},{"uri":"https://remote1"},
           {"uri":"https://local1","local":true},{"uri":"https://relay2","relay":true},
           {"uri":"https://local2","local":true},{"uri":"https://remote2","local":false}"#,
    ));
    let device = device.await.unwrap();
    let hosts: Vec<_> = device.connections.iter().filter_map(|c| c.uri.host_str()).collect();
    assert_eq!(hosts, ["local1", "local2", "remote1", "remote2", "relay1", "relay2"]);
}

#[tokio::test]
async fn only_1_000_connections_are_read_and_unusable_ones_counted() {
    let (_recording, log) = leak::record();
    let unusable = r#"{"address":"10.0.2.2","port":32400},{"protocol":"https","port":32400},
        {"protocol":"ftp","address":"10.0.2.3","port":32400},{"uri":"::"},{"uri":"ftp://a"},{"uri":"https://u:p@a"},{"uri":"mailto:a@b"},
        {"uri":"https://a?X-Plex-Token=s"},{"uri":"https://a#b"},{"uri":null},{"uri":"https://"},
        {"uri":"http://192.168.001.020"},{"uri":"http://10.0.5"},{"uri":"http:127.0.0.1"},
        {"uri":"https://0x7f.1:32400","protocol":"https","address":"0x7f.1","port":32400},
        {"protocol":"http","address":"192.168.001.020"},{"protocol":"http","address":"167772165"},
        {"protocol":"https","address":"a/b"},{"protocol":"https","address":"u@a"},
        {"protocol":"https","address":"a:1"},{"protocol":"https","address":"fe80::1%eth0"},
        {"protocol":"ht tp","address":"a"},{"protocol":"https","address":"10.0.0.1 "}"#;
    let (good, many) = (r#"{"uri":"https://good"}"#, "{},".repeat(340_000));
    let device = found(connections(&format!("{unusable},{good},{many}{good}")));
    assert_eq!(uris(&device.await.unwrap()), ["https://good/"]);
    assert_eq!(log.lock().unwrap().matches("connections of a device ignored").count(), 1);
    assert!(log.lock().unwrap().contains("unusable=999"), "{log:?}");

    let many: String = (0..2_000).map(|n| format!("<Connection uri='https://a{n}'/>")).collect();
    let device = format!("<Device clientIdentifier='243b47' accessToken='a'>{many}</Device>");
    let xml = format!("<MediaContainer>{device}</MediaContainer>");
    assert_eq!(found(respond(200, &[], xml)).await.unwrap().connections.len(), 1_000);
}

#[tokio::test]
async fn the_device_is_the_one_that_was_asked_for() {
    let other = r#"{"clientIdentifier":"other","accessToken":"wrong"}"#;
    for source in ["server://243b47", "server://243B47/com.plexapp.plugins.library"] {
        let right = r#"{"clientIdentifier":"243b47","accessToken":"right"}"#;
        let list = device(&format!("[{other},{right},{other}]"));
        let device = look_up(source, list).await.unwrap();
        assert_eq!(device.access_token.expose_secret(), "right", "{source}");
    }
    // A provider's only device may have another name.
    look_up("provider://tv.plex.provider.vod", device(other)).await.unwrap();
    let error = look_up("server://othe", device(other)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDevice);
    assert!(!format!("{error:?}").contains("wrong"), "a token is shown");
}

#[tokio::test]
async fn an_empty_list_is_no_device() {
    let two = r#"[{"clientIdentifier":"a","accessToken":"a"},{"clientIdentifier":"b"}]"#;
    let empty = json(r#"{"MediaContainer":{"size":0}}"#);
    let xml = respond(200, &[], "<MediaContainer size='0'/>");
    for empty in [device("[]"), device("null"), device("\"\""), device(two), empty, xml] {
        let error = found(empty).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::NoDevice, 200));
        assert!(error.to_string().contains("the server does not know this source"), "{error}");
        assert!(error.to_string().contains("or it is the asked server itself"), "{error}");
    }
    let null = json(r#"{"MediaContainer":null}"#);
    let nameless = device(r#"{"accessToken":"a","clientIdentifier":7}"#);
    for other in [json("{}"), null, device("7"), nameless] {
        assert_eq!(found(other).await.unwrap_err().kind(), ErrorKind::Decode);
    }
}

#[tokio::test]
async fn a_missing_token_is_an_error_that_names_the_member() {
    for container in ["{}", r#"{"token":null}"#, r#"{"token":""}"#, r#"{"token":"tök"}"#] {
        let error = token(json(format!(r#"{{"MediaContainer":{container}}}"#))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoToken, "{container}");
        assert!(error.to_string().contains("`MediaContainer.token` is unusable: it "), "{error}");
    }
    for member in ["", r#""accessToken":"","#, r#""accessToken":"a b","#] {
        let body = format!(r#"{{{member}"clientIdentifier":"243b47"}}"#);
        let error = found(device(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoToken, "{member}");
        assert!(error.to_string().contains("`accessToken` is unusable: it "), "{error}");
    }
}

#[tokio::test]
async fn an_unexpected_body_is_named_and_not_shown() {
    let deep = format!("<MediaContainer token='secret'>{}</MediaContainer>", "<a>".repeat(200));
    for (body, text) in [
        ("\u{feff}", "got an empty body: is"),
        ("\n<!DOCTYPE HTML><p>secret", "got HTML: is"),
        ("secret", "got a body that can't be read: is"),
        ("{\"MediaContainer\":\"secret\"}", "got another shape: is"),
        ("{\"MediaContainer\":{\"token\":{\"secret\":1}}}", "got another shape: is"),
        ("<secret a='b'/>", "got another shape: is"),
        ("<!DOCTYPE a [<!ENTITY b 'secret'>]><MediaContainer token='&b;'/>", "can't be read: is"),
        (&deep, "can't be read: is"),
        ("<MediaContainer token='secret'></Other>", "can't be read: is"),
        ("<MediaContainer token=secret/>", "can't be read: is"),
        ("{\"MediaContainer\":{\"token\":\"secret\u{1b}\"}}", "can't be read: is"),
        ("{\"MediaContainer\":{\"token\":\"secret\\ud83d\"}}", "can't be read: is"),
        ("{\"MediaContainer\":{\"token\":\"secret", "can't be read: is"),
        ("<MediaContainer token='secret'", "can't be read: is"),
        ("<MediaContainer token='secret'>", "can't be read: is"),
    ] {
        let error = token(json(body)).await.unwrap_err();
        assert!(error.to_string().contains(text), "{body}: {error}");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Decode, false), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{body} is shown");
    }
}

#[tokio::test]
async fn an_odd_name_costs_neither_the_token_nor_the_addresses() {
    let json = r#"{"MediaContainer":{"Device":{"clientIdentifier":"243b47","name":"NAME",
        "accessToken":"a","Connection":{"uri":"https://good"}}}}"#;
    let xml = "<MediaContainer><Device clientIdentifier='243b47' accessToken='a' name='NAME'>
        <Connection uri='https://good'/></Device></MediaContainer>";
    for (body, name, shown) in [
        (json, &b"K\xE4the"[..], Some("K\u{fffd}the")),
        (json, br"TV \ud83d", None),
        (json, br"TV \ud83d\udcfa", Some("TV \u{1f4fa}")),
        (json, br"a\u001bb", Some("a\u{fffd}b")),
        (xml, b"K\xE4the", Some("K\u{fffd}the")),
        (xml, b"a&#x1b;b", Some("a\u{fffd}b")),
        (xml, b"a&#xD83D;b", None),
        (xml, b"a&unknown;b", None),
        (xml, b"a&b", None),
    ] {
        let (before, after) = body.split_once("NAME").unwrap();
        let body = [before.as_bytes(), name, after.as_bytes()].concat();
        let device = found(respond(200, &[], body)).await.unwrap();
        assert_eq!(device.name.as_deref(), shown);
        assert_eq!(device.access_token.expose_secret(), "a");
        assert_eq!(uris(&device), ["https://good/"]);
    }
}

#[test]
fn a_flag_or_a_port_may_be_a_string() {
    const ODD: &str = r#"null "" "yes" 2.5 32400.0 -1e99 -1 2 [] [{}] {} {"a":[1]} "\ud83d""#;
    fn read<T>(json: &str) -> Option<T>
    where
        Lenient<T>: serde::de::DeserializeOwned,
    {
        serde_json::from_str::<Lenient<T>>(json).unwrap().0
    }
    for (flag, forms) in [(true, r#"true 1 "1" "true""#), (false, r#"false 0 "0" "false""#)] {
        assert!(forms.split(' ').all(|json| read(json) == Some(flag)), "{flag}");
    }
    for json in ["32400", "\"32400\""] {
        assert_eq!(read(json), Some(32400_u16), "{json}");
    }
    for json in ODD.split(' ') {
        assert_eq!(read::<bool>(json), None, "{json}");
        assert!(read::<u16>(json).is_none_or(|port| port == 2), "{json}");
    }
    for json in ["65536", "\"65536\"", "true", "18446744073709551615"] {
        assert_eq!(read::<u16>(json), None, "{json}");
    }
}

#[tokio::test]
async fn a_server_may_send_a_token_of_any_visible_ascii() {
    let sent = r##"a!#$%&'()*,/:;<=>?@[]^`{|}b"##;
    let transient = token(json(format!(r#"{{"MediaContainer":{{"token":"{sent}"}}}}"#)));
    let transient = transient.await.unwrap();
    let server = Server::start(|_| json(r#"{"MediaContainer":{"token":"t"}}"#));
    let client = server.client().with_token(&transient).unwrap();
    client.transient_token().await.unwrap();
    assert_eq!(server.request().header("x-plex-token"), Some(transient.expose_secret()));
    assert_eq!(transient.expose_secret(), sent);
}
