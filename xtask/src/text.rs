//! Text from a description, made safe to print, and the differences between two texts.

use serde_json::Value;
use similar::TextDiff;

const MAX_LINE: usize = 400;

/// A line in printable ASCII, so that it cannot control a terminal. A hash stands for what is cut off:
/// a change there is a change of the line.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            _ => line.extend(c.escape_unicode()),
        }
    }
    if line.len() > MAX_LINE {
        let fnv1a = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = line.bytes().fold(0xcbf2_9ce4_8422_2325, fnv1a);
        let cut = line.len() - MAX_LINE;
        line.truncate(MAX_LINE);
        line += &format!("... ({cut} more, hash {hash:016x})");
    }
    line
}

/// A name as it is, or quoted if the text around it could be mistaken for a part of it.
pub(crate) fn name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "$+-/_{}".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}

/// The lines that differ, as `diff -u` prints them. Empty if none does.
pub(crate) fn diff(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().header(name, "generated").to_string()
}
