//! What a document says of the two endpoints, in one canonical form.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::document::Document;
use crate::schema::{Schema, escaped};

const PATHS: [&str; 2] = ["/security/token", "/security/resources"];

/// What a parameter may be allowed besides its schema.
const ALLOWANCES: [&str; 2] = ["allowEmptyValue", "allowReserved"];

const VERBS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

/// By path and verb.
#[derive(Debug, PartialEq)]
pub(crate) struct Extract(pub(crate) BTreeMap<String, BTreeMap<String, Operation>>);

#[derive(Debug, PartialEq)]
pub(crate) struct Operation {
    /// By `in` and `name`, headers' names in small letters.
    pub(crate) parameters: BTreeMap<(String, String), Parameter>,
    pub(crate) body: Option<Body>,
    /// By status.
    pub(crate) responses: BTreeMap<String, Content>,
    /// Any of these sets of schemes gives access, and an empty set is no scheme. Each scheme is
    /// one that stands in `schemes`, with the roles that it has to have.
    pub(crate) security: BTreeSet<BTreeMap<Scheme, BTreeSet<String>>>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Parameter {
    /// As it is spelled.
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) schema: Schema,
    /// Other keywords: how the value is written, and which value stands for an absent one.
    pub(crate) form: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Body {
    pub(crate) required: bool,
    pub(crate) content: Content,
}

/// Schemas by media type.
pub(crate) type Content = BTreeMap<String, Schema>;

/// How a caller proves who it is. The name that a document has for it means nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scheme {
    /// `apiKey`, `http` and so on.
    pub(crate) kind: String,
    /// Of an `apiKey`: `header`, `query` or `cookie`.
    pub(crate) place: Option<String>,
    /// The header's or parameter's name, or the scheme of `http`.
    pub(crate) name: Option<String>,
}

impl Extract {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        Document::open(path)
            .and_then(|document| Self::of(&document))
            .map_err(|reason| format!("{}: {reason}", path.display()))
    }

    fn of(document: &Document) -> Result<Self, String> {
        let mut paths = BTreeMap::new();
        for path in PATHS {
            let Some(item) = document.root()["paths"].get(path) else { continue };
            let place = format!("#/paths/{}", escaped(path));
            let (item, place) = document.follow(item, &place)?;
            let mut operations = BTreeMap::new();
            for verb in VERBS {
                if let Some(operation) = item.get(verb) {
                    let place = format!("{place}/{verb}");
                    let operation = document.operation(item, operation, &place)?;
                    operations.insert(verb.to_owned(), operation);
                }
            }
            paths.insert(path.to_owned(), operations);
        }
        if paths.is_empty() {
            let [one, other] = PATHS;
            return Err(format!("it has neither of the paths `{one}` and `{other}`"));
        }
        Ok(Self(paths))
    }

    /// The extract as an OpenAPI document, from which the same extract can be read again.
    pub(crate) fn to_json(&self) -> Value {
        let mut schemes = Map::new();
        let paths = self.0.iter().map(|(path, operations)| {
            let operations = operations
                .iter()
                .map(|(verb, operation)| (verb.clone(), operation.to_json(&mut schemes)));
            (path.clone(), Value::Object(operations.collect()))
        });
        let paths = Value::Object(paths.collect());
        let mut document = json!({
            "openapi": "3.1.0",
            "paths": paths,
            "components": { "securitySchemes": schemes },
        });
        document.sort_all_objects();
        document
    }
}

