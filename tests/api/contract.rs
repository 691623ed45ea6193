//! What the code does is what `openapi/plex-auth.json` says.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use plex_auth::{ErrorKind, Source, wire};
use reqwest::Url;
use serde_json::{Value, json};
use support::{Call, Request, Server, respond};

static FRAGMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../openapi/plex-auth.json")).unwrap());

/// What the client reads. Written out: what the fragment lacks cannot fail a test.
const CONTENTS: [(u16, &str); 9] = [
    (200, "application/json"),
    (200, "application/xml"),
    (400, "application/json"),
    (400, "text/html"),
    (401, "application/json"),
    (401, "text/html"),
    (403, "application/json"),
    (403, "text/html"),
    (503, "text/xml"),
];

fn described(call: Call) -> &'static Value {
    let (method, path) = call.operation();
    &FRAGMENT["paths"][path][method.to_lowercase()]
}

fn parameters(call: Call, within: &str) -> impl Iterator<Item = &'static Value> {
    let all = described(call)["parameters"].as_array().unwrap().iter().map(resolve);
    all.filter(move |parameter| parameter["in"] == within)
}

/// The statuses, with the media types of each and what is said of them.
fn contents(call: Call) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    let responses = described(call)["responses"].as_object().unwrap();
    responses.iter().flat_map(|(status, response)| {
        let content = resolve(response)["content"].as_object().unwrap();
        let status = status.parse().unwrap();
        content.iter().map(move |(kind, content)| (status, kind.as_str(), content))
    })
}

/// What a value says, or what it refers to.
fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => resolve(FRAGMENT.pointer(to.trim_start_matches('#')).unwrap()),
        None => value,
    }
}

/// A schema of OpenAPI 3.0 is one of JSON Schema's draft 4, but for `nullable`, which the fragment
/// does not use. Unknown properties are refused: in an example they are misspelt.
fn validator(schema: &Value) -> Validator {
    let components = FRAGMENT["components"].to_string();
    assert!(!components.contains("\"nullable\""));
    let strict =
        components.replace("\"additionalProperties\":true", "\"additionalProperties\":false");
    let components: Value = serde_json::from_str(&strict).unwrap();
    let schema = json!({ "allOf": [schema], "components": components });
    jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap()
}

/// The examples of a parameter or of a media type.
fn examples(holder: &'static Value) -> Vec<&'static Value> {
    let several = holder["examples"].as_object().into_iter().flat_map(|examples| examples.values());
    let several = several.map(|example| &resolve(example)["value"]);
    holder.get("example").into_iter().chain(several).collect()
}

/// Without what a server adds to every body, and the fragment does not describe.
fn without_extras(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let described =
                map.iter().filter(|(name, _)| !["size", "status"].contains(&name.as_str()));
            described.map(|(name, value)| (name.clone(), without_extras(value))).collect()
        }
        Value::Array(list) => list.iter().map(without_extras).collect(),
        _ => value.clone(),
    }
}

/// An answer of the server: a text as it is, anything else as JSON.
fn text(example: &Value) -> String {
    example.as_str().map_or_else(|| example.to_string(), str::to_owned)
}

/// A server that gives one answer to everything.
fn serving(status: u16, media_type: &'static str, body: &Value) -> Server {
    let body = text(body);
    Server::start(move |_| respond(status, &[("Content-Type", media_type)], &body))
}

