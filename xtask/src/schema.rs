//! Schemas in one canonical form, which depends only on what they allow.
//!
//! A schema becomes a list of shapes, one for each type; a value has to match one of them. So
//! `nullable`, `type: [.., "null"]` and `oneOf` with a `null` are the same. References are followed,
//! `allOf` is merged, and prose, examples and defaults are left out. `oneOf` and `anyOf` are treated
//! alike: they differ only for values that match several alternatives.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::document::Node;
use crate::reader::{Read, Reader};

/// What a schema allows: any of these shapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    pub(crate) shapes: Vec<Shape>,
    /// The default of an optional parameter.
    pub(crate) default: Option<Value>,
    /// Some or all of it cannot be read.
    pub(crate) unreadable: bool,
}

/// Values of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Shape {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean` or `null`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `enum`, and `const`, which is an `enum` of one.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) properties: BTreeMap<String, Schema>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) required: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) items: Option<Schema>,
    /// All other keywords, even if they do not apply to this type.
    #[serde(flatten)]
    pub(crate) keywords: BTreeMap<String, Value>,
}

const KINDS: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];

/// Keywords that have a field in `Shape`, or that combine schemas.
const STRUCTURE: &str = "$ref allOf anyOf const enum items nullable oneOf properties required type";

/// Keywords that do not affect which values are valid.
const PROSE: &str = "$anchor $comment $defs $schema default deprecated description discriminator \
                     example examples externalDocs readOnly title xml";

/// The allowed types, or `None` for all.
type Kinds<'a> = Option<BTreeSet<&'a str>>;

