//! Converts a PMS's XML to JSON: attributes become string members, and child elements become lists
//! named after their tag.

use quick_xml::Reader;
use quick_xml::XmlVersion::Implicit1_0;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value, json};

use super::body::Undecodable;
use super::wire::MAX_ELEMENTS;

/// Deeper documents are refused, as serde_json does.
const MAX_DEPTH: usize = 128;
/// How many attributes and elements are kept in all: each takes up to 700 bytes.
const MAX_NODES: usize = 20_000;

/// The document as JSON, or the reason why not: truncated, not well-formed, with a DTD, or nested
/// too deeply.
///
/// Takes linear time.
pub(super) fn to_json(text: &str) -> Result<Value, Undecodable> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut nodes = MAX_NODES;
    let document = element(&mut reader, Map::new(), MAX_DEPTH, &mut nodes)?;
    let root = document.into_iter().next();
    let root = root.and_then(|(name, root)| Some(json!({ name: root.get(0)? })));
    root.ok_or(Undecodable::Syntax)
}

/// An element's members: its attributes, and its children up to its end.
fn element(
    reader: &mut Reader<&[u8]>,
    mut members: Map<String, Value>,
    depth: usize,
    nodes: &mut usize,
) -> Result<Map<String, Value>, Undecodable> {
    loop {
        match reader.read_event().map_err(problem)? {
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
                        let depth = depth.checked_sub(1).ok_or(Undecodable::Syntax)?;
                        siblings.push(element(reader, child, depth, nodes)?.into());
                    }
                    None => {
                        reader.read_to_end(tag.name()).map_err(problem)?;
                    }
                }
            }
            Event::End(_) => return Ok(members),
            Event::Eof if depth == MAX_DEPTH => return Ok(members),
            Event::Eof => return Err(Undecodable::CutShort),
            Event::DocType(_) => return Err(Undecodable::Syntax),
            _ => {}
        }
    }
}

/// The other syntax errors mean that the text ends inside a tag, a comment or the like.
fn problem(error: quick_xml::Error) -> Undecodable {
    match error {
        quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => Undecodable::Syntax,
        quick_xml::Error::Syntax(_)
        | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => Undecodable::CutShort,
        _ => Undecodable::Syntax,
    }
}

fn attributes(tag: &BytesStart<'_>) -> Result<Map<String, Value>, Undecodable> {
    let mut members = Map::new();
    // Of duplicate attributes the first is kept: an error would help nobody.
    for attribute in tag.attributes().with_checks(false).take(MAX_ELEMENTS) {
        let attribute = attribute.map_err(|_| Undecodable::Syntax)?;
        // A value with a reference to no character is left out.
        let Ok(value) = attribute.normalized_value(Implicit1_0) else { continue };
        members.entry(attribute.key.as_ref()).or_insert_with(|| value.into());
    }
    Ok(members)
}
