//! An OpenAPI description in YAML or JSON, and its references.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{anyhow, ensure};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::text;

/// Plex's own description has 670 KB and 35,000 nodes.
const MAX_BYTES: u64 = 4_000_000;
const MAX_NODES: usize = 60_000;
const MAX_ALIASED_NODES: usize = 10_000;

/// How many references may lead from one to the next.
const MAX_CHAIN: usize = 100;

pub(crate) struct Document {
    pub(crate) root: Value,
    /// OpenAPI 3.0 ignores the keywords beside a reference; later versions use them.
    pub(crate) is_3_0: bool,
}

impl Document {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let document = Self::read(path);
        document.map_err(|error| anyhow!("{}: {}", path.display(), text::line(&error.to_string())))
    }

    /// The parser also limits the depth and the aliases, and rejects duplicate keys.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        ensure!(text.len() as u64 <= MAX_BYTES, "it has more than {MAX_BYTES} bytes");
        let options = serde_saphyr::options! {
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED_NODES },
            budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_merge_keys: 1_000 },
            strict_booleans: true,
            with_snippet: false,
        };
        let mut root: Value = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| anyhow!("neither YAML nor JSON: {error}"))?;
        root.sort_all_objects();
        let version = root["openapi"].to_string().replace('"', "");
        ensure!(version.starts_with("3."), "not OpenAPI 3: `openapi` is {version}");
        Ok(Self { is_3_0: version.starts_with("3.0"), root })
    }

    /// What a reference refers to, or why that cannot be read.
    pub(crate) fn target(&self, reference: &Value) -> Result<&Value, String> {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let pointer = pointer.and_then(|text| percent_decode_str(text).decode_utf8().ok());
        let target = pointer.and_then(|pointer| self.root.pointer(&pointer));
        target.ok_or_else(|| format!("the reference {reference} leads nowhere in this file"))
    }

    /// An object, or the one that its reference leads to.
    pub(crate) fn resolve<'a>(&'a self, mut value: &'a Value) -> Result<&'a Value, String> {
        for _ in 0..MAX_CHAIN {
            match value.get("$ref") {
                Some(reference) => value = self.target(reference)?,
                None if value.is_object() => return Ok(value),
                None => return Err("it is not an object".to_owned()),
            }
        }
        Err("its reference leads back to itself".to_owned())
    }
}
