//! `cargo xtask drift`: documents that are broken, that are something else, or that are hostile.

mod support;

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::*;

/// A defect, and the lines for it: its place, and the reason.
type Defect = (&'static str, fn(&mut Value), &'static [(&'static str, &'static str)]);

const NOWHERE: &str = "leads nowhere in this file";
const CIRCLE: &str = "the references run in a circle: ";

#[rustfmt::skip]
const DEFECTS: &[Defect] = &[
    // References.
    ("a path in another file", |s| set(s, "/paths", "/security/token", json!({ "$ref": "token.yaml" })),
        &[("/paths/~1security~1token", NOWHERE)]),
    ("a parameter that is nowhere", |s| { take(s, "/components/parameters", "Client"); },
        &[("/paths/~1security~1resources/get/parameters/0", NOWHERE), ("/paths/~1security~1token/post/parameters/0", NOWHERE)]),
    ("a schema that is nowhere", |s| { take(s, "/components/schemas", "Container"); },
        &[("/paths/~1security~1token/post/responses/200/content/application~1json/schema/properties/MediaContainer/allOf/0", NOWHERE)]),
    ("a reference that is not text", |s| set(s, CONNECTION, "port", json!({ "$ref": 5 })),
        &[("/components/schemas/Device/properties/Connection/items/properties/port", NOWHERE)]),
    ("a circle of schemas", |s| set(s, "/components/schemas", "Bit", json!({ "allOf": [{ "$ref": "#/components/schemas/Bit" }] })),
        &[("/components/schemas/Bit/allOf/0", CIRCLE)]),
    ("a schema that holds itself", |s| set(s, DEVICE, "name", json!({ "$ref": "#/components/schemas/Device" })),
        &[("/components/schemas/Device/properties/name", CIRCLE)]),
    ("an operation on both sides of a path's reference", |s| {
        set(s, "/components", "pathItems", json!({ "Other": { "post": {} } }));
        set(s, TOKEN, "$ref", json!("#/components/pathItems/Other"));
    }, &[("/paths/~1security~1token/post", "the path's reference leads to it too")]),

    // Security.
    ("a security scheme that is nowhere", |s| { take(s, "/components/securitySchemes", "key"); },
        &[("/security/0", "the security scheme `key` is not defined")]),
    ("a security scheme without its header", |s| { take(s, "/components/securitySchemes/key", "name"); },
        &[("/components/securitySchemes/key", "it has no `name`")]),
    ("roles that are no list", |s| set(s, POST, "security", json!([{ "key": "admin" }])),
        &[("/paths/~1security~1token/post/security/0/key", "invalid type")]),

    // Something else than what belongs there.
    ("an operation that is a list", |s| set(s, TOKEN, "post", json!([])),
        &[("/paths/~1security~1token/post", "it is not an object")]),
    ("parameters in an object", |s| set(s, POST, "parameters", json!({ "type": {} })),
        &[("/paths/~1security~1token/post/parameters", "invalid type")]),
    ("a parameter without a name", |s| { parameter(s, POST, "X-Unsent").as_object_mut().unwrap().remove("name"); },
        &[("/paths/~1security~1token/post/parameters/2", "it has no `name`")]),
    ("a flag in words", |s| parameter(s, POST, "scope")["required"] = json!("yes"),
        &[("/paths/~1security~1token/post/parameters/4/required", "invalid type")]),
    ("servers in an object", |s| set(s, POST, "servers", json!({ "url": "https://plex.tv" })),
        &[("/paths/~1security~1token/post/servers", "invalid type")]),
    ("a request body of null", |s| set(s, POST, "requestBody", Value::Null),
        &[("/paths/~1security~1token/post/requestBody", "it is not an object")]),
    ("a schema of null", |s| set(s, &format!("{POST}/responses/403/content/text~1html"), "schema", Value::Null),
        &[("/paths/~1security~1token/post/responses/403/content/text~1html/schema", "it is not a schema")]),
    ("a schema of null where it is read", |s| set(s, &format!("{POST}/responses/200/content/application~1json"), "schema", Value::Null),
        &[("/paths/~1security~1token/post/responses/200/content/application~1json/schema", "it is not a schema")]),
    ("`enum` that is not a list", |s| set(s, "/components/schemas/Bit", "enum", json!("0, 1")),
        &[("/components/schemas/Bit/enum", "invalid type")]),
    ("a type that is a number", |s| set(s, &format!("{CONNECTION}/port"), "type", json!(5)),
        &[("/components/schemas/Device/properties/Connection/items/properties/port/type", "invalid type")]),
    ("properties in a list", |s| set(s, "/components/schemas/Device", "properties", json!([])),
        &[("/components/schemas/Device/properties", "invalid type")]),
    ("items in a list", |s| set(s, &format!("{DEVICE}/Connection"), "items", json!([{ "type": "object" }])),
        &[("/components/schemas/Device/properties/Connection/items", "it is not a schema")]),
];