/// Schemas that a value has to match, all of them.
#[derive(Clone, Default)]
struct Parts<'a> {
    /// Each with whether it is nullable.
    objects: Vec<(Node<'a>, bool)>,
    /// Lists of alternatives. A value has to match one of each list.
    choices: Vec<Vec<(Node<'a>, bool)>>,
}

impl<'a> Reader<'a> {
    /// The default of a schema, or of one that it refers to.
    pub(crate) fn default(&mut self, node: Node<'a>) -> Read<Option<Value>> {
        let mut parts = Parts::default();
        self.gather(node, false, &mut parts)?;
        let default = parts.objects.iter().rev().find_map(|(node, _)| node.get("default"));
        default.map(|default| self.expand(&default)).transpose()
    }

    /// The intersection of several schemas.
    pub(crate) fn schema(&mut self, nodes: Vec<Node<'a>>) -> Schema {
        let mut parts = Parts::default();
        let gathered = nodes.into_iter().try_for_each(|it| self.gather(it, false, &mut parts));
        let mut shapes = Vec::new();
        let unreadable = gathered.and_then(|()| self.alternatives(parts, &mut shapes)).is_err();
        Schema { shapes: merged(shapes), default: None, unreadable }
    }

    /// Adds a schema to `parts`, with its reference and its `allOf`.
    fn gather(&mut self, node: Node<'a>, nullable: bool, parts: &mut Parts<'a>) -> Read<()> {
        self.spend(&node)?;
        match node.value {
            Value::Bool(true) | Value::Object(_) => {}
            // Nothing matches an empty list of alternatives.
            Value::Bool(false) => parts.choices.push(Vec::new()),
            _ => return Err(self.defect(&node, "it is not a schema")),
        }
        let target = self.target(&node)?;
        if let (Some(target), true) = (&target, self.document.is_3_0) {
            return self.gather(target.clone(), nullable, parts);
        }
        // The specification ignores it beside `allOf`, but people write it there.
        let nullable = self.read(&node, "nullable")? || nullable;
        for part in target.into_iter().chain(self.list(&node, "allOf")?) {
            self.gather(part, nullable, parts)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            if node.value.get(keyword).is_some() {
                let choice = self.list(&node, keyword)?;
                parts.choices.push(choice.into_iter().map(|part| (part, nullable)).collect());
            }
        }
        parts.objects.push((node, nullable));
        Ok(())
    }

    /// Adds the shapes of each combination of alternatives.
    fn alternatives(&mut self, mut parts: Parts<'a>, shapes: &mut Vec<Shape>) -> Read<()> {
        let Some(choice) = parts.choices.pop() else { return self.shapes(&parts, shapes) };
        for (node, nullable) in choice {
            parts.objects.iter().try_for_each(|(object, _)| self.spend(object))?;
            let mut parts = parts.clone();
            self.gather(node, nullable, &mut parts)?;
            self.alternatives(parts, shapes)?;
        }
        Ok(())
    }

    /// Adds the shapes of the intersection of all objects.
    fn shapes(&mut self, parts: &Parts<'a>, shapes: &mut Vec<Shape>) -> Read<()> {
        let mut kinds: Kinds<'_> = None;
        let mut values: Option<Vec<Value>> = None;
        let mut properties: BTreeMap<&str, Vec<Node<'a>>> = BTreeMap::new();
        let mut items = Vec::new();
        let mut all = Shape::default();
        for (node, nullable) in &parts.objects {
            let (own_kinds, own_values) = self.types(node)?;
            if let Some(mut own) = own_kinds {
                own.extend(nullable.then_some("null"));
                let kinds = kinds.get_or_insert_with(|| own.clone());
                kinds.retain(|kind| own.iter().any(|own| is_of_kind(kind, own)));
            }
            if let Some(own) = own_values {
                values.get_or_insert_with(|| own.clone()).retain(|value| own.contains(value));
            }
            for (name, property) in self.entries(node, "properties")? {
                properties.entry(name).or_default().push(property);
            }
            all.required.extend(self.read::<BTreeSet<_>>(node, "required")?);
            items.extend(node.get("items"));
            self.keywords(node, &mut all.keywords)?;
        }
        for (name, nodes) in properties {
            all.properties.insert(name.to_owned(), self.schema(nodes));
        }
        let items = (!items.is_empty()).then(|| self.schema(items));
        all.items = items.filter(|items| !items.is_anything());

        for kind in kinds.unwrap_or_else(|| KINDS.into()) {
            let mut shape = Shape { kind: kind.to_owned(), ..all.clone() };
            if kind != "object" {
                shape.properties.clear();
                shape.required.clear();
            }
            shape.items = shape.items.filter(|_| kind == "array");
            // Only the type decides about `null`: 3.0 and 3.1 disagree about `enum`.
            if kind == "null" {
                shape.keywords.clear();
            } else {
                let fits = |value: &&Value| is_of_kind(kind_of(value), kind);
                let fitting = |values: &Vec<_>| values.iter().filter(fits).cloned().collect();
                shape.values = values.as_ref().map(fitting).map(sorted);
            }
            if shape.values.as_ref().is_none_or(|values| !values.is_empty()) {
                shapes.push(shape);
            }
        }
        Ok(())
    }

    /// The types and values that an object lists, if it does.
    fn types(&mut self, node: &Node<'a>) -> Read<(Kinds<'a>, Option<Vec<Value>>)> {
        let constant = node.get("const").map(|value| vec![value]);
        let is_listed = constant.is_some() || node.value.get("enum").is_some();
        let values = constant.map_or_else(|| self.list(node, "enum"), Ok)?;
        let values: Vec<_> = values.iter().map(|it| self.expand(it)).collect::<Read<_>>()?;
        let kinds = match node.value.get("type") {
            Some(Value::String(kind)) => Some([kind.as_str()].into()),
            Some(_) => Some(self.read(node, "type")?),
            None if is_listed => Some(values.iter().map(kind_of).collect()),
            None => None,
        };
        Ok((kinds, is_listed.then_some(values)))
    }

    /// Adds the keywords that have no field of their own in `Shape`.
    fn keywords(&mut self, node: &Node<'a>, all: &mut BTreeMap<String, Value>) -> Read<()> {
        for (keyword, child) in node.entries() {
            let is_ignored = match keyword {
                "additionalProperties" => *child.value == true || *child.value == json!({}),
                "uniqueItems" | "writeOnly" => *child.value == false,
                "minItems" | "minLength" | "minProperties" => *child.value == 0,
                // A flag beside the bound in 3.0, a bound of its own in 3.1.
                "exclusiveMinimum" | "exclusiveMaximum" => child.value.is_boolean(),
                _ => STRUCTURE.split(' ').chain(PROSE.split(' ')).any(|it| it == keyword),
            };
            if is_ignored || keyword.starts_with("x-") {
                continue;
            }
            let value = self.expand(&child)?;
            let exclusive = |keyword| node.value.get(keyword) == Some(&Value::Bool(true));
            let (keyword, value) = match (keyword, value.as_str().unwrap_or_default()) {
                ("minimum", _) if exclusive("exclusiveMinimum") => ("exclusiveMinimum", value),
                ("maximum", _) if exclusive("exclusiveMaximum") => ("exclusiveMaximum", value),
                // 3.1 replaced these formats.
                ("contentEncoding", "base64") => ("format", json!("byte")),
                ("contentMediaType", "application/octet-stream") => ("format", json!("binary")),
                _ => (keyword, value),
            };
            let value = match all.remove(keyword) {
                Some(other) => tighter(keyword, other, value),
                None => value,
            };
            all.insert(keyword.to_owned(), value);
        }
        Ok(())
    }

    /// A copy of a value with its references inlined and whole numbers as integers.
    pub(crate) fn expand(&mut self, node: &Node<'a>) -> Read<Value> {
        // No real value is nested deeper.
        let node = &Node { levels: node.levels.min(20), ..node.clone() };
        self.spend(node)?;
        if let Some(target) = self.target(node)? {
            return self.expand(&target);
        }
        Ok(match node.value {
            Value::Object(_) => {
                let entries = node.entries();
                let copies = entries.map(|(key, it)| Ok((key.to_owned(), self.expand(&it)?)));
                copies.collect::<Read<Value>>()?
            }
            Value::Array(_) => node.items().map(|it| self.expand(&it)).collect::<Read<Value>>()?,
            Value::Number(number) => match number.as_f64() {
                Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => (float as i64).into(),
                _ => node.value.clone(),
            },
            other => other.clone(),
        })
    }
}

impl Schema {
    pub(crate) fn anything() -> Self {
        let shape = |kind: &str| Shape { kind: kind.to_owned(), ..Shape::default() };
        Self { shapes: KINDS.map(shape).into(), ..Self::default() }
    }

    pub(crate) fn is_anything(&self) -> bool {
        self.shapes == Self::anything().shapes && !self.unreadable
    }

    pub(crate) fn kinds(&self) -> BTreeSet<&str> {
        self.shapes.iter().map(|shape| shape.kind.as_str()).collect()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Shape> {
        self.shapes.iter().filter(|shape| shape.kind == kind).collect()
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> Option<&Self> {
        self.shapes.iter().find_map(|shape| shape.items.as_ref())
    }

    /// A property of objects, or of objects in an array.
    pub(crate) fn property(&self, name: &str) -> Option<&Self> {
        let own = self.shapes.iter().find_map(|shape| shape.properties.get(name));
        own.or_else(|| self.items()?.property(name))
    }

    /// Whether this allows everything that `other` does, judged by types and listed values only.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let includes = |own: &Shape, other: &Shape| {
            let values = match &other.values {
                Some(values) => values.iter().all(|value| own.takes(value)),
                None => own.values.is_none(),
            };
            let items = own
                .items
                .as_ref()
                .is_none_or(|own| other.items.as_ref().is_some_and(|items| own.includes(items)));
            own.kind == other.kind && values && items
        };
        !other.shapes.is_empty()
            && other.shapes.iter().all(|other| self.shapes.iter().any(|own| includes(own, other)))
    }
}

impl Shape {
    pub(crate) fn takes(&self, value: &Value) -> bool {
        self.values.as_ref().is_none_or(|values| values.contains(value))
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = match self.shapes.as_slice() {
            [] => json!(false),
            _ if self.is_anything() && self.default.is_none() => json!(true),
            _ if self.is_anything() => json!({}),
            [shape] => json!(shape),
            shapes => json!({ "anyOf": shapes }),
        };
        if let (Some(object), Some(default)) = (value.as_object_mut(), &self.default) {
            object.insert("default".to_owned(), default.clone());
        }
        value.serialize(serializer)
    }
}

/// Sorts the shapes and merges those that differ only in their values.
fn merged(mut shapes: Vec<Shape>) -> Vec<Shape> {
    let besides_values = |shape: &Shape| format!("{:?}", Shape { values: None, ..shape.clone() });
    shapes.sort_by(|one, two| one.kind.cmp(&two.kind));
    if shapes.windows(2).any(|pair| pair[0].kind == pair[1].kind) {
        shapes.sort_by_cached_key(besides_values);
    }
    shapes.dedup_by(|next, kept| {
        let alike = next.kind == kept.kind && besides_values(next) == besides_values(kept);
        if alike {
            let both = kept.values.take().zip(next.values.take());
            kept.values = both.map(|(one, two)| sorted([one, two].concat()));
        }
        alike
    });
    shapes
}

/// The tighter of two bounds; for other keywords, a list of both values.
fn tighter(keyword: &str, one: Value, two: Value) -> Value {
    match looser_when_larger(keyword) {
        _ if one == two => one,
        Some(looser) if looser == (one.as_f64() > two.as_f64()) => two,
        Some(_) => one,
        None => sorted(vec![one, two]).into(),
    }
}

/// For a bound: whether a larger value allows more.
pub(crate) fn looser_when_larger(keyword: &str) -> Option<bool> {
    let bound = keyword.strip_prefix("exclusive").unwrap_or(keyword).to_ascii_lowercase();
    let [max, min] = ["max", "min"].map(|prefix| bound.starts_with(prefix));
    (max || min).then_some(max)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// An integer is also a number.
fn is_of_kind(kind: &str, other: &str) -> bool {
    kind == other || (kind, other) == ("integer", "number")
}

fn sorted(values: Vec<Value>) -> Vec<Value> {
    values.into_iter().sorted_by_cached_key(Value::to_string).dedup().collect()
}
