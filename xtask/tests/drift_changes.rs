//! `cargo xtask drift`: every change is found and rightly classified.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::*;

/// A change, and its lines. In the lines, `T` stands for `POST /security/token` and `R` for
/// `GET /security/resources`.
type Change = (&'static str, fn(&mut Value), &'static [&'static str]);

#[rustfmt::skip]
const CHANGES: &[Change] = &[
    // Paths and verbs.
    ("a path gone", |s| { take(s, "/paths", "/security/token"); },
        &["breaking: /security/token: was there, is gone"]),
    ("another verb", |s| rename(s, TOKEN, "post", "get"),
        &["breaking: /security/token: verb: was POST, is GET"]),
    ("a new verb", |s| set(s, TOKEN, "put", json!({ "responses": {} })),
        &["compatible: PUT /security/token: was absent, is there"]),
    ("one verb gone for two", |s| {
        take(s, TOKEN, "post");
        set(s, TOKEN, "put", json!({}));
        set(s, TOKEN, "get", json!({}));
    }, &[
        "breaking: POST /security/token: was there, is gone",
        "compatible: GET /security/token: was absent, is there",
        "compatible: PUT /security/token: was absent, is there",
    ]),


    // Servers.
    ("a fixed host for everything", |s| set(s, "", "servers", json!([{ "url": "https://plex.tv" }])), &[
        "breaking: T: servers: was the server's own address, is `https://plex.tv`",
        "breaking: R: servers: was the server's own address, is `https://plex.tv`",
    ]),
    ("a path prefix for one path", |s| set(s, TOKEN, "servers", json!([{ "url": "/api" }])),
        &["breaking: T: servers: was the server's own address, is `/api`"]),
    ("only servers elsewhere for one operation", |s| set(s, GET, "servers", json!([
        { "url": "https://{host}:{port}/api/{version}" }, { "url": "https://10.0.0.1:{port}" }, { "url": "//[2001:db8::1]" },
    ])), &["breaking: R: servers: was the server's own address, is `https://{host}:{port}/api/{version}` or `https://10.0.0.1:{port}` or `//[2001:db8::1]`"]),
    ("a path prefix by default", |s| set(s, GET, "servers", json!([
        { "url": "http://{host}/{base}", "variables": { "base": { "default": "api" } } },
    ])), &["breaking: R: servers: was the server's own address, is `http://{host}/{base}`"]),
    ("servers beside the reference of a path", |s| {
        let item = take(s, "/paths", "/security/token");
        set(s, "/components", "pathItems", json!({ "Token": item }));
        set(s, "/paths", "/security/token", json!({ "$ref": "#/components/pathItems/Token", "servers": [{ "url": "{address}/v2" }] }));
    }, &["breaking: T: servers: was the server's own address, is `{address}/v2`"]),

    // Query parameters.
    ("a query parameter renamed", |s| parameter(s, POST, "type")["name"] = json!("kind"), &[
        "breaking: T: query parameter `type`: was a required string `delegation`|`other`, is gone (`kind` is new and alike)",
        "breaking: T: query parameter `kind`: was absent, is a required string `delegation`|`other`",
    ]),
    ("a query parameter moved", |s| parameter(s, POST, "type")["in"] = json!("header"),
        &["breaking: T: query parameter `type`: was a query parameter, is a header parameter `type`"]),
    ("another type", |s| parameter(s, POST, "type")["schema"] = json!({ "type": "integer" }),
        &["breaking: T: query parameter `type`: was string `delegation`|`other`, is integer"]),
    ("a value gone that is sent", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["other"]),
        &["breaking: T: query parameter `type`: was string `delegation`|`other`, is string `other`"]),
    ("a value gone that is not sent", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["delegation"]),
        &["compatible: T: query parameter `type`: was string `delegation`|`other`, is string `delegation`"]),
    ("a wider enum", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["new", "other", "delegation"]),
        &["compatible: T: query parameter `type`: was string `delegation`|`other`, is string `delegation`|`new`|`other`"]),
    ("every parameter gone", |s| { take(s, POST, "parameters"); }, &[
        "breaking: T: header parameter `X-Client`: was a required string, is gone",
        "compatible: T: header parameter `X-Product`: was an optional string, is gone",
        "compatible: T: header parameter `X-Unsent`: was an optional string `a`|`b`, is gone",
        "breaking: T: query parameter `scope`: was a required string `all`, is gone",
        "breaking: T: query parameter `type`: was a required string `delegation`|`other`, is gone",
    ]),
    ("a parameter made optional", |s| parameter(s, POST, "scope")["required"] = json!(false),
        &["compatible: T: query parameter `scope`: was required, is optional"]),
    ("a new pattern", |s| parameter(s, POST, "scope")["schema"]["pattern"] = json!("^a"),
        &["breaking: T: query parameter `scope`, `pattern`: was absent, is `^a`"]),
    ("a new format", |s| parameter(s, GET, "source")["schema"]["format"] = json!("uri"),
        &["breaking: R: query parameter `source`, `format`: was absent, is `uri`"]),
    ("an enum where any text was sent", |s| parameter(s, GET, "source")["schema"]["enum"] = json!(["server://1"]),
        &["breaking: R: query parameter `source`: was string, is string `server://1`"]),
    ("a list", |s| parameter(s, GET, "source")["schema"] = json!({ "type": "array", "items": { "type": "string" } }),
        &["breaking: R: query parameter `source`: was string, is array of string"]),
    ("a parameter made required", |s| parameter(s, GET, "refresh")["required"] = json!(true), &[
        "breaking: R: query parameter `refresh`: was optional, is required",
        "breaking: R: query parameter `refresh`, `default`: was `0`, is absent",
    ]),
    ("flags instead of digits", |s| set(s, "/components/schemas", "Bit", json!({ "type": "boolean", "default": false })), &[
        "breaking: R: query parameter `refresh`, `default`: was `0`, is `false`",
        "breaking: R: query parameter `refresh`: was integer `0`|`1`, is boolean",
    ]),
    ("a tighter bound", |s| parameter(s, GET, "depth")["schema"]["maximum"] = json!(5),
        &["breaking: R: query parameter `depth`, `maximum`: was `9`, is `5`"]),
    ("a looser bound", |s| parameter(s, GET, "depth")["schema"]["minimum"] = json!(0),
        &["compatible: R: query parameter `depth`, `minimum`: was `1`, is `0`"]),
    ("a new kind beside the old", |s| parameter(s, GET, "depth")["schema"]["type"] = json!(["integer", "boolean"]),
        &["compatible: R: query parameter `depth`: was integer, is boolean or integer"]),
    ("a new required parameter", |s| with(s, GET, json!({ "name": "why", "in": "query", "required": true, "schema": { "type": "string" } })),
        &["breaking: R: query parameter `why`: was absent, is a required string"]),
    ("a new required header", |s| with(s, GET, json!({ "name": "X-Why", "in": "header", "required": true, "schema": { "type": "integer" } })),
        &["breaking: R: header parameter `X-Why`: was absent, is a required integer"]),
    ("a required parameter beside the reference of a path", |s| {
        let item = take(s, "/paths", "/security/token");
        set(s, "/components", "pathItems", json!({ "Token": item, "Next": { "$ref": "#/components/pathItems/Token" } }));
        let why = json!([{ "name": "why", "in": "query", "required": true, "schema": {} }]);
        set(s, "/paths", "/security/token", json!({ "$ref": "#/components/pathItems/Next", "parameters": why }));
    }, &["breaking: T: query parameter `why`: was absent, is a required anything"]),
    ("no value that fits", |s| parameter(s, POST, "scope")["schema"] = json!(false),
        &["breaking: T: query parameter `scope`: was string `all`, is nothing"]),
    ("another way to write a value", |s| parameter(s, GET, "source")["content"] = json!({ "text/plain": {} }),
        &["breaking: R: query parameter `source`, `content`: was absent, is `{\"text/plain\":{}}`"]),

    // Headers.
    ("a header made required, and of another type", |s| {
        parameter(s, POST, "X-Unsent")["required"] = json!(true);
        parameter(s, POST, "X-Unsent")["schema"] = json!({ "type": "integer" });
    }, &[
        "breaking: T: header parameter `X-Unsent`: was optional, is required",
        "breaking: T: header parameter `X-Unsent`: was string `a`|`b`, is integer",
    ]),
    ("another type of a header that is not sent", |s| parameter(s, POST, "X-Unsent")["schema"] = json!({ "type": "integer" }),
        &["compatible: T: header parameter `X-Unsent`: was string `a`|`b`, is integer"]),
    ("another type of a header that is sent", |s| set(s, "/components/parameters/Product", "schema", json!({ "type": "integer" })),
        &["breaking: T: header parameter `X-Product`: was string, is integer"]),

    // The request's body.
    ("a required request body", |s| set(s, POST, "requestBody", json!({ "required": true, "content": { "text/plain": {} } })),
        &["breaking: T: request body: was absent, is required"]),
    ("an optional request body", |s| set(s, POST, "requestBody", json!({ "content": { "text/plain": {} } })),
        &["compatible: T: request body: was absent, is optional"]),

    // Security.
    ("the token's header renamed", |s| set(s, "/components/securitySchemes/key", "name", json!("X-Token")), &[
        "breaking: T: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Token` in header",
        "breaking: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Token` in header",
    ]),
    ("one more scheme required", |s| set(s, GET, "security", json!([{ "key": [], "other": [] }])),
        &["breaking: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in header with http `bearer`"]),
    ("another scheme as well", |s| set(s, GET, "security", json!([{ "other": [] }, { "key": [] }])),
        &["compatible: R: security: was apiKey `X-Plex-Token` in header, is apiKey `X-Plex-Token` in header or http `bearer`"]),
    ("no scheme", |s| set(s, GET, "security", json!([])),
        &["breaking: R: security: was apiKey `X-Plex-Token` in header, is nothing"]),
    ("another scheme with a role", |s| set(s, GET, "security", json!([{ "other": ["admin"] }])), &[
        "breaking: R: security: was apiKey `X-Plex-Token` in header, is http `bearer`",
        "breaking: R: security, roles: was unsaid, is `admin`",
    ]),
    ("roles of one operation", |s| set(s, GET, "security", json!([{ "key": ["admin"] }])),
        &["breaking: R: security, roles: was unsaid, is `admin`"]),

    // Bodies, where the client reads.
    ("a property gone", |s| { take(s, TOKEN_PART, "token"); },
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is gone"]),
    ("a property renamed", |s| rename(s, TOKEN_PART, "token", "key"), &[
        "breaking: T: 200 body, `MediaContainer.token`: was string, is gone",
        "compatible: T: 200 body, `MediaContainer.key`: was absent, is string",
    ]),
    ("a property may be missing", |s| { take(s, FOUND, "required"); },
        &["breaking: R: 200 body, `MediaContainer.Device`: was required, is optional"]),
    ("a change inside a new array", |s| {
        take(s, CONNECTION, "port");
        let list = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Device" } });
        set(s, &format!("{FOUND}/properties"), "Device", list);
    }, &[
        "breaking: R: 200 body, `MediaContainer.Device`: was object, is array of object (the client already reads it)",
        "breaking: R: 200 body, `MediaContainer.Device[].Connection[].port`: was integer, is gone",
    ]),
    ("no longer in an array", |s| {
        let items = take(s, &format!("{DEVICE}/Connection"), "items");
        set(s, DEVICE, "Connection", items);
    }, &["breaking: R: 200 body, `MediaContainer.Device.Connection`: was array of object, is object"]),
    ("a number in an array's items of another type", |s| set(s, &format!("{CONNECTION}/port"), "type", json!("string")),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].port`: was integer, is string (the client already reads it)"]),
    ("a wider bound", |s| { take(s, &format!("{CONNECTION}/port"), "maximum"); },
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].port`, `maximum`: was `65535`, is absent"]),
    ("a tighter bound where it is read", |s| set(s, &format!("{CONNECTION}/port"), "minimum", json!(1024)),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].port`, `minimum`: was `1`, is `1024`"]),
    ("null as well", |s| set(s, &format!("{CONNECTION}/local"), "type", json!(["boolean", "null"])),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is boolean or null"]),
    ("a new format where it is read", |s| set(s, TOKEN_PART, "token", json!({ "type": "string", "format": "byte" })),
        &["breaking: T: 200 body, `MediaContainer.token`, `format`: was absent, is `byte`"]),
    ("another format", |s| set(s, &format!("{CONNECTION}/uri"), "format", json!("hostname")),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].uri`, `format`: was `uri`, is `hostname`"]),
    ("never null", |s| set(s, DEVICE, "name", json!({ "type": "string" })),
        &["compatible: R: 200 body, `MediaContainer.Device.name`: was null or string, is string"]),
    ("one more value", |s| set(s, &format!("{DEVICE}/kind"), "enum", json!(["server", "provider", "player"])),
        &["breaking: R: 200 body, `MediaContainer.Device.kind`: was string `provider`|`server`, is string `player`|`provider`|`server` (the client already reads it)"]),
    ("one value less", |s| set(s, &format!("{DEVICE}/kind"), "enum", json!(["server"])),
        &["compatible: R: 200 body, `MediaContainer.Device.kind`: was string `provider`|`server`, is string `server`"]),
    ("a bound that is reached", |s| set(s, DEVICE, "load", json!({ "type": "number", "minimum": 0 })), &[
        "breaking: R: 200 body, `MediaContainer.Device.load`, `exclusiveMinimum`: was `0`, is absent",
        "compatible: R: 200 body, `MediaContainer.Device.load`, `minimum`: was absent, is `0`",
    ]),
    ("no value at all", |s| set(s, TOKEN_PART, "token", json!(false)),
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is nothing"]),
    ("values of no type that is allowed", |s| set(s, TOKEN_PART, "token", json!({ "type": "string", "enum": [1] })),
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is nothing"]),
    ("a type that does not exist", |s| set(s, TOKEN_PART, "token", json!({ "type": "text" })),
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is text"]),
    ("of two types, the one that is not read", |s| set(s, DEVICE, "name", json!({ "type": "null" })),
        &["breaking: R: 200 body, `MediaContainer.Device.name`: was null or string, is null"]),
    ("items of no type", |s| set(s, &format!("{DEVICE}/Connection"), "items", json!(false)),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[]`: was object, is nothing"]),
    ("a schema for names by their pattern", |s| set(s, "/components/schemas/Device", "patternProperties", json!({ "^na": { "type": "integer" } })),
        &["breaking: R: 200 body, `MediaContainer.Device`, `patternProperties`: was absent, is `{\"^na\":{\"type\":\"integer\"}}`"]),
    ("a schema for the first items", |s| set(s, &format!("{DEVICE}/Connection"), "prefixItems", json!([{ "type": "integer" }])),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection`, `prefixItems`: was absent, is `[{\"type\":\"integer\"}]`"]),
    ("a keyword that nobody has used, behind a reference", |s| set(s, TOKEN_PART, "token", json!({ "type": "string", "not": { "$ref": "#/components/schemas/Bit/enum/0" } })),
        &["breaking: T: 200 body, `MediaContainer.token`, `not`: was absent, is `0`"]),
    ("flags as text", |s| set(s, CONNECTION, "local", json!({ "enum": ["1", "0"] })),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is string `0`|`1` (the client already reads it)"]),
    ("flags as any text", |s| set(s, CONNECTION, "local", json!({ "type": "string" })),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is string"]),
    ("flags as other text", |s| set(s, CONNECTION, "local", json!({ "enum": ["yes", "no"] })),
        &["breaking: R: 200 body, `MediaContainer.Device.Connection[].local`: was boolean, is string `no`|`yes`"]),

    ("a keyword beside a reference", |s| set(s, TOKEN_PART, "token", json!({ "$ref": "#/components/schemas/Device/properties/kind", "type": "integer" })),
        &["breaking: T: 200 body, `MediaContainer.token`: was string, is nothing"]),

    // Bodies, where it does not.
    ("a schema for names by their pattern where none is read", |s| set(s, "/components/responses/Bad/content/application~1json/schema", "patternProperties", json!({ "^a": {} })), &[
        "compatible: T: 400 body, `patternProperties`: was absent, is `{\"^a\":{}}`",
        "compatible: R: 400 body, `patternProperties`: was absent, is `{\"^a\":{}}`",
    ]),
    ("no other properties", |s| set(s, "/components/schemas/Device", "additionalProperties", json!(false)),
        &["compatible: R: 200 body, `MediaContainer.Device`, `additionalProperties`: was absent, is `false`"]),
    ("a property gone that is not read", |s| { take(s, CONNECTION, "weight"); },
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].weight`: was integer, is gone"]),
    ("another type that is not read", |s| set(s, CONNECTION, "weight", json!({ "type": "string" })),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].weight`: was integer, is string"]),
    ("a new property", |s| set(s, CONNECTION, "relay", json!({ "type": "boolean" })),
        &["compatible: R: 200 body, `MediaContainer.Device.Connection[].relay`: was absent, is boolean"]),

    // Statuses and media types.
    ("200 under another status", |s| rename(s, &format!("{POST}/responses"), "200", "201"), &[
        "breaking: T: status 200: was there, is gone",
        "breaking: T: status 201: was absent, is new",
    ]),
    ("JSON gone", |s| rename(s, &format!("{POST}/responses/200/content"), "application/json", "text/json"), &[
        "breaking: T: 200 content `application/json`: was there, is gone",
        "compatible: T: 200 content `text/json`: was absent, is new",
    ]),
    ("XML gone", |s| { take(s, &format!("{GET}/responses/200/content"), "application/xml"); },
        &["compatible: R: 200 content `application/xml`: was there, is gone"]),
    ("an error status gone", |s| { take(s, &format!("{POST}/responses"), "403"); },
        &["compatible: T: status 403: was there, is gone"]),
    ("a new error status", |s| set(s, &format!("{POST}/responses"), "default", json!({ "description": "?" })),
        &["compatible: T: status default: was absent, is new"]),
    ("an error's body changed", |s| set(s, "/components/responses/Bad/content/application~1json/schema/properties", "code", json!({ "type": "string" })), &[
        "compatible: T: 400 body, `code`: was integer, is string",
        "compatible: R: 400 body, `code`: was integer, is string",
    ]),
];

#[test]
fn every_change_is_found_and_classified() {
    let folder = Folder::new("every_change_is_found_and_classified");
    for (name, change, lines) in CHANGES {
        let full = |line: &&str| {
            let line = line.replace(": T: ", ": POST /security/token: ");
            line.replace(": R: ", ": GET /security/resources: ")
        };
        let mut expected: Vec<_> = lines.iter().map(full).collect();
        expected.sort();
        let breaking = expected.iter().filter(|line| line.starts_with("breaking")).count();
        expected.push(format!("{breaking} breaking, {} compatible", expected.len() - breaking));
        for text in forms(&changed(change)) {
            let run = folder.drift(&text);
            let mut found: Vec<_> = run.stdout.lines().collect();
            let last = found.pop();
            found.sort_unstable();
            found.extend(last);
            assert_eq!(found, expected, "{name}");
            assert_eq!(run.code, Some(1), "{name}: {}", run.stderr);
        }
    }
}

#[test]
fn another_verb_comes_first_and_the_rest_is_compared() {
    let folder = Folder::new("another_verb_comes_first_and_the_rest_is_compared");
    let spec = changed(|s| {
        without(s, POST, "type");
        without(s, GET, "source");
        rename(s, TOKEN, "post", "get");
    });
    let run = folder.drift(&spec.to_string());
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], "breaking: /security/token: verb: was POST, is GET");
    assert_eq!(lines[lines.len() - 1], "3 breaking, 0 compatible", "{lines:?}");
}

#[test]
fn an_accepted_description_is_no_change_any_more() {
    let folder = Folder::new("an_accepted_description_is_no_change_any_more");
    let spec = changed(|s| {
        without(s, POST, "type");
        set(s, POST, "servers", json!([{ "url": "https://plex.tv" }]));
        set(s, POST, "requestBody", json!({ "required": true, "content": {} }));
        parameter(s, GET, "source")["schema"] = json!({ "default": "x" });
        set(s, CONNECTION, "port", json!({ "oneOf": [{ "maximum": 1 }, { "not": {} }, false] }));
    });
    assert_eq!(folder.drift(&spec.to_string()).code, Some(1));
    assert_eq!(folder.run(&["drift", "new", "--accept"]).code, Some(0));
    folder.assert_no_change("accepted", &spec.to_string());
    folder.assert_no_change("the extract", &folder.read("openapi/upstream.json"));
}

/// Plex's description, and the community's of 2024, where they are beside the repository.
fn upstream(file: &str) -> Option<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = repository.parent()?.join("shared/upstream").join(file);
    let found = path.is_file();
    if !found {
        eprintln!("skipped: {} is not there", path.display());
    }
    found.then(|| path.to_str().unwrap().to_owned())
}

#[test]
fn the_description_that_was_accepted_last_is_no_change_and_takes_less_than_a_second() {
    let Some(file) = upstream("plex-api-spec-2026-02.yaml") else { return };
    let time = || {
        let started = Instant::now();
        let run = support::run(Path::new(env!("CARGO_MANIFEST_DIR")), &["drift", &file]);
        assert_eq!(run.stdout, "0 breaking, 0 compatible\n", "{run:?}");
        assert_eq!(run.code, Some(0));
        started.elapsed()
    };
    // The machine may be busy with other things for once.
    let fastest = (0..3).map(|_| time()).min().unwrap();
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

#[test]
fn the_description_of_2024_differs_first_in_its_verb() {
    let Some(file) = upstream("plex-media-server-spec-2024-09.yaml") else { return };
    let run = support::run(Path::new(env!("CARGO_MANIFEST_DIR")), &["drift", &file]);
    assert_eq!(run.code, Some(1));
    let first = run.stdout.lines().next();
    assert_eq!(first, Some("breaking: /security/token: verb: was POST, is GET"), "{run:?}");
    assert!(run.stdout.contains("query parameter `refresh`"), "{run:?}");
}
