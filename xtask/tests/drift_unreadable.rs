//! `cargo xtask drift`: documents that are broken, that are something else, or that are hostile.

mod support;

use std::fmt::Write;

use serde_json::{Value, json};
use support::*;

#[test]
fn a_defect_is_a_breaking_line_and_the_rest_is_compared() {
    let folder = Folder::new("a_defect_is_a_breaking_line_and_the_rest_is_compared");
    for (name, case) in cases(include_str!("drift_unreadable.yaml")) {
        let mut spec = patched(&case["change"]);
        let content = json!({ "responses": { "200": { "content": { "text/csv": {} } } } });
        merge(&mut spec["paths"]["/security/resources"]["get"], &content);
        folder.assert_drift(&name, &spec.to_string(), 1, case["output"].as_str().unwrap());

        let run = folder.run(&["drift", "new", "--accept"]);
        assert_eq!(run.code, Some(2), "{name} is accepted");
        assert!(run.stderr.contains("cannot be read"), "{name}: {}", run.stderr);
    }
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let folder = Folder::new("what_cannot_be_compared_is_refused_with_the_reason");
    let without_paths = SPEC.replace("/security/", "/insecurity/");
    let with_broken_paths = patched(&json!({ "paths": {
        "/security/token": { "$ref": "token.yaml" },
        "/security/resources": { "get": null },
    } }));
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
        (&without_paths, neither),
        (&with_broken_paths.to_string(), neither),
        (&with_broken_paths.to_string(), "\"token.yaml\" leads nowhere"),
    ] {
        let run = folder.assert_drift(reason, text, 2, "");
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
    }
    for (file, reason) in [("missing", "No such file"), ("openapi", "Is a directory")] {
        let run = folder.run(&["drift", file]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(&format!("{file}: {reason}")), "{run:?}");
    }
}

/// The small description with another schema for the token.
fn with_token(schema: &Value) -> String {
    let schemas = json!({ "Token": { "properties": { "token": schema } } });
    patched(&json!({ "components": { "schemas": schemas } })).to_string()
}

/// Each of these schemas refers twice to the next.
fn doubled(depth: usize, refer: fn(Value) -> Value) -> String {
    let reference = |at| json!({ "$ref": format!("#/components/schemas/A{at}") });
    let mut schemas: Value =
        (0..depth).map(|at| (format!("A{at}"), refer(reference(at + 1)))).collect();
    schemas[format!("A{depth}")] = json!({});
    schemas["Token"] = json!({ "properties": { "token": reference(0) } });
    patched(&json!({ "components": { "schemas": schemas } })).to_string()
}

#[test]
fn a_hostile_document_is_refused_within_a_second() {
    let folder = Folder::new("a_hostile_document_is_refused_within_a_second");
    let nested = |before: &str, open: &str, close: &str| {
        format!("{before}{}1{}\n", open.repeat(100_000), close.repeat(100_000))
    };
    let not = (0..27).fold(json!({}), |schema, _| json!({ "not": schema }));
    let choice = json!({ "anyOf": vec![json!({ "minLength": 1 }); 10] });
    let many: Value =
        (0..9_000).map(|at| (format!("p{at}"), json!({ "type": "string" }))).collect();
    let mut aliases = "openapi: 3.1.0\na0: &a0 [x]\n".to_owned();
    for at in 1..9 {
        let again = vec![format!("*a{}", at - 1); 9].join(",");
        writeln!(aliases, "a{at}: &a{at} [{again}]").unwrap();
    }
    let mut merges = "openapi: 3.1.0\na0: &a0 {k: v}\n".to_owned();
    for at in 1..40 {
        let last = at - 1;
        writeln!(merges, "a{at}: &a{at} {{<<: [*a{last}, *a{last}], k{at}: *a{last}}}").unwrap();
    }
    for (name, text) in [
        ("nested `not`", with_token(&not)),
        ("doubled `allOf`", doubled(24, |next| json!({ "allOf": [next, next] }))),
        ("doubled `oneOf`", doubled(24, |next| json!({ "oneOf": [next, next] }))),
        (
            "doubled properties",
            doubled(24, |next| json!({ "properties": { "a": next, "b": next } })),
        ),
        ("doubled keywords", doubled(24, |next| json!({ "if": { "a": next, "b": next } }))),
        ("chained references", doubled(20_000, |next| next)),
        ("chained properties", doubled(2_000, |next| json!({ "properties": { "a": next } }))),
        ("many combinations", with_token(&json!({ "allOf": vec![choice; 10] }))),
        ("many properties", with_token(&json!({ "properties": many }))),
        ("nested brackets in JSON", "[".repeat(100_000)),
        ("nested braces in JSON", nested("", "{\"a\":", "}")),
        ("nested brackets in YAML", nested("openapi: 3.1.0\npaths: ", "[", "]")),
        ("nested braces in YAML", nested("openapi: 3.1.0\npaths: ", "{a: ", "}")),
        ("nested lists in YAML", nested("openapi: 3.1.0\npaths:\n", "- ", "")),
        ("doubled aliases", aliases),
        ("doubled merge keys", merges),
    ] {
        assert_fast(name, || {
            folder.assert_drift(name, &text, 2, "");
        });
    }
}

#[test]
fn text_from_a_document_is_escaped_and_cut() {
    let folder = Folder::new("text_from_a_document_is_escaped_and_cut");
    let hostile = "\u{1b}[2J\nbreaking: forged\u{202e}\u{200b}";
    let long = "x".repeat(900);
    let value = json!([hostile, &long[..500]]);
    let token = json!({
        "servers": [{ "url": hostile }, { "url": long }],
        "parameters": [{ "name": hostile, "in": "query", "schema": { "enum": value } }],
        "post": { "responses": {
            (hostile): { "content": { (hostile): {} } },
            "403": { "content": { (hostile): {} } },
        } },
    });
    let get = json!({
        "security": [{ (hostile): [hostile] }],
        "parameters": [{ "name": long, "in": hostile, "schema": { "const": long } }],
        "responses": { "400": { "$ref": hostile.to_owned() + &long.repeat(3) } },
    });
    let properties = [
        json!({ (hostile): { "type": hostile, "enum": 5 } }),
        json!({ (&long): { "type": "string" } }),
    ];
    let spec = patched(&json!({
        "paths": { "/security/resources": { "get": get } },
        "components": {
            "pathItems": { "Token": token },
            "schemas": {
                "Token": { "properties": properties[0] },
                "Connection": { "properties": properties[1] },
            },
        },
    }));
    let unversioned = format!("openapi: {hostile:?}{long}");
    let cut = "x…`: was absent, is an optional string `xx";
    for (text, code, expected) in [(spec.to_string(), 1, cut), (unversioned, 2, "")] {
        folder.write("new", &text);
        let run = folder.run(&["drift", "new"]);
        assert!(run.code == Some(code) && run.stdout.contains(expected), "{run:?}");
        for line in run.stdout.lines().chain(run.stderr.lines()) {
            assert!(!line.starts_with("breaking: forged"), "{line}");
            assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{line:?}");
            assert!(line.chars().count() < 2_000, "{line}");
        }
    }
}
