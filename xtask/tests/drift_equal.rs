//! `cargo xtask drift`: what means the same is no change.

mod support;

use serde_json::json;
use support::*;

#[test]
fn equal_meaning_is_no_change_and_gives_the_same_extract() {
    let folder = Folder::new("equal_meaning_is_no_change_and_gives_the_same_extract");
    let extract = folder.read("openapi/upstream.json");
    folder.assert_drift("the extract", &extract, 0, NO_CHANGE);
    for (name, patch) in cases(include_str!("drift_equal.yaml")) {
        for text in forms(&patched(&patch)) {
            folder.assert_drift(&name, &text, 0, NO_CHANGE);
            folder.run(&["drift", "new", "--accept"]);
            assert_eq!(folder.read("openapi/upstream.json"), extract, "{name}");
        }
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
        for patch in [
            json!({ "servers": servers }),
            json!({ "paths": { "/security/token": { "servers": servers } } }),
            json!({ "paths": { "/security/resources": { "get": { "servers": servers } } } }),
        ] {
            folder.assert_drift(url, &patched(&patch).to_string(), 0, NO_CHANGE);
        }
    }
    folder.assert_drift("none", &format!("{SPEC}servers: []"), 0, NO_CHANGE);
}

#[test]
fn how_a_file_is_written_is_no_change() {
    let folder = Folder::new("how_a_file_is_written_is_no_change");
    let json = patched(&json!({})).to_string();
    let (first, last) = SPEC.split_once("components:").unwrap();
    let anchored = SPEC
        .replacen("schema: { type: string }", "schema: &text { type: string }", 1)
        .replacen("schema: { type: string }", "schema: *text", 1)
        .replacen("schema: { type: string }", "schema: { <<: *text }", 1);
    assert!(anchored.contains("<<: *text"));
    for (name, text) in [
        ("comments", SPEC.replace('\n', " # new\n")),
        ("another order", format!("components:{last}{first}")),
        ("anchors", anchored),
        ("a number as the version", SPEC.replace("3.1.0", "3.1")),
        ("a header in other letters", SPEC.replace("X-Client", "x-client")),
        ("a byte order mark before YAML", format!("\u{feff}{SPEC}")),
        ("a byte order mark before JSON", format!("\u{feff}{json}")),
        ("surrogates and escapes", json.replace("Tests", "\\ud83d\\ude00\\/")),
        ("tabs", json.replace("\"openapi\":", "\"openapi\":\t")),
    ] {
        folder.assert_drift(name, &text, 0, NO_CHANGE);
    }
}
