//! An OpenAPI document in YAML or JSON, and its nodes: values with their place.

use std::fs;
use std::path::Path;

use anyhow::{anyhow, bail, ensure};
use serde_json::Value;

use crate::text;

#[derive(Debug)]
pub(crate) struct Document {
    root: Value,
    /// OpenAPI 3.0 ignores the keywords beside a `$ref`; later versions use them.
    pub(crate) is_3_0: bool,
}

impl Document {
    /// Reads YAML, of which JSON is a subset. The parser limits size and depth, rejects duplicate
    /// keys and skips a byte order mark.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)?;
        let options = serde_saphyr::options! {
            // Plex's own description has 35,000 nodes and 670 KB.
            budget: serde_saphyr::budget! {
                max_nodes: 100_000,
                max_merge_keys: 1_000,
                max_total_scalar_bytes: 8_000_000,
            },
            strict_booleans: true,
            with_snippet: false,
        };
        let root: Value = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| anyhow!("neither YAML nor JSON: {error}"))?;
        let version = match &root["openapi"] {
            Value::String(version) => version.clone(),
            Value::Number(version) => version.to_string(),
            _ => bail!("not OpenAPI 3.x: it has no `openapi` with a version"),
        };
        let is = |prefix: &str| format!("{version}.").starts_with(prefix);
        ensure!(is("3."), "not OpenAPI 3.x: its version is `{version}`");
        let is_3_0 = version == "3" || is("3.0.");
        Ok(Self { root, is_3_0 })
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { value: &self.root, place: "#".to_owned(), references: Vec::new(), levels: 200 }
    }
}

/// A value and its place in the document.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    /// As a JSON pointer.
    pub(crate) place: String,
    /// The references that were followed to get here.
    pub(crate) references: Vec<&'a str>,
    /// How many levels may follow, references included.
    pub(crate) levels: usize,
}

impl<'a> Node<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        Some(self.child(key, self.value.get(key)?))
    }

    /// The entries of an object.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), self.child(key, value)))
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, value)| self.child(&at.to_string(), value))
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let key = text::cut(&key.replace('~', "~0").replace('/', "~1"));
        let place = format!("{}/{key}", self.place);
        let levels = self.levels.saturating_sub(1);
        Self { value, place, references: self.references.clone(), levels }
    }

    /// The target of a reference from here.
    pub(crate) fn referred(&self, reference: &'a str, value: &'a Value) -> Self {
        let references = [self.references.as_slice(), &[reference]].concat();
        let levels = self.levels.saturating_sub(1);
        Self { value, place: text::cut(reference), references, levels }
    }
}
