//! `cargo xtask drift`: every change is found and rightly classed, and nothing else is.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{House, dresses, spec};

/// A change, and the lines that tell of it. In the lines, `T` stands for `POST /security/token` and
/// `R` for `GET /security/resources`.
struct Mutation {
    /// Changes of different areas don't touch each other, unless the area is `WHOLE`.
    area: &'static str,
    name: &'static str,
    change: fn(&mut Value),
    lines: &'static [&'static str],
}

const fn mutation(
    area: &'static str,
    name: &'static str,
    change: fn(&mut Value),
    lines: &'static [&'static str],
) -> Mutation {
    Mutation { area, name, change, lines }
}

const WHOLE: &str = "whole";

const T: &str = "/paths/~1security~1token";
const POST: &str = "/paths/~1security~1token/post";
const GET: &str = "/paths/~1security~1resources/get";
const MINTED: &str =
    "/paths/~1security~1token/post/responses/200/content/application~1json/schema/properties";
const FOUND: &str =
    "/paths/~1security~1resources/get/responses/200/content/application~1json/schema/properties";
const DEVICE: &str = "/components/schemas/Device/properties";
const CONNECTION: &str = "/components/schemas/Device/properties/Connection/items/properties";

#[track_caller]
fn at<'a>(spec: &'a mut Value, place: &str) -> &'a mut Value {
    spec.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there"))
}

#[track_caller]
fn set(spec: &mut Value, place: &str, key: &str, value: Value) {
    at(spec, place).as_object_mut().unwrap().insert(key.to_owned(), value);
}

#[track_caller]
fn take(spec: &mut Value, place: &str, key: &str) -> Value {
    at(spec, place).as_object_mut().unwrap().remove(key).unwrap()
}

#[track_caller]
fn rename(spec: &mut Value, place: &str, key: &str, new: &str) {
    let value = take(spec, place, key);
    set(spec, place, new, value);
}

/// A parameter that stands in an operation by itself.
#[track_caller]
fn parameter<'a>(spec: &'a mut Value, operation: &str, name: &str) -> &'a mut Value {
    let listed = at(spec, operation)["parameters"].as_array_mut().unwrap();
    listed.iter_mut().find(|parameter| parameter["name"] == name).unwrap()
}

fn without(spec: &mut Value, operation: &str, name: &str) {
    let listed = at(spec, operation)["parameters"].as_array_mut().unwrap();
    listed.retain(|parameter| parameter["name"] != name);
}

fn with(spec: &mut Value, operation: &str, parameter: Value) {
    at(spec, operation)["parameters"].as_array_mut().unwrap().push(parameter);
}

