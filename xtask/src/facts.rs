//! What a description says of its operations: one fact a line, `place = value`, sorted.
//!
//! References are inlined. `allOf` is merged, as the facts of all its parts have the same place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::document::Document;
use crate::reader::Reader;
use crate::text;

const VERBS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

/// All operations in this folder are read.
const FOLDER: &str = "/security/";

/// Before a fact, which begins with a space.
const INDENT: &str = "   ";

/// The facts of each operation, by its title: `GET /path`.
#[derive(Default)]
pub(crate) struct Facts(BTreeMap<String, BTreeSet<String>>);

impl Facts {
    /// The facts of the operations at the fragment's paths, and of others beside them.
    pub(crate) fn of(document: &Document, fragment: &Document) -> anyhow::Result<Self> {
        let mut reader = Reader::new(document);
        let mut all = Self::default();
        if let Some(servers) = document.root.get("servers") {
            reader.alternatives("", "servers", servers);
            all.add("servers", &mut reader);
        }
        for (path, item) in document.root["paths"].as_object().into_iter().flatten() {
            if fragment.root["paths"].get(path).is_none() && !path.starts_with(FOLDER) {
                continue;
            }
            let item = document.resolve(item).unwrap_or_else(|reason| {
                reader.unreadable("", reason);
                all.add(path, &mut reader);
                &Value::Null
            });
            for verb in VERBS {
                if let Some(Value::Object(operation)) = item.get(verb) {
                    reader.operation(item, operation);
                    all.add(&format!("{} {path}", verb.to_uppercase()), &mut reader);
                } else if item.get(verb).is_some() {
                    reader.unreadable("", "it is not an object");
                    all.add(&format!("{path} {verb}"), &mut reader);
                }
            }
        }
        reader.check_cost()?;
        Ok(all)
    }

    fn add(&mut self, title: &str, reader: &mut Reader<'_>) {
        self.0.insert(text::line(title), reader.take_facts());
    }

    /// Reads what `Display` writes: titles, and under each its facts, indented.
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut title = "";
        for line in text.lines() {
            let fact = line.strip_prefix(INDENT);
            if fact.is_none() {
                title = line;
            }
            all.0.entry(title.to_owned()).or_default().extend(fact.map(str::to_owned));
        }
        all
    }

    pub(crate) fn has(&self, title: &str) -> bool {
        self.0.contains_key(title)
    }

    /// The operations that can be read.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|title| title.starts_with(char::is_uppercase))
    }

    /// The lines that differ, with the titles of their operations. Empty if none does.
    pub(crate) fn diff(&self, name: &str, new: &Self, new_name: &str) -> String {
        if self.0 == new.0 {
            return String::new();
        }
        let mut diff = format!("--- {name}\n+++ {new_name}\n");
        let (mut old, new) = (self.0.clone(), &new.0);
        // One that went and one that came are the same operation at another place.
        let gone: Vec<_> = self.0.keys().filter(|title| !new.contains_key(*title)).collect();
        let come: Vec<_> = new.keys().filter(|title| !old.contains_key(*title)).collect();
        if let ([gone], [come]) = (&gone[..], &come[..]) {
            diff += &format!("-{gone}\n+{come}\n");
            let facts = old.remove(*gone).unwrap_or_default();
            old.insert((*come).clone(), facts);
        }
        let titles: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for title in titles {
            let sign = match (old.get(title), new.get(title)) {
                (old, new) if old == new => continue,
                (Some(_), None) => '-',
                (None, _) => '+',
                _ => ' ',
            };
            diff += &format!("{sign}{title}\n");
            let [old, new] = [&old, new].map(|facts| facts.get(title).cloned().unwrap_or_default());
            for fact in old.symmetric_difference(&new) {
                let sign = if old.contains(fact) { '-' } else { '+' };
                diff += &format!("{sign}{INDENT}{fact}\n");
            }
        }
        diff
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, facts) in &self.0 {
            writeln!(f, "{title}")?;
            for fact in facts {
                writeln!(f, "{INDENT}{fact}")?;
            }
        }
        Ok(())
    }
}
