//! Texts of files, shortened for messages.

use serde_json::Value;

const LENGTH: usize = 60;

/// Returns a text quoted and shortened.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Returns a value as JSON, shortened.
pub(super) fn shown_value(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Returns the message of a parser, shortened, since it repeats the whole text that the parser found.
pub(super) fn reason(error: &serde_json::Error) -> String {
    const LENGTH: usize = 200;
    let text = error.to_string();
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => {
            let (start, line, column) = (text.get(..end).unwrap_or_default(), error.line(), error.column());
            format!("{start}… at line {line} column {column}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shortened_and_keep_their_place() {
        assert_eq!(shown("a\n"), "\"a\\n\"");
        assert_eq!(shown(&"é".repeat(100)), format!("\"{}\"…", "é".repeat(60)));
        assert_eq!(shown_value(&serde_json::json!([0.5, "\u{1b}"])), "[0.5,\"\\u001b\"]");
        let error = serde_json::from_str::<bool>(&format!("\n\"{}\"", "é".repeat(1000))).unwrap_err();
        let text = reason(&error);
        assert!(text.len() < 500 && text.starts_with("invalid type: string") && text.contains("… at line 2"), "{text}");
    }
}
