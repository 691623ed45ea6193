//! The two endpoints of a document, in one canonical form.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Not;
use std::path::Path;

use anyhow::{anyhow, bail, ensure};
use itertools::Itertools;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::document::{Document, Node};
use crate::reader::{Read, Reader};
use crate::schema::Schema;
use crate::text;

const PATHS: [&str; 2] = ["/security/token", "/security/resources"];

const VERBS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

#[derive(Debug)]
pub(crate) struct Extract {
    /// `None`: the path exists but cannot be read.
    pub(crate) paths: BTreeMap<String, Option<Operations>>,
    /// The parts that cannot be read: place and reason.
    pub(crate) defects: BTreeSet<String>,
}

/// By verb. `None`: the operation exists but cannot be read.
pub(crate) type Operations = BTreeMap<String, Option<Operation>>;

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    #[serde(serialize_with = "as_list")]
    pub(crate) parameters: Parameters,
    /// Whether some parameters cannot be read.
    #[serde(skip)]
    pub(crate) lacks_parameters: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_body: Option<Value>,
    /// By status. `None`: the response exists but cannot be read.
    pub(crate) responses: BTreeMap<String, Option<Response>>,
    pub(crate) security: Option<Security>,
    /// Empty if the operation is at the address that the user configures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<Value>,
}

/// By `in` and `name`, headers' names in lower case.
pub(crate) type Parameters = BTreeMap<ParameterKey, Parameter>;

pub(crate) type ParameterKey = (String, String);

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Parameter {
    #[serde(rename = "in")]
    within: String,
    /// In its original spelling.
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Not::not")]
    pub(crate) required: bool,
    pub(crate) schema: Schema,
    /// Other keywords, which define how the value is serialized.
    #[serde(flatten)]
    pub(crate) form: BTreeMap<String, Value>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Response {
    pub(crate) content: Content,
}

/// By media type.
pub(crate) type Content = BTreeMap<String, MediaType>;

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct MediaType {
    pub(crate) schema: Schema,
}

/// Alternatives: the schemes that a caller needs, each with the roles that it requires. An empty
/// alternative needs no scheme.
pub(crate) type Security = BTreeSet<BTreeMap<SchemeName, BTreeSet<String>>>;

/// A canonical name: `apiKey.header.NAME`, `http.SCHEME`, or the kind alone. The name in the document
/// has no meaning.
pub(crate) type SchemeName = String;

impl Extract {
    /// Reads the parts of a description that can be read.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let extract = Document::open(path).and_then(|document| Self::of(&document));
        extract.map_err(|error| anyhow!("{}: {}", path.display(), text::line(&error.to_string())))
    }

    /// Reads a description that must not have a defect.
    pub(crate) fn open_whole(path: &Path) -> anyhow::Result<Self> {
        let extract = Self::open(path)?;
        match extract.defects.first() {
            Some(defect) => bail!("{}: {}", path.display(), text::line(defect)),
            None => Ok(extract),
        }
    }

    fn of(document: &Document) -> anyhow::Result<Self> {
        let mut reader = Reader::new(document);
        let root = document.root();
        let mut paths = BTreeMap::new();
        for path in PATHS {
            if let Some(item) = root.get("paths").and_then(|items| items.get(path)) {
                paths.insert(path.to_owned(), reader.path_item(item).ok());
            }
        }
        let Reader { defects, refused, .. } = reader;
        if let Some(reason) = refused {
            bail!(reason);
        }
        let reasons: String = defects.iter().map(|defect| format!("; {defect}")).collect();
        let readable = |item: &Operations| item.is_empty() || item.values().any(Option::is_some);
        let can_be_compared = paths.values().flatten().any(readable);
        let names = PATHS.join("` and `");
        ensure!(can_be_compared, "it has neither of the paths `{names}`{reasons}");
        Ok(Self { paths, defects })
    }

    /// The extract as an OpenAPI document. Reading that gives the same extract.
    pub(crate) fn to_json(&self) -> Value {
        let operations = self.paths.values().flatten().flat_map(BTreeMap::values).flatten();
        let schemes = operations.flat_map(|operation| operation.security.iter().flatten());
        let schemes = schemes.flat_map(BTreeMap::keys);
        let schemes = schemes.map(|name| (name.clone(), scheme_definition(name)));
        let mut document = json!({
            "openapi": "3.1.0",
            "paths": self.paths,
            "components": { "securitySchemes": schemes.collect::<Map<_, _>>() },
        });
        document.sort_all_objects();
        document
    }
}

impl<'a> Reader<'a> {
    fn path_item(&mut self, item: Node<'a>) -> Read<Operations> {
        // Every version of OpenAPI allows other keywords beside the reference of a path.
        let mut layers = vec![item];
        while let Some(target) = self.target(&layers[layers.len() - 1])? {
            layers.push(target);
        }
        self.object(layers[layers.len() - 1].clone())?;
        let mut operations = BTreeMap::new();
        for verb in VERBS {
            let found: Vec<_> = layers.iter().filter_map(|layer| layer.get(verb)).collect();
            let operation = match found.as_slice() {
                [] => continue,
                [node] => self.operation(&layers, node.clone()),
                [node, ..] => Err(self.defect(node, "the path's reference leads to it too")),
            };
            operations.insert(verb.to_owned(), operation.ok());
        }
        Ok(operations)
    }

