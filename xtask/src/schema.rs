//! Schemas in one canonical form: what they allow, however they say it.
//!
//! A schema becomes a list of shapes, each of one type, of which a value has to fit one. So
//! `nullable`, `type: [.., "null"]` and `oneOf` with a `null` come out the same, references are
//! followed, `allOf` is merged, and prose, examples and defaults are gone. `oneOf` and `anyOf` are
//! not told apart: they differ only for values that fit several alternatives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::document::{Document, circle};

/// What a schema allows: any of these shapes.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Schema(pub(crate) Vec<Shape>);

/// Values of one type.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Shape {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean` or `null`.
    pub(crate) kind: String,
    /// `enum`, and `const`, which is an `enum` of one.
    pub(crate) values: Option<Vec<Value>>,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) required: BTreeSet<String>,
    pub(crate) additional: Option<Schema>,
    pub(crate) items: Option<Schema>,
    /// Every other keyword that says something about values of this type.
    pub(crate) limits: BTreeMap<String, Value>,
}

const KINDS: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];

/// Keywords that hold for one type, besides those that `Shape` has a field for and the bounds of
/// numbers.
const LIMITS: [(&str, &str); 24] = [
    ("array", "contains"),
    ("array", "maxContains"),
    ("array", "maxItems"),
    ("array", "minContains"),
    ("array", "minItems"),
    ("array", "prefixItems"),
    ("array", "unevaluatedItems"),
    ("array", "uniqueItems"),
    ("number", "format"),
    ("number", "multipleOf"),
    ("object", "dependentRequired"),
    ("object", "dependentSchemas"),
    ("object", "maxProperties"),
    ("object", "minProperties"),
    ("object", "patternProperties"),
    ("object", "propertyNames"),
    ("object", "unevaluatedProperties"),
    ("string", "contentEncoding"),
    ("string", "contentMediaType"),
    ("string", "contentSchema"),
    ("string", "format"),
    ("string", "maxLength"),
    ("string", "minLength"),
    ("string", "pattern"),
];

/// Keywords that hold for every type.
const ANY_KIND: [&str; 5] = ["else", "if", "not", "then", "writeOnly"];

impl Document {
    pub(crate) fn schema(&self, value: &Value, place: &str) -> Result<Schema, String> {
        self.schema_within(value, place, &mut Vec::new())
    }

