//! What the code does is what `openapi/plex-auth.json` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use plex_auth::{Client, Error, ErrorKind, Source, wire};
use reqwest::Url;
use serde_json::{Value, json};
use support::{Request, Server, respond};

#[allow(dead_code, unreachable_pub, reason = "`build.rs` and `xtask` use the rest")]
#[path = "../../openapi/resolve.rs"]
mod references;

static FRAGMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../openapi/plex-auth.json")).unwrap());

/// Title, request, and the statuses and media types of responses.
type Operation = (&'static str, &'static str, &'static [(u16, &'static str)]);

/// What each operation sends, and what is read of its responses. Written out: what the fragment
/// lacks cannot fail a test, and what it says may be wrong, too.
const OPERATIONS: [Operation; 3] = [
    ("GET /identity", IDENTITY_REQUEST, &[SUCCESS[0], SUCCESS[1], MAINTENANCE]),
    ("GET /security/resources", LOOK_UP_REQUEST, &WITH_TOKEN),
    ("POST /security/token", TOKEN_REQUEST, &WITH_TOKEN),
];

const SUCCESS: [(u16, &str); 2] = [(200, "application/json"), (200, "application/xml")];
const MAINTENANCE: (u16, &str) = (503, "text/xml");
const WITH_TOKEN: [(u16, &str); 9] = [
    SUCCESS[0],
    SUCCESS[1],
    (400, "application/json"),
    (400, "text/html"),
    (401, "application/json"),
    (401, "text/html"),
    (403, "application/json"),
    (403, "text/html"),
    MAINTENANCE,
];

/// Properties that no caller sees, and why.
const LEFT_OUT: [(&str, &str); 2] = [
    ("size", "the number of elements, which a list has itself"),
    ("status", "the status again, to tell a PMS's errors from those of other services"),
];

/// All operations, with their titles.
fn operations() -> BTreeMap<String, &'static Value> {
    let paths = FRAGMENT["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let listed =
            references::METHODS.into_iter().filter_map(|method| Some((method, item.get(method)?)));
        listed.map(move |(method, it)| (format!("{} {path}", method.to_uppercase()), it))
    });
    operations.collect()
}

fn operation(title: &str) -> &'static Value {
    operations()[title]
}

/// Makes the call of an operation. Returns all that its caller gets.
async fn make(
    title: &str,
    client: &Client,
    source: &Source,
    refresh: bool,
) -> Result<String, Error> {
    match title {
        "GET /identity" => client.identity().await.map(|identity| format!("{identity:?}")),
        "GET /security/resources" => {
            let device = match refresh {
                true => client.refresh_source_connection_information(source).await?,
                false => client.source_connection_information(source).await?,
            };
            Ok(format!("{device:?} {}", device.access_token.expose_secret()))
        }
        "POST /security/token" => {
            client.transient_token().await.map(|token| token.expose_secret().to_owned())
        }
        _ => panic!("{title} has no call here"),
    }
}

fn resolve(value: &'static Value) -> &'static Value {
    references::resolve(&FRAGMENT, value).unwrap()
}

/// The parameters of an operation and of its path.
fn parameters(title: &str, within: &str) -> Vec<&'static Value> {
    let (_, path) = title.split_once(' ').unwrap();
    let lists = [&FRAGMENT["paths"][path], operation(title)].map(|it| it["parameters"].as_array());
    let all = lists.into_iter().flatten().flatten().map(resolve);
    all.filter(|parameter| parameter["in"] == within).collect()
}

/// The statuses, with the media types of each and what is said of them.
fn contents(title: &str) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    let responses = operation(title)["responses"].as_object().unwrap();
    responses.iter().flat_map(|(status, response)| {
        let content = resolve(response)["content"].as_object().into_iter().flatten();
        let status = status.parse().unwrap();
        content.map(move |(kind, content)| (status, kind.as_str(), content))
    })
}

/// The examples of an operation's answers, with their statuses and media types.
fn answers(title: &str) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    contents(title).flat_map(|(status, media_type, content)| {
        examples(content).into_iter().map(move |example| (status, media_type, example))
    })
}

