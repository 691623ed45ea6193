//! `cargo xtask drift`: every change of meaning is in the diff, a change of spelling is not.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use support::{Folder, SPEC};

/// Changes of the description: from, to, and the diff.
const CHANGES: &[(&str, &str, &str)] = &[
    ("    post:", "    get:", "+GET /security/token\n-POST /security/token\n"),
    (
        "  /security/resources:",
        "  /security/v2/resources:",
        "-GET /security/resources\n+GET /security/v2/resources\n",
    ),
    (
        "  /library:\n    get: {}",
        "  /security/new:\n    put: { deprecated: true }",
        "+PUT /security/new\n",
    ),
    (
        "in: query, required: true, schema: { type: string } }",
        "in: header, schema: { type: string } }",
        r#" GET /security/resources
+    header source type = "string"
-    query source required = true
+    query source type = "integer"
-    query source type = "string"
"#,
    ),
    (
        "enum: [all]",
        "enum: [all, none]",
        " POST /security/token\n+    query scope enum = \"none\"\n",
    ),
    (
        "enum: [0, 1], default: 0",
        "default: { title: 1 }",
        r#" GET /security/resources
-    query refresh default = 0
+    query refresh default = {"title":1}
-    query refresh enum = 0
-    query refresh enum = 1
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
+    200 application/json.Device additionalProperties = false
-    200 application/json.Device required = "name"
"#,
    ),
    (
        "name: { type: string } } }",
        "name: { type: string }, description: {}, a.b: { not: { type: string } } } }",
        r#" GET /security/resources
+    200 application/json.Device.a.b not type = "string"
+    200 application/json.Device.description = {}
"#,
    ),
    (
        "400: { description: Bad }",
        "400: { content: { text/html: {} }, headers: { Retry-After: {} } }",
        r#" GET /security/resources
-    400 = {}
+    400 headers Retry-After = {}
+    400 text/html = {}
"#,
    ),
    (
        "      summary: Look up",
        "      security: [{ key: [] }]\n      servers: [{ url: /api }]",
        r#" GET /security/resources
-    security roles = "admin"
+    security roles = []
+    servers url = "/api"
"#,
    ),
    (
        "name: X-Token",
        "name: X-Key",
        r#" GET /security/resources, POST /security/token
+    security name = "X-Key"
-    security name = "X-Token"
"#,
    ),
    (
        "Device: { $ref: \"#/components/schemas/Device\" }",
        "Device: { oneOf: [{ type: string }, { type: array, items: { maxLength: 3 } }] }",
        r#" GET /security/resources
+    200 application/json.Device oneOf 1 type = "string"
+    200 application/json.Device oneOf 2 type = "array"
+    200 application/json.Device oneOf 2[] maxLength = 3
-    200 application/json.Device required = "name"
-    200 application/json.Device type = "object"
-    200 application/json.Device.name type = "string"
"#,
    ),
    (
        "name: { type: string } } }",
        "name: { oneOf: [{ type: string }, { type: array, items: { type: string } }] } } }",
        r#" GET /security/resources
+    200 application/json.Device.name oneOf = one or a list of them
"#,
    ),
    // Who may call, and how long a token lives, is prose.
    (
        "    post:",
        "    post:\n      description: |\n        Valid for\n          2  hours.",
        " POST /security/token\n+    description = \"Valid for 2 hours.\"\n",
    ),
    // A value has to be in both lists.
    (
        "enum: [0, 1]",
        "allOf: [{ enum: [0, 1] }, { enum: [1, 2] }]",
        " GET /security/resources\n-    query refresh enum = 0\n",
    ),
    // A path item's own entries stand beside those of its reference.
    (
        "  /security/token:\n",
        "  /security/token:\n    $ref: \"#/x\"\n    parameters: [{ name: a, in: query, required: true }]\n",
        " POST /security/token\n+    query a required = true\n",
    ),
    // What many operations share stands once.
    (
        "{ type: [integer, \"null\"], exclusiveMinimum: 0 }",
        "{ type: string }",
        r#" GET /security/resources, POST /security/token
-    200 application/json.size exclusiveMinimum = 0
-    200 application/json.size type = "integer"
-    200 application/json.size type = "null"
+    200 application/json.size type = "string"
"#,
    ),
    // What cannot be read is a fact; the rest is still compared.
    (
        "    post:",
        "    $ref: other.yaml\n    x-post:",
        r#"+/security/token cannot be read: "other.yaml" leads nowhere in this file, too far, or back to itself
-POST /security/token
"#,
    ),
    (
        "enum: [all]",
        "enum: all",
        r#" POST /security/token
-    query scope enum = "all"
+    query scope enum = cannot be read: it is not a list
"#,
    ),
    (
        "schema: { type: string, enum: [all] }",
        "schema: { $ref: other.yaml }",
        r#" POST /security/token
+    query scope = cannot be read: "other.yaml" leads nowhere in this file, too far, or back to itself
-    query scope enum = "all"
-    query scope type = "string"
"#,
    ),
    (
        "name: { type: string } } }",
        "name: { $ref: \"#/components/schemas/Device\" } } }",
        r##" GET /security/resources
+    200 application/json.Device.name = cannot be read: "#/components/schemas/Device" leads nowhere in this file, too far, or back to itself
-    200 application/json.Device.name type = "string"
"##,
    ),
    (
        "{ name: source, in: query, required: true, schema: { type: string } }",
        "{ in: query }",
        r#" GET /security/resources
+    parameters = cannot be read: no `in` and `name` in {"in":"query"}
-    query source required = true
+    query source type = "integer"
-    query source type = "string"
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
        "{ allOf: [{ type: [string] }, { enum: [all], title: All }, { description: All }] }",
    ),
    ("{ type: [integer, \"null\"], ", "{ type: integer, nullable: true, "),
    ("exclusiveMinimum: 0", "minimum: 0, exclusiveMinimum: true"),
    ("enum: [0, 1]", "enum: [1, 0], nullable: false"),
    ("      summary: Look up", "      deprecated: false"),
    ("properties: { name", "additionalProperties: true, properties: { name"),
    ("400: {", "\"400\": { x-more: 1, content: {}, headers: {},"),
    ("servers: [{ url: \"{address}\" }]", "servers: [{ url: https://x }, { url: https://y }]"),
    (
        "servers: [{ url: \"{address}\" }]\nsecurity: [{ key: [admin] }]",
        "security: [{ other: [admin] }]",
    ),
    ("in: query, required: true,", "in: query, required: true, style: form, explode: true,"),
    ("in: header,", "in: header, style: simple, explode: false, allowEmptyValue: false,"),
    (
        "schema: { type: integer }",
        "schema: { type: integer, readOnly: false, required: [], minLength: 0 }",
    ),
    ("application/json:\n", "application/json; Charset=utf-8:\n"),
    ("name: { type: string }", "name: { oneOf: [{ type: string }] }"),
    ("enum: [0, 1]", "allOf: [{ enum: [0, 1] }, { enum: [1, 0] }]"),
    ("    post:", "    summary: Token\n    x-more: { parameters: [] }\n    post:"),
];