#[test]
fn the_calls_are_exactly_the_operations_of_the_fragment() {
    const METHODS: [&str; 8] =
        ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = FRAGMENT["paths"].as_object().unwrap().iter();
    let described: BTreeSet<_> = paths
        .flat_map(|(path, item)| {
            let methods = METHODS.into_iter().filter(|method| item.get(method).is_some());
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let calls = Call::ALL.map(Call::operation).into_iter().chain([("GET", "/identity")]);
    let calls = calls.map(|(method, path)| (method.into(), path.into()));
    assert_eq!(described, calls.collect());
}

#[test]
fn every_body_has_examples_and_each_is_what_its_schema_allows() {
    let mut seen = 0;
    for call in Call::ALL {
        assert!(contents(call).all(|(.., content)| !examples(content).is_empty()), "{call:?}");
        let contents = contents(call).map(|(.., content)| content);
        let parameters = ["query", "header"].into_iter().flat_map(|it| parameters(call, it));
        for holder in contents.chain(parameters) {
            for example in examples(holder) {
                let described = without_extras(example);
                let result = validator(&holder["schema"]).validate(&described);
                assert!(
                    result.is_ok(),
                    "{call:?}: {example} is not what its schema allows: {result:?}; mend one of \
                     them in openapi/plex-auth.json"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} examples");
}

/// A property that only the fragment has would never be read, and nobody would notice.
#[test]
fn every_property_is_in_an_example() {
    let examples = FRAGMENT["components"]["examples"].to_string();
    for (schema, described) in FRAGMENT["components"]["schemas"].as_object().unwrap() {
        for name in described["properties"].as_object().into_iter().flat_map(|it| it.keys()) {
            let forms = [format!("\"{name}\":"), format!(" {name}=\\\""), format!("<{name} ")];
            assert!(forms.iter().any(|form| examples.contains(form)), "{schema}.{name}");
        }
    }
}

/// The values that servers write in several ways: what is described is what is read.
#[test]
fn flags_and_ports_are_described_as_they_are_read() {
    let properties = &FRAGMENT["components"]["schemas"]["Connection"]["properties"];
    for value in [json!(true), json!(false), json!(0), json!(1), json!("0"), json!("1")] {
        let read: wire::Connection = serde_json::from_value(json!({ "local": value })).unwrap();
        assert!(read.local.unwrap().0.is_some(), "{value}");
        assert!(validator(&properties["local"]).is_valid(&value), "{value}");
    }
    for port in [0, 9_999, 65_535, 65_536] {
        for value in [json!(port), json!(port.to_string())] {
            let read: wire::Connection = serde_json::from_value(json!({ "port": value })).unwrap();
            let is_described = validator(&properties["port"]).is_valid(&value);
            assert_eq!(is_described, read.port.unwrap().0.is_some(), "{value}");
        }
    }
}

/// The examples of one call's answers, with their statuses and media types.
fn answers(call: Call) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    contents(call).flat_map(|(status, media_type, content)| {
        examples(content).into_iter().map(move |example| (status, media_type, example))
    })
}

#[tokio::test]
async fn every_value_of_the_examples_is_read() {
    for example in parameters(Call::LookUp, "query").flat_map(examples) {
        text(example).parse::<Source>().unwrap();
    }
    for (status, media_type, example) in answers(Call::Token).filter(|(status, ..)| *status == 200)
    {
        let token = serving(status, media_type, example).client().transient_token().await.unwrap();
        assert!(text(example).contains(token.expose_secret()), "{media_type}");
    }
    for (status, media_type, example) in answers(Call::LookUp).filter(|(status, ..)| *status == 200)
    {
        let server = serving(status, media_type, example);
        let text = text(example);
        let mut identifiers =
            ["243b471948ace337a8f92f129ec97d1902fcb1df", "9d1c02f4b7e84c6fa2f1"].into_iter();
        let identifier = identifiers.find(|identifier| text.contains(identifier)).unwrap();
        let source = Source::server(identifier).unwrap();
        let device = server.client().source_connection_information(&source).await.unwrap();
        assert!(text.contains(device.access_token.expose_secret()), "{media_type}");
        assert!(text.contains(device.name.as_deref().unwrap()), "{media_type}");
        assert!(device.connections.iter().any(|connection| connection.local), "{media_type}");
        for connection in device.connections {
            assert!(text.contains(connection.uri.as_str().trim_end_matches('/')), "{media_type}");
            assert!(text.contains(&connection.address) && connection.port != 0, "{media_type}");
        }
    }
}

#[tokio::test]
async fn every_error_of_the_examples_is_read() {
    for call in Call::ALL {
        let described: BTreeSet<_> =
            contents(call).map(|(status, kind, _)| (status, kind)).collect();
        assert_eq!(described, BTreeSet::from(CONTENTS), "{call:?}");
        for (status, media_type, example) in answers(call).filter(|(status, ..)| *status != 200) {
            let server = serving(status, media_type, example);
            let error = call.make(&server.client()).await.unwrap_err();
            assert_eq!(error.status().unwrap(), status);
            let kind = match status {
                400 => ErrorKind::BadRequest,
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                _ => ErrorKind::Unavailable,
            };
            assert_eq!(error.kind(), kind);
            assert!(text(example).contains(&status.to_string()), "{status}: {example}");
            assert_eq!(error.server_message().is_some(), media_type != "text/html", "{media_type}");
            // A title and a status.
            let is_pair = error.server_message().is_some_and(|text| text.contains(": "));
            assert_eq!(is_pair, media_type == "text/xml", "{example}");
        }
    }
}

/// What mocks are made of.
#[test]
fn the_examples_fit_the_wire_types_and_their_json_schemas() {
    fn check<T: serde::de::DeserializeOwned + schemars::JsonSchema>(example: &Value) {
        let schema = schemars::schema_for!(T).to_value();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let result = validator.validate(example);
        assert!(result.is_ok(), "{example} is not what the schema allows: {result:?}");
        serde_json::from_value::<T>(example.clone()).unwrap();
    }
    for call in Call::ALL {
        for (status, media_type, example) in answers(call) {
            match (status, media_type, call) {
                (200, "application/json", Call::Token) => {
                    check::<wire::TransientTokenBody>(example);
                }
                (200, "application/json", Call::LookUp) => {
                    // Lists may be lone objects, which the schema of a list does not say.
                    serde_json::from_value::<wire::SourceBody>(example.clone()).unwrap();
                }
                (_, "application/json", _) => check::<wire::ErrorBody>(example),
                _ => {}
            }
        }
    }
}

/// What has to be the same in what was sent and what is described: `all` parameters or only those
/// that are required.
#[track_caller]
fn assert_as_described(call: Call, request: &Request, all: bool) {
    assert_eq!((request.method(), request.path()), call.operation());

    let named = |within: &str| -> BTreeSet<String> {
        let parameters =
            parameters(call, within).filter(|parameter| all || parameter["required"] == true);
        parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let url = Url::parse("http://localhost").unwrap().join(request.target()).unwrap();
    let sent: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = sent.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, named("query"));
    assert_eq!(names.len(), sent.len(), "none is sent twice");
    for (name, value) in sent {
        let parameter = parameters(call, "query").find(|parameter| parameter["name"] == name);
        let schema = resolve(&parameter.unwrap()["schema"]);
        let value = match schema["type"].as_str() {
            Some("integer") => value.parse::<i64>().unwrap().into(),
            _ => Value::String(value),
        };
        assert!(validator(schema).is_valid(&value), "{name}: {value}");
    }

    let mut expected: BTreeSet<String> =
        named("header").iter().map(|name| name.to_lowercase()).collect();
    let requirements = described(call).get("security").unwrap_or(&FRAGMENT["security"]);
    let [requirement] = requirements.as_array().unwrap().as_slice() else {
        panic!("not one requirement: {requirements}")
    };
    for scheme in requirement.as_object().unwrap().keys() {
        let scheme = &FRAGMENT["components"]["securitySchemes"][scheme];
        assert_eq!((&scheme["type"], &scheme["in"]), (&json!("apiKey"), &json!("header")));
        expected.insert(scheme["name"].as_str().unwrap().to_lowercase());
    }
    let headers = request.headers();
    let sent: BTreeSet<_> = headers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(sent.len(), headers.len(), "none is sent twice");
    let http_own =
        ["host", "accept", "accept-encoding", "user-agent", "content-length"].map(str::to_owned);
    let sent: BTreeSet<_> = sent.difference(&BTreeSet::from(http_own)).cloned().collect();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_a_client_sends_with_and_without_all_that_is_optional_is_as_described() {
    for all in [false, true] {
        let server = Server::start(|request| support::good(request, "token-1"));
        let builder = server.builder();
        let builder = if all { support::with_every_header(builder) } else { builder };
        let (client, source) = (builder.build().unwrap(), Source::server("243b47").unwrap());
        client.transient_token().await.unwrap();
        match all {
            true => client.refresh_source_connection_information(&source).await.unwrap(),
            false => client.source_connection_information(&source).await.unwrap(),
        };
        for (call, request) in Call::ALL.into_iter().zip(server.requests()) {
            assert_as_described(call, &request, all);
        }
    }
}

/// Written out: what the fragment says may be wrong, too.
#[tokio::test]
async fn both_requests_are_sent_as_they_stand_here() {
    let server = Server::start(|request| support::good(request, "returned"));
    let client = support::with_every_header(server.builder()).build().unwrap();
    client.transient_token().await.unwrap();
    let client = server.builder().user_agent("castd/1.0 (Käthe)").build().unwrap();
    let source = Source::provider("a&refresh=1#/?%+=ü").unwrap();
    client.refresh_source_connection_information(&source).await.unwrap();

    let written = |request: &Request| {
        let head = request.head.replace(&server.address().to_string(), "ADDRESS");
        let (line, headers) = head.split_once("\r\n").unwrap();
        let mut headers: Vec<_> = headers.lines().collect();
        headers.sort_unstable();
        format!("{line}\n{}", headers.join("\n"))
    };
    let requests = server.requests();
    let (token, look_up) = (written(&requests[0]), written(&requests[1]));
    let version = token.split_once("plex-auth/").unwrap().1.lines().next().unwrap();
    assert!(include_str!("../../Cargo.toml").contains(&format!("version = \"{version}\"")));
    assert_eq!(token.replace(version, "VERSION"), TOKEN_REQUEST);
    assert_eq!(look_up, LOOK_UP_REQUEST);
}

const TOKEN_REQUEST: &str = "\
POST /security/token?scope=all&type=delegation HTTP/1.1
accept-encoding: identity
accept: application/json
content-length: 0
host: ADDRESS
user-agent: plex-auth/VERSION
x-plex-client-identifier: plex-auth-tests
x-plex-device-name: Käthe's TV \u{1f4fa}
x-plex-device-vendor: Acme
x-plex-device: PC
x-plex-marketplace: store
x-plex-model: M1
x-plex-platform-version: 6.1
x-plex-platform: Linux
x-plex-product: Käthe's Remote
x-plex-token: 9rTq2mXw7KvB4nZc8LhD
x-plex-version: 2.4";

const LOOK_UP_REQUEST: &str = "\
GET /security/resources?refresh=1&source=provider%3A%2F%2Fa%26refresh%3D1%23%2F%3F%25%2B%3D%C3%BC \
HTTP/1.1
accept-encoding: identity
accept: application/json
host: ADDRESS
user-agent: castd/1.0 (Käthe)
x-plex-client-identifier: plex-auth-tests
x-plex-token: 9rTq2mXw7KvB4nZc8LhD";
