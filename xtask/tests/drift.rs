//! `cargo xtask drift`: every change of meaning is in the diff, a change of spelling is not.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use support::{Folder, SPEC};

/// Changes of the description: from, to, and the diff.
const CHANGES: &[(&str, &str, &str)] = &[
    ("    post:", "    get:", "-POST /security/token\n+GET /security/token\n"),
    (
        "  /security/resources:",
        "  /security/v2/resources:",
        "-GET /security/resources\n+GET /security/v2/resources\n",
    ),
    (
        "  /library:\n    get: {}",
        "  /security/new:\n    put: { security: [{}] }",
        "+PUT /security/new\n+    security = {}\n",
    ),
    (
        "in: query, required: true, schema: { type: string } }",
        "in: header, schema: { type: string } }",
        r#" GET /security/resources
+    header source type = string
-    query source required = true
+    query source type = integer
-    query source type = string
"#,
    ),
    (
        "enum: [all]",
        "enum: [all, none]",
        r#" POST /security/token
-    query scope enum = "all"
+    query scope enum = "all" | "none"
"#,
    ),
    (
        "default: 0",
        "default: 1",
        r#" GET /security/resources
-    query refresh default = 0
+    query refresh default = 1
"#,
    ),
    // In OpenAPI 3.1, keywords beside a reference count.
    (
        "schemas/Refresh\" }",
        "schemas/Refresh\", deprecated: true }",
        " GET /security/resources\n+    query refresh deprecated = true\n",
    ),
    (
        "required: [name]",
        "additionalProperties: false",
        r#" GET /security/resources
+    200 application/json.Device.* = nothing
-    200 application/json.Device.name required = true
"#,
    ),
    (
        "name: { type: string } } }",
        "name: { type: string }, description: {}, a.b: { not: { type: string } } } }",
        r#" GET /security/resources
+    200 application/json.Device."a.b" not type = string
+    200 application/json.Device.description = no details
"#,
    ),
    (
        "400: { description: Bad }",
        "400: { content: { text/html: {} }, headers: { Retry-After: {} } }",
        r#" GET /security/resources
-    400 = no details
+    400 headers retry-after = no details
+    400 text/html = no details
"#,
    ),
    (
        "      summary: Look up",
        "      security: [{ key: [] }]\n      servers: [{ url: /api }]",
        r#" GET /security/resources
-    security = {in = "header"; name = "x-token"; role "admin"; type = apiKey}
+    security = {in = "header"; name = "x-token"; type = apiKey}
+    url = "/api"
"#,
    ),
    (
        "Device: { $ref: \"#/components/schemas/Device\" }",
        "Device: { oneOf: [{ type: string }, { type: array, items: { maxLength: 3 } }] }",
        r#" GET /security/resources
+    200 application/json.Device oneOf 1 type = array
+    200 application/json.Device oneOf 1[] maxLength = 3
+    200 application/json.Device oneOf 2 type = string
-    200 application/json.Device type = object
-    200 application/json.Device.name required = true
-    200 application/json.Device.name type = string
"#,
    ),
    // What cannot be read is a fact; the rest is still compared.
    (
        "enum: [all]",
        "enum: all",
        " POST /security/token\n+    query scope enum cannot be read: it is not a list\n",
    ),
    (
        "schema: { type: string, enum: [all] }",
        "schema: { $ref: other.yaml }",
        r#" POST /security/token
+    query scope cannot be read: the reference "other.yaml" leads nowhere in this file
-    query scope enum = "all"
-    query scope type = string
"#,
    ),
    (
        "name: { type: string } } }",
        "name: { $ref: \"#/components/schemas/Device\" } } }",
        r##" GET /security/resources
+    200 application/json.Device.name cannot be read: the reference "#/components/schemas/Device" leads back to itself
-    200 application/json.Device.name type = string
"##,
    ),
    (
        "{ name: source, in: query, required: true, schema: { type: string } }",
        "{ in: query }",
        r#" GET /security/resources
+    parameters cannot be read: one has no `in` and `name`
-    query source required = true
+    query source type = integer
-    query source type = string
"#,
    ),
    // Printable ASCII in one line can neither control a terminal nor begin a line of Markdown.
    (
        "enum: [all]",
        "enum: [\"\\e[2J\\u202E\\n```\"]",
        r#" POST /security/token
+    query scope enum = "\u001b[2J\u{202e}\n```"
-    query scope enum = "all"
"#,
    ),
];