    /// `open` holds the references that are being followed.
    fn schema_within<'a>(
        &'a self,
        value: &'a Value,
        place: &str,
        open: &mut Vec<&'a str>,
    ) -> Result<Schema, String> {
        let object = match value {
            Value::Bool(true) => return Ok(Schema::anything()),
            Value::Bool(false) => return Ok(Schema::default()),
            Value::Object(object) => object,
            _ => return Err(format!("{place}: {value} is not a schema")),
        };
        let referred = match object.get("$ref") {
            None => Schema::anything(),
            Some(reference) => {
                let (target, reference) = self.target(reference, place)?;
                if open.contains(&reference) {
                    return Err(circle(place, open, reference));
                }
                open.push(reference);
                let referred = self.schema_within(target, reference, open)?;
                open.pop();
                if self.is_3_0 {
                    return Ok(referred);
                }
                referred
            }
        };
        if object.contains_key("$dynamicRef") {
            return Err(format!("{place}: `$dynamicRef` is not understood"));
        }
        let mut schema = self.own(object, place, open)?.and(&referred);
        for part in self.each(object, "allOf", place, open)? {
            schema = schema.and(&part);
        }
        for keyword in ["anyOf", "oneOf"] {
            if object.contains_key(keyword) {
                let choices = self.each(object, keyword, place, open)?;
                let shapes = choices.into_iter().flat_map(|choice| choice.0).collect();
                schema = schema.and(&Schema::of(shapes));
            }
        }
        // Strictly it says nothing beside `allOf`, but there it is how people write it.
        if object.get("nullable") == Some(&Value::Bool(true)) {
            schema.0.push(Shape { kind: "null".to_owned(), ..Shape::default() });
            schema = Schema::of(schema.0);
        }
        Ok(schema)
    }

    fn each<'a>(
        &'a self,
        object: &'a Map<String, Value>,
        keyword: &str,
        place: &str,
        open: &mut Vec<&'a str>,
    ) -> Result<Vec<Schema>, String> {
        let parts = object.get(keyword).and_then(Value::as_array);
        let parts = parts.into_iter().flatten().enumerate();
        parts
            .map(|(at, part)| self.schema_within(part, &format!("{place}/{keyword}/{at}"), open))
            .collect()
    }

    /// What a schema says itself, without what it refers to.
    fn own<'a>(
        &'a self,
        object: &'a Map<String, Value>,
        place: &str,
        open: &mut Vec<&'a str>,
    ) -> Result<Schema, String> {
        let types: Option<BTreeSet<&str>> = match object.get("type") {
            Some(Value::String(kind)) => Some(BTreeSet::from([kind.as_str()])),
            Some(Value::Array(kinds)) => Some(kinds.iter().filter_map(Value::as_str).collect()),
            _ => None,
        };
        let values = match (object.get("const"), object.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => Some(vec![value.clone()]),
            (None, values) => values.cloned(),
        };
        let kinds = match (&types, &values) {
            (Some(types), _) => types.clone(),
            (None, Some(values)) => values.iter().map(kind_of).collect(),
            (None, None) => BTreeSet::from(KINDS),
        };
        let mut shapes = Vec::new();
        for kind in kinds {
            let mut shape = Shape { kind: kind.to_owned(), ..Shape::default() };
            // Whether `null` is allowed is the type's to say: 3.0 and 3.1 disagree about `enum`.
            if let (Some(values), true) = (&values, kind != "null") {
                let fits = |value: &&Value| kind_of(value) == kind || fits_number(value, kind);
                let values: Vec<_> = values.iter().filter(fits).cloned().collect();
                if values.is_empty() {
                    continue;
                }
                shape.values = Some(sorted(values));
            }
            let mut sub = |keyword: &str, value: &'a Value| {
                self.schema_within(value, &format!("{place}/{keyword}"), open)
            };
            if kind == "object" {
                let properties = object.get("properties").and_then(Value::as_object);
                for (name, value) in properties.into_iter().flatten() {
                    let keyword = format!("properties/{}", escaped(name));
                    shape.properties.insert(name.clone(), sub(&keyword, value)?);
                }
                let required = object.get("required").and_then(Value::as_array);
                let required = required.into_iter().flatten().filter_map(Value::as_str);
                shape.required = required.map(str::to_owned).collect();
            }
            for (holder, keyword) in [("object", "additionalProperties"), ("array", "items")] {
                if let (Some(value), true) = (object.get(keyword), holder == kind) {
                    let schema = Some(sub(keyword, value)?).filter(|schema| !schema.is_anything());
                    let field =
                        if kind == "array" { &mut shape.items } else { &mut shape.additional };
                    *field = schema;
                }
            }
            self.limits(object, place, open, &mut shape)?;
            shapes.push(shape);
        }
        Ok(Schema::of(shapes))
    }

    fn limits<'a>(
        &'a self,
        object: &'a Map<String, Value>,
        place: &str,
        open: &mut Vec<&'a str>,
        shape: &mut Shape,
    ) -> Result<(), String> {
        let kind = if shape.kind == "integer" { "number" } else { &shape.kind };
        let for_kind = LIMITS.iter().filter(|(holder, _)| *holder == kind);
        let for_kind = for_kind.map(|(_, keyword)| *keyword);
        for keyword in for_kind.chain(ANY_KIND) {
            let Some(value) = object.get(keyword) else { continue };
            let says_nothing = match keyword {
                "uniqueItems" | "writeOnly" => *value == false,
                _ => keyword.starts_with("min") && *value == 0,
            };
            if says_nothing {
                continue;
            }
            let place = format!("{place}/{keyword}");
            let value = self.limit(keyword, value, &place, open)?;
            shape.limits.insert(keyword.to_owned(), value);
        }
        // 3.1's way to say what 3.0 says with `format`.
        for (keyword, said, format) in [
            ("contentEncoding", "base64", "byte"),
            ("contentMediaType", "application/octet-stream", "binary"),
        ] {
            let is_said = shape.limits.get(keyword).is_some_and(|value| value == said);
            if is_said && !shape.limits.contains_key("format") {
                shape.limits.remove(keyword);
                shape.limits.insert("format".to_owned(), format.into());
            }
        }
        if kind == "number" {
            for (bound, exclusive) in
                [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")]
            {
                let (keyword, value) = match (object.get(bound), object.get(exclusive)) {
                    // 3.0: a flag. 3.1: a bound of its own.
                    (Some(value), Some(Value::Bool(true))) => (exclusive, value),
                    (both, Some(value @ Value::Number(_))) => {
                        if let Some(both) = both {
                            shape.limits.insert(bound.to_owned(), both.clone());
                        }
                        (exclusive, value)
                    }
                    (Some(value), _) => (bound, value),
                    (None, _) => continue,
                };
                shape.limits.insert(keyword.to_owned(), value.clone());
            }
        }
        Ok(())
    }

    /// A keyword's value, with the schemas inside in canonical form.
    fn limit<'a>(
        &'a self,
        keyword: &str,
        value: &'a Value,
        place: &str,
        open: &mut Vec<&'a str>,
    ) -> Result<Value, String> {
        Ok(match (keyword, value) {
            ("patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                let mut canonical = Map::new();
                for (name, schema) in schemas {
                    let place = format!("{place}/{}", escaped(name));
                    let schema = self.schema_within(schema, &place, open)?;
                    canonical.insert(name.clone(), schema.to_json());
                }
                Value::Object(canonical)
            }
            ("prefixItems", Value::Array(schemas)) => {
                let schemas = schemas.iter().enumerate().map(|(at, schema)| {
                    Ok(self.schema_within(schema, &format!("{place}/{at}"), open)?.to_json())
                });
                schemas.collect::<Result<_, String>>()?
            }
            (
                "contains"
                | "contentSchema"
                | "else"
                | "if"
                | "not"
                | "propertyNames"
                | "then"
                | "unevaluatedItems"
                | "unevaluatedProperties",
                schema,
            ) => self.schema_within(schema, place, open)?.to_json(),
            (_, value) => value.clone(),
        })
    }
}

