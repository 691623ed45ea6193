//! What the code does is what `openapi/plex-auth.json` says.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use plex_auth::{ErrorKind, Source, wire};
use reqwest::Url;
use serde_json::{Value, json};
use support::{Request, Server, respond};

static FRAGMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../openapi/plex-auth.json")).unwrap());

/// One of the two operations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Token,
    LookUp,
}

const CALLS: [Call; 2] = [Call::Token, Call::LookUp];

impl Call {
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Token => ("/security/token", "post"),
            Self::LookUp => ("/security/resources", "get"),
        }
    }

    fn described(self) -> &'static Value {
        let (path, verb) = self.place();
        &FRAGMENT["paths"][path][verb]
    }

    fn parameters(self, within: &str) -> impl Iterator<Item = &'static Value> {
        let all = self.described()["parameters"].as_array().unwrap().iter().map(resolve);
        all.filter(move |parameter| parameter["in"] == within)
    }

    /// The statuses, with the media types of each and what is said of them.
    fn contents(self) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
        let responses = self.described()["responses"].as_object().unwrap();
        responses.iter().flat_map(|(status, response)| {
            let content = resolve(response)["content"].as_object().unwrap();
            let status = status.parse().unwrap();
            content.iter().map(move |(kind, content)| (status, kind.as_str(), content))
        })
    }
}

/// What a value says, or what it refers to.
fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => resolve(FRAGMENT.pointer(to.trim_start_matches('#')).unwrap()),
        None => value,
    }
}

/// A schema of OpenAPI 3.0 is one of JSON Schema's draft 4, but for `nullable`, which the fragment
/// does not use.
fn validator(schema: &Value) -> Validator {
    assert!(!FRAGMENT.to_string().contains("\"nullable\""));
    let schema = json!({ "allOf": [schema], "components": FRAGMENT["components"] });
    jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap()
}

/// The examples of a parameter or of a media type.
fn examples(holder: &'static Value) -> Vec<&'static Value> {
    let several = holder["examples"].as_object().into_iter().flat_map(|examples| examples.values());
    let several = several.map(|example| &resolve(example)["value"]);
    holder.get("example").into_iter().chain(several).collect()
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

fn source() -> Source {
    "server://243b471948ace337a8f92f129ec97d1902fcb1df".parse().unwrap()
}

#[test]
fn every_body_has_examples_and_each_is_what_its_schema_allows() {
    let mut seen = 0;
    for call in CALLS {
        assert!(call.contents().all(|(.., content)| !examples(content).is_empty()), "{call:?}");
        let contents = call.contents().map(|(.., content)| content);
        let parameters = ["query", "header"].into_iter().flat_map(|within| call.parameters(within));
        for holder in contents.chain(parameters) {
            for example in examples(holder) {
                let result = validator(&holder["schema"]).validate(example);
                assert!(
                    result.is_ok(),
                    "{call:?}: {example} is not what its schema allows: {result:?}; mend one of \
                     them in openapi/plex-auth.json, then run `cargo test --test contract`"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} examples");
}

/// The examples of one call's answers, with their statuses and media types.
fn answers(call: Call) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    call.contents().flat_map(|(status, media_type, content)| {
        examples(content).into_iter().map(move |example| (status, media_type, example))
    })
}

#[tokio::test]
async fn every_token_of_the_examples_is_read() {
    for (status, media_type, example) in answers(Call::Token).filter(|(status, ..)| *status == 200)
    {
        let server = serving(status, media_type, example);
        let token = server.client().transient_token().await.unwrap();
        assert!(text(example).contains(token.expose_secret()), "{media_type}");
    }
}

#[tokio::test]
async fn every_source_of_the_examples_is_read() {
    for (status, media_type, example) in answers(Call::LookUp).filter(|(status, ..)| *status == 200)
    {
        let server = serving(status, media_type, example);
        let identifier = text(example).contains("9d1c02f4b7e84c6fa2f1");
        let source = match identifier {
            true => Source::server("9d1c02f4b7e84c6fa2f1").unwrap(),
            false => source(),
        };
        let device = server.client().source_connection_information(&source).await.unwrap();
        let text = text(example);
        assert!(text.contains(device.access_token.expose_secret()), "{media_type}");
        assert!(text.contains(device.name.as_deref().unwrap()), "{media_type}");
        assert!(!device.connections.is_empty());
        for connection in device.connections {
            assert!(text.contains(connection.uri.as_str().trim_end_matches('/')), "{media_type}");
            assert!(text.contains(&connection.address) && connection.port != 0, "{media_type}");
        }
    }
}

#[tokio::test]
async fn every_error_of_the_examples_is_read() {
    for call in CALLS {
        for (status, media_type, example) in answers(call).filter(|(status, ..)| *status != 200) {
            let server = serving(status, media_type, example);
            let client = server.client();
            let error = match call {
                Call::Token => client.transient_token().await.unwrap_err(),
                Call::LookUp => client.source_connection_information(&source()).await.unwrap_err(),
            };

            assert_eq!(error.status().unwrap(), status);
            let kind = match status {
                400 => ErrorKind::BadRequest,
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                _ => ErrorKind::Unavailable,
            };
            assert_eq!(error.kind(), kind);
            assert_eq!(error.server_message().is_some(), media_type != "text/html", "{media_type}");
            if media_type == "application/json" {
                assert_eq!(error.server_code(), example["errors"][0]["code"].as_i64());
            }
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
    for call in CALLS {
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
    let (path, verb) = call.place();
    assert_eq!((request.path(), request.method().to_lowercase().as_str()), (path, verb));

    let described = |within: &str| -> BTreeSet<String> {
        let parameters = call.parameters(within);
        let parameters = parameters.filter(|parameter| all || parameter["required"] == true);
        parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let url = Url::parse("http://localhost").unwrap().join(request.target()).unwrap();
    let sent: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = sent.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, described("query"));
    assert_eq!(names.len(), sent.len(), "none is sent twice");
    for (name, value) in sent {
        let parameter = call.parameters("query").find(|parameter| parameter["name"] == name);
        let schema = resolve(&parameter.unwrap()["schema"]);
        let value = match schema["type"].as_str() {
            Some("integer") => value.parse::<i64>().unwrap().into(),
            _ => Value::String(value),
        };
        assert!(validator(schema).is_valid(&value), "{name}: {value}");
    }

    let mut expected: BTreeSet<String> =
        described("header").iter().map(|name| name.to_lowercase()).collect();
    let requirements = call.described().get("security").unwrap_or(&FRAGMENT["security"]);
    for scheme in requirements[0].as_object().unwrap().keys() {
        let scheme = &FRAGMENT["components"]["securitySchemes"][scheme];
        assert_eq!((&scheme["type"], &scheme["in"]), (&json!("apiKey"), &json!("header")));
        expected.insert(scheme["name"].as_str().unwrap().to_lowercase());
    }
    let headers = request.headers();
    let sent: BTreeSet<_> = headers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(sent.len(), headers.len(), "none is sent twice");
    let http_own = ["host", "accept", "user-agent", "content-length"].map(str::to_owned);
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
        for (call, request) in CALLS.into_iter().zip(server.requests()) {
            assert_as_described(call, &request, all);
        }
    }
}