impl Document {
    fn operation(&self, item: &Value, operation: &Value, place: &str) -> Result<Operation, String> {
        let mut parameters = BTreeMap::new();
        let path_place = place.rsplit_once('/').map_or(place, |(item, _)| item);
        // The operation's own come last: they replace the path's.
        for (holder, place) in [(item, path_place), (operation, place)] {
            let listed = holder.get("parameters").and_then(Value::as_array);
            for (at, parameter) in listed.into_iter().flatten().enumerate() {
                let place = format!("{place}/parameters/{at}");
                let (parameter, place) = self.follow(parameter, &place)?;
                let within = text(parameter, "in", &place)?;
                let mut name = text(parameter, "name", &place)?.to_owned();
                if within == "header" {
                    name.make_ascii_lowercase();
                    // OpenAPI: header parameters of these names are ignored.
                    if ["accept", "authorization", "content-type"].contains(&name.as_str()) {
                        continue;
                    }
                }
                let key = (within.to_owned(), name);
                parameters.insert(key, self.parameter(parameter, within, &place)?);
            }
        }

        let body = match operation.get("requestBody") {
            None => None,
            Some(body) => {
                let (body, place) = self.follow(body, &format!("{place}/requestBody"))?;
                let required = body["required"] == true;
                Some(Body { required, content: self.content(body, &place)? })
            }
        };

        let mut responses = BTreeMap::new();
        let listed = operation.get("responses").and_then(Value::as_object);
        for (status, response) in listed.into_iter().flatten() {
            if status.starts_with("x-") {
                continue;
            }
            let place = format!("{place}/responses/{status}");
            let (response, place) = self.follow(response, &place)?;
            let status = status.replace("xx", "XX");
            responses.insert(status, self.content(response, &place)?);
        }

        let (requirements, place) = match operation.get("security") {
            Some(requirements) => (requirements, format!("{place}/security")),
            None => (&self.root()["security"], "#/security".to_owned()),
        };
        let security = self.security(requirements, &place)?;
        Ok(Operation { parameters, body, responses, security })
    }

    fn parameter(&self, parameter: &Value, within: &str, place: &str) -> Result<Parameter, String> {
        let name = text(parameter, "name", place)?.to_owned();
        let required = parameter["required"] == true;
        let mut form = BTreeMap::new();
        let schema = match parameter.get("schema") {
            Some(schema) => {
                let place = format!("{place}/schema");
                let canonical = self.schema(schema, &place)?;
                if let (false, Some(default)) = (required, self.default(schema)) {
                    form.insert("default".to_owned(), default.clone());
                }
                canonical
            }
            None => {
                let mut content = self.content(parameter, place)?.into_iter();
                let (media_type, schema) =
                    content.next().unwrap_or_else(|| (String::new(), Schema::anything()));
                if !media_type.is_empty() {
                    form.insert("content".to_owned(), media_type.into());
                }
                schema
            }
        };
        let kinds = schema.kinds();
        let usual_style = if matches!(within, "query" | "cookie") { "form" } else { "simple" };
        let style = parameter["style"].as_str().unwrap_or(usual_style);
        // For a lone value, there is only one way to write it.
        if kinds.contains("array") || kinds.contains("object") {
            if style != usual_style {
                form.insert("style".to_owned(), style.into());
            }
            let explode = parameter["explode"].as_bool().unwrap_or(style == "form");
            if explode != (style == "form") {
                form.insert("explode".to_owned(), explode.into());
            }
        }
        for keyword in ALLOWANCES {
            if parameter[keyword] == true {
                form.insert(keyword.to_owned(), true.into());
            }
        }
        Ok(Parameter { name, required, schema, form })
    }

    /// The default of a schema, whose references have been followed once without a circle.
    fn default<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        schema.get("default").or_else(|| {
            let referred = schema.get("$ref").and_then(|to| Some(self.target(to, "").ok()?.0));
            let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
            referred.into_iter().chain(parts).find_map(|part| self.default(part))
        })
    }

    fn content(&self, holder: &Value, place: &str) -> Result<Content, String> {
        let mut content = Content::new();
        let listed = holder.get("content").and_then(Value::as_object);
        for (media_type, value) in listed.into_iter().flatten() {
            let place = format!("{place}/content/{}", escaped(media_type));
            let (value, place) = self.follow(value, &place)?;
            let schema = match value.get("schema") {
                Some(schema) => self.schema(schema, &format!("{place}/schema"))?,
                None => Schema::anything(),
            };
            let media_type = media_type.to_ascii_lowercase().replace(' ', "");
            // JSON is always UTF-8, and the other texts here are too.
            let media_type = media_type.trim_end_matches(";charset=utf-8").to_owned();
            content.insert(media_type, schema);
        }
        Ok(content)
    }

    fn security(
        &self,
        requirements: &Value,
        place: &str,
    ) -> Result<BTreeSet<BTreeMap<Scheme, BTreeSet<String>>>, String> {
        let requirements = requirements.as_array().map(Vec::as_slice).unwrap_or_default();
        if requirements.is_empty() {
            return Ok(BTreeSet::from([BTreeMap::new()]));
        }
        let mut alternatives = BTreeSet::new();
        for requirement in requirements {
            let mut alternative = BTreeMap::new();
            for (name, roles) in requirement.as_object().into_iter().flatten() {
                let pointer = format!("#/components/securitySchemes/{}", escaped(name));
                let reference = json!({ "$ref": pointer });
                let (scheme, at) = self.follow(&reference, place).map_err(|_| {
                    format!("{place}: the security scheme `{name}` is not defined: {pointer}")
                })?;
                let kind = text(scheme, "type", &at)?.to_owned();
                let place = scheme["in"].as_str().map(str::to_owned);
                let name = match (kind.as_str(), place.as_deref()) {
                    ("apiKey", Some("header")) => Some(header_name(text(scheme, "name", &at)?)),
                    ("apiKey", _) => Some(text(scheme, "name", &at)?.to_owned()),
                    ("http", _) => Some(text(scheme, "scheme", &at)?.to_ascii_lowercase()),
                    _ => None,
                };
                let roles = roles.as_array().into_iter().flatten().filter_map(Value::as_str);
                let roles = roles.map(str::to_owned).collect();
                alternative.insert(Scheme { kind, place, name }, roles);
            }
            alternatives.insert(alternative);
        }
        Ok(alternatives)
    }
}