impl Schema {
    pub(crate) fn anything() -> Self {
        let shape = |kind: &str| Shape { kind: kind.to_owned(), ..Shape::default() };
        Self(KINDS.map(shape).into())
    }

    pub(crate) fn is_anything(&self) -> bool {
        *self == Self::anything()
    }

    /// The shapes in order, without those that say nothing new.
    fn of(shapes: Vec<Shape>) -> Self {
        let mut merged: Vec<Shape> = Vec::new();
        for shape in shapes {
            let without_values = |shape: &Shape| Shape { values: None, ..shape.clone() };
            let same = merged.iter_mut().find(|m| without_values(m) == without_values(&shape));
            match same {
                None => merged.push(shape),
                Some(same) => {
                    same.values = match (same.values.take(), shape.values) {
                        (Some(one), Some(other)) => Some(sorted([one, other].concat())),
                        _ => None,
                    };
                }
            }
        }
        let number = Shape { kind: "number".to_owned(), ..Shape::default() };
        if merged.contains(&number) {
            merged.retain(|shape| shape.kind != "integer");
        }
        merged.sort_by_cached_key(|shape| (shape.kind.clone(), shape.to_json().to_string()));
        Self(merged)
    }

    /// What both allow.
    fn and(&self, other: &Self) -> Self {
        let pairs = self.0.iter().flat_map(|one| other.0.iter().map(move |two| (one, two)));
        Self::of(pairs.filter_map(|(one, two)| one.and(two)).collect())
    }

