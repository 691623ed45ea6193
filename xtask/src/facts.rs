//! What a description says of its operations: one fact a line, `place = value`, sorted.
//!
//! References are inlined. `allOf` is merged, as the facts of all its parts have the same place.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde_json::{Map, Value};

use crate::document;
use crate::reader::Reader;

/// All operations in this folder are read.
const FOLDER: &str = "/security/";

/// Before a fact, which begins with a space.
const INDENT: &str = "   ";

/// The facts of each operation, by its title: `GET /path`.
pub(crate) type Facts = BTreeMap<String, BTreeSet<String>>;

/// The facts of the operations at the fragment's paths, and of others beside them.
pub(crate) fn read(root: &Value, fragment: &Value) -> anyhow::Result<Facts> {
    let watched: Vec<_> = fragment["paths"].as_object().into_iter().flat_map(Map::keys).collect();
    let is_there = watched.iter().any(|path| root["paths"].get(path).is_some());
    ensure!(is_there, "it has none of the paths {watched:?}");

    let mut reader = Reader::new(root);
    for pointer in ["/security", "/components/securitySchemes", "/servers"] {
        if let Some(value) = root.pointer(pointer) {
            reader.read(&pointer.replace('/', " "), value);
        }
    }
    let mut facts = Facts::from([("all operations".to_owned(), reader.take_facts())]);
    for (path, item) in root["paths"].as_object().into_iter().flatten() {
        if !watched.contains(&path) && !path.starts_with(FOLDER) {
            continue;
        }
        let Some(Value::Object(item)) = document::resolve(root, item) else { continue };
        for (verb, operation) in item {
            // The other keywords of a path are lists and prose.
            if let Value::Object(operation) = operation {
                reader.operation(item, operation);
                reader.check_cost()?;
                let title = format!("{} {path}", verb.to_uppercase());
                facts.insert(document::printable(&title), reader.take_facts());
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
        for fact in facts {
            text += &format!("{INDENT}{fact}\n");
        }
    }
    text
}

/// The facts that differ, under the titles of their operations, and the title alone of an operation
/// that only one side has. Empty if nothing differs.
pub(crate) fn diff(old: (&str, &Facts), new: (&str, &Facts)) -> String {
    let mut diff = String::new();
    let titles: BTreeSet<_> = old.1.keys().chain(new.1.keys()).collect();
    for title in titles {
        match (old.1.get(title), new.1.get(title)) {
            (old, new) if old == new => {}
            (Some(old), Some(new)) => {
                diff += &format!(" {title}\n");
                for fact in old.symmetric_difference(new) {
                    let sign = if old.contains(fact) { '-' } else { '+' };
                    diff += &format!("{sign}{INDENT}{fact}\n");
                }
            }
            (Some(_), None) => diff += &format!("-{title}\n"),
            (None, _) => diff += &format!("+{title}\n"),
        }
    }
    match diff.is_empty() {
        true => diff,
        false => format!("--- {}\n+++ {}\n{diff}", old.0, new.0),
    }
}
