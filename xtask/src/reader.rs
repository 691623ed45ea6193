//! Reads the parts of a description, and collects what they say: facts.
//!
//! What is not named here is read by its shape: an object becomes the facts of its entries, a list a
//! fact for each of its elements.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::{mem, slice};

use serde_json::{Value, json};

use crate::document;
use crate::references::{MAX_CHAIN, resolve, target};

pub(crate) struct Reader<'a> {
    root: &'a Value,
    facts: BTreeSet<String>,
    /// Lists of alternatives, by their place.
    alternatives: BTreeMap<String, BTreeSet<String>>,
    /// The references that are being followed.
    references: Vec<Value>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        let (facts, alternatives) = (BTreeSet::new(), BTreeMap::new());
        Self { root, facts, alternatives, references: Vec::new() }
    }

    fn fact(&mut self, place: &str, value: impl Display) {
        self.facts.insert(document::printable(&format!("{place} = {value}")));
    }

    fn unreadable(&mut self, place: &str, reason: impl Display) {
        self.fact(place, format!("cannot be read: {reason}"));
    }

    /// The facts of an operation. Its own parameters and servers replace those of its path, in
    /// `items`.
    pub(crate) fn operation(
        mut self,
        items: &[&'a Value],
        operation: &'a Value,
    ) -> BTreeSet<String> {
        self.keywords("", operation);
        let holders: Vec<_> = items.iter().copied().chain([operation]).collect();
        let servers = holders.iter().rev().find_map(|holder| holder["servers"].as_array());
        servers.into_iter().flatten().for_each(|server| self.read(" servers", server));

        let mut parameters = BTreeMap::new();
        for listed in holders.iter().filter_map(|holder| holder["parameters"].as_array()).flatten()
        {
            let parameter = resolve(self.root, listed).unwrap_or(listed);
            match (parameter["in"].as_str(), parameter["name"].as_str()) {
                (Some(within), Some(name)) => {
                    parameters.insert(format!(" {within} {name}"), parameter);
                }
                _ => self.unreadable(" parameters", format!("no `in` and `name` in {listed}")),
            }
        }
        parameters.iter().for_each(|(place, parameter)| self.read(place, parameter));

        // A scheme is what it says, not its name in the description.
        let root = self.root;
        let security = operation.get("security").unwrap_or(&root["security"]);
        // An empty list means the same as an empty requirement.
        if security.as_array().is_none_or(Vec::is_empty) {
            self.fact(" security schemes", 0);
        }
        for schemes in security.as_array().into_iter().flatten().filter_map(Value::as_object) {
            self.fact(" security schemes", schemes.len());
            for (name, roles) in schemes {
                self.read(" security", &root["components"]["securitySchemes"][name]);
                self.read(" security roles", roles);
            }
        }

        for (place, values) in mem::take(&mut self.alternatives) {
            values.iter().for_each(|value| self.fact(&place, value));
        }
        self.facts
    }

    fn read(&mut self, place: &str, value: &Value) {
        match value {
            Value::Object(map) => {
                self.keywords(place, value);
                if map.iter().all(|(key, entry)| is_left_out(value, key, entry)) {
                    self.fact(place, "{}");
                }
            }
            Value::Array(list) if !list.is_empty() => {
                for (at, value) in (1..).zip(list) {
                    let at = if value.is_object() { format!(" {at}") } else { String::new() };
                    self.read(&format!("{place}{at}"), value);
                }
            }
            _ => self.fact(place, value),
        }
    }

    /// An object whose keys are keywords.
    fn keywords(&mut self, place: &str, object: &Value) {
        for (key, value) in object.as_object().into_iter().flatten() {
            self.keyword(place, object, key, value);
        }
    }

    fn keyword(&mut self, place: &str, object: &Value, key: &str, value: &Value) {
        let there = match key {
            "content" | "responses" | "schema" => place.to_owned(),
            "const" => format!("{place} enum"),
            "items" => format!("{place}[]"),
            _ => format!("{place} {key}"),
        };
        let exclusive = key.replacen('m', "exclusiveM", 1);
        match (key, value) {
            // An operation's own.
            ("description", Value::String(prose)) if place.is_empty() => {
                let words: Vec<_> = prose.split_whitespace().collect();
                self.fact(&there, json!(words.join(" ")));
            }
            // `operation` reads them.
            ("parameters" | "security" | "servers", _) if place.is_empty() => {}
            _ if is_left_out(object, key, value) => {}
            ("$ref", _) => self.follow(place, value),
            // Values, in which no key is a keyword.
            ("default", _) => self.fact(&there, value),
            ("enum", value) if !value.is_array() => self.unreadable(&there, "it is not a list"),
            // Where `allOf` has two lists for one place, a value must be in both.
            ("const" | "enum" | "type", _) => {
                let list = value.as_array().map_or(slice::from_ref(value), Vec::as_slice);
                let mut values: BTreeSet<_> = list.iter().map(Value::to_string).collect();
                values.extend((object["nullable"] == true).then(|| json!("null").to_string()));
                let known = self.alternatives.entry(there).or_insert_with(|| values.clone());
                known.retain(|value| values.contains(value));
            }
            // What OpenAPI 3.0 and 3.1 write in different ways.
            ("exclusiveMaximum" | "exclusiveMinimum", Value::Bool(_)) => {}
            ("maximum" | "minimum", _) if object[&exclusive] == true => {
                self.fact(&format!("{place} {exclusive}"), value);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts))
                if key == "allOf" || parts.len() == 1 =>
            {
                parts.iter().for_each(|part| self.keywords(place, part));
            }
            ("oneOf", Value::Array(parts)) if is_one_or_list(parts) => {
                self.fact(&there, "one or a list of them");
                self.keywords(place, &parts[0]);
            }
            ("properties", Value::Object(entries)) => {
                for (name, value) in entries {
                    self.read(&format!("{place}.{name}"), value);
                }
            }
            ("content" | "headers" | "responses" | "variables", Value::Object(entries)) => {
                for (name, value) in entries {
                    self.read(&format!("{there} {}", without_charset(name)), value);
                }
            }
            _ => self.read(&there, value),
        }
    }

    fn follow(&mut self, place: &str, reference: &Value) {
        let is_new = !self.references.contains(reference) && self.references.len() < MAX_CHAIN;
        match target(self.root, reference).filter(|_| is_new) {
            Some(target) => {
                self.references.push(reference.clone());
                self.read(place, target);
                self.references.pop();
            }
            None => self.unreadable(place, leads_nowhere(reference)),
        }
    }
}

