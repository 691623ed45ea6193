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
fn what_accept_writes_passes_check_in_any_folder() {
    let mut folder = Folder::accepted();
    assert!(folder.read(FILES[1]).contains("\n-    query scope required = true\n"));
    assert!(folder.read(FILES[2]).contains("pub async fn get_token"));
    assert!(folder.read(FILES[3]).contains("fn look_up"));
    folder.0.push("openapi/generated");
    folder.run(0, &["check"]);
}

#[test]
fn without_the_tool_the_public_api_is_skipped() {
    let folder = Folder::accepted();
    for (value, code) in [("", 0), ("1", 2)] {
        let run = folder.run_with(&["check"], &[("FAIL_IF_SKIPPED", value)]);
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(run.stdout.contains("tests/snapshots/public_api.txt: skipped"), "{run:?}");
        assert!(run.stdout.contains("cargo install --locked cargo-public-api"), "{run:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_listing_that_fails_costs_no_other_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    folder.write("spec.yaml", SPEC);
    std::fs::create_dir(folder.0.join("bin")).unwrap();
    folder.write(
        "bin/cargo",
        "#!/bin/sh\ncase \"$*\" in *--version) ;; *) echo broken >&2; exit 1 ;; esac\n",
    );
    let bin = folder.0.join("bin");
    std::fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let variables = [("PATH", bin.to_str().unwrap())];
    let run = folder.run_with(&["accept", "spec.yaml"], &variables);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("tests/snapshots/public_api.txt") && run.stderr.contains("broken"));
    folder.run(0, &["check"]);
}

#[test]
fn the_first_line_says_which_commit_the_facts_are_from() {
    let folder = Folder::accepted();
    let unknown = folder.read(FILES[0]);
    let (line, facts) = unknown.split_once('\n').unwrap();
    assert!(line.starts_with("# From commit unknown, 20"), "{line}");
    let others = FILES.map(|file| folder.read(file));
    folder.run(0, &["accept", "spec.yaml", "--from", "0a1b2c\u{1b}\n"]);
    let named = folder.read(FILES[0]);
    assert!(named.starts_with("# From commit 0a1b2c\\u{1b}\\u{a}, 20"), "{named}");
    assert!(named.ends_with(&format!("\n{facts}")));
    assert_eq!(FILES[1..].iter().map(|file| folder.read(file)).collect::<Vec<_>>(), others[1..]);
    // It is kept without a file, and it is no fact.
    for command in [&["accept"][..], &["check"], &["drift", "spec.yaml"]] {
        folder.run(0, command);
        assert_eq!(folder.read(FILES[0]), named);
    }
}

#[test]
fn a_file_in_a_checkout_has_the_commit_of_git() {
    let folder = Folder::accepted();
    let (path, date) = (std::env::var("PATH").unwrap(), "2024-02-03T12:00:00Z");
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-C", folder.0.to_str().unwrap(), "-c", "user.name=a", "-c", "user.email=a@b"]);
        git.args(arguments).env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date);
        String::from_utf8(git.output().unwrap().stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    git(&["add", "spec.yaml"]);
    git(&["commit", "--quiet", "--message=Publish"]);
    let run = folder.run_with(&["accept", "spec.yaml"], &[("PATH", &path)]);
    assert!(run.stdout.contains("openapi/upstream.txt: written"), "{run:?}");
    let line = format!("# From commit {}, 2024-02-03\n", git(&["rev-parse", "HEAD"]).trim());
    assert!(folder.read(FILES[0]).starts_with(&line), "{line}{}", folder.read(FILES[0]));
}

#[test]
fn a_departure_and_its_row_need_each_other() {
    let folder = Folder::accepted();
    for (from, to, found) in [
        ("`200`, ", "", "no row explains `- 200 application/json"),
        ("`200`", "`200`, `404`", "`404` explains nothing"),
    ] {
        let readme = folder.read("openapi/README.md");
        folder.replace("openapi/README.md", from, to);
        let run = folder.run(1, &["check"]);
        assert!(run.stderr.contains(found), "{run:?}");
        folder.write("openapi/README.md", &readme);
    }
}

#[test]
fn check_names_an_outdated_file_and_the_command() {
    let folder = Folder::accepted();
    folder.replace(
        FRAGMENT,
        "\"name\": { \"type\": \"string\" }",
        "\"title\": { \"type\": \"string\" }",
    );
    let run = folder.run(1, &["check"]);
    for file in FILES {
        let is_outdated = file.ends_with("client.rs") || file.ends_with("departures.diff");
        assert_eq!(run.stderr.contains(file), is_outdated, "{file}: {run:?}");
    }
    assert!(run.stderr.contains("`cargo xtask accept`"), "{run:?}");

    folder.run(0, &["accept"]);
    folder.run(0, &["check"]);
}

#[test]
fn accept_refuses_to_lose_an_operation() {
    let folder = Folder::accepted();
    let before = FILES.map(|file| folder.read(file));
    for (from, to) in [
        ("  /security/token:", "  /security/v2/token:"),
        ("    post:", "    get:"),
        ("    post:", "    post: []\n    x-post:"),
        ("    post:", "    $ref: other.yaml\n    post:"),
    ] {
        folder.write("new.yaml", &SPEC.replacen(from, to, 1));
        let run = folder.run(2, &["accept", "new.yaml"]);
        assert!(run.stderr.contains("POST /security/token"), "{to}: {run:?}");
        assert_eq!(FILES.map(|file| folder.read(file)), before, "{to}");
    }
}

#[test]
fn an_operation_that_upstream_never_had_is_not_lost() {
    let folder = Folder::accepted();
    folder.replace(
        FRAGMENT,
        "\"get\": {",
        "\"put\": { \"operationId\": \"x\", \"responses\": {} },\n\"get\": {",
    );
    folder.run(0, &["accept", "spec.yaml"]);
    assert!(folder.read(FILES[1]).contains("\n+PUT /security/resources\n"));
}

#[test]
fn a_fragment_that_the_generator_refuses_is_named() {
    let folder = Folder::accepted();
    let before = folder.read(FILES[2]);
    folder.replace(FRAGMENT, "schemas/Device\"", "schemas/Nothing\"");
    let run = folder.run(2, &["accept"]);
    assert!(run.stderr.contains(FRAGMENT), "{run:?}");
    assert_eq!(folder.read(FILES[2]), before);
}

#[test]
fn outside_the_repository_every_command_is_refused() {
    let mut folder = Folder::new();
    folder.0 = "/".into();
    let run = folder.run(2, &["check"]);
    assert!(run.stderr.contains(FRAGMENT), "{run:?}");
}

#[test]
fn a_new_response_or_parameter_is_taken_or_named() {
    let folder = Folder::accepted();
    let fragment = folder.read(FRAGMENT);
    let json = r##""content": { "application/json": { "schema": { "$ref": "#/components/schemas/Device" } } }"##;
    let device = format!(
        "\"responses\": {{\n          \"200\": {{\n            \"description\": \"\",\n            {json}"
    );
    let header = r#"{ "name": "X-A", "in": "header", "schema": { "type": "string" } }"#;
    for (from, to, code, found) in [
        (&*device, device.replace("200", "201"), 0, "201u16 => ResponseValue::from_response"),
        (&device, device.replace("200", "204").replace(json, "\"content\": {}"), 0, "204u16"),
        (
            &device,
            device.replace("responses\": {", "responses\": { \"204\": {},"),
            2,
            "GET /security/resources: 204",
        ),
        (
            &device,
            device.replace("application/json", "text/plain"),
            2,
            "GET /security/resources: 200",
        ),
        ("\"get\": {", format!("\"parameters\": [{header}], \"get\": {{"), 0, "=> &[\"x-a\"]"),
        ("\"Device\": {", "\"Token\": {}, \"Device\": {".to_owned(), 2, "\"Refresh\""),
    ] {
        assert!(fragment.contains(from), "no {from}");
        folder.write(FRAGMENT, &fragment.replacen(from, &to, 1));
        let run = folder.run(code, &["accept"]);
        let text = if code == 0 { folder.read(FILES[2]) } else { run.stderr };
        assert!(text.contains(found), "{to}: {text}");
    }
}