#[test]
fn a_defect_is_a_breaking_line_and_the_rest_is_compared() {
    let folder = Folder::new("a_defect_is_a_breaking_line_and_the_rest_is_compared");
    for (name, change, defects) in DEFECTS {
        let spec = changed(|s| {
            change(s);
            set(s, "/paths/~1security~1resources/get/responses/200/content", "text/csv", json!({}));
        });
        let run = folder.drift(&spec.to_string());
        let (lines, last) = run.stdout.trim_end().rsplit_once('\n').unwrap();
        for (line, (place, reason)) in lines.lines().zip(*defects) {
            let start = format!("breaking: #{place}: cannot be read: ");
            assert!(line.starts_with(&start) && line.contains(reason), "{name}: {line}");
        }
        let other =
            "compatible: GET /security/resources: 200 content `text/csv`: was absent, is new";
        assert_eq!(lines.lines().skip(defects.len()).collect::<Vec<_>>(), [other], "{name}");
        assert_eq!(last, format!("{} breaking, 1 compatible", defects.len()), "{name}");
        assert_eq!(run.code, Some(1), "{name}");

        let run = folder.run(&["drift", "new", "--accept"]);
        assert_eq!(run.code, Some(2), "{name} is accepted");
        assert!(run.stderr.contains("cannot be read"), "{name}: {}", run.stderr);
    }
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let folder = Folder::new("what_cannot_be_compared_is_refused_with_the_reason");
    let without_paths = changed(|s| {
        take(s, "/paths", "/security/token");
        take(s, "/paths", "/security/resources");
    });
    let with_broken_paths = changed(|s| {
        set(s, "/paths", "/security/token", json!({ "$ref": "token.yaml" }));
        set(s, "/paths/~1security~1resources", "get", Value::Null);
    });
    let neither = "neither of the paths `/security/token` and `/security/resources`";
    for (text, reason) in [
        ("a: [b", "neither YAML nor JSON"),
        ("openapi: 3.1.0\npaths: {}\npaths: {}", "duplicate"),
        (r#"{"openapi": "3.0.0", "openapi": "3.0.0"}"#, "duplicate"),
        ("text", "not OpenAPI 3.x: it has no `openapi`"),
        ("swagger: '2.0'\npaths: {}", "not OpenAPI 3.x: it has no `openapi`"),
        ("openapi: 4.0.0", "not OpenAPI 3.x: its version is `4.0.0`"),
        ("openapi: 30", "not OpenAPI 3.x: its version is `30`"),
        ("openapi: 3.1.0", neither),
        ("openapi: 3.1.0\npaths: []", neither),
        (&without_paths.to_string(), neither),
        (&with_broken_paths.to_string(), neither),
        (&with_broken_paths.to_string(), "\"token.yaml\" leads nowhere"),
    ] {
        assert_refused(&folder.drift(text), reason);
    }
    assert_refused(&folder.run(&["drift", "missing"]), "missing: No such file");
    assert_refused(&folder.run(&["drift", "openapi"]), "openapi: Is a directory");
}

#[track_caller]
fn assert_refused(run: &Run, reason: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
    assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
}

/// Each of these schemas refers twice to the next.
fn doubled(depth: usize, refer: fn(Value) -> Value) -> String {
    let spec = changed(|s| {
        for at in 0..depth {
            let next = json!({ "$ref": format!("#/components/schemas/A{}", at + 1) });
            set(s, "/components/schemas", &format!("A{at}"), refer(next));
        }
        set(s, "/components/schemas", &format!("A{depth}"), json!({}));
        set(s, TOKEN_PART, "token", json!({ "$ref": "#/components/schemas/A0" }));
    });
    spec.to_string()
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("openapi: 3.1.0\npaths: {}1{}\n", open.repeat(depth), close.repeat(depth))
}

#[test]
fn a_hostile_document_is_refused_within_a_second() {
    let folder = Folder::new("a_hostile_document_is_refused_within_a_second");
    let not = format!("{}{{}}{}", "{\"not\":".repeat(27), "}".repeat(27));
    let not = changed(|s| set(s, TOKEN_PART, "token", serde_json::from_str(&not).unwrap()));
    let aliases = (1..9).fold("openapi: 3.1.0\na0: &a0 [x]\n".to_owned(), |mut text, at| {
        let again = vec![format!("*a{}", at - 1); 9].join(",");
        writeln!(text, "a{at}: &a{at} [{again}]").unwrap();
        text
    });
    let merges = (1..40).fold("openapi: 3.1.0\na0: &a0 {k: v}\n".to_owned(), |mut text, at| {
        let last = at - 1;
        writeln!(text, "a{at}: &a{at} {{<<: [*a{last}, *a{last}], k{at}: *a{last}}}").unwrap();
        text
    });
    let many: Value =
        (0..9_000).map(|at| (format!("p{at}"), json!({ "type": "string" }))).collect();
    for (name, text) in [
        ("nested `not`", not.to_string()),
        ("doubled `allOf`", doubled(24, |next| json!({ "allOf": [next, next] }))),
        ("doubled `oneOf`", doubled(24, |next| json!({ "oneOf": [next, next] }))),
        (
            "doubled properties",
            doubled(24, |next| json!({ "properties": { "a": next, "b": next } })),
        ),
        ("doubled keywords", doubled(24, |next| json!({ "if": { "a": next, "b": next } }))),
        ("chained references", doubled(20_000, |next| next)),
        ("chained properties", doubled(2_000, |next| json!({ "properties": { "a": next } }))),
        (
            "many combinations",
            changed(|s| {
                let choice = json!({ "anyOf": vec![json!({ "minLength": 1 }); 10] });
                set(s, TOKEN_PART, "token", json!({ "allOf": vec![choice; 10] }));
            })
            .to_string(),
        ),
        (
            "many properties",
            changed(|s| set(s, CREATED, "MediaContainer", json!({ "properties": many })))
                .to_string(),
        ),
        ("nested brackets in JSON", "[".repeat(100_000)),
        ("nested braces in JSON", format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ("nested brackets in YAML", nested("[", "]", 100_000)),
        ("nested braces in YAML", nested("{a: ", "}", 100_000)),
        ("nested lists in YAML", nested("\n- ", "", 1).replace("- ", &"- ".repeat(100_000))),
        ("doubled aliases", aliases),
        ("doubled merge keys", merges),
    ] {
        // The machine may be busy with other things for once.
        let fastest = (0..3).map(|_| {
            let started = Instant::now();
            let run = folder.drift(&text);
            assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{name}: {}", run.stderr);
            started.elapsed()
        });
        let fastest = fastest.min().unwrap();
        assert!(fastest < Duration::from_secs(1), "{name}: {fastest:?}");
    }
}

#[test]
fn text_from_a_document_is_escaped_and_cut() {
    let folder = Folder::new("text_from_a_document_is_escaped_and_cut");
    let hostile = "\u{1b}[2J\nbreaking: forged\u{202e}\u{200b}";
    let long = "x".repeat(900);
    let value = json!([hostile, &long[..500]]);
    let spec = changed(|s| {
        with(s, POST, json!({ "name": hostile, "in": "query", "schema": { "enum": value } }));
        with(s, GET, json!({ "name": long, "in": hostile, "schema": { "const": long } }));
        set(s, TOKEN_PART, hostile, json!({ "type": hostile, "enum": 5 }));
        set(s, CONNECTION, &long, json!({ "type": "string" }));
        set(s, &format!("{POST}/responses"), hostile, json!({ "content": { (hostile): {} } }));
        set(s, &format!("{POST}/responses/403/content"), hostile, json!({}));
        set(s, GET, "security", json!([{ (hostile): [hostile] }]));
        set(s, POST, "servers", json!([{ "url": hostile }, { "url": long }]));
        set(s, GET, "responses", json!({ "400": { "$ref": hostile } }));
    });
    let unversioned = format!("openapi: {hostile:?}{long}");
    let run = folder.drift(&spec.to_string());
    assert!(run.stdout.contains("x…`: was absent, is an optional string `xx"), "{}", run.stdout);
    for run in [run, folder.drift(&unversioned)] {
        assert!(run.code == Some(1) || run.code == Some(2), "{run:?}");
        for line in run.stdout.lines().chain(run.stderr.lines()) {
            assert!(!line.starts_with("breaking: forged"), "{line}");
            assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{line:?}");
            assert!(line.chars().count() < 2_000, "{line}");
        }
    }
}
