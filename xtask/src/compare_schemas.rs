//! The changes between two schemas.

use std::iter;

use itertools::Itertools;
use serde_json::Value;

use crate::compare::{Changes, pairs};
use crate::schema::{Schema, Shape, looser_when_larger};
use crate::text;

/// Who sends the values of a schema.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// The client: accepting less is breaking, if what the client sends `matters`.
    Sent { matters: bool },
    /// The server: sending more is breaking, where the client reads.
    Received,
}

/// Whether a change removes allowed values, and whether it adds some. Both when that is unknown.
type Effect = (bool, bool);

const LOST: Effect = (true, false);
const GAINED: Effect = (false, true);
const UNKNOWN: Effect = (true, true);

/// A place inside the schemas that are compared.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    /// The start of every line.
    subject: &'a str,
    direction: Direction,
    /// The path from the outermost schema.
    names: String,
    /// What the client sends or reads here.
    client: Option<&'a Schema>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(subject: &'a str, direction: Direction, client: Option<&'a Schema>) -> Self {
        Self { subject, direction, names: String::new(), client }
    }

    fn property(&self, name: &str) -> Self {
        let dot = if self.names.is_empty() { "" } else { "." };
        let names = format!("{}{dot}{}", self.names, text::cut(name));
        Self { names, client: self.client.and_then(|client| client.property(name)), ..self.clone() }
    }

    fn item(&self) -> Self {
        let client = self.client.map(|client| client.items().unwrap_or(client));
        Self { names: format!("{}[]", self.names), client, ..self.clone() }
    }

    fn is_received(&self) -> bool {
        matches!(self.direction, Direction::Received)
    }

    fn breaks(&self, (lost, gained): Effect) -> bool {
        match self.direction {
            Direction::Sent { matters } => matters && lost,
            Direction::Received => self.client.is_some() && gained,
        }
    }

    fn label(&self) -> String {
        let names =
            if self.names.is_empty() { String::new() } else { format!(", `{}`", self.names) };
        format!("{}{names}", self.subject)
    }
}

impl Changes {
    pub(crate) fn compare(&mut self, place: &Place<'_>, old: &Schema, new: &Schema) {
        if old.unreadable || new.unreadable {
            return;
        }
        if let Some(items) = wrapped(new, old) {
            self.schema(place, UNKNOWN, old, new);
            return self.compare(&place.item(), old, items);
        }
        if let Some(items) = wrapped(old, new) {
            self.schema(place, UNKNOWN, old, new);
            return self.compare(place, items, new);
        }
        let (was, is) = (old.kinds(), new.kinds());
        if was != is {
            // The client reads none of the types that are left.
            let unread = place.client.is_some_and(|client| client.kinds().is_disjoint(&is));
            let effect = (!was.is_subset(&is), !is.is_subset(&was) || unread);
            self.schema(place, effect, old, new);
        }
        for kind in was.intersection(&is) {
            match (&*old.of_kind(kind), &*new.of_kind(kind)) {
                (was, is) if was == is => {}
                ([was], [is]) => {
                    if was.values != is.values {
                        self.schema(place, values_effect(place, was, is), old, new);
                    }
                    self.shapes(place, was, is);
                }
                _ => self.schema(place, UNKNOWN, old, new),
            }
        }
    }

    /// Compares keywords, properties and items.
    fn shapes(&mut self, place: &Place<'_>, old: &Shape, new: &Shape) {
        for (keyword, was, is) in pairs(&old.keywords, &new.keywords).filter(|it| it.1 != it.2) {
            let effect = keyword_effect(keyword, was, is);
            let keyword = format!(", `{}`", text::cut(keyword));
            self.at(place, &keyword, effect, &value_words(was), &value_words(is));
        }
        for (name, was, is) in pairs(&old.properties, &new.properties) {
            let place = place.property(name);
            let [was_words, is_words] = [was, is].map(|it| it.map(words).unwrap_or_default());
            let going_breaks = place.breaks(UNKNOWN);
            let coming_breaks = !place.is_received() && new.required.contains(name);
            let presence = (&*was_words, going_breaks, &*is_words, coming_breaks);
            if let Some((was, is)) = self.both(place.label(), was, is, presence) {
                self.compare(&place, was, is);
            }
        }
        for name in old.required.symmetric_difference(&new.required) {
            let place = place.property(name);
            let listed = |shape: &Shape| shape.properties.contains_key(name);
            match old.required.contains(name) {
                _ if listed(old) != listed(new) => {}
                true => self.at(&place, "", GAINED, "required", "optional"),
                false => self.at(&place, "", LOST, "optional", "required"),
            }
        }
        if old.items != new.items {
            let items = |shape: &Shape| shape.items.clone().unwrap_or_else(Schema::anything);
            self.compare(&place.item(), &items(old), &items(new));
        }
    }

