//! What is read from a response of status 200, however the server writes it, and what is refused.

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

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn xml(body: &str) -> Vec<u8> {
    respond(200, &[("Content-Type", "text/xml;charset=utf-8")], body)
}

#[tokio::test]
async fn xml_is_read_for_both_calls_and_identity() {
    let server = Server::start(|request| {
        let port = request.header("host").unwrap().rsplit(':').next().unwrap();
        let contents = match request.path() {
            "/security/token" => "size='0' token=\"t&#45;1\">\n<!-- token='no' -->".to_owned(),
            "/identity" => "size=\"0\" machineIdentifier=\"243B47\">".to_owned(),
            _ => format!(
                "size=\"1\">
                 <Device name=\"K&#228;the&apos;s &amp; <!-- not\" clientIdentifier=\"243b47\"
                   accessToken=\"transient-2\" presence=\"1\">
                   <Connection protocol=\"https\" address=\"10.0.2.1\" port=\"32400\" local=\"1\"
                     uri=\"https://10-0-2-1.93b1.plex.direct:32400\"/> <!-- <Connection/> -->
                   <Connection protocol='http' address='127.0.0.1' port='{port}' relay='0'/>
                   <Connection uri=\"https://relay.example?a=1&amp;b=2\" relay=\"1\"></Connection>
                   <Other><Connection uri=\"https://other.example\"/></Other>
                 </Device>"
            ),
        };
        let bom = if request.number % 2 == 0 { "\u{feff}" } else { "" };
        xml(&format!("{bom}{DECLARATION}<MediaContainer {contents}</MediaContainer>\n"))
    });
    let builder = server.builder().allow_insecure_http(true);
    let client = builder.timeout(std::time::Duration::from_secs(60)).build().unwrap();
    let source = Source::server("243b47").unwrap();

    assert_eq!(client.transient_token().await.unwrap().expose_secret(), "t-1");
    let device = client.source_connection_information(&source).await.unwrap();
    assert_eq!(device.name.as_deref(), Some("Käthe's & <!-- not"));
    assert_eq!(device.access_token.expose_secret(), "transient-2");
    let own = format!("{}/", server.url());
    assert_eq!(uris(&device), ["https://10-0-2-1.93b1.plex.direct:32400/", &own]);
    let [first, second] = &*device.connections else { panic!("{device:?}") };
    assert_eq!((&*first.protocol, &*first.address, first.port), ("https", "10.0.2.1", 32400));
    assert_eq!([first.local, first.relay, second.local, second.relay], [true, false, false, false]);
    let connected = client.connect(&source).await.unwrap();
    assert_eq!(connected.connection().uri.as_str(), own);
}

#[tokio::test]
async fn xml_of_another_shape_with_a_dtd_or_cut_short_is_refused() {
    for body in [
        "<MediaContainer><token>secret</token></MediaContainer>",
        "<!DOCTYPE a [<!ENTITY b 'secret'>]><MediaContainer token='&b;'/>",
        "<MediaContainer token='secret'",
        "<MediaContainer token='secret'>",
        "<Response code='200' title='secret'/>",
        &format!("<MediaContainer token='secret'>{}</MediaContainer>", "<a>".repeat(200)),
    ] {
        let error = token(xml(body)).await.unwrap_err();
        let is_broken_off = body.starts_with("<MediaContainer token='secret'")
            && !body.ends_with("/>")
            && body.len() < 100;
        let expected = match error.kind() {
            ErrorKind::Decode | ErrorKind::NoToken => !is_broken_off,
            kind => kind == ErrorKind::BodyCutShort && is_broken_off,
        };
        assert!(expected && !error.to_string().contains("column"), "{body}: {error}");
        assert!(!format!("{error:?}").contains("secret"), "{error}");
    }
    let error = found(xml("<MediaContainer size='0'/>")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDevice);
}

