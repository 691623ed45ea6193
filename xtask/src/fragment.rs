//! The departures of the fragment from upstream, and the reasons for them in `departures.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::compare::compare;
use crate::extract::Extract;
use crate::{FRAGMENT, Outcome, UPSTREAM};

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
    /// In the form in which `fragment` prints them.
    lines: Vec<String>,
}

/// Compares the fragment with `file`, an upstream description that is about to be accepted, or with
/// the one that was accepted last.
pub(crate) fn check(root: &Path, file: Option<&Path>) -> Outcome {
    let listed = fs::read_to_string(root.join(DEPARTURES)).context(DEPARTURES)?;
    let listed: Departures = toml::from_str(&listed).context(DEPARTURES)?;
    if let Some(departure) = listed.departure.iter().find(|it| it.reason.trim().is_empty()) {
        bail!("{DEPARTURES}: no reason for {:?}", departure.lines);
    }
    let listed = listed.departure.into_iter().flat_map(|departure| departure.lines).collect();

    let accepted = root.join(UPSTREAM);
    let upstream = Extract::open_whole(file.unwrap_or(&accepted))?;
    let fragment = Extract::open_whole(&root.join(FRAGMENT))?;
    let changes = compare(&upstream, &fragment, &fragment);
    let lines: BTreeSet<_> = changes.into_iter().map(|change| change.line).collect();
    let unlisted: Vec<_> = lines.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&lines).collect();
    if unlisted.is_empty() && gone.is_empty() {
        return Ok(None);
    }
    for (what, lines) in [("Not listed", unlisted), ("Listed, but no departure", gone)] {
        if !lines.is_empty() {
            println!("{what}:");
        }
        for line in lines {
            println!("    {line:?},");
        }
    }
    Ok(Some(format!(
        "{DEPARTURES} does not list how {FRAGMENT} departs from upstream: correct the fragment, or add \
         the missing lines with their reason and remove those that are no departure; then run \
         `cargo xtask fragment`"
    )))
}
