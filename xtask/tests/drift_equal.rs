//! `cargo xtask drift`: what means the same is no change.

mod support;

use serde_json::{Value, json};
use support::*;

/// A way to say the same.
type Rewriting = (&'static str, fn(&mut Value));

#[rustfmt::skip]
const REWRITINGS: &[Rewriting] = &[
    ("nothing", |_| ()),
    ("other prose, tags and examples", |s| {
        for key in ["summary", "description", "operationId", "tags", "externalDocs", "deprecated"] {
            set(s, POST, key, json!({ "type": "integer" }));
        }
        for key in ["title", "description", "example", "examples", "externalDocs", "deprecated", "readOnly", "xml"] {
            set(s, "/components/schemas/Device", key, json!({ "type": "integer" }));
            parameter(s, POST, "type")["schema"][key] = json!({ "type": "integer" });
        }
        for key in ["description", "example", "examples", "deprecated"] {
            parameter(s, POST, "type")[key] = json!({ "type": "integer" });
        }
        take(s, &format!("{POST}/responses/200/content/application~1json"), "example");
        set(s, &format!("{POST}/responses/403"), "description", json!("Other"));
    }),
    ("extensions of a vendor", |s| {
        set(s, POST, "x-this", json!(1));
        set(s, &format!("{POST}/responses"), "x-that", json!({}));
        set(s, "/components/schemas/Bit", "x-enum", json!([false, true]));
        set(s, TOKEN, "x-path", json!([]));
    }),
    ("a schema inlined", |s| {
        let device = at(s, "/components/schemas/Device").clone();
        set(s, &format!("{FOUND}/properties"), "Device", device);
    }),
    ("a schema behind several references", |s| {
        let connection = take(s, DEVICE, "Connection");
        set(s, "/components/schemas", "C", connection);
        set(s, "/components/schemas", "B", json!({ "$ref": "#/components/schemas/C" }));
        set(s, "/components/schemas", "A", json!({ "$ref": "#/components/schemas/B" }));
        set(s, DEVICE, "Connection", json!({ "$ref": "#/components/schemas/A" }));
    }),
    ("a reference with escapes", |s| {
        set(s, "/components/schemas", "a~b/c d", json!({ "type": "integer" }));
        let size = json!({ "$ref": "#/components/schemas/a~0b~1c%20d" });
        set(s, &format!("{FOUND}/properties"), "size", size);
    }),
    ("one schema referred to twice, side by side", |s| {
        let container = json!({ "$ref": "#/components/schemas/Container" });
        at(s, &format!("{CREATED}/MediaContainer/allOf")).as_array_mut().unwrap().push(container);
    }),
    ("a schema split under `allOf`", |s| {
        let name = take(s, DEVICE, "name");
        let rest = take(s, "/components/schemas", "Device");
        let name = json!({ "properties": { "name": name } });
        set(s, "/components/schemas", "Device", json!({ "allOf": [rest, name] }));
    }),
    ("`allOf` merged", |s| {
        let properties = json!({ "size": { "type": "integer" }, "token": { "type": "string" } });
        set(s, CREATED, "MediaContainer", json!({ "type": "object", "properties": properties }));
    }),
    ("`allOf`, `anyOf` and `oneOf` of one", |s| {
        let port = json!({ "allOf": [{ "type": "integer", "minimum": 1 }], "maximum": 65535 });
        set(s, CONNECTION, "port", port);
        set(s, CONNECTION, "local", json!({ "anyOf": [{ "type": "boolean" }] }));
        set(s, CONNECTION, "weight", json!({ "oneOf": [{ "type": "integer" }] }));
    }),
    ("a bound said twice", |s| {
        let port = json!({ "type": "integer", "minimum": 0, "maximum": 65535, "allOf": [{ "minimum": 1, "maximum": 70000 }] });
        set(s, CONNECTION, "port", port);
    }),
    ("`nullable`", |s| set(s, DEVICE, "name", json!({ "type": "string", "nullable": true }))),
    ("`nullable` beside `allOf`", |s| set(s, DEVICE, "name", json!({ "nullable": true, "allOf": [{ "type": "string" }] }))),
    ("`null` as an alternative", |s| set(s, DEVICE, "name", json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }))),
    ("the types in another order", |s| set(s, DEVICE, "name", json!({ "type": ["null", "string"] }))),
    ("a list of one type", |s| set(s, CONNECTION, "weight", json!({ "type": ["integer"] }))),
    ("`enum` of one for `const`", |s| parameter(s, POST, "scope")["schema"] = json!({ "type": "string", "enum": ["all"] })),
    ("`const` without a type", |s| parameter(s, POST, "scope")["schema"] = json!({ "const": "all" })),
    ("`enum` as alternatives", |s| parameter(s, POST, "type")["schema"] = json!({ "oneOf": [{ "const": "other" }, { "const": "delegation" }] })),
    ("`enum` in another order", |s| parameter(s, POST, "type")["schema"]["enum"] = json!(["other", "delegation"])),
    ("an alternative that nothing fits", |s| set(s, CONNECTION, "weight", json!({ "oneOf": [false, { "type": "integer" }] }))),
    ("an exclusive bound as in 3.0", |s| set(s, DEVICE, "load", json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }))),
    ("whole numbers with a point", |s| set(s, &format!("{CONNECTION}/port"), "maximum", json!(65535.0))),
    ("what is so without being said", |s| {
        let device = at(s, "/components/schemas/Device");
        device["required"] = json!([]);
        device["additionalProperties"] = json!(true);
        device["minProperties"] = json!(0);
        device["nullable"] = json!(false);
        set(s, &format!("{DEVICE}/Connection"), "uniqueItems", json!(false));
        set(s, &format!("{DEVICE}/Connection"), "minItems", json!(0));
        set(s, &format!("{CONNECTION}/uri"), "minLength", json!(0));
        set(s, &format!("{CONNECTION}/port"), "exclusiveMaximum", json!(false));
        let depth = parameter(s, GET, "depth");
        depth["required"] = json!(false);
        depth["style"] = json!("form");
        depth["explode"] = json!(true);
        depth["allowReserved"] = json!(false);
        set(s, &format!("{POST}/responses/403/content/text~1html"), "schema", json!({}));
    }),
    ("a parameter on the path", |s| {
        let listed = take(s, POST, "parameters");
        set(s, TOKEN, "parameters", listed);
    }),
    ("a parameter on the path that the operation replaces", |s| {
        let replaced = json!([{ "name": "type", "in": "query", "schema": { "type": "integer" } }]);
        set(s, TOKEN, "parameters", replaced);
    }),
    ("parameters in another order", |s| at(s, POST)["parameters"].as_array_mut().unwrap().reverse()),
    ("a parameter behind references", |s| {
        let source = parameter(s, GET, "source").clone();
        *parameter(s, GET, "source") = json!({ "$ref": "#/components/parameters/S" });
        set(s, "/components/parameters", "S", json!({ "$ref": "#/components/parameters/Source" }));
        set(s, "/components/parameters", "Source", source);
    }),
    ("a header in other letters", |s| set(s, "/components/parameters/Client", "name", json!("x-client"))),
    ("a header that OpenAPI ignores", |s| with(s, POST, json!({ "name": "Accept", "in": "header", "required": true, "schema": {} }))),
    ("a media type with its charset", |s| {
        let content = format!("{POST}/responses/200/content");
        rename(s, &content, "application/json", "Application/JSON; charset=UTF-8");
    }),
    ("a path behind a reference, with its parameters", |s| {
        let listed = take(s, POST, "parameters");
        set(s, TOKEN, "parameters", listed);
        let item = take(s, "/paths", "/security/token");
        set(s, "/components", "pathItems", json!({ "Token": item }));
        set(s, "/paths", "/security/token", json!({ "$ref": "#/components/pathItems/Token" }));
    }),
    ("security on the operations", |s| {
        let security = take(s, "", "security");
        set(s, POST, "security", security.clone());
        set(s, GET, "security", security);
    }),
    ("another name for the scheme, and for its header", |s| {
        rename(s, "/components/securitySchemes", "key", "token");
        set(s, "", "security", json!([{ "token": [] }]));
        set(s, "/components/securitySchemes/token", "description", json!("New"));
        set(s, "/components/securitySchemes/token", "name", json!("x-plex-token"));
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
    let folder = Folder::new("equal_meaning_is_no_change");
    for (name, rewrite) in REWRITINGS {
        for text in forms(&changed(rewrite)) {
            folder.assert_no_change(name, &text);
        }
    }
}

#[test]
fn every_version_and_form_gives_the_same_extract() {
    let folder = Folder::new("every_version_and_form_gives_the_same_extract");
    let extract = folder.read("openapi/upstream.json");
    let [yaml, json] = forms(&spec());
    for text in [&yaml, &json, include_str!("support/spec-3.0.yaml"), &extract] {
        folder.assert_no_change("the same", text);
        folder.run(&["drift", "new", "--accept"]);
        assert_eq!(folder.read("openapi/upstream.json"), extract, "{text}");
    }
}

/// The address is the user's, whatever the description says of it.
#[test]
fn the_address_of_the_server_itself_is_no_change() {
    let folder = Folder::new("the_address_of_the_server_itself_is_no_change");
    for url in [
        "",
        "/",
        ".",
        "{address}",
        "{address}/",
        "{protocol}://{ip}:{port}",
        "https://{ip}.{id}.plex.direct:{port}/",
        "//{host}",
        "http://localhost:32400",
        "http://127.0.0.2",
        "http://[::1]:32400/",
        "http://{host}/{base}",
    ] {
        let server = json!({ "url": url, "variables": { "base": { "default": "" } } });
        let servers = json!([{ "url": "https://plex.tv/api" }, server]);
        for place in ["", TOKEN, POST] {
            let spec = changed(|s| set(s, place, "servers", servers.clone()));
            folder.assert_no_change(url, &spec.to_string());
        }
    }
    let spec = changed(|s| {
        set(s, "", "servers", json!([]));
        set(s, POST, "servers", json!([]));
    });
    folder.assert_no_change("none", &spec.to_string());
}

#[test]
fn how_a_file_is_written_is_no_change() {
    let folder = Folder::new("how_a_file_is_written_is_no_change");
    let [yaml, json] = forms(&spec());
    let commented: String = yaml.lines().map(|line| format!("{line} # new\n")).collect();
    folder.assert_no_change("comments", &commented);
    let written = include_str!("support/spec.yaml");
    let (first, last) = written.split_once("components:").unwrap();
    let reordered = format!(
        "components:{last}{}",
        first.replace("name: scope, in: query", "in: query, name: scope")
    );
    folder.assert_no_change("another order", &reordered);
    let anchored = written
        .replacen("schema: { type: string }", "schema: &text { type: string }", 1)
        .replacen("schema: { type: string }", "schema: *text", 1)
        .replacen("schema: { type: string }", "schema: { <<: *text }", 1);
    assert!(anchored.contains("<<: *text"));
    folder.assert_no_change("anchors", &anchored);
    folder.assert_no_change("a number as the version", &written.replace("3.1.0", "3.1"));
    folder.assert_no_change("a byte order mark before YAML", &format!("\u{feff}{written}"));
    folder.assert_no_change("a byte order mark before JSON", &format!("\u{feff}{json}"));
    let json = json.replace("Tests", "tabs and surrogates: \\ud83d\\ude00\\/");
    folder.assert_no_change("what JSON can say", &json.replace("\"openapi\":", "\"openapi\":\t"));
}
