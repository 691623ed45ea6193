//! Reading a description of an API, YAML or JSON, and following its references.

use std::fs;
use std::path::Path;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Number, Value};
use yaml_serde::Value as Yaml;

/// An OpenAPI document, of which no more is checked than its version.
#[derive(Debug)]
pub(crate) struct Document {
    root: Value,
    /// In 3.0 what stands beside a `$ref` is ignored; later it counts.
    pub(crate) is_3_0: bool,
}

impl Document {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // JSON first: not all of it is YAML (tabs, surrogate pairs). Both end as a YAML value,
        // which refuses a key that stands there twice.
        let mut yaml: Yaml = serde_json::from_str(text)
            .or_else(|_| yaml_serde::from_str(text))
            .map_err(|error| format!("neither YAML nor JSON: {error}"))?;
        yaml.apply_merge().map_err(|error| format!("not YAML: {error}"))?;
        let root = json(yaml)?;
        let version = match &root["openapi"] {
            Value::String(version) => version.clone(),
            Value::Number(version) => version.to_string(),
            _ => return Err("not OpenAPI 3.x: it has no `openapi` with a version".to_owned()),
        };
        if version != "3" && !version.starts_with("3.") {
            return Err(format!("not OpenAPI 3.x: its version is `{version}`"));
        }
        let is_3_0 = version == "3" || version == "3.0" || version.starts_with("3.0.");
        Ok(Self { root, is_3_0 })
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// What a value says, or what it refers to over one or several references, and its place.
    pub(crate) fn follow<'a>(
        &'a self,
        value: &'a Value,
        place: &str,
    ) -> Result<(&'a Value, String), String> {
        let (mut value, mut at) = (value, place.to_owned());
        let mut seen = Vec::new();
        while let Some(reference) = value.get("$ref") {
            let (target, reference) = self.target(reference, &at)?;
            if seen.contains(&reference) {
                return Err(circle(place, &seen, reference));
            }
            seen.push(reference);
            (value, at) = (target, reference.to_owned());
        }
        Ok((value, at))
    }

    /// What one reference leads to.
    pub(crate) fn target<'a>(
        &'a self,
        reference: &'a Value,
        place: &str,
    ) -> Result<(&'a Value, &'a str), String> {
        let nowhere = || format!("{place}: the reference {reference} leads nowhere in this file");
        let text = reference.as_str().ok_or_else(nowhere)?;
        let pointer = text.strip_prefix('#').ok_or_else(nowhere)?;
        let pointer = percent_decode_str(pointer).decode_utf8().map_err(|_| nowhere())?;
        Ok((self.root.pointer(&pointer).ok_or_else(nowhere)?, text))
    }
}

/// What is said of references that come back to where they began.
pub(crate) fn circle(place: &str, seen: &[&str], again: &str) -> String {
    format!("{place}: the references run in a circle: {} -> {again}", seen.join(" -> "))
}

/// The same in JSON: keys are text (`200:` is one too), a whole number has one form.
fn json(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => whole(number.as_i64(), number.as_u64(), number.as_f64()),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => list.into_iter().map(json).collect::<Result<_, _>>()?,
        Yaml::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let key = match json(key)? {
                    Value::String(text) => text,
                    scalar @ (Value::Null | Value::Bool(_) | Value::Number(_)) => {
                        scalar.to_string()
                    }
                    other => return Err(format!("the key {other} is not text")),
                };
                if object.contains_key(&key) {
                    return Err(format!("the key `{key}` stands there twice"));
                }
                object.insert(key, json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => json(tagged.value)?,
    })
}

fn whole(signed: Option<i64>, unsigned: Option<u64>, float: Option<f64>) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(number) = signed {
        return number.into();
    }
    if let Some(number) = unsigned {
        return number.into();
    }
    match float {
        Some(number) if number.fract() == 0.0 && number.abs() < EXACT => (number as i64).into(),
        Some(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        None => Value::Null,
    }
}
