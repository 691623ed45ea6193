//! `cargo xtask` itself, `fragment` and `codegen`.

mod support;

use std::fs;
use std::path::Path;

use support::{Folder, SPEC};

const FRAGMENT: &str = "openapi/plex-auth.json";
const DEPARTURES: &str = "openapi/departures.toml";

/// A folder with the small description as the fragment too: it departs from itself nowhere.
fn faithful(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write(FRAGMENT, SPEC);
    folder.write(DEPARTURES, "");
    folder
}

/// A folder with the crate's own fragment.
fn real(name: &str) -> Folder {
    let folder = Folder::empty(name);
    let fragment = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FRAGMENT);
    folder.write(FRAGMENT, &fs::read_to_string(fragment).unwrap());
    folder
}

fn replace(folder: &Folder, from: &str, to: &str) {
    let text = folder.read(FRAGMENT);
    assert!(text.contains(from), "no {from}");
    folder.write(FRAGMENT, &text.replacen(from, to, 1));
}

#[test]
fn without_a_command_the_commands_are_printed() {
    let run = Folder::new("without_a_command_the_commands_are_printed").run(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for command in ["drift", "fragment", "codegen"] {
        assert!(run.stdout.contains(&format!("\n  {command} ")), "{command}: {}", run.stdout);
    }
}

#[test]
fn outside_the_repository_every_command_is_refused() {
    let run = support::run(Path::new("/"), &["fragment"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains(FRAGMENT), "{run:?}");
}

#[test]
fn a_departure_is_an_error_until_it_is_listed_as_it_is_printed() {
    let folder = faithful("a_departure_is_an_error_until_it_is_listed_as_it_is_printed");
    assert_eq!(folder.run(&["fragment"]).code, Some(0));
    replace(&folder, "integer", "string");
    let run = folder.run(&["fragment"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(DEPARTURES), "{run:?}");
    assert!(run.stderr.contains("cargo xtask fragment"), "{run:?}");
    let (title, lines) = run.stdout.split_once('\n').unwrap();
    assert_eq!(title, "Not listed:");

    folder.write(DEPARTURES, &format!("[[departure]]\nreason = 'it is so'\nlines = [\n{lines}]"));
    assert_eq!(folder.run(&["fragment"]).code, Some(0));
    let run = folder.run(&["fragment", FRAGMENT]);
    assert_eq!(run.code, Some(1), "the new description has no departure: {run:?}");
    assert_eq!(run.stdout, format!("Listed, but no departure:\n{lines}"));
}

#[test]
fn a_departure_without_its_reason_is_refused() {
    let folder = faithful("a_departure_without_its_reason_is_refused");
    for listed in ["[[departure]]\nlines = []", "[[departure]]\nreason = ' '\nlines = ['x']"] {
        folder.write(DEPARTURES, listed);
        let run = folder.run(&["fragment"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("reason"), "{run:?}");
    }
}

#[test]
fn the_snapshot_has_the_client_the_mocks_and_the_schemas() {
    let folder = real("the_snapshot_has_the_client_the_mocks_and_the_schemas");
    assert_eq!(folder.run(&["codegen"]).code, Some(0));
    let run = folder.run(&["codegen", "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let snapshot = folder.read("tests/snapshots/client.rs");
    for code in ["pub async fn get_transient_token", "pub mod mocks {", "::schemars::JsonSchema"] {
        assert!(snapshot.contains(code), "{code}");
    }
}

#[test]
fn another_snapshot_is_an_error_and_its_diff_is_printed() {
    let folder = real("another_snapshot_is_an_error_and_its_diff_is_printed");
    folder.run(&["codegen"]);
    replace(&folder, "\"relay\"", "\"relayed\"");
    let run = folder.run(&["codegen", "--check"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("\n+        pub relayed:"), "{run:?}");
    assert!(run.stdout.contains("\n-        pub relay:"), "{run:?}");
    assert!(run.stderr.contains("run `cargo xtask codegen`"), "{run:?}");

    let run = real("a_missing_snapshot").run(&["codegen", "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("run `cargo xtask codegen`"), "{}", run.stderr);
}

#[test]
fn a_fragment_that_the_generator_refuses_is_named() {
    let folder = real("a_fragment_that_the_generator_refuses_is_named");
    for (from, to, reason) in [
        ("schemas/Flag\"", "schemas/Flg\"", "#/components/schemas/Flg"),
        ("\"openapi\"", "\"open\"", "openapi"),
        ("{", "[", "line 2"),
    ] {
        replace(&folder, from, to);
        let run = folder.run(&["codegen"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.starts_with("openapi/plex-auth.json: "), "{run:?}");
        assert!(run.stderr.contains(reason), "{run:?}");
    }
}
