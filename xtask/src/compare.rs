//! What changed between two extracts, and what that means for this client.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, slice};

use serde_json::Value;

use crate::extract::{Content, Extract, Operation, Parameter, Scheme};
use crate::schema::{Schema, Shape, looser_when_larger};

/// One change, in one line.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) breaking: bool,
    pub(crate) text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = if self.breaking { "breaking" } else { "compatible" };
        write!(f, "{class}: {}", self.text)
    }
}

/// Every change from `old` to `new`: first those of paths and verbs. `client` is the fragment: it
/// tells what the client sends and reads.
pub(crate) fn compare(old: &Extract, new: &Extract, client: &Extract) -> Vec<Change> {
    let mut verbs = Changes::default();
    let mut others = Changes::default();
    for path in union(old.0.keys(), new.0.keys()) {
        let client = client.0.get(path).and_then(|operations| operations.values().next());
        let (old, new) = match (old.0.get(path), new.0.get(path)) {
            (Some(old), Some(new)) => (old, new),
            (old, _) => {
                verbs.came_or_went(old.is_some(), path, "there");
                continue;
            }
        };
        let mut both = |verb: &str, old: &Operation, new: &Operation| {
            let at = format!("{} {path}", verb.to_uppercase());
            Operations { at, client, changes: &mut others }.compare(old, new);
        };
        if let ([(was, old)], [(is, new)]) =
            (&*old.iter().collect::<Vec<_>>(), &*new.iter().collect::<Vec<_>>())
        {
            if was != is {
                verbs.add(true, format!("{path}: verb"), &was.to_uppercase(), &is.to_uppercase());
            }
            both(was, old, new);
            continue;
        }
        for verb in union(old.keys(), new.keys()) {
            match (old.get(verb), new.get(verb)) {
                (Some(old), Some(new)) => both(verb, old, new),
                (old, _) => {
                    let place = format!("{} {path}", verb.to_uppercase());
                    verbs.came_or_went(old.is_some(), &place, "there");
                }
            }
        }
    }
    verbs.0.extend(others.0);
    verbs.0
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, breaking: bool, place: impl fmt::Display, was: &str, is: &str) {
        let text = format!("{place}: was {was}, is {is}");
        self.0.push(Change { breaking, text });
    }

    /// What is gone breaks, what is new does not.
    fn came_or_went(&mut self, gone: bool, place: &str, what: &str) {
        let (was, is) = if gone { (what, "gone") } else { ("absent", what) };
        self.add(gone, place, was, is);
    }
}

/// The comparison of one operation.
struct Operations<'a> {
    at: String,
    /// The fragment's own operation at this path.
    client: Option<&'a Operation>,
    changes: &'a mut Changes,
}

