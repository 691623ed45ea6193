//! What a description says of its operations: one fact a line, `place = value`, sorted.
//!
//! References are inlined. `allOf` is merged, as the facts of all its parts have the same place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::mem;

use anyhow::ensure;
use serde_json::{Map, Value};

use crate::document::Document;
use crate::text;

const VERBS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

/// All operations in this folder are read.
const FOLDER: &str = "/security/";

/// OpenAPI ignores these parameters.
const IGNORED: [&str; 3] = [" header accept", " header authorization", " header content-type"];

/// Before a fact, which begins with a space.
const INDENT: &str = "   ";

/// How deep a description may be, references followed, and how many bytes may be read, each as often
/// as it is referred to. Plex's own needs a tenth of both.
const MAX_DEPTH: usize = 100;
const MAX_COST: usize = 2_000_000;

/// The facts of each operation, by its title: `GET /path`.
#[derive(Default)]
pub(crate) struct Facts(BTreeMap<String, BTreeSet<String>>);

impl Facts {
    /// The facts of the operations at the fragment's paths, and of others beside them.
    pub(crate) fn of(document: &Document, fragment: &Document) -> anyhow::Result<Self> {
        let facts = BTreeSet::new();
        let mut reader = Reader { document, facts, references: Vec::new(), depth: 0, cost: 0 };
        let mut all = Self::default();
        if let Some(servers) = document.root.get("servers") {
            reader.alternatives("", "servers", servers);
            all.add("servers", &mut reader);
        }
        for (path, item) in document.root["paths"].as_object().into_iter().flatten() {
            if fragment.root["paths"].get(path).is_none() && !path.starts_with(FOLDER) {
                continue;
            }
            let item = match document.resolve(item) {
                Ok(item) => item,
                Err(reason) => {
                    reader.unreadable("", reason);
                    all.add(path, &mut reader);
                    continue;
                }
            };
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
        ensure!(reader.cost <= MAX_COST, "too large or too deep, with its references followed");
        Ok(all)
    }

    fn add(&mut self, title: &str, reader: &mut Reader<'_>) {
        let facts = mem::take(&mut reader.facts).iter().map(|fact| text::line(fact)).collect();
        self.0.insert(text::line(title), facts);
    }

    /// Reads what `Display` writes: titles, and under each its facts, indented.
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut title = "";
        for line in text.lines() {
            match line.strip_prefix(INDENT) {
                Some(fact) => {
                    _ = all.0.entry(title.to_owned()).or_default().insert(fact.to_owned())
                }
                None => title = line,
            }
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

struct Reader<'a> {
    document: &'a Document,
    facts: BTreeSet<String>,
    /// The references that are being followed.
    references: Vec<&'a Value>,
    depth: usize,
    cost: usize,
}

/// A place is made of words, each with a space before it, and names of properties, each with a dot.
impl<'a> Reader<'a> {
    fn fact(&mut self, place: &str, value: impl Display) {
        self.insert(format!("{place} = {value}"));
    }

    fn unreadable(&mut self, place: &str, reason: impl Display) {
        self.insert(format!("{place} cannot be read: {reason}"));
    }

    fn insert(&mut self, fact: String) {
        self.cost = self.cost.saturating_add(fact.len());
        self.facts.insert(fact);
    }

    fn operation(&mut self, item: &'a Value, map: &'a Map<String, Value>) {
        if let Some(servers) = map.get("servers").or(item.get("servers")) {
            self.alternatives("", "servers", servers);
        }
        if let Some(security) = map.get("security").or(self.document.root.get("security")) {
            self.security(security);
        }
        // The operation's own come last, to replace those of the path.
        let mut parameters = BTreeMap::new();
        for listed in [item.get("parameters"), map.get("parameters")].into_iter().flatten() {
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
        let mut values = listed("enum");
        values.extend(map.get("const").map(Value::to_string));
        // Beside a type, `null` has to be in both.
        if !values.is_empty() && !types.is_empty() && !values.remove("null") {
            types.remove("null");
        }
        for (keyword, values) in [("enum", values), ("type", types)] {
            if !values.is_empty() {
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
            // Read by `object` and `types`.
            "$ref" | "const" | "enum" | "nullable" | "type" => {}
            "$comment" | "$defs" | "$schema" | "description" | "example" | "examples" => {}
            "externalDocs" | "operationId" | "summary" | "tags" | "title" => {}
            _ if keyword.starts_with("x-") => {}
            "allowEmptyValue" | "allowReserved" | "deprecated" | "readOnly" | "required"
            | "uniqueItems" | "writeOnly"
                if *value == false => {}
            // A parameter's, which are in its place.
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
    fn alternatives(&mut self, place: &str, keyword: &str, value: &'a Value) {
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
