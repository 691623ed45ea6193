//! Reads the nodes of a document: follows references, records defects, and refuses documents that
//! are too expensive.
//!
//! A part with a defect is left out; the rest of the document is still read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::document::{Document, Node};
use crate::text;

/// How many bytes of JSON may be read, each node as often as something refers to it. Plex's own
/// description needs less than a fifth.
const BUDGET: usize = 1_000_000;

pub(crate) struct Reader<'a> {
    pub(crate) document: &'a Document,
    /// The parts that cannot be read: place and reason.
    pub(crate) defects: BTreeSet<String>,
    /// Why the document is refused.
    pub(crate) refused: Option<String>,
    budget: usize,
}

/// A node cannot be read. The reason has been recorded.
pub(crate) struct Unreadable;

pub(crate) type Read<T> = Result<T, Unreadable>;

type Entries<'a> = Vec<(&'a str, Node<'a>)>;

impl<'a> Reader<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        Self { document, defects: BTreeSet::new(), refused: None, budget: BUDGET }
    }

    /// Records a defect.
    pub(crate) fn defect(&mut self, node: &Node<'_>, reason: impl Display) -> Unreadable {
        self.defects.insert(format!("{}: cannot be read: {reason}", text::cut(&node.place)));
        Unreadable
    }

    /// Subtracts the cost of a node from the budget. Nothing can be read once that is spent.
    pub(crate) fn spend(&mut self, node: &Node<'_>) -> Read<()> {
        if self.refused.is_some() {
            return Err(Unreadable);
        }
        // Even a short node takes time.
        self.budget = self.budget.saturating_sub(200 + node.value.to_string().len());
        if self.budget > 0 && node.levels > 0 {
            return Ok(());
        }
        self.refused = Some(format!("{}: too much to read, references followed", node.place));
        Err(Unreadable)
    }

    /// The target of a reference, if the node is one.
    pub(crate) fn target(&mut self, node: &Node<'a>) -> Read<Option<Node<'a>>> {
        let Some(reference) = node.value.get("$ref") else { return Ok(None) };
        self.spend(node)?;
        let text = reference.as_str().unwrap_or_default();
        let pointer =
            text.strip_prefix('#').map(|pointer| percent_decode_str(pointer).decode_utf8());
        let root = self.document.root().value;
        let Some(value) = pointer.and_then(|pointer| root.pointer(&pointer.ok()?)) else {
            let reason = format!("the reference {reference} leads nowhere in this file");
            return Err(self.defect(node, reason));
        };
        if node.references.contains(&text) {
            let circle = node.references.join(" -> ");
            let reason = format!("the references run in a circle: {circle} -> {text}");
            return Err(self.defect(node, reason));
        }
        Ok(Some(node.referred(text, value)))
    }

    /// The object that a node is or refers to.
    pub(crate) fn object(&mut self, mut node: Node<'a>) -> Read<Node<'a>> {
        while let Some(target) = self.target(&node)? {
            node = target;
        }
        match node.value {
            Value::Object(_) => Ok(node),
            _ => Err(self.defect(&node, "it is not an object")),
        }
    }

    pub(crate) fn entries(&mut self, holder: &Node<'a>, key: &str) -> Read<Entries<'a>> {
        self.read::<BTreeMap<&str, IgnoredAny>>(holder, key)?;
        Ok(holder.get(key).iter().flat_map(Node::entries).collect())
    }

    pub(crate) fn list(&mut self, holder: &Node<'a>, key: &str) -> Read<Vec<Node<'a>>> {
        self.read::<Vec<IgnoredAny>>(holder, key)?;
        Ok(holder.get(key).iter().flat_map(Node::items).collect())
    }

    pub(crate) fn text(&mut self, holder: &Node<'a>, key: &str) -> Read<String> {
        let text: Option<String> = self.read(holder, key)?;
        text.ok_or_else(|| self.defect(holder, format!("it has no `{key}`")))
    }

    /// The value of a key, or the default if it is absent.
    pub(crate) fn read<T>(&mut self, holder: &Node<'a>, key: &str) -> Read<T>
    where
        T: Default + Deserialize<'a>,
    {
        let Some(node) = holder.get(key) else { return Ok(T::default()) };
        self.spend(&node)?;
        T::deserialize(node.value).map_err(|error| self.defect(&node, error))
    }
}