impl Operations<'_> {
    fn add(&mut self, breaking: bool, place: impl fmt::Display, was: &str, is: &str) {
        let place = format!("{}: {place}", self.at);
        self.changes.add(breaking, place, was, is);
    }

    fn compare(&mut self, old: &Operation, new: &Operation) {
        self.parameters(old, new);
        self.request_body(old, new);
        self.security(old, new);
        self.responses(old, new);
    }

    fn parameters(&mut self, old: &Operation, new: &Operation) {
        let added = |(key, _): &(&Key, &Parameter)| !old.parameters.contains_key(*key);
        let added: Vec<_> = new.parameters.iter().filter(added).collect();
        let mut moved = BTreeSet::new();
        for (key, was) in &old.parameters {
            let (within, name) = key;
            let place = parameter_place(key, was);
            let elsewhere = added.iter().find(|((_, other), _)| other.eq_ignore_ascii_case(name));
            if let Some(is) = new.parameters.get(key) {
                self.parameter(key, was, is);
            } else if let Some((to, is)) = elsewhere {
                let from = format!("a {within} parameter");
                self.add(true, &place, &from, &format!("a {}", parameter_place(to, is)));
                self.parameter(to, was, is);
                moved.insert(*to);
            } else {
                let alike = |is: &Parameter| {
                    (is.required, &is.schema, &is.form) == (was.required, &was.schema, &was.form)
                };
                let renamed = added.iter().find(|((other, _), is)| other == within && alike(is));
                let hint = renamed.map(|(_, is)| format!(" (`{}` is new and alike)", is.name));
                let is = format!("gone{}", hint.unwrap_or_default());
                let harmless = !was.required && matches!(within.as_str(), "header" | "cookie");
                self.add(!harmless, &place, &parameter_words(was), &is);
            }
        }
        for (key, is) in added.into_iter().filter(|(key, _)| !moved.contains(key)) {
            let place = parameter_place(key, is);
            self.add(is.required, place, "absent", &parameter_words(is));
        }
    }

    fn parameter(&mut self, key: &Key, old: &Parameter, new: &Parameter) {
        let place = parameter_place(key, new);
        if old.required != new.required {
            let words = |required| if required { "required" } else { "optional" };
            self.add(new.required, &place, words(old.required), words(new.required));
        }
        let sent = self.client.and_then(|client| client.parameters.get(key));
        // A header that the client need not send and doesn't is of no concern to it.
        let matters = key.0 != "header" && key.0 != "cookie" || new.required || sent.is_some();
        for keyword in union(old.form.keys(), new.form.keys()) {
            let (was, is) = (old.form.get(keyword), new.form.get(keyword));
            if was != is {
                let place = format!("{place}, `{keyword}`");
                self.add(matters, place, &value_words(was), &value_words(is));
            }
        }
        self.sent(&place, &old.schema, &new.schema, sent.map(|sent| &sent.schema), matters);
    }

    /// A schema of what the server takes: it breaks to take less.
    fn sent(
        &mut self,
        place: &str,
        old: &Schema,
        new: &Schema,
        sent: Option<&Schema>,
        matters: bool,
    ) {
        if old.kinds() != new.kinds() {
            let breaking = matters && !old.kinds().is_subset(&new.kinds());
            self.add(breaking, place, &words(old), &words(new));
        }
        for kind in old.kinds().intersection(&new.kinds()) {
            let (was, is) = match (&*of_kind(old, kind), &*of_kind(new, kind)) {
                (was, is) if was == is => continue,
                ([was], [is]) => (*was, *is),
                _ => {
                    self.add(matters, place, &words(old), &words(new));
                    continue;
                }
            };
            if was.values != is.values {
                let takes = |shape: &Shape, value: &Value| {
                    shape.values.as_ref().is_none_or(|values| values.contains(value))
                };
                let lost = |value: &Value| takes(was, value) && !takes(is, value);
                let sent = sent.map(|sent| of_kind(sent, kind)).unwrap_or_default();
                let breaking = sent.iter().any(|sent| match (&sent.values, &was.values) {
                    (Some(sent), _) => sent.iter().any(lost),
                    (None, Some(was)) => was.iter().any(lost),
                    (None, None) => true,
                });
                self.add(matters && breaking, place, &shape_words(was), &shape_words(is));
            }
            for limit in limits(was, is) {
                let breaking = matters && limit.effect != Effect::Wider;
                self.add(breaking, format!("{place}, `{}`", limit.keyword), &limit.was, &limit.is);
            }
            let parts = |shape: &Shape| {
                let Shape { kind, properties, required, additional, items, .. } = shape.clone();
                let parts =
                    Shape { kind, properties, required, additional, items, ..Shape::default() };
                Schema(vec![parts]).to_json().to_string()
            };
            if parts(was) != parts(is) {
                self.add(matters, place, &parts(was), &parts(is));
            }
        }
    }

    fn request_body(&mut self, old: &Operation, new: &Operation) {
        let place = "request body";
        let words = |required| if required { "required" } else { "optional" };
        match (&old.body, &new.body) {
            (None, None) => {}
            (None, Some(is)) => self.add(is.required, place, "absent", words(is.required)),
            (Some(was), None) => self.add(false, place, words(was.required), "gone"),
            (Some(was), Some(is)) => {
                if was.required != is.required {
                    self.add(is.required, place, words(was.required), words(is.required));
                }
                if was.content != is.content {
                    let words = |content: &Content| {
                        let kinds = content.iter();
                        let kinds =
                            kinds.map(|(kind, schema)| format!("`{kind}` {}", schema.to_json()));
                        kinds.collect::<Vec<_>>().join(", ")
                    };
                    self.add(is.required, place, &words(&was.content), &words(&is.content));
                }
            }
        }
    }

    fn security(&mut self, old: &Operation, new: &Operation) {
        let schemes = |operation: &Operation| -> BTreeSet<Vec<String>> {
            let alternatives = operation.security.iter();
            let names = |alternative: &_| -> Vec<String> { scheme_words(alternative) };
            alternatives.map(names).collect()
        };
        let (was, is) = (schemes(old), schemes(new));
        let words = |alternatives: &BTreeSet<Vec<String>>| {
            let words = alternatives.iter().map(|alternative| match &**alternative {
                [] => "nothing".to_owned(),
                schemes => schemes.join(" with "),
            });
            words.collect::<Vec<_>>().join(" or ")
        };
        if was != is {
            self.add(!was.is_subset(&is), "security", &words(&was), &words(&is));
        }
        if old.security != new.security {
            let roles = |operation: &Operation| -> BTreeSet<String> {
                let roles = operation.security.iter().flat_map(BTreeMap::values).flatten();
                roles.map(|role| format!("`{role}`")).collect()
            };
            let (was_roles, is_roles) = (roles(old), roles(new));
            let words = |roles: &BTreeSet<String>| match roles.is_empty() {
                true => "unsaid".to_owned(),
                false => roles.iter().cloned().collect::<Vec<_>>().join(", "),
            };
            if was == is || was_roles != is_roles {
                // A document of OpenAPI 3.0 has no way to name roles.
                let breaking = !is_roles.is_empty();
                self.add(breaking, "security, roles", &words(&was_roles), &words(&is_roles));
            }
        }
    }

    fn responses(&mut self, old: &Operation, new: &Operation) {
        for status in union(old.responses.keys(), new.responses.keys()) {
            let is_error = status.starts_with(['4', '5']) || status == "default";
            let (old, new) = match (old.responses.get(status), new.responses.get(status)) {
                (Some(old), Some(new)) => (old, new),
                (old, _) => {
                    let (was, is) =
                        if old.is_some() { ("there", "gone") } else { ("absent", "new") };
                    self.add(!is_error, format!("status {status}"), was, is);
                    continue;
                }
            };
            for media_type in union(old.keys(), new.keys()) {
                let is_read = status == "200" && media_type == "application/json";
                let (old, new) = match (old.get(media_type), new.get(media_type)) {
                    (Some(old), Some(new)) => (old, new),
                    (old, _) => {
                        let gone = old.is_some();
                        let (was, is) = if gone { ("there", "gone") } else { ("absent", "new") };
                        let place = format!("{status} content `{media_type}`");
                        self.add(gone && is_read, place, was, is);
                        continue;
                    }
                };
                let client = self.client.and_then(|client| {
                    client.responses.get(status)?.get(media_type).filter(|_| is_read)
                });
                let mut read = BTreeSet::new();
                if let Some(client) = client {
                    names(client, &[], &mut read);
                }
                let body = match media_type.as_str() {
                    "application/json" => format!("{status} body"),
                    other => format!("{status} body as `{other}`"),
                };
                Bodies { operations: self, body, read }.compare(&Place::default(), old, new);
            }
        }
    }
}