/// The examples of a parameter or of a media type.
fn examples(holder: &'static Value) -> Vec<&'static Value> {
    let several = holder["examples"].as_object().into_iter().flat_map(|examples| examples.values());
    let several = several.map(|example| &resolve(example)["value"]);
    holder.get("example").into_iter().chain(several).collect()
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

/// Without what a server adds to every body, and the fragment does not describe.
fn without_size(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let described = map.iter().filter(|(name, _)| *name != "size");
            described.map(|(name, value)| (name.clone(), without_size(value))).collect()
        }
        Value::Array(list) => list.iter().map(without_size).collect(),
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

/// A server that answers with the first example of each operation.
fn exemplary() -> Server {
    Server::start(|request| {
        let (status, media_type, example) =
            answers(&format!("{} {}", request.method(), request.path())).next().unwrap();
        respond(status, &[("Content-Type", media_type)], text(example))
    })
}

/// The example with each of its values changed or, in JSON, left out; the property's name first.
fn altered(example: &Value) -> Vec<(String, bool, Value)> {
    let mut altered = Vec::new();
    let xml = example.as_str().unwrap_or_default();
    for (at, _) in xml.match_indices("=\"") {
        let (before, rest) = xml.split_at(at + 2);
        let (value, after) = rest.split_once('"').unwrap();
        let name = before.rsplit(' ').next().unwrap().trim_end_matches("=\"");
        let value = another(&json!(value));
        let changed = format!("{before}{}\"{after}", value.as_str().unwrap());
        altered.push((name.to_owned(), true, json!(changed)));
    }
    let mut pending = vec![String::new()];
    while let Some(pointer) = pending.pop() {
        let name = pointer.rsplit('/').next().unwrap().to_owned();
        match example.pointer(&pointer).unwrap() {
            Value::Object(map) => pending.extend(map.keys().map(|key| format!("{pointer}/{key}"))),
            Value::Array(list) => {
                pending.extend((0..list.len()).map(|index| format!("{pointer}/{index}")));
            }
            _ if pointer.is_empty() => {}
            value => {
                let mut changed = example.clone();
                *changed.pointer_mut(&pointer).unwrap() = another(value);
                altered.push((name.clone(), true, changed));
                let mut without = example.clone();
                let holder = pointer.strip_suffix(&format!("/{name}")).unwrap();
                without.pointer_mut(holder).unwrap().as_object_mut().unwrap().remove(&name);
                altered.push((name, false, without));
            }
        }
    }
    altered
}

/// Another value of the same kind.
fn another(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => json!(number.as_u64().unwrap() ^ 1),
        _ => {
            let mut text = value.as_str().unwrap().to_owned();
            let last = text.pop();
            text.push(if last == Some('0') { '1' } else { '0' });
            json!(text)
        }
    }
}

/// The source of an example.
fn source(example: &Value) -> Source {
    let example = text(example);
    let identifiers = ["243b471948ace337a8f92f129ec97d1902fcb1df", "9d1c02f4b7e84c6fa2f1"];
    let listed = identifiers.into_iter().find(|identifier| example.contains(identifier));
    Source::server(listed.unwrap_or("none")).unwrap()
}

#[test]
fn every_operation_has_its_literal_request() {
    let written = OPERATIONS.map(|(title, ..)| title.to_owned());
    let described: Vec<_> = operations().into_keys().collect();
    let lacking: Vec<_> = described.iter().filter(|title| !written.contains(title)).collect();
    assert!(lacking.is_empty(), "write the request of {lacking:?} into `OPERATIONS`");
    assert_eq!(described, written);
}

/// By <https://spec.openapis.org/oas/3.0/schema/2021-09-28> (Apache-2.0).
#[test]
fn the_fragment_is_valid_openapi() {
    let schema = serde_json::from_str(include_str!("openapi-3.0.json")).unwrap();
    let validator = jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap();
    let mistakes: Vec<_> = validator.iter_errors(&FRAGMENT).map(|it| it.to_string()).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    for title in operations().keys() {
        for within in ["query", "header"] {
            let names: Vec<_> =
                parameters(title, within).iter().map(|it| it["name"].as_str().unwrap()).collect();
            let distinct: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
            assert_eq!(names.len(), distinct.len(), "{title}: a parameter stands twice: {names:?}");
        }
    }
}

#[test]
fn every_body_has_examples_and_each_fits_its_schema() {
    let mut seen = 0;
    for title in operations().keys() {
        assert!(contents(title).all(|(.., content)| !examples(content).is_empty()), "{title}");
        let contents = contents(title).map(|(.., content)| content);
        let parameters = ["query", "header"].into_iter().flat_map(|it| parameters(title, it));
        for holder in contents.chain(parameters) {
            for example in examples(holder) {
                let described = without_size(example);
                let result = validator(&holder["schema"]).validate(&described);
                assert!(result.is_ok(), "{title}: {example} does not fit its schema: {result:?}");
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

#[tokio::test]
async fn every_property_of_the_examples_reaches_the_caller() {
    let mut left_out = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for title in operations().keys() {
        for (status, media_type, example) in answers(title) {
            let source = source(example);
            let outcome = async |body: &Value| {
                let server = serving(status, media_type, body);
                let outcome = make(title, &server.client(), &source, false).await;
                outcome.map_err(|error| error.to_string().replace(&server.url(), ""))
            };
            let read = outcome(example).await;
            assert_eq!(read.is_ok(), status < 300, "{title}: {example}: {read:?}");
            for (name, is_there, example) in altered(example) {
                let read_now = outcome(&example).await;
                if is_there && LEFT_OUT.iter().any(|(property, _)| *property == name) {
                    left_out.insert(name);
                } else if is_there {
                    assert_ne!(read, read_now, "{title}: `{name}` is not read: {example}");
                } else if let Some(error) =
                    read_now.err().filter(|it| it.contains("is missing") && status < 300)
                {
                    // The text is written by hand.
                    assert!(error.contains(&format!("{name}`")), "{name}: {error}");
                    missing.insert(name);
                }
            }
        }
    }
    assert_eq!(left_out.len(), LEFT_OUT.len(), "a property in `LEFT_OUT` is in no example");
    assert_eq!(missing.len(), 3, "{missing:?}");
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

#[tokio::test]
async fn every_answer_of_the_examples_is_read() {
    for example in parameters("GET /security/resources", "query").into_iter().flat_map(examples) {
        text(example).parse::<Source>().unwrap();
    }
    for (title, _, read) in OPERATIONS {
        let described: BTreeSet<_> = contents(title).map(|(code, kind, _)| (code, kind)).collect();
        assert_eq!(described, read.iter().copied().collect(), "{title}");
        for (status, media_type, example) in answers(title) {
            let server = serving(status, media_type, example);
            let result = make(title, &server.client(), &source(example), false).await;
            let kind = match status {
                200..300 => {
                    result.unwrap();
                    continue;
                }
                400 => ErrorKind::BadRequest,
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                _ => ErrorKind::Unavailable,
            };
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status));
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
    for title in operations().keys() {
        let json = answers(title).filter(|(_, media_type, _)| *media_type == "application/json");
        for (status, _, example) in json {
            match (status, title.as_str()) {
                (200..300, "GET /identity") => check::<wire::IdentityBody>(example),
                (200..300, "POST /security/token") => check::<wire::TransientTokenBody>(example),
                (200..300, _) => {
                    // Lists may be lone objects, which the schema of a list does not say.
                    serde_json::from_value::<wire::SourceBody>(example.clone()).unwrap();
                }
                _ => check::<wire::ErrorBody>(example),
            }
        }
    }
}

/// What has to be the same in what was sent and what is described: `all` parameters or only those
/// that are required.
#[track_caller]
fn assert_as_described(title: &str, request: &Request, all: bool) {
    let named = |within: &str| -> BTreeSet<String> {
        let parameters = parameters(title, within).into_iter();
        let sent = parameters.filter(|parameter| all || parameter["required"] == true);
        sent.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let url = Url::parse("http://localhost").unwrap().join(request.target()).unwrap();
    let sent: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = sent.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, named("query"), "{title}");
    assert_eq!(names.len(), sent.len(), "{title}: none is sent twice");
    for (name, value) in sent {
        let query = parameters(title, "query");
        let parameter = query.into_iter().find(|parameter| parameter["name"] == name).unwrap();
        let schema = resolve(&parameter["schema"]);
        let value = match schema["type"].as_str() {
            Some("integer") => value.parse::<i64>().unwrap().into(),
            _ => Value::String(value),
        };
        assert!(validator(schema).is_valid(&value), "{name}: {value}");
    }

    let mut expected: BTreeSet<String> =
        named("header").iter().map(|name| name.to_lowercase()).collect();
    let requirements = operation(title).get("security").unwrap_or(&FRAGMENT["security"]);
    let requirements = requirements.as_array().unwrap();
    assert!(requirements.len() <= 1, "not one requirement: {requirements:?}");
    for scheme in requirements.iter().flat_map(|it| it.as_object().unwrap().keys()) {
        let scheme = &FRAGMENT["components"]["securitySchemes"][scheme];
        assert_eq!((&scheme["type"], &scheme["in"]), (&json!("apiKey"), &json!("header")));
        expected.insert(scheme["name"].as_str().unwrap().to_lowercase());
    }
    let headers = request.headers();
    let sent: BTreeSet<_> = headers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(sent.len(), headers.len(), "{title}: none is sent twice");
    let http_own =
        ["host", "accept", "accept-encoding", "user-agent", "content-length"].map(str::to_owned);
    let sent: BTreeSet<_> = sent.difference(&BTreeSet::from(http_own)).cloned().collect();
    assert_eq!(sent, expected, "{title}");
}

#[tokio::test]
async fn requests_are_as_described_with_and_without_options() {
    for (title, all) in operations().keys().flat_map(|title| [(title, false), (title, true)]) {
        let server = exemplary();
        let builder = server.builder();
        let builder = if all { support::with_every_header(builder) } else { builder };
        let (client, source) = (builder.build().unwrap(), Source::provider("a").unwrap());
        make(title, &client, &source, all).await.unwrap();
        assert_as_described(title, &server.request(), all);
    }
}

#[tokio::test]
async fn every_request_is_sent_as_it_stands_here() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, version) = manifest.split_once("\nversion = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    let source = Source::provider("a&refresh=1#/?%+=ü").unwrap();
    for (title, written, _) in OPERATIONS {
        let server = exemplary();
        let client = support::with_every_header(server.builder());
        let client = match title {
            "POST /security/token" => client,
            _ => client.user_agent("castd/1.0 (Käthe)"),
        };
        make(title, &client.build().unwrap(), &source, true).await.unwrap();
        let head = server.request().head.replace(&server.address().to_string(), "ADDRESS");
        let head = head.replace(&format!("plex-auth/{version}"), "plex-auth/VERSION");
        let (line, headers) = head.split_once("\r\n").unwrap();
        let mut headers: Vec<_> = headers.lines().collect();
        headers.sort_unstable();
        let written = written.replace("{CLIENT}", CLIENT);
        assert_eq!(format!("{line}\n{}", headers.join("\n")), written, "{title}");
    }
}

/// Prose, examples and tests name paths and headers, too.
#[test]
fn the_paths_and_headers_of_the_texts_are_described() {
    fn read(path: &Path, found: &mut Vec<(String, String)>) {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
            entries.for_each(|entry| read(&entry, found));
        } else if path.extension().is_some_and(|it| it == "rs" || it == "md") {
            found.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut texts = Vec::new();
    for part in ["README.md", "SECURITY.md", "docs", "src", "examples", "benches"] {
        read(&root.join(part), &mut texts);
    }
    let paths = FRAGMENT["paths"].as_object().unwrap();
    let parameters = FRAGMENT["components"]["parameters"].as_object().unwrap().values();
    let schemes = FRAGMENT["components"]["securitySchemes"].as_object().unwrap().values();
    let headers = parameters.chain(schemes).map(|it| it["name"].as_str().unwrap().to_lowercase());
    // A PMS sends these.
    let mut headers: BTreeSet<_> = headers.collect();
    headers.extend(
        ["protocol", "content-original-length", "content-compressed-length"]
            .map(|name| format!("x-plex-{name}")),
    );
    let mut seen = 0;
    for (file, text) in texts {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"-/".contains(c)) {
            let header = word.to_lowercase();
            let path = word.find("/security/").and_then(|at| word.get(at..));
            if let Some(path) = path.or(Some("/identity").filter(|path| word.ends_with(path))) {
                assert!(paths.contains_key(path.trim_end_matches('/')), "{file}: {word}");
                seen += 1;
            } else if header.starts_with("x-plex-") && !header.ends_with('-') {
                assert!(headers.contains(&header), "{file}: {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen} names");
}

const IDENTITY_REQUEST: &str = "\
GET /identity HTTP/1.1
accept-encoding: identity
accept: application/json
host: ADDRESS
user-agent: castd/1.0 (Käthe)";

/// Stands for `{CLIENT}`.
const CLIENT: &str = "\
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

const TOKEN_REQUEST: &str = "\
POST /security/token?scope=all&type=delegation HTTP/1.1
accept-encoding: identity
accept: application/json
content-length: 0
host: ADDRESS
user-agent: plex-auth/VERSION
{CLIENT}";

const LOOK_UP_REQUEST: &str = "\
GET /security/resources?refresh=1&source=provider%3A%2F%2Fa%26refresh%3D1%23%2F%3F%25%2B%3D%C3%BC \
HTTP/1.1
accept-encoding: identity
accept: application/json
host: ADDRESS
user-agent: castd/1.0 (Käthe)
{CLIENT}";
