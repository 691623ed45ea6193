//! `cargo xtask accept` and `check`.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use support::{FRAGMENT, Folder, SPEC};

const FILES: [&str; 4] = [
    "openapi/upstream.txt",
    "openapi/departures.diff",
    "openapi/generated/client.rs",
    "openapi/generated/mocks.rs",
];

#[test]
fn what_accept_writes_passes_check_from_any_folder_inside() {
    let mut folder = Folder::accepted("what_accept_writes_passes_check_from_any_folder_inside");
    assert!(folder.read(FILES[1]).contains("\n-    query scope required = true\n"));
    assert!(folder.read(FILES[2]).contains("pub async fn get_token"));
    assert!(folder.read(FILES[3]).contains("fn look_up"));
    folder.0.push("openapi/generated");
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    // It says what it left out.
    assert!(run.stdout.contains("tests/snapshots/public_api.txt: skipped"), "{run:?}");
}

#[test]
fn check_names_a_file_that_is_out_of_date_and_the_command() {
    let folder = Folder::accepted("check_names_a_file_that_is_out_of_date_and_the_command");
    folder.replace(
        FRAGMENT,
        "\"name\": { \"type\": \"string\" }",
        "\"title\": { \"type\": \"string\" }",
    );
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    for file in FILES {
        let is_outdated = file.ends_with("client.rs") || file.ends_with("departures.diff");
        assert_eq!(run.stderr.contains(file), is_outdated, "{file}: {run:?}");
    }
    assert!(run.stderr.contains("`cargo xtask accept`"), "{run:?}");

    assert_eq!(folder.run(&["accept"]).code, Some(0));
    assert_eq!(folder.run(&["check"]).code, Some(0));
}

#[test]
fn accept_refuses_to_lose_an_operation() {
    let folder = Folder::accepted("accept_refuses_to_lose_an_operation");
    let before = FILES.map(|file| folder.read(file));
    for (from, to) in [
        ("  /security/token:", "  /security/v2/token:"),
        ("    post:", "    get:"),
        ("    post:", "    post: []\n    x-post:"),
        ("    post:", "    $ref: other.yaml\n    post:"),
    ] {
        folder.write("new.yaml", &SPEC.replacen(from, to, 1));
        let run = folder.run(&["accept", "new.yaml"]);
        assert_eq!(run.code, Some(2), "{to}: {run:?}");
        assert!(run.stderr.contains("POST /security/token"), "{to}: {run:?}");
        assert_eq!(FILES.map(|file| folder.read(file)), before, "{to}");
    }
}

#[test]
fn an_operation_that_upstream_never_had_is_not_lost() {
    let folder = Folder::accepted("an_operation_that_upstream_never_had_is_not_lost");
    folder.replace(
        FRAGMENT,
        "\"get\": {",
        "\"put\": { \"operationId\": \"x\", \"responses\": {} },\n\"get\": {",
    );
    let run = folder.run(&["accept", "spec.yaml"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(folder.read(FILES[1]).contains("\n+PUT /security/resources\n"));
}

#[test]
fn a_fragment_that_the_generator_refuses_is_named() {
    let folder = Folder::accepted("a_fragment_that_the_generator_refuses_is_named");
    let before = folder.read(FILES[2]);
    folder.replace(FRAGMENT, "schemas/Device\"", "schemas/Nothing\"");
    let run = folder.run(&["accept"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains(FRAGMENT), "{run:?}");
    assert_eq!(folder.read(FILES[2]), before);
}

#[test]
fn outside_the_repository_every_command_is_refused() {
    let mut folder = Folder::new("outside_the_repository_every_command_is_refused");
    folder.0 = "/".into();
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains(FRAGMENT), "{run:?}");
}