type Key = (String, String);

/// The comparison of one body.
struct Bodies<'a, 'b> {
    operations: &'a mut Operations<'b>,
    /// What the place of a change begins with.
    body: String,
    /// The places that the client reads, arrays left out.
    read: BTreeSet<Vec<String>>,
}

#[derive(Clone, Default)]
struct Place {
    names: Vec<String>,
    shown: String,
}

impl Place {
    fn property(&self, name: &str) -> Self {
        let dot = if self.shown.is_empty() { "" } else { "." };
        let names = [self.names.as_slice(), &[name.to_owned()]].concat();
        Self { names, shown: format!("{}{dot}{name}", self.shown) }
    }

    fn item(&self) -> Self {
        Self { names: self.names.clone(), shown: format!("{}[]", self.shown) }
    }
}

impl Bodies<'_, '_> {
    /// A change that breaks where the client reads.
    fn add(&mut self, breaking: bool, place: &Place, keyword: &str, was: &str, is: &str) {
        let breaking = breaking && self.read.contains(&place.names);
        let mut shown = self.body.clone();
        if !place.shown.is_empty() {
            shown = format!("{shown}, `{}`", place.shown);
        }
        if !keyword.is_empty() {
            shown = format!("{shown}, {keyword}");
        }
        self.operations.add(breaking, shown, was, is);
    }