pub(crate) fn leads_nowhere(reference: &Value) -> String {
    format!("{reference} leads nowhere in this file, too far, or back to itself")
}

/// What is not a fact: prose, vendor extensions, a keyword with its default value, and the keywords
/// of a parameter that are part of its place.
fn is_left_out(object: &Value, key: &str, value: &Value) -> bool {
    let is_nothing = [json!(false), json!(0), json!({}), json!([])].contains(value);
    let default_style = match object["in"].as_str() {
        Some("query" | "cookie") => "form",
        _ => "simple",
    };
    let style = object["style"].as_str().unwrap_or(default_style);
    match key {
        "$comment" | "$defs" | "$schema" | "description" | "example" | "examples" => true,
        "externalDocs" | "operationId" | "summary" | "tags" | "title" => true,
        "in" | "name" => object.get("in").is_some() && object.get("type").is_none(),
        "allowEmptyValue" | "allowReserved" | "callbacks" | "content" | "deprecated" => is_nothing,
        "encoding" | "headers" | "links" | "minItems" | "minLength" | "minProperties" => is_nothing,
        "properties" | "readOnly" | "required" | "uniqueItems" | "writeOnly" => is_nothing,
        "nullable" => is_nothing || object.get("type").is_some(),
        "additionalProperties" => *value == true || *value == json!({}),
        "style" => style == default_style,
        "explode" => *value == (style == "form"),
        _ => key.starts_with("x-"),
    }
}

fn without_charset(media_type: &str) -> String {
    let is_charset = |part: &&str| part.trim_start().to_lowercase().starts_with("charset=");
    media_type.split(';').filter(|part| !is_charset(part)).collect::<Vec<_>>().join(";")
}

fn is_one_or_list(alternatives: &[Value]) -> bool {
    let [one, Value::Object(list)] = alternatives else { return false };
    list.len() == 2 && list.get("type") == Some(&json!("array")) && list.get("items") == Some(one)
}
