//! `cargo xtask` itself, `fragment`, `codegen` and `ci`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::House;

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

/// A house with the small description as the fragment too: it departs from itself nowhere.
fn faithful(name: &str) -> House {
    let house = House::new(name);
    house.write("openapi/plex-auth.json", &support::spec().to_string());
    house.write("openapi/departures.toml", "");
    house
}

/// A house with the fragment of the crate.
fn real(name: &str) -> House {
    let house = House::empty(name);
    for file in ["plex-auth.json", "upstream.json", "departures.toml"] {
        let text = fs::read_to_string(repository("openapi").join(file)).unwrap();
        house.write(&format!("openapi/{file}"), &text);
    }
    house
}

fn mend(house: &House, file: &str, from: &str, to: &str) {
    let text = house.read(file);
    assert!(text.contains(from), "{file} has no {from}");
    house.write(file, &text.replacen(from, to, 1));
}

#[test]
fn without_a_command_the_commands_are_printed() {
    let run = House::new("without_a_command_the_commands_are_printed").run(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for command in ["drift", "fragment", "codegen", "ci"] {
        assert!(run.stdout.contains(&format!("\n  {command} ")), "{command}: {}", run.stdout);
    }
}

#[test]
fn an_unknown_command_is_refused() {
    let run = House::new("an_unknown_command_is_refused").run(&["drfit"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("drfit"), "{run:?}");
}

#[test]
fn outside_the_repository_nothing_can_be_done() {
    let run = support::run(Path::new("/"), &["fragment"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("openapi/plex-auth.json"), "{run:?}");
}

#[test]
fn a_fragment_that_departs_nowhere_is_well() {
    let run = faithful("a_fragment_that_departs_nowhere_is_well").run(&["fragment"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_departure_that_is_not_listed_is_an_error() {
    let house = faithful("a_departure_that_is_not_listed_is_an_error");
    mend(&house, "openapi/plex-auth.json", "\"integer\"", "\"string\"");
    let run = house.run(&["fragment"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.starts_with("Not listed:\n    \"compatible: "), "{run:?}");
    assert!(run.stderr.contains("openapi/departures.toml"), "{run:?}");
    assert!(run.stderr.contains("cargo xtask fragment"), "{run:?}");
}

#[test]
fn a_departure_that_is_listed_with_its_reason_is_well() {
    let house = House::new("a_departure_that_is_listed_with_its_reason_is_well");
    house.write("openapi/departures.toml", "");
    let run = house.run(&["fragment"]);
    let (what, lines) = run.stdout.split_once('\n').unwrap();
    assert_eq!(what, "Not listed:");
    let listed = format!("[[departure]]\nreason = 'it is so'\nlines = [\n{lines}]");
    house.write("openapi/departures.toml", &listed);
    assert_eq!(house.run(&["fragment"]).code, Some(0));
}

#[test]
fn a_listed_departure_that_is_none_is_an_error() {
    let house = faithful("a_listed_departure_that_is_none_is_an_error");
    let listed = "[[departure]]\nreason = 'it was so'\nlines = ['compatible: it was so']";
    house.write("openapi/departures.toml", listed);
    let run = house.run(&["fragment"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stdout, "Listed, but no departure:\n    \"compatible: it was so\",\n");
}

#[test]
fn a_fragment_can_be_checked_before_its_upstream_is_accepted() {
    let house = faithful("a_fragment_can_be_checked_before_its_upstream_is_accepted");
    mend(&house, "openapi/plex-auth.json", "\"integer\"", "\"string\"");
    house.write("new.json", &house.read("openapi/plex-auth.json"));
    assert_eq!(house.run(&["fragment"]).code, Some(1));
    let run = house.run(&["fragment", "new.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_departure_without_its_reason_is_refused() {
    let house = faithful("a_departure_without_its_reason_is_refused");
    for listed in ["[[departure]]\nlines = []", "[[departure]]\nreason = ' '\nlines = ['x']"] {
        house.write("openapi/departures.toml", listed);
        let run = house.run(&["fragment"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("reason"), "{run:?}");
    }
}

#[test]
fn a_snapshot_that_was_written_is_well() {
    let house = real("a_snapshot_that_was_written_is_well");
    assert_eq!(house.run(&["codegen"]).code, Some(0));
    let run = house.run(&["codegen", "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
}

#[test]
fn the_snapshot_has_the_mocks_and_the_schemas() {
    let house = real("the_snapshot_has_the_mocks_and_the_schemas");
    house.run(&["codegen"]);
    let snapshot = house.read("tests/snapshots/client.rs");
    for code in ["pub async fn get_transient_token", "pub mod mocks {", "::schemars::JsonSchema"] {
        assert!(snapshot.contains(code), "{code}");
    }
}

#[test]
fn a_changed_fragment_without_its_snapshot_is_an_error() {
    let house = real("a_changed_fragment_without_its_snapshot_is_an_error");
    house.run(&["codegen"]);
    mend(&house, "openapi/plex-auth.json", "\"relay\"", "\"relayed\"");
    let run = house.run(&["codegen", "--check"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("\n+        pub relayed:"), "{run:?}");
    assert!(run.stdout.contains("\n-        pub relay:"), "{run:?}");
    assert!(run.stderr.contains("run `cargo xtask codegen`"), "{run:?}");
}

#[test]
fn a_missing_snapshot_is_an_error() {
    let run = real("a_missing_snapshot_is_an_error").run(&["codegen", "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("run `cargo xtask codegen`"), "{}", run.stderr);
}

#[test]
fn a_fragment_that_the_generator_refuses_is_named() {
    let house = real("a_fragment_that_the_generator_refuses_is_named");
    mend(&house, "openapi/plex-auth.json", "schemas/Flag\"", "schemas/Flg\"");
    let run = house.run(&["codegen"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("openapi/plex-auth.json: "), "{run:?}");
    assert!(run.stderr.contains("#/components/schemas/Flg"), "{run:?}");
}

#[test]
fn ci_stops_at_the_first_failure_and_says_how_to_repair_it() {
    let house = real("ci_stops_at_the_first_failure_and_says_how_to_repair_it");
    let run = house.run(&["ci"]);
    assert_eq!(run.code, Some(1));
    let steps: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("$ ")).collect();
    assert_eq!(steps, ["$ cargo xtask fragment", "$ cargo xtask codegen --check"]);
    assert!(run.stderr.contains("run `cargo xtask codegen`"), "{}", run.stderr);
}