    /// A schema of what the server gives: it breaks to give more.
    fn compare(&mut self, place: &Place, old: &Schema, new: &Schema) {
        if let Some(items) = wrapped(new, old) {
            self.add(true, place, "", &words(old), &words(new));
            return self.compare(&place.item(), old, items);
        }
        if let Some(items) = wrapped(old, new) {
            self.add(true, place, "", &words(old), &words(new));
            return self.compare(place, items, new);
        }
        if old.kinds() != new.kinds() {
            let breaking = !new.kinds().is_subset(&old.kinds());
            self.add(breaking, place, "", &words(old), &words(new));
        }
        for kind in old.kinds().intersection(&new.kinds()) {
            match (&*of_kind(old, kind), &*of_kind(new, kind)) {
                (was, is) if was == is => {}
                ([was], [is]) => self.shapes(place, was, is),
                _ => self.add(true, place, "", &words(old), &words(new)),
            }
        }
    }

    fn shapes(&mut self, place: &Place, old: &Shape, new: &Shape) {
        if old.values != new.values {
            let wider = match (&old.values, &new.values) {
                (Some(was), Some(is)) => is.iter().any(|value| !was.contains(value)),
                (_, is) => is.is_none(),
            };
            self.add(wider, place, "", &shape_words(old), &shape_words(new));
        }
        for limit in limits(old, new) {
            // A narrower set of values can be read all the same, unless it says what they mean.
            let meaning = matches!(limit.keyword, "format" | "writeOnly" | "contentEncoding");
            let breaking = limit.effect != Effect::Narrower || meaning;
            self.add(breaking, place, &format!("`{}`", limit.keyword), &limit.was, &limit.is);
        }
        for name in union(old.properties.keys(), new.properties.keys()) {
            let place = place.property(name);
            match (old.properties.get(name), new.properties.get(name)) {
                (Some(old), Some(new)) => self.compare(&place, old, new),
                (Some(old), None) => self.add(true, &place, "", &words(old), "gone"),
                (_, new) => {
                    let is = new.map(words).unwrap_or_default();
                    self.add(false, &place, "", "absent", &is);
                }
            }
        }
        for name in old.required.symmetric_difference(&new.required) {
            let listed = |shape: &Shape| shape.properties.contains_key(name);
            if listed(old) == listed(new) {
                let gone = old.required.contains(name);
                let (was, is) =
                    if gone { ("required", "optional") } else { ("optional", "required") };
                self.add(gone, &place.property(name), "", was, is);
            }
        }
        if old.additional != new.additional {
            let words = |schema: &Option<Schema>| schema.as_ref().map_or("anything".into(), words);
            let (was, is) = (words(&old.additional), words(&new.additional));
            self.add(false, place, "other properties", &was, &is);
        }
        if old.items != new.items {
            let items = |shape: &Shape| shape.items.clone().unwrap_or_else(Schema::anything);
            self.compare(&place.item(), &items(old), &items(new));
        }
    }
}