/// Other spellings of the same.
const SPELLINGS: &[(&str, &str)] = &[
    ("      summary: Look up", "      operationId: x\n      tags: [x]\n      x-more: 1"),
    ("enum: [all]", "const: all, example: all"),
    (
        "{ type: string, enum: [all] }",
        "{ allOf: [{ type: [string] }, { enum: [all], title: All }] }",
    ),
    ("{ type: [integer, \"null\"], minimum: 0 }", "{ type: integer, nullable: true, minimum: 0 }"),
    ("X-Client", "x-client"),
    ("      summary: Look up", "      deprecated: false"),
    ("properties: { name", "additionalProperties: true, properties: { name"),
    ("400: {", "\"400\": { x-more: 1,"),
    (
        "parameters:\n        - { name: scope",
        "parameters:\n        - { name: Accept, in: header }\n        - { name: scope",
    ),
];

#[test]
fn every_change_of_meaning_is_in_the_diff() {
    let folder = Folder::accepted("every_change_of_meaning_is_in_the_diff");
    for (from, to, diff) in CHANGES {
        assert!(SPEC.contains(from), "no {from}");
        let run = folder.drift(&SPEC.replacen(from, to, 1));
        let names = "--- openapi/upstream.txt\n+++ the file";
        assert_eq!(run.stdout, format!("{names}\n{diff}"), "{to}: {}", run.stderr);
        assert_eq!(run.code, Some(1), "{to}");
    }
}

#[test]
fn a_change_of_spelling_is_not() {
    let folder = Folder::accepted("a_change_of_spelling_is_not");
    for (from, to) in SPELLINGS {
        assert!(SPEC.contains(from), "no {from}");
        let run = folder.drift(&SPEC.replacen(from, to, 1));
        assert_eq!((run.code, &*run.stdout), (Some(0), ""), "{to}: {}", run.stderr);
    }
}

#[test]
fn a_change_behind_the_cut_of_a_long_line_is_seen() {
    let folder = Folder::accepted("a_change_behind_the_cut_of_a_long_line_is_seen");
    let long =
        |end| SPEC.replacen("enum: [all]", &format!("pattern: {}{end}", "a".repeat(9_999)), 1);
    folder.write("long.yaml", &long("b"));
    assert_eq!(folder.run(&["accept", "long.yaml"]).code, Some(0));
    assert_eq!(folder.drift(&long("b")).code, Some(0));
    let run = folder.drift(&long("c"));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.lines().all(|line| line.len() < 500), "{run:?}");
}

#[test]
fn a_file_that_cannot_be_compared_ends_with_2() {
    let folder = Folder::accepted("a_file_that_cannot_be_compared_ends_with_2");
    let none = SPEC.replace("  /security/", "  /other/");
    for (text, reason) in [
        ("a: [", "neither YAML nor JSON"),
        ("swagger: 2.0", "not OpenAPI 3"),
        ("openapi: 3.1.0\nopenapi: 3.1.0", "duplicate"),
        ("openapi: \"\\e[2J\"", "\\u001b[2J"),
        (&none, "GET /security/resources, POST /security/token"),
    ] {
        let run = folder.drift(text);
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{text}: {run:?}");
        assert!(run.stderr.contains(reason), "{reason}: {run:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    }
}

#[test]
fn a_file_that_costs_too_much_ends_with_2() {
    let folder = Folder::accepted("a_file_that_costs_too_much_ends_with_2");
    // Schemas that lead from one to the next, the first one in use.
    let schemas = |count, keyword: &str| -> String {
        let mut schemas = "    Refresh: { $ref: \"#/components/schemas/S0\" }\n".to_owned();
        for at in 0..count {
            let next = format!("{{ $ref: \"#/components/schemas/S{}\" }}", at + 1);
            schemas += &format!("    S{at}: {{ {} }}\n", keyword.replace("NEXT", &next));
        }
        let (start, end) = SPEC.split_once("    Refresh:").unwrap();
        format!("{start}{schemas}    S{count}:{end}")
    };
    let mut aliases = format!("{SPEC}a0: &a0 [x]\n");
    for at in 1..40 {
        aliases += &format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1);
    }
    assert_eq!(folder.drift(&schemas(3, "allOf: [NEXT, NEXT]")).code, Some(0));
    for (name, text) in [
        ("fan-out", schemas(60, "allOf: [NEXT, NEXT]")),
        ("depth by references", schemas(200, "items: NEXT")),
        ("depth", format!("{SPEC}x: {}", "[".repeat(100_000))),
        ("aliases", aliases),
        ("size", format!("{SPEC}x: {}", "a".repeat(9_000_000))),
    ] {
        let run = folder.drift(&text);
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{name}: {}", run.stderr);
        assert!(run.stderr.len() < 500, "{name}: {}", run.stderr);
    }
}