    fn operation(&mut self, layers: &[Node<'a>], node: Node<'a>) -> Read<Operation> {
        let node = self.object(node)?;
        let root = self.document.root();
        let holders: Vec<_> = [&node].into_iter().chain(layers).chain([&root]).collect();

        let mut parameters = Parameters::new();
        let mut lacks_parameters = false;
        // The operation's own parameters come last, so that they replace the path's.
        for holder in holders.iter().rev().skip(1) {
            let listed = self.list(holder, "parameters");
            lacks_parameters |= listed.is_err();
            for parameter in listed.unwrap_or_default() {
                let parameter = self.parameter(parameter);
                lacks_parameters |= parameter.is_err();
                parameters.extend(parameter);
            }
        }
        // OpenAPI ignores header parameters with these names.
        for name in ["accept", "authorization", "content-type"] {
            parameters.remove(&("header".to_owned(), name.to_owned()));
        }

        let request_body = node.get("requestBody").and_then(|body| self.object(body).ok());
        let request_body = request_body.and_then(|body| self.expand(&body).ok());
        let mut responses = BTreeMap::new();
        for (status, response) in self.entries(&node, "responses").unwrap_or_default() {
            if !status.starts_with("x-") {
                let content = self.object(response).and_then(|response| self.content(&response));
                let response = content.ok().map(|content| Response { content });
                responses.insert(status.replace("xx", "XX"), response);
            }
        }
        let holder = if node.value.get("security").is_some() { &node } else { &root };
        let security = self.security(holder).ok();
        let mut servers = holders.iter().filter_map(|it| self.servers(it).unwrap_or_default());
        let servers = servers.next().unwrap_or_default();
        Ok(Operation { parameters, lacks_parameters, request_body, responses, security, servers })
    }

    fn parameter(&mut self, node: Node<'a>) -> Read<(ParameterKey, Parameter)> {
        let node = self.object(node)?;
        let within = self.text(&node, "in")?;
        let name = self.text(&node, "name")?;
        let key = if within == "header" { name.to_ascii_lowercase() } else { name.clone() };
        let required: bool = self.read(&node, "required")?;
        let mut schema = Schema::anything();
        if let Some(node) = node.get("schema") {
            schema = self.schema(vec![node.clone()]);
            if !required && !schema.unreadable && !schema.shapes.is_empty() {
                schema.default = self.default(node)?;
            }
        }
        // There is only one way to serialize a scalar.
        let is_scalar = schema.kinds().is_disjoint(&["array", "object"].into());
        let mut form = BTreeMap::new();
        for (keyword, child) in node.entries() {
            let is_ignored = match keyword {
                "deprecated" | "description" | "example" | "examples" => true,
                "in" | "name" | "required" | "schema" => true,
                "explode" | "style" => is_scalar,
                _ => *child.value == false || keyword.starts_with("x-"),
            };
            if !is_ignored {
                form.insert(keyword.to_owned(), self.expand(&child)?);
            }
        }
        Ok(((within.clone(), key), Parameter { within, name, required, schema, form }))
    }

    fn content(&mut self, holder: &Node<'a>) -> Read<Content> {
        let mut content = Content::new();
        for (media_type, node) in self.entries(holder, "content")? {
            let node = self.object(node)?;
            let schema =
                node.get("schema").map_or_else(Schema::anything, |it| self.schema(vec![it]));
            // JSON is always UTF-8; the other media types here are too.
            let media_type = media_type.to_ascii_lowercase().replace(' ', "");
            content.insert(media_type.replace(";charset=utf-8", ""), MediaType { schema });
        }
        Ok(content)
    }

    fn security(&mut self, holder: &Node<'a>) -> Read<Security> {
        let listed = self.list(holder, "security")?;
        let mut security: Security = listed.is_empty().then(BTreeMap::new).into_iter().collect();
        for node in listed {
            let node = self.object(node)?;
            let mut schemes = BTreeMap::new();
            for (name, _) in node.entries() {
                schemes.insert(self.scheme(&node, name)?, self.read(&node, name)?);
            }
            security.insert(schemes);
        }
        Ok(security)
    }

    fn scheme(&mut self, user: &Node<'a>, name: &str) -> Read<SchemeName> {
        let root = self.document.root();
        let schemes = root.get("components").and_then(|it| it.get("securitySchemes"));
        let Some(node) = schemes.and_then(|schemes| schemes.get(name)) else {
            return Err(self.defect(user, format!("the security scheme `{name}` is not defined")));
        };
        let node = self.object(node)?;
        let kind = self.text(&node, "type")?;
        Ok(match kind.as_str() {
            "apiKey" => {
                let (place, name) = (self.text(&node, "in")?, self.text(&node, "name")?);
                let name = if place == "header" { header_name(&name) } else { name };
                format!("apiKey.{place}.{name}")
            }
            "http" => format!("http.{}", self.text(&node, "scheme")?.to_ascii_lowercase()),
            _ => kind,
        })
    }
}

fn scheme_definition(name: &SchemeName) -> Value {
    match *name.splitn(3, '.').collect::<Vec<_>>() {
        [kind, place, name] => json!({ "type": kind, "in": place, "name": name }),
        [kind, scheme] => json!({ "type": kind, "scheme": scheme }),
        _ => json!({ "type": name }),
    }
}

fn as_list<S: Serializer>(parameters: &Parameters, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parameters.values())
}

/// The canonical spelling of a header's name: `X-Plex-Token`.
fn header_name(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(part).join("-")
}
