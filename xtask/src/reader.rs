//! Reads the parts of a description, and collects what they say: facts.
//!
//! What is not named here is read by its shape: an object becomes the facts of its entries, a list a
//! fact for each of its elements.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::mem;

use anyhow::ensure;
use serde_json::{Map, Value, json};

use crate::document::{self, MAX_CHAIN};

/// How many bytes may be read, each as often as it is referred to. Plex's own needs a tenth.
const MAX_COST: usize = 600_000;

pub(crate) struct Reader<'a> {
    root: &'a Value,
    facts: BTreeSet<String>,
    /// The references that are being followed.
    references: Vec<Value>,
    cost: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        Self { root, facts: BTreeSet::new(), references: Vec::new(), cost: 0 }
    }

    /// The facts since the last call.
    pub(crate) fn take_facts(&mut self) -> BTreeSet<String> {
        mem::take(&mut self.facts)
    }

    /// Nothing more is read once the description has cost too much.
    pub(crate) fn check_cost(&self) -> anyhow::Result<()> {
        ensure!(self.cost <= MAX_COST, "too large, with its references followed");
        Ok(())
    }

    fn fact(&mut self, place: &str, value: impl Display) {
        let fact = format!("{place} = {value}");
        self.cost += fact.len();
        self.facts.insert(document::printable(&fact));
    }

    fn unreadable(&mut self, place: &str, reason: impl Display) {
        self.fact(place, format!("cannot be read: {reason}"));
    }

    pub(crate) fn operation(&mut self, path: &Map<String, Value>, operation: &Map<String, Value>) {
        self.cost += 100;
        for (key, value) in operation {
            if key != "parameters" {
                self.keyword("", operation, key, value);
            }
        }
        if let (Some(servers), None) = (path.get("servers"), operation.get("servers")) {
            self.read(" servers", servers);
        }
        // The operation's own parameters come last, to replace those of the path.
        let lists = [path, operation].map(|map| map.get("parameters").and_then(Value::as_array));
        let mut parameters = BTreeMap::new();
        for listed in lists.into_iter().flatten().flatten() {
            self.cost += 100;
            let parameter = document::resolve(self.root, listed).unwrap_or(listed);
            match (parameter["in"].as_str(), parameter["name"].as_str()) {
                (Some(within), Some(name)) => {
                    parameters.insert(format!(" {within} {name}"), parameter);
                }
                _ => self.unreadable(" parameters", format!("no `in` and `name` in {listed}")),
            }
        }
        for (place, parameter) in parameters {
            self.read(&place, parameter);
        }
    }

    pub(crate) fn read(&mut self, place: &str, value: &Value) {
        match value {
            Value::Object(map) => {
                self.object(place, map);
                if map.keys().all(|key| is_left_out(map, key)) {
                    self.fact(place, "{}");
                }
            }
            Value::Array(list) if !list.is_empty() => {
                for (at, value) in (1..).zip(list) {
                    match value {
                        Value::Object(_) => self.read(&format!("{place} {at}"), value),
                        _ => self.fact(place, value),
                    }
                }
            }
            _ => self.fact(place, value),
        }
    }

    /// An object whose keys are keywords.
    fn object(&mut self, place: &str, map: &Map<String, Value>) {
        self.cost += (1 + map.len()) * (100 + place.len());
        if self.cost <= MAX_COST {
            for (key, value) in map {
                self.keyword(place, map, key, value);
            }
        }
    }

    fn keyword(&mut self, place: &str, map: &Map<String, Value>, key: &str, value: &Value) {
        let there = match key {
            "content" | "responses" | "schema" => place.to_owned(),
            _ => format!("{place} {key}"),
        };
        let exclusive = key.replacen('m', "exclusiveM", 1);
        match (key, value) {
            _ if is_left_out(map, key) => {}
            // What is so without the keyword, too.
            ("deprecated" | "nullable" | "required", Value::Bool(false)) => {}
            ("additionalProperties", Value::Bool(true)) => {}
            // What OpenAPI 3.0 and 3.1 write in different ways.
            ("const", _) => self.fact(&format!("{place} enum"), value),
            ("nullable", Value::Bool(true)) => self.fact(&format!("{place} type"), json!("null")),
            ("exclusiveMaximum" | "exclusiveMinimum", Value::Bool(_)) => {}
            ("maximum" | "minimum", _) if map.get(&exclusive) == Some(&Value::Bool(true)) => {
                self.fact(&format!("{place} {exclusive}"), value);
            }
            // Values, in which no key is a keyword.
            ("default", _) => self.fact(&there, value),
            ("enum", Value::Array(values)) => {
                values.iter().for_each(|value| self.fact(&there, value));
            }
            ("enum", _) => self.unreadable(&there, "it is not a list"),
            ("$ref", _) => self.follow(place, value),
            ("items", _) => self.read(&format!("{place}[]"), value),
            ("allOf", Value::Array(parts)) => {
                for part in parts {
                    match part {
                        Value::Object(map) => self.object(place, map),
                        _ => self.read(place, part),
                    }
                }
            }
            ("oneOf", Value::Array(parts)) if is_one_or_list(parts) => {
                self.fact(&there, "one or a list of them");
                parts.iter().take(1).for_each(|one| self.read(place, one));
            }
            ("properties", Value::Object(entries)) if !entries.is_empty() => {
                for (name, value) in entries {
                    self.read(&format!("{place}.{name}"), value);
                }
            }
            ("content" | "headers" | "responses" | "variables", Value::Object(entries))
                if !entries.is_empty() =>
            {
                for (name, value) in entries {
                    self.read(&format!("{there} {name}"), value);
                }
            }
            _ => self.read(&there, value),
        }
    }

    fn follow(&mut self, place: &str, reference: &Value) {
        let is_new = !self.references.contains(reference) && self.references.len() < MAX_CHAIN;
        match document::target(self.root, reference).filter(|_| is_new) {
            Some(target) => {
                self.references.push(reference.clone());
                self.read(place, target);
                self.references.pop();
            }
            None => {
                let reason = "leads nowhere in this file, too far, or back to itself";
                self.unreadable(place, format!("{reference} {reason}"));
            }
        }
    }
}

/// Prose and vendor extensions; the keywords of a parameter that are in the place of its facts.
fn is_left_out(map: &Map<String, Value>, key: &str) -> bool {
    match key {
        "in" | "name" => map.contains_key("in") && !map.contains_key("type"),
        "$comment" | "$defs" | "$schema" | "description" | "example" | "examples" => true,
        "externalDocs" | "operationId" | "summary" | "tags" | "title" => true,
        _ => key.starts_with("x-"),
    }
}

fn is_one_or_list(alternatives: &[Value]) -> bool {
    let [one, Value::Object(list)] = alternatives else { return false };
    list.len() == 2 && list.get("type") == Some(&json!("array")) && list.get("items") == Some(one)
}