#[test]
fn every_change_of_meaning_is_in_the_diff() {
    let folder = Folder::accepted();
    for (from, to, diff) in CHANGES {
        assert!(SPEC.contains(from), "no {from}");
        let run = folder.drift(1, &SPEC.replacen(from, to, 1));
        let names = "--- openapi/upstream.txt\n+++ the file";
        assert_eq!(run.stdout, format!("{names}\n{diff}"), "{to}: {}", run.stderr);
    }
}

#[test]
fn a_change_of_spelling_is_not() {
    let folder = Folder::accepted();
    for (from, to) in SPELLINGS {
        assert!(SPEC.contains(from), "no {from}");
        folder.drift(0, &SPEC.replacen(from, to, 1));
    }
}

#[test]
fn a_file_that_cannot_be_compared_ends_with_2() {
    let folder = Folder::accepted();
    let number = format!("1{}: 1", "0".repeat(1_000_000));
    for (text, reason) in [
        ("a: [", "neither YAML nor JSON"),
        ("openapi: 3.1.0\nopenapi: 3.1.0", "duplicate"),
        ("\"\\e[2J\": 1\n\"\\e[2J\": 1", "\\u{1b}[2J"),
        ("openapi: 3.1.0", "no `paths`"),
        (&number, "neither YAML nor JSON"),
    ] {
        let run = folder.drift(2, text);
        assert!(run.stderr.contains(reason) && run.stderr.len() < 500, "{reason}: {run:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    }
}

#[test]
fn a_name_that_is_no_file_ends_with_2() {
    let folder = Folder::accepted();
    let fifo = folder.0.join("fifo\u{1b}[2J");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    let names = ["openapi", "/dev/zero", "gone\u{1b}[2J", "fifo\u{1b}[2J"];
    let is_made = made.is_ok_and(|status| status.success());
    for name in &names[..if is_made { 4 } else { 3 }] {
        let run = folder.run(2, &["drift", name]);
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    }
}

#[test]
fn paths_that_all_moved_are_a_difference_and_named() {
    let folder = Folder::accepted();
    let run = folder.drift(1, &SPEC.replace("  /security/", "  /other/"));
    assert!(run.stdout.contains("-POST /security/token\n"), "{run:?}");
    assert!(run.stderr.contains(r#"["GET /security/resources", "POST /security/token"] moved"#));
    let verbs = SPEC.replace("    get:\n", "    put:\n").replace("    post:", "    put:");
    let run = folder.drift(1, &verbs);
    assert!(run.stdout.contains("+PUT /security/resources\n"), "{run:?}");
}

#[test]
fn a_file_that_costs_too_much_ends_with_2() {
    let folder = Folder::accepted();
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
    folder.drift(0, &schemas(3, "allOf: [NEXT, NEXT]"));
    let run = folder.drift(1, &schemas(60, "items: NEXT"));
    assert!(run.stdout.contains("too far"), "{run:?}");
    for (name, text) in [
        ("depth", format!("{SPEC}x: {}", "[".repeat(100_000))),
        ("aliases", aliases),
        ("size", format!("{SPEC}x: {}", "a".repeat(9_000_000))),
    ] {
        let run = folder.drift(2, &text);
        assert!(run.stderr.len() < 500, "{name}: {}", run.stderr);
    }
}
