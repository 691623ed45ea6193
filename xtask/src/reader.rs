//! Reads the parts of a description, and collects what they say: facts.
//!
//! The place of a fact is made of words, each with a space before it, and of names of properties, each
//! with a dot before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::mem;

use anyhow::ensure;
use serde_json::{Map, Value};

use crate::document::Document;
use crate::text;

/// OpenAPI ignores these parameters.
const IGNORED: [&str; 3] = [" header accept", " header authorization", " header content-type"];

/// How deep a description may be, references followed, and how many bytes may be read, each as often
/// as it is referred to. Plex's own needs a tenth of both.
const MAX_DEPTH: usize = 100;
const MAX_COST: usize = 2_000_000;

pub(crate) struct Reader<'a> {
    document: &'a Document,
    facts: BTreeSet<String>,
    /// The references that are being followed.
    references: Vec<&'a Value>,
    depth: usize,
    cost: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        Self { document, facts: BTreeSet::new(), references: Vec::new(), depth: 0, cost: 0 }
    }

    /// The facts since the last call, safe to print.
    pub(crate) fn take_facts(&mut self) -> BTreeSet<String> {
        mem::take(&mut self.facts).iter().map(|fact| text::line(fact)).collect()
    }

    /// Nothing more is read once the description has cost too much.
    pub(crate) fn check_cost(&self) -> anyhow::Result<()> {
        ensure!(self.cost <= MAX_COST, "too large or too deep, with its references followed");
        Ok(())
    }

    fn fact(&mut self, place: &str, value: impl Display) {
        self.insert(format!("{place} = {value}"));
    }

    pub(crate) fn unreadable(&mut self, place: &str, reason: impl Display) {
        self.insert(format!("{place} cannot be read: {reason}"));
    }

    fn insert(&mut self, fact: String) {
        self.cost = self.cost.saturating_add(fact.len());
        self.facts.insert(fact);
    }

    pub(crate) fn operation(&mut self, path: &'a Value, map: &'a Map<String, Value>) {
        if let Some(servers) = map.get("servers").or(path.get("servers")) {
            self.alternatives("", "servers", servers);
        }
        if let Some(security) = map.get("security").or(self.document.root.get("security")) {
            self.security(security);
        }
        // The operation's own come last, to replace those of the path.
        let mut parameters = BTreeMap::new();
        for listed in [path.get("parameters"), map.get("parameters")].into_iter().flatten() {
            for parameter in self.list(" parameters", listed) {
                match self.parameter(parameter) {
                    Ok((place, parameter)) => _ = parameters.insert(place, parameter),
                    Err(reason) => self.unreadable(" parameters", reason),
                }
            }
        }
        for (place, parameter) in parameters {
            if !IGNORED.contains(&place.as_str()) {
                self.value(&place, parameter);
            }
        }
        for (keyword, value) in map {
            if !["parameters", "security", "servers"].contains(&keyword.as_str()) {
                self.keyword("", map, keyword, value);
            }
        }
    }

    fn parameter(&self, parameter: &'a Value) -> Result<(String, &'a Value), String> {
        let parameter = self.document.resolve(parameter)?;
        let (Some(within), Some(name)) = (parameter["in"].as_str(), parameter["name"].as_str())
        else {
            return Err("one has no `in` and `name`".to_owned());
        };
        let is_header = within == "header";
        let name = if is_header { name.to_lowercase() } else { name.to_owned() };
        Ok((format!(" {} {}", text::name(within), text::name(&name)), parameter))
    }

    /// Each alternative is one fact. The names of the schemes have no meaning.
    fn security(&mut self, security: &'a Value) {
        let schemes = &self.document.root["components"]["securitySchemes"];
        for alternative in self.list(" security", security) {
            let facts = self.apart(|reader| {
                for (name, roles) in reader.entries("", alternative) {
                    reader.object("", &schemes[name]);
                    for role in reader.list(" roles", roles) {
                        reader.insert(format!(" role {role}"));
                    }
                }
            });
            self.fact(" security", format!("{{{}}}", Vec::from_iter(facts).join(";").trim()));
        }
    }

    /// An object whose keys are keywords, or a schema that is a boolean.
    fn object(&mut self, place: &str, value: &'a Value) {
        self.cost = self.cost.saturating_add(100 + place.len());
        if self.depth == MAX_DEPTH {
            self.cost = usize::MAX;
        }
        if self.cost > MAX_COST {
            return;
        }
        self.depth += 1;
        match value {
            Value::Bool(true) => {}
            Value::Bool(false) => self.fact(place, "nothing"),
            Value::Object(map) => {
                let reference = map.get("$ref");
                if let Some(reference) = reference {
                    self.follow(place, reference);
                }
                if reference.is_none() || !self.document.is_3_0 {
                    self.types(place, map);
                    for (keyword, value) in map {
                        self.keyword(place, map, keyword, value);
                    }
                }
            }
            _ => self.unreadable(place, "it is not an object"),
        }
        self.depth -= 1;
    }

    fn follow(&mut self, place: &str, reference: &'a Value) {
        match self.document.target(reference) {
            Err(reason) => self.unreadable(place, reason),
            Ok(_) if self.references.contains(&reference) => {
                self.unreadable(place, format!("the reference {reference} leads back to itself"));
            }
            Ok(target) => {
                self.references.push(reference);
                self.object(place, target);
                self.references.pop();
            }
        }
    }

    /// `type` and `enum`, with what OpenAPI 3.0 and 3.1 write in different ways.
    fn types(&mut self, place: &str, map: &'a Map<String, Value>) {
        let listed = |key: &str| match map.get(key) {
            None => BTreeSet::new(),
            Some(Value::Array(values)) => values.iter().map(Value::to_string).collect(),
            Some(value) => BTreeSet::from([value.to_string()]),
        };
        let null = || "null".to_owned();
        let mut types: BTreeSet<_> = listed("type").iter().map(|it| it.replace('"', "")).collect();
        types.extend((map.get("nullable") == Some(&Value::Bool(true))).then(null));
        let mut values = match map.get("const") {
            Some(value) => BTreeSet::from([value.to_string()]),
            None => listed("enum"),
        };
        // Beside a type, `null` has to be in both.
        if !values.is_empty() && !types.is_empty() && !values.remove("null") {
            types.remove("null");
        }
        for (keyword, values) in [("enum", values), ("type", types)] {
            if !values.is_empty() || map.contains_key(keyword) {
                self.fact(&format!("{place} {keyword}"), Vec::from_iter(values).join(" | "));
            }
        }
    }

    fn keyword(
        &mut self,
        place: &str,
        map: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
    ) {
        let is_true = |keyword: &str| map.get(keyword) == Some(&Value::Bool(true));
        let there = match keyword {
            "content" | "responses" | "schema" => place.to_owned(),
            _ => format!("{place} {}", text::name(keyword)),
        };
        match keyword {
            "enum" if !value.is_array() => self.unreadable(&there, "it is not a list"),
            // Read by `object` and `types`.
            "$ref" | "const" | "enum" | "nullable" | "type" => {}
            "$comment" | "$defs" | "$schema" | "description" | "example" | "examples" => {}
            "externalDocs" | "operationId" | "summary" | "tags" | "title" => {}
            _ if keyword.starts_with("x-") => {}
            "allowEmptyValue" | "allowReserved" | "deprecated" | "readOnly" | "required"
            | "uniqueItems" | "writeOnly"
                if *value == false => {}
            // Of a parameter, where they are in the place.
            "in" | "name" if !map.contains_key("type") => {}
            "name" if map.get("in").is_some_and(|within| within == "header") => {
                self.fact(&there, value.to_string().to_lowercase());
            }
            "exclusiveMaximum" | "exclusiveMinimum" if value.is_boolean() => {}
            "maximum" if is_true("exclusiveMaximum") => {
                self.fact(&format!("{place} exclusiveMaximum"), value);
            }
            "minimum" if is_true("exclusiveMinimum") => {
                self.fact(&format!("{place} exclusiveMinimum"), value);
            }
            "allOf" => {
                for part in self.list(&there, value) {
                    self.object(place, part);
                }
            }
            "anyOf" | "oneOf" => self.alternatives(place, keyword, value),
            "items" => self.object(&format!("{place}[]"), value),
            "additionalProperties" => self.object(&format!("{place}.*"), value),
            "required" if value.is_array() => {
                for name in self.list(&there, value) {
                    let name = text::name(name.as_str().unwrap_or_default());
                    self.fact(&format!("{place}.{name} required"), true);
                }
            }
            "callbacks" | "content" | "dependentSchemas" | "encoding" | "headers" | "links"
            | "mapping" | "patternProperties" | "responses" | "scopes" | "variables" => {
                let has_case = !matches!(keyword, "content" | "headers" | "responses");
                for (name, value) in self.entries(&there, value) {
                    let name = if has_case { name.to_owned() } else { name.to_lowercase() };
                    self.value(&format!("{there} {}", text::name(&name)), value);
                }
            }
            "properties" => {
                for (name, value) in self.entries(&there, value) {
                    self.value(&format!("{place}.{}", text::name(name)), value);
                }
            }
            "default" => self.fact(&there, value),
            _ => self.value(&there, value),
        }
    }

    fn value(&mut self, place: &str, value: &'a Value) {
        match value {
            Value::Object(_) => {
                let details = self.apart(|reader| reader.object(place, value));
                if details.is_empty() {
                    self.fact(place, "no details");
                }
                self.facts.extend(details);
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                for (at, value) in list.iter().enumerate() {
                    self.value(&format!("{place} {at}"), value);
                }
            }
            _ => self.fact(place, value),
        }
    }

    /// A list whose order has no meaning.
    pub(crate) fn alternatives(&mut self, place: &str, keyword: &str, value: &'a Value) {
        let there = format!("{place} {keyword}");
        let mut alternatives = Vec::new();
        for value in self.list(&there, value) {
            alternatives.push(self.apart(|reader| reader.value("", value)));
        }
        alternatives.sort();
        if let [list, one] = alternatives.as_slice() {
            let items = one.iter().map(|fact| format!("[]{fact}"));
            if items.chain([" type = array".to_owned()]).collect::<BTreeSet<_>>() == *list {
                self.fact(&there, "one or a list of them");
                alternatives.remove(0);
            }
        }
        let is_one = alternatives.len() == 1;
        for (at, facts) in (1..).zip(alternatives) {
            let place = if is_one { place.to_owned() } else { format!("{there} {at}") };
            for fact in facts {
                self.insert(format!("{place}{fact}"));
            }
        }
    }

    /// What is read, apart from the other facts.
    fn apart(&mut self, read: impl FnOnce(&mut Self)) -> BTreeSet<String> {
        let others = mem::take(&mut self.facts);
        read(self);
        mem::replace(&mut self.facts, others)
    }

    fn list(&mut self, place: &str, value: &'a Value) -> &'a [Value] {
        if !value.is_array() {
            self.unreadable(place, "it is not a list");
        }
        value.as_array().map_or(&[], Vec::as_slice)
    }

    fn entries(
        &mut self,
        place: &str,
        value: &'a Value,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        if !value.is_object() {
            self.unreadable(place, "it is not an object");
        }
        value.as_object().into_iter().flatten()
    }
}
