//! Sanitizing of text from models and people, so that it can control neither a terminal nor the text beside it.

use std::path::Path;

/// Replaces control characters, except line breaks, by their symbols. Characters that reverse the reading
/// direction or are invisible become text such as ⟨U+202E⟩, so that a response looks like what it is.
pub(crate) fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            _ => push_visible(&mut shown, character),
        }
    }
    shown
}

/// Sanitizes text as [`sanitize`] does, on one line: line breaks become their symbol, too.
pub(crate) fn sanitize_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(&mut shown, character));
    shown
}

/// Sanitizes a path as [`sanitize_line`] does; bytes that are not UTF-8 become a replacement character.
pub(crate) fn sanitize_path(path: &Path) -> String {
    sanitize_line(&path.to_string_lossy())
}

/// Sanitizes a message as [`sanitize`] does, and indents its further lines: no text in it can begin another message.
pub(crate) fn sanitize_message(text: &str) -> String {
    sanitize(text.trim_end_matches('\n')).replace('\n', "\n  ")
}

/// Returns JSON that has the same values and that [`sanitize`] would not change: invisible characters, which
/// JSON allows in strings only, become escapes.
#[cfg(feature = "cli")]
pub(crate) fn sanitize_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}' => shown.push_str("\\u007f"),
            _ if is_invisible(character) => {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Appends one character as [`sanitize_line`] shows it.
pub(crate) fn push_visible(shown: &mut String, character: char) {
    match character {
        '\u{7f}' => shown.push('␡'),
        '\0'..='\u{1f}' => shown.push(control_picture(character)),
        _ if is_invisible(character) => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character))),
        _ => shown.push(character),
    }
}

/// Returns the symbol of a C0 control character: its code, moved to the block "Control Pictures".
fn control_picture(character: char) -> char {
    char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')
}

/// Checks for C1 controls, separators, direction marks, zero-width spaces, annotations and tags. The zero-width
/// joiners are not among them: emoji and several scripts need them.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(sanitize("a\nb\x1b[2J\u{202e}\x07\r"), "a\nb␛[2J⟨U+202E⟩␇␍");
        assert_eq!(sanitize("“Çédille” 👩\u{200d}🚀"), "“Çédille” 👩\u{200d}🚀");
        assert_eq!(sanitize_line("a\nb\0\u{9b}31m"), "a␊b␀⟨U+009B⟩31m");
    }

    #[test]
    fn no_text_begins_a_message_of_its_own() {
        assert_eq!(sanitize_message("error: a\nerror: b\r\n"), "error: a\n  error: b␍");
    }

    #[test]
    fn json_has_the_same_values() {
        let texts = ["\u{202e}\u{9b}31m \u{7f} \u{feff}", "\u{e0041}\u{1b}]8;;\u{7}", "日本 \\u202e \" 👩\u{200d}🚀\n"];
        let json = sanitize_json(&serde_json::to_string(&texts).unwrap());
        assert_eq!(sanitize(&json), json);
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), texts);
    }
}
