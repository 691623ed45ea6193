//! Makes text from documents safe to print.

/// Shortens a long value or name.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Shortens a line and escapes control characters and invisible ones.
pub(crate) fn line(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().take(1_500).map(escaped).collect()
}
