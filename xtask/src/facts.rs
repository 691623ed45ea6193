//! What a description says of its operations: one fact a line, `place = value`, sorted.
//!
//! References are inlined. `allOf` is merged, as the facts of all its parts have the same place.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

use crate::document::printable;
use crate::reader::{Reader, leads_nowhere};
use crate::references::{MAX_CHAIN, METHODS, target};

/// All operations in this folder are read.
const FOLDER: &str = "/security/";

/// Before a fact, which begins with a space.
const INDENT: &str = "   ";

/// A title that begins with it is a comment.
pub(crate) const COMMENT: char = '#';

/// The facts of each operation, by its title: `GET /path`.
pub(crate) type Facts = BTreeMap<String, BTreeSet<String>>;

/// The facts of the operations at the fragment's paths, and of others beside them.
pub(crate) fn read(root: &Value, fragment: &Value) -> anyhow::Result<Facts> {
    let mut facts = Facts::new();
    'paths: for (path, item) in root["paths"].as_object().context("it has no `paths`")? {
        if fragment["paths"].get(path).is_none() && !path.starts_with(FOLDER) {
            continue;
        }
        // What a reference leads to; the item's own entries come last, and replace the others.
        let mut items = vec![item];
        while let Some(reference) = items[0].get("$ref") {
            let Some(target) = target(root, reference).filter(|_| items.len() < MAX_CHAIN) else {
                let title = format!("{path} cannot be read: {}", leads_nowhere(reference));
                facts.entry(printable(&title)).or_default();
                continue 'paths;
            };
            items.insert(0, target);
        }
        for method in METHODS {
            let operation = items.iter().rev().find_map(|item| item.get(method));
            if let Some(operation) = operation.filter(|operation| operation.is_object()) {
                let title = printable(&format!("{} {path}", method.to_uppercase()));
                let mut read = Reader::new(root).operation(&items, operation);
                // Its prose says who may call, and how long a token lives; elsewhere it is prose.
                read.retain(|fact| {
                    path.starts_with(FOLDER) || !fact.starts_with(" description = ")
                });
                facts.insert(title, read);
            }
        }
    }
    Ok(facts)
}

/// Reads what `write` returns: titles, and under each its facts, indented.
pub(crate) fn parse(text: &str) -> Facts {
    let mut facts = Facts::new();
    let mut title = "";
    for line in text.lines() {
        let fact = line.strip_prefix(INDENT);
        if fact.is_none() {
            title = line;
        }
        facts.entry(title.to_owned()).or_default().extend(fact.map(str::to_owned));
    }
    facts
}

pub(crate) fn write(facts: &Facts) -> String {
    let mut text = String::new();
    for (title, facts) in facts {
        text += &format!("{title}\n");
        facts.iter().for_each(|fact| text += &format!("{INDENT}{fact}\n"));
    }
    text
}

/// The facts that differ, under the titles of all operations that they belong to, and the title
/// alone of an operation that only one side has. Empty if nothing differs.
pub(crate) fn diff(old: (&str, &Facts), new: (&str, &Facts)) -> String {
    let mut lines = BTreeMap::<_, Vec<&str>>::new();
    let mut sections = BTreeMap::<Vec<&str>, (char, String)>::new();
    let titles = old.1.keys().chain(new.1.keys()).filter(|title| !title.starts_with(COMMENT));
    for title in titles.collect::<BTreeSet<_>>() {
        match (old.1.get(title), new.1.get(title)) {
            (Some(old), Some(new)) => {
                for fact in old.symmetric_difference(new) {
                    let sign = if old.contains(fact) { '-' } else { '+' };
                    lines.entry((fact, sign)).or_default().push(title);
                }
            }
            (Some(_), None) => _ = sections.insert(vec![title], ('-', String::new())),
            (None, _) => _ = sections.insert(vec![title], ('+', String::new())),
        }
    }
    for ((fact, sign), titles) in lines {
        let (_, section) = sections.entry(titles).or_insert((' ', String::new()));
        *section += &format!("{sign}{INDENT}{fact}\n");
    }
    if sections.is_empty() {
        return String::new();
    }
    let mut diff = format!("--- {}\n+++ {}\n", old.0, new.0);
    for (titles, (sign, section)) in sections {
        diff += &format!("{sign}{}\n{section}", titles.join(", "));
    }
    diff
}

/// Departures that no row of the README's table explains, and rows that explain none. A row names
/// a part of the lines that it explains.
pub(crate) fn unexplained(readme: &str, departures: &str) -> Vec<String> {
    let (_, table) = readme.split_once("\n## Departures\n").unwrap_or_default();
    let cells = table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let named: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let lines = departures.lines().skip(2).filter(|line| !line.starts_with(' '));
    let lines: Vec<_> = lines.map(|line| line.replacen(INDENT, "", 1)).collect();
    let missing = lines.iter().filter(|line| !named.iter().any(|name| line.contains(name)));
    let stale = named.iter().filter(|name| !lines.iter().any(|line| line.contains(**name)));
    let missing = missing.map(|line| format!("no row explains `{line}`"));
    missing.chain(stale.map(|name| format!("`{name}` explains nothing"))).collect()
}