    pub(crate) fn kinds(&self) -> BTreeSet<&str> {
        self.0.iter().map(|shape| shape.kind.as_str()).collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        match self.0.as_slice() {
            _ if self.is_anything() => Value::Bool(true),
            [] => Value::Bool(false),
            [shape] => shape.to_json(),
            shapes => {
                let shapes: Value = shapes.iter().map(Shape::to_json).collect();
                Value::Object(Map::from_iter([("anyOf".to_owned(), shapes)]))
            }
        }
    }
}

impl Shape {
    fn and(&self, other: &Self) -> Option<Self> {
        let kind = match (self.kind.as_str(), other.kind.as_str()) {
            (one, two) if one == two => one,
            ("integer", "number") | ("number", "integer") => "integer",
            _ => return None,
        };
        let values = match (&self.values, &other.values) {
            (Some(one), Some(two)) => {
                let both: Vec<_> = one.iter().filter(|v| two.contains(v)).cloned().collect();
                if both.is_empty() {
                    return None;
                }
                Some(both)
            }
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        };
        let names = self.properties.keys().chain(other.properties.keys());
        let property = |name: &String| match (self.property(name), other.property(name)) {
            (Some(one), Some(two)) => one.and(two),
            (one, two) => one.or(two).cloned().unwrap_or_default(),
        };
        let properties = names.map(|name| (name.clone(), property(name))).collect();
        let mut limits = self.limits.clone();
        for (keyword, value) in &other.limits {
            let merged = match limits.get(keyword) {
                Some(own) => tighter(keyword, own, value),
                None => value.clone(),
            };
            limits.insert(keyword.clone(), merged);
        }
        Some(Self {
            kind: kind.to_owned(),
            values,
            properties,
            required: self.required.union(&other.required).cloned().collect(),
            additional: both(&self.additional, &other.additional),
            items: both(&self.items, &other.items),
            limits,
        })
    }

    /// What is said of a property, by its name or for all others.
    fn property(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(self.additional.as_ref())
    }

    fn to_json(&self) -> Value {
        let mut object: Map<String, Value> = self.limits.clone().into_iter().collect();
        object.insert("type".to_owned(), self.kind.clone().into());
        if let Some(values) = &self.values {
            object.insert("enum".to_owned(), values.clone().into());
        }
        if !self.properties.is_empty() {
            let properties = self.properties.iter();
            let properties = properties.map(|(name, schema)| (name.clone(), schema.to_json()));
            object.insert("properties".to_owned(), Value::Object(properties.collect()));
        }
        if !self.required.is_empty() {
            object.insert("required".to_owned(), self.required.iter().cloned().collect());
        }
        if let Some(additional) = &self.additional {
            object.insert("additionalProperties".to_owned(), additional.to_json());
        }
        if let Some(items) = &self.items {
            object.insert("items".to_owned(), items.to_json());
        }
        Value::Object(object)
    }
}

fn both(one: &Option<Schema>, two: &Option<Schema>) -> Option<Schema> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.and(two)),
        (one, two) => one.as_ref().or(two.as_ref()).cloned(),
    }
}

/// Both limits in one: the tighter of two bounds, or the two side by side.
fn tighter(keyword: &str, one: &Value, two: &Value) -> Value {
    let larger = one.as_f64() > two.as_f64();
    match looser_when_larger(keyword) {
        _ if one == two => one.clone(),
        Some(looser) if looser == larger => two.clone(),
        Some(_) => one.clone(),
        None => sorted(vec![one.clone(), two.clone()]).into(),
    }
}

/// Of a bound: whether a larger one allows more.
pub(crate) fn looser_when_larger(keyword: &str) -> Option<bool> {
    if keyword.starts_with("max") || keyword == "exclusiveMaximum" {
        Some(true)
    } else if keyword.starts_with("min") || keyword == "exclusiveMinimum" {
        Some(false)
    } else {
        None
    }
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

fn fits_number(value: &Value, kind: &str) -> bool {
    kind == "number" && value.is_number()
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_cached_key(Value::to_string);
    values.dedup();
    values
}

/// A name as a part of a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
