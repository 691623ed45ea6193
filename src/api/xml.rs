//! Converts a PMS's XML to JSON: attributes become string members, and child elements become lists
//! named after their tag.

use quick_xml::Reader;
use quick_xml::XmlVersion::Implicit1_0;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value, json};

use super::wire::MAX_ELEMENTS;

/// Deeper documents are refused, as serde_json does.
const MAX_DEPTH: usize = 128;
/// How many attributes and elements are kept in all: each takes up to 700 bytes.
const MAX_NODES: usize = 20_000;

/// The document as JSON. `None` if it is truncated, not well-formed, has a DTD, or is nested too
/// deeply.
///
/// Takes linear time.
pub(super) fn to_json(text: &str) -> Option<Value> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut nodes = MAX_NODES;
    let document = element(&mut reader, Map::new(), MAX_DEPTH, &mut nodes)?;
    let root = document.into_iter().next();
    root.and_then(|(name, root)| Some(json!({ name: root.get(0)? })))
}

/// An element's members: its attributes, and its children up to its end.
fn element(
    reader: &mut Reader<&[u8]>,
    mut members: Map<String, Value>,
    depth: usize,
    nodes: &mut usize,
) -> Option<Map<String, Value>> {
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                let siblings = match nodes {
                    0 => None,
                    _ => members.entry(name).or_insert_with(|| json!([])).as_array_mut(),
                };
                match siblings {
                    Some(siblings) => {
                        let child = attributes(&tag)?;
                        *nodes = nodes.saturating_sub(child.len()).saturating_sub(1);
                        let depth = depth.checked_sub(1)?;
                        siblings.push(element(reader, child, depth, nodes)?.into());
                    }
                    None => {
                        reader.read_to_end(tag.name()).ok()?;
                    }
                }
            }
            Event::End(_) => return Some(members),
            Event::Eof if depth == MAX_DEPTH => return Some(members),
            Event::Eof | Event::DocType(_) => return None,
            _ => {}
        }
    }
}

fn attributes(tag: &BytesStart<'_>) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    // Of duplicate attributes the first is kept: an error would help nobody.
    for attribute in tag.attributes().with_checks(false).take(MAX_ELEMENTS) {
        let attribute = attribute.ok()?;
        // A value with a reference to no character is left out.
        let Ok(value) = attribute.normalized_value(Implicit1_0) else { continue };
        members.entry(attribute.key.as_ref()).or_insert_with(|| value.into());
    }
    Some(members)
}