#[tokio::test]
async fn an_odd_field_of_a_connection_counts_as_missing_and_the_rest_is_used() {
    const ODD: &str = r#"null "" "yes" 32400.0 -1 2 65536 {} [7] true {"a":[{}]}"#;
    let fields = [
        ("protocol", "\"https\""),
        ("address", "\"10.0.2.1\""),
        ("port", "32400"),
        ("local", "1"),
        ("relay", "false"),
        ("uri", "\"https://10.0.2.1:32400\""),
    ];
    let cases = fields.iter().flat_map(|(field, _)| ODD.split(' ').map(move |odd| (*field, odd)));
    for (odd_field, odd) in cases {
        let fields = fields.map(|(name, value)| {
            format!("\"{name}\":{}", if name == odd_field { odd } else { value })
        });
        let device = found(connections(&format!("{{{}}}", fields.join(",")))).await.unwrap();
        let first = &device.connections[0];
        let case = format!("{odd_field}: {odd}: {first:?}");
        assert_eq!(first.uri.as_str(), "https://10.0.2.1:32400/", "{case}");
        // A text or a number that fits is taken as it is.
        assert!(first.protocol == "https" || odd == "\"yes\"", "{case}");
        assert!(first.address == "10.0.2.1" || odd == "\"yes\"", "{case}");
        assert!(first.port == 32400 || odd == "2", "{case}");
        assert!(first.local || odd_field == "local", "{case}");
        assert!(!first.relay || odd == "true", "{case}");
    }
}

