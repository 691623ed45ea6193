//! Where the fragment departs from upstream, and whether `departures.toml` says why.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::compare::compare;
use crate::extract::Extract;
use crate::{FRAGMENT, Found, Outcome, UPSTREAM};

const DEPARTURES: &str = "openapi/departures.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Departures {
    #[serde(default)]
    departure: Vec<Departure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Departure {
    reason: String,
    /// As they are printed here.
    lines: Vec<String>,
}

/// Compares with `file`, an upstream description that is about to be accepted, or with the one that
/// was accepted last.
pub(crate) fn check(root: &Path, file: Option<&Path>) -> Outcome {
    let listed = fs::read_to_string(root.join(DEPARTURES)).map_err(|error| error.to_string());
    let listed = listed.and_then(|text| toml::from_str(&text).map_err(|error| error.to_string()));
    let listed: Departures = listed.map_err(|error| format!("{DEPARTURES}: {error}"))?;

    let accepted = root.join(UPSTREAM);
    let upstream = Extract::open(file.unwrap_or(&accepted))?;
    let fragment = Extract::open(&root.join(FRAGMENT))?;
    let changes = compare(&upstream, &fragment, &fragment);
    let mut unlisted: Vec<_> = changes.iter().map(ToString::to_string).collect();

    let mut wrong = false;
    for departure in &listed.departure {
        if departure.reason.trim().is_empty() {
            return Err(format!("{DEPARTURES}: no reason for {:?}", departure.lines));
        }
        for line in &departure.lines {
            if let Some(at) = unlisted.iter().position(|unlisted| unlisted == line) {
                unlisted.remove(at);
            } else {
                println!("listed, but no departure: {line}");
                wrong = true;
            }
        }
    }
    for line in &unlisted {
        println!("not listed: {line}");
    }
    if !wrong && unlisted.is_empty() {
        return Ok(Found::Nothing);
    }
    Ok(Found::Something(format!(
        "{FRAGMENT} departs from upstream otherwise than {DEPARTURES} says: mend the fragment, or \
         put the lines that are not listed there, each with its reason, and take out those that are \
         no departure; then run `cargo xtask fragment`"
    )))
}
