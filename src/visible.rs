//! Text from models and people, so that it can steer neither a terminal nor the text beside it.

/// Control characters, but for line breaks, as their symbol. Characters that turn the reading direction
/// around or cannot be seen show as ⟨U+202E⟩, so that a response looks like what it is.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            _ => push_visible(&mut shown, character),
        }
    }
    shown
}

/// One character as [`visible`] shows it; a line break as its symbol too.
pub fn push_visible(shown: &mut String, character: char) {
    match character {
        '\u{7f}' => shown.push('␡'),
        '\0'..='\u{1f}' => shown.push(control_picture(character)),
        _ if is_invisible(character) => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character))),
        _ => shown.push(character),
    }
}

/// The symbol of a C0 control character: its code, moved to the block "Control Pictures".
fn control_picture(character: char) -> char {
    char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')
}

/// C1 controls, separators, direction marks, zero-width spaces, annotations and tags.
/// The zero-width joiners stay: emoji and several scripts need them.
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
        assert_eq!(visible("a\nb\x1b[2J\u{202e}\x07\r"), "a\nb␛[2J⟨U+202E⟩␇␍");
        assert_eq!(visible("“Çédille” 👩\u{200d}🚀"), "“Çédille” 👩\u{200d}🚀");
    }
}
