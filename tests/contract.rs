//! What the code does is what `openapi/plex-auth.json` says.


use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use plex_auth::{BodyKind, ClientBuilder, Error, Source};
use reqwest::Url;
use serde_json::{Value, json};
use support::{Request, Server, respond};

static FRAGMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../openapi/plex-auth.json")).unwrap());

/// One of the two operations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Mint,
    LookUp,
}

const CALLS: [Call; 2] = [Call::Mint, Call::LookUp];

impl Call {
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Mint => ("/security/token", "post"),
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
fn every_example_is_what_its_schema_allows() {
    let mut seen = 0;
    for call in CALLS {
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

#[test]
fn every_body_has_an_example() {
    for call in CALLS {
        for (status, media_type, content) in call.contents() {
            assert!(!examples(content).is_empty(), "{call:?}, {status}, {media_type}");
        }
    }
}

/// The examples of one call's answers, with their statuses and media types.
fn answers(call: Call) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    call.contents().flat_map(|(status, media_type, content)| {
        examples(content).into_iter().map(move |example| (status, media_type, example))
    })
}

#[tokio::test]
async fn every_token_of_the_examples_is_read() {
    for (status, media_type, example) in answers(Call::Mint).filter(|(status, ..)| *status == 200) {
        let server = serving(status, media_type, example);
        let minted = server.client().transient_token().await.unwrap();
        assert_eq!(minted.token().expose_secret(), example["MediaContainer"]["token"]);
    }
}

#[tokio::test]
async fn every_source_of_the_examples_is_read() {
    for (status, media_type, example) in answers(Call::LookUp).filter(|(status, ..)| *status == 200)
    {
        let server = serving(status, media_type, example);
        let device = server.client().source_connection_information(&source()).await.unwrap();

        let shown = list(&example["MediaContainer"]["Device"])[0];
        assert_eq!(device.name.as_deref(), shown["name"].as_str());
        assert_eq!(device.client_identifier, shown["clientIdentifier"]);
        assert_eq!(device.access_token.expose_secret(), shown["accessToken"]);
        let shown = list(&shown["Connection"]);
        assert_eq!(device.connections.len(), shown.len());
        for connection in device.connections {
            let is_it = |shown: &&&Value| shown["uri"] == text_of_url(&connection.uri);
            let shown = shown.iter().find(is_it).unwrap();
            assert_eq!(connection.protocol, shown["protocol"]);
            assert_eq!(connection.address, shown["address"]);
            assert_eq!(connection.port.to_string(), text(&shown["port"]));
            let is = |flag: &Value| matches!(text(flag).as_str(), "true" | "1");
            assert_eq!(
                (connection.local, connection.relay),
                (is(&shown["local"]), is(&shown["relay"]))
            );
        }
    }
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// A URL without the slash that parsing adds.
fn text_of_url(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[tokio::test]
async fn every_error_of_the_examples_is_read() {
    for call in CALLS {
        for (status, media_type, example) in answers(call).filter(|(status, ..)| *status != 200) {
            let server = serving(status, media_type, example);
            let client = server.client();
            let error = match call {
                Call::Mint => client.transient_token().await.unwrap_err(),
                Call::LookUp => client.source_connection_information(&source()).await.unwrap_err(),
            };

            assert_eq!(error.status().unwrap(), status);
            let right_kind = match status {
                400 => matches!(error, Error::BadRequest(_)),
                401 => matches!(error, Error::Unauthorized(_)),
                403 => matches!(error, Error::Forbidden(_)),
                503 => matches!(error, Error::Unavailable(_)),
                _ => false,
            };
            assert!(right_kind, "{status}: {error:?}");
            let failure = error.failure().unwrap();
            let kind = match media_type {
                "application/json" => BodyKind::Json,
                "text/html" => BodyKind::Html,
                "text/xml" => BodyKind::Xml,
                other => panic!("no kind is known for {other}"),
            };
            assert_eq!(failure.body_kind, Some(kind));
            if kind == BodyKind::Json {
                let entry = &example["errors"][0];
                assert_eq!(failure.code, entry["code"].as_i64());
                assert_eq!(failure.message.as_deref(), entry["message"].as_str());
            }
            if kind == BodyKind::Xml {
                assert_eq!(failure.code, Some(503));
                assert!(
                    text(example)
                        .contains(failure.message.as_ref().unwrap().split(": ").last().unwrap())
                );
            }
        }
    }
}

/// Sets every optional client header.
fn with_every_header(builder: ClientBuilder) -> ClientBuilder {
    builder
        .product("My Remote")
        .version("2.4.1")
        .platform("Android")
        .platform_version("16")
        .device("Tablet")
        .model("PT-1100")
        .device_vendor("Acme")
        .device_name("Kitchen tablet")
        .marketplace("googlePlay")
}

/// What has to be the same in what was sent and what is described: `all` parameters or only those
/// that are required.
#[track_caller]
fn assert_as_described(call: Call, request: &Request, all_headers: bool, all_parameters: bool) {
    let (path, verb) = call.place();
    assert_eq!((request.path(), request.method().to_lowercase().as_str()), (path, verb));
    assert!(request.body.is_empty());

    let described = |within: &str, all: bool| -> BTreeSet<String> {
        let parameters = call.parameters(within);
        let parameters = parameters.filter(|parameter| all || parameter["required"] == true);
        parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let url = Url::parse("http://localhost").unwrap().join(request.target()).unwrap();
    let sent: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = sent.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, described("query", all_parameters));
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
        described("header", all_headers).iter().map(|name| name.to_lowercase()).collect();
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
async fn what_a_client_with_nothing_optional_sends_is_as_described() {
    let server = Server::start(|request| support::good(request, "token-1"));
    let client = server.client();
    client.transient_token().await.unwrap();
    client.source_connection_information(&source()).await.unwrap();
    for (call, request) in CALLS.into_iter().zip(server.requests()) {
        assert_as_described(call, &request, false, false);
    }
}

#[tokio::test]
async fn what_a_client_with_everything_optional_sends_is_as_described() {
    let server = Server::start(|request| support::good(request, "token-1"));
    let client = with_every_header(server.builder()).build().unwrap();
    client.transient_token().await.unwrap();
    client.refresh_source_connection_information(&source()).await.unwrap();
    for (call, request) in CALLS.into_iter().zip(server.requests()) {
        assert_as_described(call, &request, true, true);
    }
}

/// Whether the fragment allows an answer.
fn check(call: Call, status: u16, media_type: &str, body: &str) -> Result<(), String> {
    let mut contents = call.contents();
    let content = contents.find(|(s, m, _)| (*s, *m) == (status, media_type));
    let Some((.., content)) = content else {
        return Err(format!("{call:?}: no {media_type} is described for {status}"));
    };
    let value = match media_type {
        "application/json" => serde_json::from_str(body).map_err(|error| error.to_string())?,
        _ => body.into(),
    };
    validator(&content["schema"]).validate(&value).map_err(|error| error.to_string())
}

/// The answers that the other tests' server calls good.
#[tokio::test]
async fn the_answers_that_tests_call_good_are_as_described() {
    let server = Server::start(|request| support::good(request, "token-1"));
    for call in CALLS {
        let (path, verb) = call.place();
        let (status, media_type, body) = answer(&server.url(), path, verb).await;
        check(call, status, &media_type, &body).unwrap();
    }
}

/// The answer of a server, read without the client under test.
async fn answer(address: &str, path: &str, verb: &str) -> (u16, String, String) {
    let verb = verb.to_uppercase().parse().unwrap();
    let request = reqwest::Client::new().request(verb, format!("{address}{path}"));
    let response = request.send().await.unwrap();
    let media_type = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
    let media_type = media_type.unwrap_or("no content type").to_owned();
    (response.status().as_u16(), media_type, response.text().await.unwrap())
}

#[cfg(feature = "httpmock")]
mod mocks {
    //! The typed mocks give what the fragment allows. For errors they take any JSON.

    use plex_auth::mock::httpmock::{Mock, MockServer};
    use plex_auth::mock::operations::{GetSourceConnectionInformationThen, GetTransientTokenThen};
    use plex_auth::mock::{MockServerExt as _, httpmock};
    use plex_auth::wire::{
        Connection, Device, ErrorBody, ErrorEntry, Flag, OneOrMany, Port, SourceBody,
        SourceContainer, TransientTokenBody, TransientTokenContainer,
    };

    use super::*;

    /// What the fragment thinks of a mock's answer.
    async fn verdict(call: Call, mock: impl FnOnce(&MockServer) -> Mock<'_>) -> Result<(), String> {
        let server = MockServer::start_async().await;
        mock(&server);
        let (path, verb) = call.place();
        let (status, media_type, body) = answer(&server.base_url(), path, verb).await;
        check(call, status, &media_type, &body)
    }

    fn minting<T>(
        then: impl FnOnce(GetTransientTokenThen) -> T,
    ) -> impl FnOnce(&MockServer) -> Mock<'_> {
        |server| {
            server.get_transient_token(|_, answer| {
                then(answer);
            })
        }
    }

    fn looking_up<T>(
        then: impl FnOnce(GetSourceConnectionInformationThen) -> T,
    ) -> impl FnOnce(&MockServer) -> Mock<'_> {
        |server| {
            server.get_source_connection_information(|_, answer| {
                then(answer);
            })
        }
    }

    fn error() -> Value {
        let entry = ErrorEntry {
            code: Some(1001),
            message: Some("User could not be authenticated".to_owned()),
            status: Some(401),
        };
        serde_json::to_value(ErrorBody { errors: vec![entry] }).unwrap()
    }

    #[tokio::test]
    async fn good_answers_are_as_described() {
        let container = TransientTokenContainer { token: Some("token-1".into()) };
        let body = TransientTokenBody { media_container: container };
        verdict(Call::Mint, minting(|then| then.ok(&body))).await.unwrap();

        let connection = Connection {
            uri: Some("http://10.0.2.1:32400".into()),
            port: Some(Port(32400)),
            local: Some(Flag(true)),
            ..Connection::default()
        };
        let device = Device {
            client_identifier: Some("243b47".to_owned()),
            access_token: Some("token-1".into()),
            connection: Some(OneOrMany(vec![connection])),
            ..Device::default()
        };
        let container = SourceContainer { device: Some(OneOrMany(vec![device])) };
        let body = SourceBody { media_container: container };
        verdict(Call::LookUp, looking_up(|then| then.ok(&body))).await.unwrap();
    }

    #[tokio::test]
    async fn errors_are_as_described() {
        let call = Call::Mint;
        verdict(call, minting(|then| then.bad_request(error()))).await.unwrap();
        verdict(call, minting(|then| then.unauthorized(error()))).await.unwrap();
        verdict(call, minting(|then| then.forbidden(error()))).await.unwrap();
        let call = Call::LookUp;
        verdict(call, looking_up(|then| then.bad_request(error()))).await.unwrap();
        verdict(call, looking_up(|then| then.unauthorized(error()))).await.unwrap();
        verdict(call, looking_up(|then| then.forbidden(error()))).await.unwrap();
    }

    #[tokio::test]
    async fn an_error_of_another_shape_is_refused() {
        for wrong in [json!({ "error": "no" }), json!({ "errors": "no" }), json!([]), json!("no")] {
            let mock = minting(|then| then.unauthorized(wrong.clone()));
            assert!(verdict(Call::Mint, mock).await.is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_status_or_a_kind_of_body_that_is_not_described_is_refused() {
        let teapot = minting(|then| then.into_inner().status(418).json_body(error()));
        assert!(verdict(Call::Mint, teapot).await.is_err());
        let html = |then: httpmock::Then| then.status(200).header("content-type", "text/html");
        let html = looking_up(|then| html(then.into_inner()).body("<html></html>"));
        assert!(verdict(Call::LookUp, html).await.is_err());
    }

    #[tokio::test]
    async fn a_mock_answers_to_what_the_client_sends() {
        let server = MockServer::start_async().await;
        let minted = server.get_transient_token(|when, then| {
            when.into_inner().query_param("type", "delegation").query_param("scope", "all");
            let container = TransientTokenContainer { token: Some("token-1".into()) };
            then.ok(&TransientTokenBody { media_container: container });
        });
        let client = support::builder(server.base_url()).build().unwrap();
        client.transient_token().await.unwrap();
        minted.assert_async().await;
    }
}

#[cfg(feature = "schemars")]
mod schemas {
    //! Whatever the fragment allows, the types on the wire describe and read.

    use std::fmt;

    use plex_auth::wire::{ErrorBody, SourceBody, TransientTokenBody};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::string::string_regex;
    use schemars::schema_for;
    use serde::de::DeserializeOwned;

    use super::*;

    struct Body {
        name: &'static str,
        fragment: Validator,
        wire: Validator,
        reads: fn(&Value) -> Result<(), String>,
    }

    impl fmt::Debug for Body {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.name)
        }
    }

    impl Body {
        fn of<T: DeserializeOwned + schemars::JsonSchema>(name: &'static str) -> Self {
            let wire = jsonschema::validator_for(schema_for!(T).as_value()).unwrap();
            let reads = |body: &Value| {
                // From a text, as the client reads it.
                let read = serde_json::from_str::<T>(&body.to_string());
                read.map(drop).map_err(|error| error.to_string())
            };
            let fragment = json!({ "$ref": format!("#/components/schemas/{name}") });
            Self { name, fragment: validator(&fragment), wire, reads }
        }
    }

    static BODIES: LazyLock<[Body; 3]> = LazyLock::new(|| {
        [
            Body::of::<TransientTokenBody>("TransientTokenBody"),
            Body::of::<SourceBody>("SourceBody"),
            Body::of::<ErrorBody>("ErrorBody"),
        ]
    });

    /// What doesn't agree about a value that the fragment allows.
    fn disagreement(body: &Body, value: &Value) -> Option<String> {
        if !body.fragment.is_valid(value) {
            Some("the fragment refuses it".to_owned())
        } else if !body.wire.is_valid(value) {
            Some("the types' schema refuses it".to_owned())
        } else {
            (body.reads)(value).err()
        }
    }

    #[test]
    fn the_examples_are_described_and_read() {
        for call in CALLS {
            for (_, _, content) in call.contents().filter(|(_, m, _)| *m == "application/json") {
                let name = content["schema"]["$ref"].as_str().unwrap();
                let is_it = |body: &&Body| name.ends_with(&format!("/{}", body.name));
                let body = BODIES.iter().find(is_it).unwrap();
                for example in examples(content) {
                    assert_eq!(disagreement(body, example), None, "{name}: {example}");
                }
            }
        }
    }

    /// Values that a schema of the fragment allows. Fails for a keyword that it doesn't know.
    fn allowed(schema: &'static Value) -> BoxedStrategy<Value> {
        let schema = resolve(schema);
        let known = [
            "additionalProperties",
            "description",
            "enum",
            "format",
            "items",
            "maximum",
            "minimum",
            "oneOf",
            "pattern",
            "properties",
            "required",
            "type",
        ];
        for keyword in schema.as_object().unwrap().keys() {
            assert!(known.contains(&keyword.as_str()), "{keyword}");
        }
        if let Some(values) = schema["enum"].as_array() {
            return proptest::sample::select(values.clone()).boxed();
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let choices: Vec<_> = choices.iter().map(allowed).collect();
            return proptest::strategy::Union::new(choices).boxed();
        }
        match schema["type"].as_str().unwrap() {
            "boolean" => any::<bool>().prop_map(Value::from).boxed(),
            "integer" => {
                let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
                let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
                (least..=most).prop_map(Value::from).boxed()
            }
            "string" => {
                let pattern = schema["pattern"].as_str().unwrap_or(".*");
                let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
                string_regex(pattern).unwrap().prop_map(Value::from).boxed()
            }
            "array" => vec(allowed(&schema["items"]), 0..4).prop_map(Value::from).boxed(),
            "object" => {
                assert_eq!(schema["additionalProperties"], true, "the client bears the unknown");
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let properties = schema["properties"].as_object().unwrap();
                let properties: Vec<_> = properties
                    .iter()
                    .map(|(name, schema)| {
                        let (name, value) = (name.clone(), allowed(schema));
                        if required.contains(&json!(name)) {
                            value.prop_map(move |value| Some((name.clone(), value))).boxed()
                        } else {
                            let value = proptest::option::weighted(0.8, value);
                            value.prop_map(move |value| Some((name.clone(), value?))).boxed()
                        }
                    })
                    .collect();
                let unknown = proptest::option::of(("[a-z]{9,12}", anything()));
                (properties, unknown)
                    .prop_map(|(known, unknown)| {
                        known.into_iter().flatten().chain(unknown).collect()
                    })
                    .boxed()
            }
            other => panic!("no values of type {other}"),
        }
    }

    fn anything() -> BoxedStrategy<Value> {
        let odd = [
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(2),
            json!(-1),
            json!(1.0),
            json!(1.5),
            json!(65535),
            json!(65536),
            json!(""),
            json!("0"),
            json!("1"),
            json!("true"),
            json!("no"),
            json!("+80"),
            json!("0000080"),
            json!("99999"),
            json!(" 1"),
            json!([]),
            json!({}),
            json!(["x"]),
            json!({ "x": 1 }),
        ];
        proptest::sample::select(odd.to_vec()).boxed()
    }

    fn body() -> impl Strategy<Value = (&'static Body, Value)> {
        (0..BODIES.len()).prop_flat_map(|at| {
            let body = &BODIES[at];
            let schema = &FRAGMENT["components"]["schemas"][body.name];
            allowed(schema).prop_map(move |value| (body, value))
        })
    }

    /// What the decoder bears though the fragment does not allow it: the place and the value.
    fn is_borne(place: &str, value: &Value) -> bool {
        match (place.rsplit('/').next(), value) {
            // An optional property may be null.
            (Some(name), Value::Null) => name != "MediaContainer" && name != "errors",
            // serde takes a list for the values of an object's properties, in their order.
            (Some("MediaContainer"), Value::Array(_)) => true,
            // Flags in words.
            (Some("local" | "relay"), Value::String(text)) => text == "true" || text == "false",
            // Any digits that come to a port.
            (Some("port"), Value::String(text)) => text.parse::<u16>().is_ok(),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_allowed_is_described_and_read((body, value) in body()) {
            prop_assert_eq!(disagreement(body, &value), None, "{}", body.name);
        }

        #[test]
        fn what_is_borne_beyond_is_listed(
            (body, mut value) in body(),
            at in any::<prop::sample::Index>(),
            odd in anything(),
        ) {
            let mut places = Vec::new();
            pointers(&value, "", &mut places);
            let place = at.get(&places).clone();
            *value.pointer_mut(&place).unwrap() = odd.clone();

            let is_read = (body.reads)(&value).is_ok();
            let is_allowed = body.fragment.is_valid(&value);
            prop_assert!(is_read || !is_allowed, "{} refuses {value}", body.name);
            if is_read && !is_allowed {
                prop_assert!(is_borne(&place, &odd), "{} bears {odd} at {place}", body.name);
            }
        }
    }

    fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all));
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    pointers(value, &format!("{at}/{index}"), all);
                }
            }
            _ => {}
        }
    }
}