impl Operation {
    fn to_json(&self, schemes: &mut Map<String, Value>) -> Value {
        let parameters = self.parameters.iter().map(|((within, _), parameter)| {
            let mut value = json!({ "in": within, "name": parameter.name });
            if parameter.required {
                value["required"] = true.into();
            }
            let mut schema = parameter.schema.to_json();
            if let Some(default) = parameter.form.get("default") {
                let own = schema.as_object_mut().map(mem::take).unwrap_or_default();
                schema = own.into_iter().chain([("default".to_owned(), default.clone())]).collect();
            }
            match parameter.form.get("content").and_then(Value::as_str) {
                Some(media_type) => value["content"] = json!({ media_type: { "schema": schema } }),
                None => value["schema"] = schema,
            }
            for keyword in ["explode", "style"].into_iter().chain(ALLOWANCES) {
                if let Some(said) = parameter.form.get(keyword) {
                    value[keyword] = said.clone();
                }
            }
            value
        });
        let responses = self.responses.iter().map(|(status, content)| {
            (status.clone(), json!({ "content": content_to_json(content) }))
        });
        let security = self.security.iter().map(|alternative| {
            let alternative = alternative.iter().map(|(scheme, roles)| {
                schemes.insert(scheme.id(), scheme.to_json());
                (scheme.id(), roles.iter().cloned().collect())
            });
            Value::Object(alternative.collect())
        });
        let mut operation = json!({
            "parameters": parameters.collect::<Value>(),
            "responses": Value::Object(responses.collect()),
            "security": security.collect::<Value>(),
        });
        if let Some(body) = &self.body {
            operation["requestBody"] =
                json!({ "required": body.required, "content": content_to_json(&body.content) });
        }
        operation
    }
}

fn content_to_json(content: &Content) -> Value {
    let content = content.iter();
    let content =
        content.map(|(kind, schema)| (kind.clone(), json!({ "schema": schema.to_json() })));
    Value::Object(content.collect())
}

impl Scheme {
    fn id(&self) -> String {
        let parts = [Some(&self.kind), self.place.as_ref(), self.name.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }

    fn to_json(&self) -> Value {
        let mut scheme = json!({ "type": self.kind });
        if let Some(place) = &self.place {
            scheme["in"] = place.clone().into();
        }
        if let Some(name) = &self.name {
            let keyword = if self.kind == "http" { "scheme" } else { "name" };
            scheme[keyword] = name.clone().into();
        }
        scheme
    }
}

fn text<'a>(value: &'a Value, keyword: &str, place: &str) -> Result<&'a str, String> {
    value
        .get(keyword)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{place}: `{keyword}` is missing or not text"))
}

/// Headers' names are the same in any case: `X-Plex-Token` is how they are written here.
fn header_name(name: &str) -> String {
    let part = |part: &str| match part.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + &rest.to_ascii_lowercase(),
        None => part.to_owned(),
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}
