//! `cargo xtask drift`: every change is found and rightly classified.

mod support;

use std::path::Path;

use serde_json::json;
use support::*;

#[test]
fn every_change_is_found_and_classified() {
    let folder = Folder::new("every_change_is_found_and_classified");
    for (name, case) in cases(include_str!("drift_changes.yaml")) {
        for text in forms(&patched(&case["change"])) {
            folder.assert_drift(&name, &text, 1, case["output"].as_str().unwrap());
        }
    }
}

#[test]
fn another_verb_comes_first_and_the_rest_is_compared() {
    let folder = Folder::new("another_verb_comes_first_and_the_rest_is_compared");
    let text = SPEC.replace("    post:", "    get:").replace("name: type", "name: kind");
    let output = "\
        breaking: /security/token: verb: was POST, is GET\n\
        breaking: POST /security/token: query parameter `type`: was a required string \
        `delegation`|`other`, is gone (`kind` is new and alike)\n\
        breaking: POST /security/token: query parameter `kind`: was absent, is a required string \
        `delegation`|`other`\n\
        3 breaking, 0 compatible\n";
    folder.assert_drift("another verb", &text, 1, output);
}

#[test]
fn an_accepted_description_is_no_change_any_more() {
    let folder = Folder::new("an_accepted_description_is_no_change_any_more");
    let choice = json!([{ "maximum": 1 }, { "not": {} }, false]);
    let post = json!({
        "parameters": [],
        "servers": [{ "url": "https://plex.tv" }],
        "requestBody": { "required": true, "content": {} },
    });
    let spec = patched(&json!({ "components": {
        "pathItems": { "Token": { "post": post } },
        "parameters": { "Depth": { "schema": { "default": "x" } } },
        "schemas": { "Connection": { "properties": { "port": { "oneOf": choice } } } },
    } }));
    folder.write("new", &spec.to_string());
    assert_eq!(folder.run(&["drift", "new"]).code, Some(1));
    assert_eq!(folder.run(&["drift", "new", "--accept"]).code, Some(0));
    folder.assert_drift("accepted", &spec.to_string(), 0, NO_CHANGE);
    folder.assert_drift("the extract", &folder.read("openapi/upstream.json"), 0, NO_CHANGE);
}

/// Compares Plex's description, or the community's of 2024, where they are beside the repository.
fn upstream(file: &str) -> Option<Run> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = here.join("../../shared/upstream").join(file);
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(support::run(here, &["drift", path.to_str()?]))
}

#[test]
fn the_description_that_was_accepted_last_is_no_change_and_takes_less_than_a_second() {
    assert_fast("upstream", || {
        let Some(run) = upstream("plex-api-spec-2026-02.yaml") else { return };
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), NO_CHANGE), "{run:?}");
    });
}

#[test]
fn the_description_of_2024_differs_first_in_its_verb() {
    let Some(run) = upstream("plex-media-server-spec-2024-09.yaml") else { return };
    assert_eq!(run.code, Some(1));
    let first = run.stdout.lines().next();
    assert_eq!(first, Some("breaking: /security/token: verb: was POST, is GET"), "{run:?}");
    assert!(run.stdout.contains("query parameter `refresh`"), "{run:?}");
}