#[tokio::test]
async fn a_connection_without_uri_is_built_from_its_parts_and_the_parts_come_from_the_uri() {
    for (connection, uri, protocol, address, port) in [
        (
            r#""protocol":"https","address":"10.0.2.1","port":32400"#,
            "https://10.0.2.1:32400/",
            "https",
            "10.0.2.1",
            32400,
        ),
        (
            r#""protocol":"http","address":"2001:db8::1","port":"80","uri":"""#,
            "http://[2001:db8::1]/",
            "http",
            "2001:db8::1",
            80,
        ),
        (r#""uri":"https://a.example/plex""#, "https://a.example/plex", "https", "a.example", 443),
        (r#""uri":"http://[::1]:32400""#, "http://[::1]:32400/", "http", "::1", 32400),
    ] {
        let device = found(connections(&format!("{{{connection}}}"))).await.unwrap();
        let first = &device.connections[0];
        assert_eq!(first.uri.as_str(), uri);
        assert_eq!((&*first.protocol, &*first.address, first.port), (protocol, address, port));
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
async fn unusable_connections_are_left_out_and_logged_as_a_count_of_the_first_1_000() {
    let (subscriber, log) = leak::recorder();
    let _recording = tracing::subscriber::set_default(subscriber);
    let unusable = r#"{"address":"10.0.2.2","port":32400},{"protocol":"https","port":32400},
        {"protocol":"ftp","address":"10.0.2.3","port":32400},{"uri":"::"},{"uri":"ftp://a"},{"uri":"https://u:p@a"},{"uri":"mailto:a@b"},
        {"uri":"https://a?X-Plex-Token=s"},{"uri":"https://a#b"},{"uri":null},{"uri":"https://"}"#;
    let (good, many) = (r#"{"uri":"https://good"}"#, "{},".repeat(340_000));
    let device = found(connections(&format!("{unusable},{good},{many}{good}")));
    assert_eq!(uris(&device.await.unwrap()), ["https://good/"]);
    let log = log.lock().unwrap();
    assert_eq!(log.matches("connections of a device ignored").count(), 1, "{log}");
    assert!(log.contains("unusable=999"), "{log}");
}

#[tokio::test]
async fn the_device_is_the_one_that_was_asked_for() {
    let other = r#"{"clientIdentifier":"other","accessToken":"wrong"}"#;
    for (source, listed) in [
        ("server://243b47", "243b47"),
        ("server://243B47", "243b47"),
        ("server://243b47/com.plexapp.plugins.library", "243B47"),
        ("server://243b47/", "243b47"),
        ("provider://p", "p"),
    ] {
        let right = format!(r#"{{"clientIdentifier":"{listed}","accessToken":"right"}}"#);
        let list = device(&format!("[{other},{right},{other}]"));
        let device = look_up(source, list).await.unwrap();
        assert_eq!(device.access_token.expose_secret(), "right", "{source}");
    }
    // A provider's only device may have another name.
    look_up("provider://tv.plex.provider.vod", device(other)).await.unwrap();
    for source in ["server://243b47", "server://243b471", "server://othe"] {
        let error = look_up(source, device(other)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDevice, "{source}");
        assert!(!format!("{error:?}").contains("wrong"), "a token is shown");
    }
}

#[tokio::test]
async fn an_empty_list_is_no_device_and_another_shape_is_not_decoded() {
    let two = r#"{"clientIdentifier":"a","accessToken":"a"},{"clientIdentifier":"b"}"#;
    for empty in [
        device("[]"),
        device("null"),
        device("\"\""),
        device(&format!("[{two}]")),
        json(r#"{"MediaContainer":{}}"#),
        json(r#"{"MediaContainer":{"size":0,"identifier":"com.plexapp.system"}}"#),
    ] {
        let error = found(empty).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::NoDevice, 200));
        assert!(error.to_string().contains("the server does not know this source"), "{error}");
    }
    for other in [
        json("{}"),
        json(r#"{"MediaContainer":null}"#),
        device("7"),
        device(r#"{"accessToken":"a"}"#),
        device(r#"{"accessToken":"a","clientIdentifier":7}"#),
    ] {
        let text = String::from_utf8_lossy(&other).into_owned();
        let error = found(other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{text}: {error}");
    }
}

#[tokio::test]
async fn a_response_without_a_usable_token_is_an_error_that_names_the_member() {
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
async fn what_came_in_place_of_the_expected_body_is_named_and_not_shown() {
    for (body, kind, text) in [
        ("", ErrorKind::Decode, "got an empty body"),
        ("\u{feff}", ErrorKind::Decode, "got an empty body"),
        ("<html><body>secret<br></body></html>", ErrorKind::Decode, "got HTML"),
        ("\n<!DOCTYPE HTML><p>secret", ErrorKind::Decode, "got HTML"),
        ("secret", ErrorKind::Decode, "got a body that can't be read, at line 1, column 1"),
        ("{\"secret\": nope}", ErrorKind::Decode, "that can't be read, at line 1, column"),
        ("{\"MediaContainer\":\"secret\"}", ErrorKind::Decode, "got another shape, at line 1"),
        ("[\"secret\"]", ErrorKind::Decode, "got another shape"),
        ("<secret a='b'/>", ErrorKind::Decode, "got another shape"),
        ("{\"MediaContainer\":{\"token\":{\"secret\":1}}}", ErrorKind::Decode, "another shape"),
        ("{\"MediaContainer\":{\"token\":\"secret", ErrorKind::BodyCutShort, "before it was"),
        ("\u{feff}{\"MediaContainer\":{\"tok", ErrorKind::BodyCutShort, "before it was"),
    ] {
        let error = token(json(body)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body}: {error}");
        assert!(error.to_string().contains(text), "{body}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{body} is shown");
    }
}

#[tokio::test]
async fn a_name_with_an_invalid_character_costs_neither_the_token_nor_the_addresses() {
    let with = |name: &[u8]| {
        let device = br#"{"MediaContainer":{"Device":{"clientIdentifier":"243b47","name":"#;
        let rest = br#","accessToken":"a","Connection":{"uri":"https://good"}}}}"#;
        json([device.as_slice(), name, rest].concat())
    };
    let xml_with = |name: &[u8]| {
        let device = b"<MediaContainer><Device clientIdentifier='243b47' accessToken='a' name='";
        let rest = b"'><Connection uri='https://good'/></Device></MediaContainer>";
        respond(200, &[], [device.as_slice(), name, rest].concat())
    };
    for (response, name) in [
        (with(b"\"K\xE4the\""), "K\u{fffd}the"),
        (with(br#""TV \ud83d""#), "TV \u{fffd}"),
        (with(b"\"a\x1bb\""), "a b"),
        (with(br#""a\u001bb""#), "a\u{fffd}b"),
        (xml_with(b"K\xE4the"), "K\u{fffd}the"),
        (xml_with(b"TV &#xD83D;"), "TV \u{fffd}"),
        (xml_with(b"a&#x1b;b"), "a\u{fffd}b"),
    ] {
        let device = found(response).await.unwrap();
        assert_eq!(device.name.as_deref(), Some(name));
        assert_eq!(device.access_token.expose_secret(), "a");
        assert_eq!(uris(&device), ["https://good/"]);
    }
}