#[rustfmt::skip]
const MUTATIONS: &[Mutation] = &[
    // Paths and verbs.
    mutation(WHOLE, "a path gone", |s| { take(s, "/paths", "/security/token"); },
        &["breaking: /security/token: was there, is gone"]),
    mutation(WHOLE, "a path renamed", |s| rename(s, "/paths", "/security/token", "/security/mint"),
        &["breaking: /security/token: was there, is gone"]),
    mutation(WHOLE, "another verb", |s| rename(s, T, "post", "get"),
        &["breaking: /security/token: verb: was POST, is GET"]),
    mutation(WHOLE, "a new verb", |s| set(s, T, "put", json!({ "responses": {} })),
        &["compatible: PUT /security/token: was absent, is there"]),
    mutation(WHOLE, "one verb gone for two", |s| {
        take(s, T, "post");
        set(s, T, "put", json!({}));
        set(s, T, "get", json!({}));
    }, &[
        "breaking: POST /security/token: was there, is gone",
        "compatible: GET /security/token: was absent, is there",
        "compatible: PUT /security/token: was absent, is there",
    ]),

    // Query parameters.
    mutation("type", "a query parameter gone", |s| without(s, POST, "type"),
        &["breaking: T: query parameter `type`: was a required string `delegation`|`other`, is gone"]),
    mutation("type", "a query parameter renamed", |s| parameter(s, POST, "type")["name"] = json!("kind"), &[
        "breaking: T: query parameter `type`: was a required string `delegation`|`other`, is gone (`kind` is new and alike)",
        "breaking: T: query parameter `kind`: was absent, is a required string `delegation`|`other`",
    ]),
    mutation("type", "a query parameter moved", |s| parameter(s, POST, "type")["in"] = json!("header"),
        &["breaking: T: query parameter `type`: was a query parameter, is a header parameter `type`"]),
    mutation("type", "another type", |s| parameter(s, POST, "type")["schema"] = json!({ "type": "integer" }),
        &["breaking: T: query parameter `type`: was string `delegation`|`other`, is integer"]),
    mutation("type", "a value gone that is sent", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["other"]),
        &["breaking: T: query parameter `type`: was string `delegation`|`other`, is string `other`"]),
    mutation("type", "a value gone that is not sent", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["delegation"]),
        &["compatible: T: query parameter `type`: was string `delegation`|`other`, is string `delegation`"]),
    mutation("type", "a wider enum", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["new", "other", "delegation"]),
        &["compatible: T: query parameter `type`: was string `delegation`|`other`, is string `delegation`|`new`|`other`"]),
    mutation(WHOLE, "every parameter gone", |s| { take(s, POST, "parameters"); }, &[
        "breaking: T: header parameter `X-Client`: was a required string, is gone",
        "compatible: T: header parameter `X-Product`: was an optional string, is gone",
        "compatible: T: header parameter `X-Unsent`: was an optional string `a`|`b`, is gone",
        "breaking: T: query parameter `scope`: was a required string `all`, is gone",
        "breaking: T: query parameter `type`: was a required string `delegation`|`other`, is gone",
    ]),
    mutation("scope", "another constant", |s| parameter(s, POST, "scope")["schema"]["const"] = json!("some"),
        &["breaking: T: query parameter `scope`: was string `all`, is string `some`"]),
    mutation("scope", "a constant that is free now", |s| parameter(s, POST, "scope")["schema"] = json!({ "type": "string" }),
        &["compatible: T: query parameter `scope`: was string `all`, is string"]),
    mutation("scope", "a parameter made optional", |s| parameter(s, POST, "scope")["required"] = json!(false),
        &["compatible: T: query parameter `scope`: was required, is optional"]),
    mutation("scope", "a new pattern", |s| parameter(s, POST, "scope")["schema"]["pattern"] = json!("^a"),
        &["breaking: T: query parameter `scope`, `pattern`: was absent, is `^a`"]),
    mutation("source", "a new format", |s| parameter(s, GET, "source")["schema"]["format"] = json!("uri"),
        &["breaking: R: query parameter `source`, `format`: was absent, is `uri`"]),
    mutation("source", "a new bound", |s| parameter(s, GET, "source")["schema"]["maxLength"] = json!(20),
        &["breaking: R: query parameter `source`, `maxLength`: was absent, is `20`"]),
    mutation("source", "an enum where any text was sent", |s| parameter(s, GET, "source")["schema"]["enum"] = json!(["server://1"]),
        &["breaking: R: query parameter `source`: was string, is string `server://1`"]),
    mutation("source", "a list", |s| parameter(s, GET, "source")["schema"] = json!({ "type": "array", "items": { "type": "string" } }),
        &["breaking: R: query parameter `source`: was string, is array of string"]),
    mutation("refresh", "an optional parameter gone", |s| without(s, GET, "refresh"),
        &["breaking: R: query parameter `refresh`: was an optional integer `0`|`1`, is gone"]),
    mutation("refresh", "a parameter made required", |s| parameter(s, GET, "refresh")["required"] = json!(true), &[
        "breaking: R: query parameter `refresh`: was optional, is required",
        "breaking: R: query parameter `refresh`, `default`: was `0`, is absent",
    ]),
    mutation("refresh", "flags instead of digits", |s| set(s, "/components/schemas", "Bit", json!({ "type": "boolean", "default": false })), &[
        "breaking: R: query parameter `refresh`, `default`: was `0`, is `false`",
        "breaking: R: query parameter `refresh`: was integer `0`|`1`, is boolean",
    ]),
    mutation("refresh", "another default", |s| set(s, "/components/schemas/Bit", "default", json!(1)),
        &["breaking: R: query parameter `refresh`, `default`: was `0`, is `1`"]),
    mutation("depth", "a tighter bound", |s| parameter(s, GET, "depth")["schema"]["maximum"] = json!(5),
        &["breaking: R: query parameter `depth`, `maximum`: was `9`, is `5`"]),
    mutation("depth", "a looser bound", |s| parameter(s, GET, "depth")["schema"]["minimum"] = json!(0),
        &["compatible: R: query parameter `depth`, `minimum`: was `1`, is `0`"]),
    mutation("depth", "a new kind beside the old", |s| parameter(s, GET, "depth")["schema"]["type"] = json!(["integer", "boolean"]),
        &["compatible: R: query parameter `depth`: was integer, is boolean or integer"]),
    mutation("new", "a new required parameter", |s| with(s, GET, json!({ "name": "why", "in": "query", "required": true, "schema": { "type": "string" } })),
        &["breaking: R: query parameter `why`: was absent, is a required string"]),
    mutation("new", "a new optional parameter", |s| with(s, GET, json!({ "name": "why", "in": "query", "schema": { "type": "string" } })),
        &["compatible: R: query parameter `why`: was absent, is an optional string"]),
    mutation("new", "a new required header", |s| with(s, GET, json!({ "name": "X-Why", "in": "header", "required": true, "schema": { "type": "integer" } })),
        &["breaking: R: header parameter `X-Why`: was absent, is a required integer"]),
    mutation("new", "a new required parameter for the whole path", |s| set(s, "/paths/~1security~1resources", "parameters", json!([{ "name": "why", "in": "query", "required": true, "schema": {} }])),
        &["breaking: R: query parameter `why`: was absent, is a required anything"]),

    // Headers.
    mutation("header", "an optional header gone", |s| without(s, POST, "X-Unsent"),
        &["compatible: T: header parameter `X-Unsent`: was an optional string `a`|`b`, is gone"]),
    mutation("header", "a header made required", |s| parameter(s, POST, "X-Unsent")["required"] = json!(true),
        &["breaking: T: header parameter `X-Unsent`: was optional, is required"]),
    mutation("header", "another type of a header that is not sent", |s| parameter(s, POST, "X-Unsent")["schema"] = json!({ "type": "integer" }),
        &["compatible: T: header parameter `X-Unsent`: was string `a`|`b`, is integer"]),
    mutation("product", "another type of a header that is sent", |s| set(s, "/components/parameters/Product", "schema", json!({ "type": "integer" })),
        &["breaking: T: header parameter `X-Product`: was string, is integer"]),
    mutation("client", "a header made optional", |s| { take(s, "/components/parameters/Client", "required"); }, &[
        "compatible: T: header parameter `X-Client`: was required, is optional",
        "compatible: R: header parameter `X-Client`: was required, is optional",
    ]),

    // The request's body.
    mutation("request", "a required request body", |s| set(s, POST, "requestBody", json!({ "required": true, "content": { "text/plain": {} } })),
        &["breaking: T: request body: was absent, is required"]),
    mutation("request", "an optional request body", |s| set(s, POST, "requestBody", json!({ "content": { "text/plain": {} } })),
        &["compatible: T: request body: was absent, is optional"]),

    // Security.
    mutation("security", "the token's header renamed", |s| set(s, "/components/securitySchemes/key", "name", json!("X-Token")), &[
        "breaking: T: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Token` in header",
        "breaking: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Token` in header",
    ]),
    mutation("security", "the token in the query", |s| set(s, "/components/securitySchemes/key", "in", json!("query")), &[
        "breaking: T: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in query",
        "breaking: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in query",
    ]),
    mutation("security", "another kind of scheme, for one operation", |s| set(s, GET, "security", json!([{ "other": [] }])),
        &["breaking: R: security: was apiKey `X-Plex-Token` in header, is http `bearer`"]),
    mutation("security", "one more scheme required", |s| set(s, GET, "security", json!([{ "key": [], "other": [] }])),
        &["breaking: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in header with http `bearer`"]),
    mutation("security", "another scheme as well", |s| set(s, GET, "security", json!([{ "other": [] }, { "key": [] }])),
        &["compatible: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in header or http `bearer`"]),
    mutation("security", "no scheme", |s| set(s, GET, "security", json!([])),
        &["breaking: R: security: was apiKey `X-Plex-Token` in header, is nothing"]),
    mutation("security", "another scheme with a role", |s| set(s, GET, "security", json!([{ "other": ["admin"] }])), &[
        "breaking: R: security: was apiKey `X-Plex-Token` in header, is http `bearer`",
        "breaking: R: security, roles: was unsaid, is `admin`",
    ]),
    mutation("security", "a role", |s| set(s, GET, "security", json!([{ "key": ["admin"] }])),
        &["breaking: R: security, roles: was unsaid, is `admin`"]),

    // Bodies, where the client reads.
    mutation("minted", "a property gone", |s| { take(s, &format!("{MINTED}/MediaContainer/allOf/1/properties"), "token"); },
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is gone"]),
    mutation("minted", "a property renamed", |s| rename(s, &format!("{MINTED}/MediaContainer/allOf/1/properties"), "token", "key"), &[
        "breaking: T: 200 body, `MediaContainer.token`: was string, is gone",
        "compatible: T: 200 body, `MediaContainer.key`: was absent, is string",
    ]),
    mutation("minted", "a property moved", |s| {
        let token = take(s, &format!("{MINTED}/MediaContainer/allOf/1/properties"), "token");
        set(s, MINTED, "token", token);
    }, &[
        "breaking: T: 200 body, `MediaContainer.token`: was string, is gone",
        "compatible: T: 200 body, `token`: was absent, is string",
    ]),
    mutation("minted", "a property of another type", |s| set(s, &format!("{MINTED}/MediaContainer/allOf/1/properties"), "token", json!({ "type": "object" })),
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is object"]),
    mutation(WHOLE, "the outermost property renamed", |s| rename(s, MINTED, "MediaContainer", "Container"), &[
        "breaking: T: 200 body, `MediaContainer`: was object, is gone",
        "compatible: T: 200 body, `Container`: was absent, is object",
    ]),
    mutation("found", "a property may be missing", |s| { take(s, &format!("{FOUND}/MediaContainer"), "required"); },
        &["breaking: R: 200 body, `MediaContainer.Device`: was required, is optional"]),
    mutation(WHOLE, "wrapped in an array", |s| set(s, &format!("{FOUND}/MediaContainer/properties"), "Device",
        json!({ "type": "array", "items": { "$ref": "#/components/schemas/Device" } })),
        &["breaking: R: 200 body, `MediaContainer.Device`: was object, is array of object"]),
    mutation(WHOLE, "no longer in an array", |s| {
        let items = take(s, &format!("{DEVICE}/Connection"), "items");
        set(s, DEVICE, "Connection", items);
    }, &["breaking: R: 200 body, `MediaContainer.Device.Connection`: was array of object, is object"]),
    mutation("port", "a number in an array's items of another type", |s| set(s, &format!("{CONNECTION}/port"), "type", json!("string")),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].port`: was integer, is string"]),
    mutation("port", "a wider bound", |s| { take(s, &format!("{CONNECTION}/port"), "maximum"); },
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].port`, `maximum`: was `65535`, is absent"]),
    mutation("port", "a tighter bound where it is read", |s| set(s, &format!("{CONNECTION}/port"), "minimum", json!(1024)),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].port`, `minimum`: was `1`, is `1024`"]),
    mutation("local", "null as well", |s| set(s, &format!("{CONNECTION}/local"), "type", json!(["boolean", "null"])),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is boolean or null"]),
    mutation("local", "a value in an array", |s| set(s, CONNECTION, "local", json!({ "type": "array", "items": { "type": "boolean" } })),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is array of boolean"]),
    mutation("uri", "another format", |s| set(s, &format!("{CONNECTION}/uri"), "format", json!("hostname")),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].uri`, `format`: was `uri`, is `hostname`"]),
    mutation("name", "never null", |s| set(s, DEVICE, "name", json!({ "type": "string" })),
        &["compatible: R: 200 body, `MediaContainer.Device.name`: was null or string, is string"]),
    mutation("kind", "one more value", |s| set(s, &format!("{DEVICE}/kind"), "enum", json!(["server", "provider", "player"])),
        &["breaking: R: 200 body, `MediaContainer.Device.kind`: was string `provider`|`server`, is string `player`|`provider`|`server`"]),
    mutation("kind", "one value less", |s| set(s, &format!("{DEVICE}/kind"), "enum", json!(["server"])),
        &["compatible: R: 200 body, `MediaContainer.Device.kind`: was string `provider`|`server`, is string `server`"]),
    mutation("load", "a bound that is reached", |s| set(s, DEVICE, "load", json!({ "type": "number", "minimum": 0 })), &[
        "breaking: R: 200 body, `MediaContainer.Device.load`, `exclusiveMinimum`: was `0`, is absent",
        "compatible: R: 200 body, `MediaContainer.Device.load`, `minimum`: was absent, is `0`",
    ]),

    // Bodies, where it does not.
    mutation("weight", "a property gone that is not read", |s| { take(s, CONNECTION, "weight"); },
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].weight`: was integer, is gone"]),
    mutation("weight", "another type that is not read", |s| set(s, CONNECTION, "weight", json!({ "type": "string" })),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].weight`: was integer, is string"]),
    mutation("extra", "a new property", |s| set(s, CONNECTION, "relay", json!({ "type": "boolean" })),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].relay`: was absent, is boolean"]),

    // Statuses and media types.
    mutation(WHOLE, "200 gone", |s| { take(s, &format!("{POST}/responses"), "200"); },
        &["breaking: T: status 200: was there, is gone"]),
    mutation(WHOLE, "200 under another status", |s| rename(s, &format!("{POST}/responses"), "200", "201"), &[
        "breaking: T: status 200: was there, is gone",
        "breaking: T: status 201: was absent, is new",
    ]),
    mutation(WHOLE, "JSON gone", |s| rename(s, &format!("{POST}/responses/200/content"), "application/json", "text/json"), &[
        "breaking: T: 200 content `application/json`: was there, is gone",
        "compatible: T: 200 content `text/json`: was absent, is new",
    ]),
    mutation("xml", "XML gone", |s| { take(s, &format!("{GET}/responses/200/content"), "application/xml"); },
        &["compatible: R: 200 content `application/xml`: was there, is gone"]),
    mutation("error", "an error status gone", |s| { take(s, &format!("{POST}/responses"), "403"); },
        &["compatible: T: status 403: was there, is gone"]),
    mutation("error", "a new error status", |s| set(s, &format!("{POST}/responses"), "default", json!({ "description": "?" })),
        &["compatible: T: status default: was absent, is new"]),
    mutation("errors", "an error's body changed", |s| set(s, "/components/responses/Bad/content/application~1json/schema/properties", "code", json!({ "type": "string" })), &[
        "compatible: T: 400 body, `code`: was integer, is string",
        "compatible: R: 400 body, `code`: was integer, is string",
    ]),
    mutation("errors", "an error's HTML gone", |s| { take(s, "/components/responses/Bad/content", "text/html"); }, &[
        "compatible: T: 400 content `text/html`: was there, is gone",
        "compatible: R: 400 content `text/html`: was there, is gone",
    ]),
];

/// The lines in the order of the alphabet, with the count that comes last.
fn expected<'a>(mutations: impl IntoIterator<Item = &'a Mutation>) -> Vec<String> {
    let lines = mutations.into_iter().flat_map(|mutation| mutation.lines);
    let mut lines: Vec<_> = lines
        .map(|line| line.replace(": T: ", ": POST /security/token: "))
        .map(|line| line.replace(": R: ", ": GET /security/resources: "))
        .collect();
    lines.sort();
    let breaking = lines.iter().filter(|line| line.starts_with("breaking")).count();
    lines.push(format!("{breaking} breaking, {} compatible", lines.len() - breaking));
    lines
}

#[track_caller]
fn assert_found<'a>(
    house: &House,
    name: &str,
    mutations: impl IntoIterator<Item = &'a Mutation> + Clone,
) {
    let mut spec = spec();
    for mutation in mutations.clone() {
        (mutation.change)(&mut spec);
    }
    for (dress, text) in dresses(&spec) {
        let run = house.drift(&text);
        let mut lines: Vec<_> = run.stdout.lines().map(str::to_owned).collect();
        let last = lines.pop();
        lines.sort();
        lines.extend(last);
        assert_eq!(lines, expected(mutations.clone()), "{name}, in {dress}");
        assert_eq!(run.code, Some(1), "{name}, in {dress}: {}", run.stderr);
    }
}

#[test]
fn every_change_is_found_and_classed() {
    let house = House::new("every_change_is_found_and_classed");
    for mutation in MUTATIONS {
        assert_found(&house, mutation.name, [mutation]);
    }
    assert!(MUTATIONS.len() >= 40, "{} changes", MUTATIONS.len());
}

/// The first change of each area together, then the second of each, and so on.
#[test]
fn changes_are_found_together() {
    let house = House::new("changes_are_found_together");
    let mut areas: BTreeMap<&str, Vec<&Mutation>> = BTreeMap::new();
    for mutation in MUTATIONS.iter().filter(|mutation| mutation.area != WHOLE) {
        areas.entry(mutation.area).or_default().push(mutation);
    }
    let rounds = areas.values().map(Vec::len).max().unwrap();
    for round in 0..rounds {
        let together = areas.values().map(|area| area[round % area.len()]);
        assert_found(&house, &format!("round {round}"), together);
    }
}

#[test]
fn a_change_inside_a_wrapped_body_is_found() {
    let house = House::new("a_change_inside_a_wrapped_body_is_found");
    let mut spec = spec();
    take(&mut spec, CONNECTION, "port");
    let item = json!({ "$ref": "#/components/schemas/Device" });
    let list = json!({ "type": "array", "items": item });
    set(&mut spec, &format!("{FOUND}/MediaContainer/properties"), "Device", list);
    let run = house.drift(&spec.to_string());
    assert_eq!(
        run.stdout,
        "breaking: GET /security/resources: 200 body, `MediaContainer.Device`: was object, is array of object\n\
         breaking: GET /security/resources: 200 body, `MediaContainer.Device[].Connection[].port`: was integer, is gone\n\
         2 breaking, 0 compatible\n"
    );
}

#[test]
fn another_verb_comes_first_and_the_rest_is_compared() {
    let house = House::new("another_verb_comes_first_and_the_rest_is_compared");
    let mut spec = spec();
    without(&mut spec, POST, "type");
    without(&mut spec, GET, "source");
    rename(&mut spec, T, "post", "get");
    let run = house.drift(&spec.to_string());
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], "breaking: /security/token: verb: was POST, is GET");
    assert_eq!(lines[lines.len() - 1], "3 breaking, 0 compatible", "{lines:?}");
}

/// Ways to say the same.
type Rewriting = (&'static str, fn(&mut Value));

const REWRITINGS: &[Rewriting] = &[
    ("nothing", |_| ()),
    ("other prose", |s| {
        set(s, "/info", "title", json!("Other"));
        set(s, POST, "summary", json!("Other"));
        set(s, POST, "description", json!("New"));
        set(s, "/components/schemas/Device", "description", json!("New"));
        set(s, "/components/schemas/Device", "title", json!("New"));
        parameter(s, POST, "type")["description"] = json!("Other");
        set(s, &format!("{POST}/responses/403"), "description", json!("Other"));
    }),
    ("other tags, identifiers, servers", |s| {
        set(s, POST, "tags", json!(["other"]));
        set(s, POST, "operationId", json!("other"));
        set(s, POST, "servers", json!([{ "url": "https://elsewhere" }]));
        set(s, POST, "externalDocs", json!({ "url": "https://elsewhere" }));
    }),
    ("other examples", |s| {
        set(s, "/components/schemas/Device", "example", json!({ "name": 1 }));
        set(s, &format!("{CONNECTION}/port"), "examples", json!([1]));
        parameter(s, POST, "type")["examples"] = json!({ "one": { "value": "x" } });
        take(s, &format!("{POST}/responses/200/content/application~1json"), "example");
    }),
    ("extensions of a vendor", |s| {
        set(s, POST, "x-this", json!(1));
        set(s, &format!("{POST}/responses"), "x-that", json!({}));
        set(s, "/components/schemas/Bit", "x-enum", json!([false, true]));
        set(s, T, "x-path", json!([]));
    }),
    ("deprecation", |s| {
        set(s, POST, "deprecated", json!(true));
        set(s, "/components/schemas/Device", "deprecated", json!(true));
        parameter(s, POST, "type")["deprecated"] = json!(true);
    }),
    ("a schema inlined", |s| {
        let device = at(s, "/components/schemas/Device").clone();
        set(s, &format!("{FOUND}/MediaContainer/properties"), "Device", device);
    }),
    ("a schema behind several references", |s| {
        let connection = take(s, DEVICE, "Connection");
        set(s, "/components/schemas", "C", connection);
        set(s, "/components/schemas", "B", json!({ "$ref": "#/components/schemas/C" }));
        set(s, "/components/schemas", "A", json!({ "$ref": "#/components/schemas/B" }));
        set(s, DEVICE, "Connection", json!({ "$ref": "#/components/schemas/A" }));
    }),
    ("a reference to the middle of a schema", |s| {
        let size = json!({ "$ref": format!("#{CONNECTION}/weight") });
        set(s, &format!("{FOUND}/MediaContainer/properties"), "size", size);
    }),
    ("a reference with escapes", |s| {
        set(s, "/components/schemas", "a~b/c d", json!({ "type": "integer" }));
        let size = json!({ "$ref": "#/components/schemas/a~0b~1c%20d" });
        set(s, &format!("{FOUND}/MediaContainer/properties"), "size", size);
    }),
    ("a schema split under `allOf`", |s| {
        let device = take(s, "/components/schemas", "Device");
        let (name, mut rest) = (device["properties"]["name"].clone(), device);
        rest["properties"].as_object_mut().unwrap().remove("name");
        let name = json!({ "properties": { "name": name } });
        set(s, "/components/schemas", "Device", json!({ "allOf": [rest, name] }));
    }),
    ("`allOf` merged", |s| {
        let merged = json!({ "type": "object", "properties": {
            "size": { "type": "integer" }, "token": { "type": "string" },
        } });
        set(s, MINTED, "MediaContainer", merged);
    }),
    ("`allOf`, `anyOf` and `oneOf` of one", |s| {
        set(
            s,
            CONNECTION,
            "port",
            json!({ "allOf": [{ "type": "integer", "minimum": 1 }], "maximum": 65535 }),
        );
        set(s, CONNECTION, "local", json!({ "anyOf": [{ "type": "boolean" }] }));
        set(s, CONNECTION, "weight", json!({ "oneOf": [{ "type": "integer" }] }));
    }),
    ("a bound said twice", |s| {
        let port = json!({ "type": "integer", "minimum": 0, "maximum": 65535, "allOf": [{ "minimum": 1, "maximum": 70000 }] });
        set(s, CONNECTION, "port", port);
    }),
    ("`nullable`", |s| set(s, DEVICE, "name", json!({ "type": "string", "nullable": true }))),
    ("`nullable` beside `allOf`", |s| {
        set(s, DEVICE, "name", json!({ "nullable": true, "allOf": [{ "type": "string" }] }));
    }),
    ("`null` as an alternative", |s| {
        set(s, DEVICE, "name", json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }));
    }),
    ("the types in another order", |s| {
        set(s, DEVICE, "name", json!({ "type": ["null", "string"] }));
    }),
    ("a list of one type", |s| set(s, CONNECTION, "weight", json!({ "type": ["integer"] }))),
    ("`enum` of one for `const`", |s| {
        parameter(s, POST, "scope")["schema"] = json!({ "type": "string", "enum": ["all"] });
    }),
    ("`const` without a type", |s| {
        parameter(s, POST, "scope")["schema"] = json!({ "const": "all" });
    }),
    ("`enum` as alternatives", |s| {
        parameter(s, POST, "type")["schema"] =
            json!({ "oneOf": [{ "const": "other" }, { "const": "delegation" }] });
    }),
    ("`enum` in another order", |s| {
        parameter(s, POST, "type")["schema"]["enum"] = json!(["other", "delegation"]);
    }),
    ("an exclusive bound as in 3.0", |s| {
        set(s, DEVICE, "load", json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }));
    }),
    ("whole numbers with a point", |s| {
        set(s, &format!("{CONNECTION}/port"), "maximum", json!(65535.0));
    }),
    ("what goes without saying", |s| {
        let device = at(s, "/components/schemas/Device").as_object_mut().unwrap();
        device.insert("required".to_owned(), json!([]));
        device.insert("additionalProperties".to_owned(), json!(true));
        device.insert("minProperties".to_owned(), json!(0));
        device.insert("nullable".to_owned(), json!(false));
        set(s, &format!("{DEVICE}/Connection"), "uniqueItems", json!(false));
        set(s, &format!("{DEVICE}/Connection"), "minItems", json!(0));
        set(s, &format!("{CONNECTION}/uri"), "minLength", json!(0));
        set(s, &format!("{CONNECTION}/port"), "exclusiveMaximum", json!(false));
        let depth = parameter(s, GET, "depth").as_object_mut().unwrap();
        depth.insert("required".to_owned(), json!(false));
        depth.insert("style".to_owned(), json!("form"));
        depth.insert("explode".to_owned(), json!(true));
        depth.insert("allowReserved".to_owned(), json!(false));
        set(s, &format!("{POST}/responses/403/content/text~1html"), "schema", json!({}));
    }),
    ("a parameter on the path", |s| {
        let listed = take(s, POST, "parameters");
        set(s, T, "parameters", listed);
    }),
    ("a parameter on the path that the operation replaces", |s| {
        let replaced = json!([{ "name": "type", "in": "query", "schema": { "type": "integer" } }]);
        set(s, T, "parameters", replaced);
    }),
    ("parameters in another order", |s| {
        at(s, POST)["parameters"].as_array_mut().unwrap().reverse();
    }),
    ("a parameter behind references", |s| {
        let source = parameter(s, GET, "source").clone();
        *parameter(s, GET, "source") = json!({ "$ref": "#/components/parameters/S" });
        set(s, "/components/parameters", "S", json!({ "$ref": "#/components/parameters/Source" }));
        set(s, "/components/parameters", "Source", source);
    }),
    ("a header in other letters", |s| {
        set(s, "/components/parameters/Client", "name", json!("x-client"));
    }),
    ("a header that OpenAPI ignores", |s| {
        with(s, POST, json!({ "name": "Accept", "in": "header", "required": true, "schema": {} }));
    }),
    ("a response inlined", |s| {
        let bad = at(s, "/components/responses/Bad").clone();
        set(s, &format!("{POST}/responses"), "400", bad);
    }),
    ("a media type with its charset", |s| {
        rename(
            s,
            &format!("{POST}/responses/200/content"),
            "application/json",
            "Application/JSON; charset=UTF-8",
        );
    }),
    ("a path behind a reference", |s| {
        let item = take(s, "/paths", "/security/token");
        set(s, "/components", "pathItems", json!({ "Token": item }));
        set(s, "/paths", "/security/token", json!({ "$ref": "#/components/pathItems/Token" }));
    }),
    ("security on the operations", |s| {
        let security = take(s, "", "security");
        set(s, POST, "security", security.clone());
        set(s, GET, "security", security);
    }),
    ("another name for the scheme", |s| {
        rename(s, "/components/securitySchemes", "key", "token");
        set(s, "", "security", json!([{ "token": [] }]));
        set(s, "/components/securitySchemes/token", "description", json!("New"));
    }),
    ("changes of other paths", |s| {
        take(s, "/paths", "/elsewhere");
        let broken = json!({ "get": { "parameters": [{ "$ref": "#/nowhere" }] } });
        set(s, "/paths", "/new", broken);
        set(s, "/components/schemas", "Unused", json!({ "$ref": "#/components/schemas/Unused" }));
    }),
];

#[test]
fn equal_meaning_is_no_change() {
    let house = House::new("equal_meaning_is_no_change");
    for (name, rewrite) in REWRITINGS {
        let mut spec = spec();
        rewrite(&mut spec);
        for (dress, text) in dresses(&spec) {
            assert_none(&house, &format!("{name}, in {dress}"), &text);
        }
    }
}

#[track_caller]
fn assert_none(house: &House, name: &str, text: &str) {
    let run = house.drift(text);
    assert_eq!(run.stdout, "0 breaking, 0 compatible\n", "{name}: {}", run.stderr);
    assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
}

#[test]
fn comments_key_order_and_anchors_are_no_change() {
    let house = House::new("comments_key_order_and_anchors_are_no_change");
    let text = support::yaml(&spec());
    let commented: String = text.lines().map(|line| format!("{line} # new\n")).collect();
    assert_none(&house, "comments", &commented);
    assert_none(&house, "another order", &support::yaml_reversed(&spec()));
    let anchored = include_str!("support/spec.yaml")
        .replacen("schema: { type: string }", "schema: &text { type: string }", 1)
        .replacen("schema: { type: string }", "schema: *text", 1)
        .replacen("schema: { type: string }", "schema: { <<: *text }", 1);
    assert!(anchored.contains("<<: *text"));
    assert_none(&house, "anchors", &anchored);
}

/// What can't be compared, and what is said of it.
type Unfit = (&'static str, fn(&mut Value), &'static str);

const UNFIT: &[Unfit] = &[
    (
        "OpenAPI 2.0",
        |s| *s = json!({ "swagger": "2.0", "paths": {} }),
        "not OpenAPI 3.x: it has no `openapi`",
    ),
    (
        "a later OpenAPI",
        |s| set(s, "", "openapi", json!("4.0.0")),
        "not OpenAPI 3.x: its version is `4.0.0`",
    ),
    ("a text", |s| *s = json!("text"), "not OpenAPI 3.x"),
    (
        "neither path",
        |s| {
            take(s, "/paths", "/security/token");
            take(s, "/paths", "/security/resources");
        },
        "neither of the paths `/security/token` and `/security/resources`",
    ),
    (
        "no paths at all",
        |s| {
            take(s, "", "paths");
        },
        "neither of the paths",
    ),
    (
        "a schema that refers to itself",
        |s| {
            set(s, "/components/schemas", "Bit", json!({ "$ref": "#/components/schemas/Bit" }));
        },
        "#/components/schemas/Bit: the references run in a circle",
    ),
    (
        "a circle of schemas",
        |s| {
            set(
                s,
                "/components/schemas",
                "A",
                json!({ "allOf": [{ "$ref": "#/components/schemas/B" }] }),
            );
            set(
                s,
                "/components/schemas",
                "B",
                json!({ "oneOf": [{ "$ref": "#/components/schemas/A" }] }),
            );
            set(s, CONNECTION, "port", json!({ "$ref": "#/components/schemas/A" }));
        },
        "-> #/components/schemas/A -> #/components/schemas/B -> #/components/schemas/A",
    ),
    (
        "a schema that holds itself",
        |s| {
            set(s, DEVICE, "parent", json!({ "$ref": "#/components/schemas/Device" }));
        },
        "#/components/schemas/Device/properties/parent: the references run in a circle",
    ),
    (
        "a circle of parameters",
        |s| {
            set(
                s,
                "/components/parameters",
                "Client",
                json!({ "$ref": "#/components/parameters/Product" }),
            );
            set(
                s,
                "/components/parameters",
                "Product",
                json!({ "$ref": "#/components/parameters/Client" }),
            );
        },
        "/post/parameters/0: the references run in a circle",
    ),
    (
        "a circle of responses",
        |s| {
            set(s, "/components/responses", "Bad", json!({ "$ref": "#/components/responses/Bad" }));
        },
        "/post/responses/400: the references run in a circle",
    ),
    (
        "a parameter that is nowhere",
        |s| {
            take(s, "/components/parameters", "Client");
        },
        "/post/parameters/0: the reference \"#/components/parameters/Client\" leads nowhere",
    ),
    (
        "a schema that is nowhere",
        |s| {
            take(s, "/components/schemas", "Container");
        },
        "allOf/0: the reference \"#/components/schemas/Container\" leads nowhere",
    ),
    (
        "a schema in another file",
        |s| {
            set(s, CONNECTION, "port", json!({ "$ref": "other.yaml#/Port" }));
        },
        "items/properties/port: the reference \"other.yaml#/Port\" leads nowhere in this file",
    ),
    (
        "a security scheme that is nowhere",
        |s| {
            take(s, "/components/securitySchemes", "key");
        },
        "#/security: the security scheme `key` is not defined",
    ),
];

#[test]
fn what_cannot_be_compared_is_an_error_with_its_place() {
    let house = House::new("what_cannot_be_compared_is_an_error_with_its_place");
    for (name, change, reason) in UNFIT {
        let mut spec = spec();
        change(&mut spec);
        assert_unfit(&house.drift(&spec.to_string()), name, reason);
    }
    assert_unfit(&house.drift("a: [b"), "not YAML", "neither YAML nor JSON");
    assert_unfit(&house.drift("openapi: 3.1.0\npaths: {}\npaths: {}"), "twice", "duplicate");
    assert_unfit(
        &house.drift("{\"openapi\": \"3.0.0\", \"openapi\": \"3.0.0\"}"),
        "twice",
        "duplicate",
    );
    assert_unfit(
        &house.run(&["drift", "missing.yaml"]),
        "a missing file",
        "missing.yaml: No such file",
    );
}

#[track_caller]
fn assert_unfit(run: &support::Run, name: &str, reason: &str) {
    assert_eq!(run.code, Some(2), "{name}: {run:?}");
    assert_eq!(run.stdout, "", "{name}");
    assert!(run.stderr.contains(reason), "{name}: {}", run.stderr);
}

#[test]
fn a_version_that_is_a_number_in_yaml_is_read() {
    let house = House::new("a_version_that_is_a_number_in_yaml_is_read");
    let text = include_str!("support/spec.yaml");
    assert_none(&house, "3.1", &text.replace("openapi: 3.1.0", "openapi: 3.1"));
}

#[test]
fn an_accepted_description_is_no_change_any_more() {
    let house = House::new("an_accepted_description_is_no_change_any_more");
    let mut spec = spec();
    without(&mut spec, POST, "type");
    assert_eq!(house.drift(&spec.to_string()).code, Some(1));
    assert_eq!(house.run(&["drift", "new", "--accept"]).code, Some(0));
    assert_none(&house, "accepted", &spec.to_string());
}

#[test]
fn the_extract_says_the_same_as_what_it_was_made_from() {
    let house = House::new("the_extract_says_the_same_as_what_it_was_made_from");
    let extract = house.read("openapi/upstream.json");
    assert_none(&house, "extract", &extract);
    house.run(&["drift", "new", "--accept"]);
    assert_eq!(house.read("openapi/upstream.json"), extract);
}

#[test]
fn every_dress_gives_the_same_extract() {
    let house = House::new("every_dress_gives_the_same_extract");
    let extract = house.read("openapi/upstream.json");
    for (dress, text) in dresses(&spec()) {
        house.write("new", &text);
        house.run(&["drift", "new", "--accept"]);
        assert_eq!(house.read("openapi/upstream.json"), extract, "{dress}");
    }
}

/// Plex's description, and the community's of 2024, where they lie beside the repository.
fn upstream(file: &str) -> Option<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = repository.parent()?.join("shared/upstream").join(file);
    let found = path.is_file();
    if !found {
        eprintln!("skipped: {} is not there", path.display());
    }
    found.then(|| path.to_str().unwrap().to_owned())
}

/// As `cargo xtask` is run in the repository.
fn in_the_repository(arguments: &[&str]) -> support::Run {
    support::run(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

#[test]
fn the_description_that_was_accepted_last_is_no_change() {
    let Some(file) = upstream("plex-api-spec-2026-02.yaml") else { return };
    let run = in_the_repository(&["drift", &file]);
    assert_eq!(run.stdout, "0 breaking, 0 compatible\n", "{run:?}");
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_whole_description_takes_less_than_a_second() {
    let Some(file) = upstream("plex-api-spec-2026-02.yaml") else { return };
    let time = || {
        let started = Instant::now();
        in_the_repository(&["drift", &file]);
        started.elapsed()
    };
    // The machine may be busy with other things for once.
    let fastest = (0..3).map(|_| time()).min().unwrap();
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

#[test]
fn the_description_of_2024_differs_first_in_its_verb() {
    let Some(file) = upstream("plex-media-server-spec-2024-09.yaml") else { return };
    let run = in_the_repository(&["drift", &file]);
    assert_eq!(run.code, Some(1));
    let first = run.stdout.lines().next();
    assert_eq!(first, Some("breaking: /security/token: verb: was POST, is GET"), "{run:?}");
    assert!(run.stdout.contains("query parameter `refresh`"), "{run:?}");
}
