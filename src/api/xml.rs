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
/// Takes linear time. Only the first 1,000 elements with the same name in one parent are kept.
pub(super) fn to_json(text: &str) -> Result<Value, Undecodable> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut nodes = MAX_NODES;
    let document = element(&mut reader, Map::new(), MAX_DEPTH, &mut nodes)?;
    let root = document.into_iter().next();
    let root = root.and_then(|(name, root)| Some(json!({ name: root.get(0)? })));
    root.ok_or(INVALID)
}

const INVALID: Undecodable = Undecodable::Syntax(None);

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
                match siblings.filter(|list| list.len() < MAX_ELEMENTS) {
                    Some(siblings) => {
                        let child = attributes(&tag)?;
                        *nodes = nodes.saturating_sub(child.len()).saturating_sub(1);
                        let depth = depth.checked_sub(1).ok_or(INVALID)?;
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
            Event::DocType(_) => return Err(INVALID),
            _ => {}
        }
    }
}

/// The other syntax errors mean that the text ends inside a tag, a comment or the like.
fn problem(error: quick_xml::Error) -> Undecodable {
    match error {
        quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => INVALID,
        quick_xml::Error::Syntax(_)
        | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => Undecodable::CutShort,
        _ => INVALID,
    }
}

fn attributes(tag: &BytesStart<'_>) -> Result<Map<String, Value>, Undecodable> {
    let mut members = Map::new();
    // Of duplicate attributes the first is kept: an error would help nobody.
    for attribute in tag.attributes().with_checks(false).take(MAX_ELEMENTS) {
        let attribute = attribute.map_err(|_| INVALID)?;
        let value = attribute.normalized_value(Implicit1_0);
        let value = value.unwrap_or_else(|_| without_references(&attribute.value).into());
        members.entry(attribute.key.as_ref()).or_insert_with(|| value.into());
    }
    Ok(members)
}

/// Replaces every reference in a value with U+FFFD, because one of them is invalid.
fn without_references(value: &str) -> String {
    let mut parts = value.split('&');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.split_once(';').map_or(part, |(_, rest)| rest);
        text + "\u{fffd}" + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_strings_and_children_lists() {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a -->\n\
            <A x='1' y=\"a&amp;b &#252; &quot;\"><B z=''/>text<C/><B>\n<!-- b --></B></A>\n";
        let json = r#"{"A":{"B":[{"z":""},{}],"C":[{}],"x":"1","y":"a&b ü \""}}"#;
        assert_eq!(to_json(xml).unwrap().to_string(), json);
    }

    #[test]
    fn what_is_not_well_formed_has_a_dtd_or_is_too_deep_is_refused() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(to_json(&nested(128)).is_ok());
        for xml in [
            "",
            "{}",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a x=1/>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a x='&b;'/>",
            "<a><!DOCTYPE a></a>",
            &nested(129),
            &nested(100_000),
            &"<a>".repeat(100_000),
        ] {
            assert!(to_json(xml).is_err(), "{}", xml.chars().take(40).collect::<String>());
        }
    }

    #[test]
    fn a_reference_to_no_character_is_replaced() {
        let json = to_json("<a n='K&#xD83D;&#xDCFA;&unknown;te' t='&#0;' u='a&amp' v='&lt;'/>");
        let json = &json.unwrap()["a"];
        let all = "\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(
            json,
            &json!({ "n": format!("K{all}te"), "t": "\u{fffd}", "u": "a\u{fffd}amp", "v": "<" })
        );
    }

    #[test]
    fn a_list_keeps_its_first_1000_elements() {
        let children: String = (0..2_000).map(|at| format!("<b n='{at}'><c/></b>")).collect();
        let json = to_json(&format!("<a>{children}</a>")).unwrap();
        let list = json["a"]["b"].as_array().unwrap();
        assert_eq!((list.len(), &list[999]["n"]), (1_000, &"999".into()));
    }
}