/// The items of an array around what the other schema allows.
fn wrapped<'a>(array: &'a Schema, other: &Schema) -> Option<&'a Schema> {
    let items = items(array)?;
    (depth(array) > depth(other) && items.kinds() == other.kinds()).then_some(items)
}

fn depth(schema: &Schema) -> usize {
    items(schema).map_or(0, |items| depth(items) + 1)
}

/// What a schema's items are, if it allows nothing but one kind of array.
fn items(schema: &Schema) -> Option<&Schema> {
    match &*schema.0 {
        [shape] if shape.kind == "array" => shape.items.as_ref(),
        _ => None,
    }
}

/// Every place that a schema names.
fn names(schema: &Schema, place: &[String], all: &mut BTreeSet<Vec<String>>) {
    all.insert(place.to_vec());
    for shape in &schema.0 {
        if let Some(items) = &shape.items {
            names(items, place, all);
        }
        for (name, schema) in &shape.properties {
            names(schema, &[place, slice::from_ref(name)].concat(), all);
        }
    }
}

fn of_kind<'a>(schema: &'a Schema, kind: &str) -> Vec<&'a Shape> {
    schema.0.iter().filter(|shape| shape.kind == kind).collect()
}

#[derive(PartialEq)]
enum Effect {
    Narrower,
    Wider,
    /// Can't be told.
    Other,
}

struct Limit<'a> {
    keyword: &'a str,
    was: String,
    is: String,
    effect: Effect,
}

fn limits<'a>(old: &'a Shape, new: &'a Shape) -> Vec<Limit<'a>> {
    let limit = |keyword: &'a String| {
        let (was, is) = (old.limits.get(keyword), new.limits.get(keyword));
        let effect = match (was, is) {
            _ if was == is => return None,
            (None, _) => Effect::Narrower,
            (_, None) => Effect::Wider,
            (Some(was), Some(is)) => match looser_when_larger(keyword) {
                Some(looser) if looser == (is.as_f64() > was.as_f64()) => Effect::Wider,
                Some(_) => Effect::Narrower,
                None => Effect::Other,
            },
        };
        Some(Limit { keyword, was: value_words(was), is: value_words(is), effect })
    };
    union(old.limits.keys(), new.limits.keys()).into_iter().filter_map(limit).collect()
}

fn union<'a>(
    one: impl Iterator<Item = &'a String>,
    other: impl Iterator<Item = &'a String>,
) -> BTreeSet<&'a String> {
    one.chain(other).collect()
}

fn parameter_place((within, _): &Key, parameter: &Parameter) -> String {
    format!("{within} parameter `{}`", parameter.name)
}

fn parameter_words(parameter: &Parameter) -> String {
    let required = if parameter.required { "a required" } else { "an optional" };
    format!("{required} {}", words(&parameter.schema))
}

fn words(schema: &Schema) -> String {
    if schema.is_anything() {
        return "anything".to_owned();
    }
    let shapes: BTreeSet<_> = schema.0.iter().map(shape_words).collect();
    match shapes.is_empty() {
        true => "nothing".to_owned(),
        false => shapes.into_iter().collect::<Vec<_>>().join(" or "),
    }
}

fn shape_words(shape: &Shape) -> String {
    match (&shape.values, &shape.items) {
        (Some(values), _) => {
            let values: Vec<_> = values.iter().map(|value| value_words(Some(value))).collect();
            format!("{} {}", shape.kind, values.join("|"))
        }
        (None, Some(items)) => format!("array of {}", words(items)),
        (None, None) => shape.kind.clone(),
    }
}

fn value_words(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}

fn scheme_words<V>(schemes: &BTreeMap<Scheme, V>) -> Vec<String> {
    let words = |scheme: &Scheme| {
        let name = scheme.name.iter().map(|name| format!(" `{name}`"));
        let place = scheme.place.iter().map(|place| format!(" in {place}"));
        name.chain(place).fold(scheme.kind.clone(), |words, more| words + &more)
    };
    schemes.keys().map(words).collect()
}
