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

    let mut gone = Vec::new();
    for departure in &listed.departure {
        if departure.reason.trim().is_empty() {
            return Err(format!("{DEPARTURES}: no reason for {:?}", departure.lines));
        }
        for line in &departure.lines {
            match unlisted.iter().position(|unlisted| unlisted == line) {
                Some(at) => drop(unlisted.remove(at)),
                None => gone.push(line.clone()),
            }
        }
    }
    if unlisted.is_empty() && gone.is_empty() {
        return Ok(Found::Nothing);
    }
    for (what, lines) in [("Not listed", unlisted), ("Listed, but no departure", gone)] {
        if !lines.is_empty() {
            println!("{what}:");
        }
        for line in lines {
            println!("    {line:?},");
        }
    }
    Ok(Found::Something(format!(
        "{FRAGMENT} departs from upstream otherwise than {DEPARTURES} says: mend the fragment, or \
         put the lines that are not listed there, with their reason, and take out those that are no \
         departure; then run `cargo xtask fragment`"
    )))
}
