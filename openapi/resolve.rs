//! The verbs and the references of a description: for `build.rs`, `xtask`, `fuzz` and the tests.

use serde_json::Value;

/// The keywords of a path item that are operations.
pub const METHODS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// How many references may lead from one to the next.
pub const MAX_CHAIN: usize = 20;

/// What a reference refers to, in the same file.
pub fn target<'a>(root: &'a Value, reference: &Value) -> Option<&'a Value> {
    root.pointer(reference.as_str()?.strip_prefix('#')?)
}

/// A part of a description, or the one that its references lead to.
pub fn resolve<'a>(root: &'a Value, mut value: &'a Value) -> Option<&'a Value> {
    for _ in 0..MAX_CHAIN {
        match value.get("$ref") {
            Some(reference) => value = target(root, reference)?,
            None => return Some(value),
        }
    }
    None
}