    /// Adds a change of a schema's types or values.
    fn schema(&mut self, place: &Place<'_>, effect: Effect, old: &Schema, new: &Schema) {
        self.at(place, "", effect, &words(old), &words(new));
        let is_read = place.is_received() && place.client.is_some_and(|it| it.includes(new));
        for change in self.0.last_mut().into_iter().filter(|change| change.breaking && is_read) {
            change.note = " (the client already reads it)";
        }
    }

    fn at(&mut self, place: &Place<'_>, keyword: &str, effect: Effect, was: &str, is: &str) {
        self.add(place.breaks(effect), format!("{}{keyword}", place.label()), was, is);
    }
}

fn values_effect(place: &Place<'_>, old: &Shape, new: &Shape) -> Effect {
    let unknown = |values: &Vec<Value>| values.iter().any(|value| !old.takes(value));
    let gained = new.values.as_ref().is_none_or(unknown);
    // Only the values that the client sends matter.
    let lost = |values: &Vec<Value>| values.iter().any(|it| old.takes(it) && !new.takes(it));
    let sent = place.client.map(|client| client.of_kind(&old.kind)).unwrap_or_default();
    let lost = sent.iter().any(|it| it.values.as_ref().or(old.values.as_ref()).is_none_or(lost));
    (lost, gained)
}

fn keyword_effect(keyword: &str, was: Option<&Value>, is: Option<&Value>) -> Effect {
    let all = |fits: fn(&Value) -> bool| was.into_iter().chain(is).all(fits);
    match (keyword, looser_when_larger(keyword)) {
        // The client ignores other properties.
        ("additionalProperties", _) => LOST,
        // The format defines the meaning of a value, so any change matters to a reader.
        ("format", _) => (is.is_some(), true),
        ("pattern", _) if all(Value::is_string) => (is.is_some(), was.is_some()),
        (_, Some(looser)) if all(Value::is_number) => {
            let both = was.zip(is).map(|(was, is)| looser == (is.as_f64() > was.as_f64()));
            let gained = both.unwrap_or(is.is_none());
            (!gained, gained)
        }
        // No published version has used the keyword: a person has to look at it.
        _ => UNKNOWN,
    }
}

/// The items of `array`, if it is an array of what `other` allows.
fn wrapped<'a>(array: &'a Schema, other: &Schema) -> Option<&'a Schema> {
    let depth = |schema: &Schema| iter::successors(schema.items(), |it| it.items()).count();
    let items = array.items().filter(|_| array.shapes.len() == 1)?;
    (depth(array) > depth(other) && items.kinds() == other.kinds()).then_some(items)
}

pub(crate) fn words(schema: &Schema) -> String {
    match schema.shapes.as_slice() {
        [] => if schema.unreadable { "unreadable" } else { "nothing" }.to_owned(),
        _ if schema.is_anything() => "anything".to_owned(),
        shapes => shapes.iter().map(shape_words).sorted().dedup().join(" or "),
    }
}

fn shape_words(shape: &Shape) -> String {
    match (&shape.values, &shape.items) {
        (Some(values), _) => {
            let mut values = values.iter().map(|value| value_words(Some(value)));
            format!("{} {}", shape.kind, values.join("|"))
        }
        (None, Some(items)) => format!("array of {}", words(items)),
        (None, None) => shape.kind.clone(),
    }
}

pub(crate) fn value_words(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}
