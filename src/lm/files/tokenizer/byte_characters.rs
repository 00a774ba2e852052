//! The characters that stand for bytes in the tokens of a byte-level BPE (`encoder.py`,
//! `bytes_to_unicode`): bytes that print stand for themselves, the others are numbered from U+0100.

/// Returns the character of a byte.
pub(super) fn character(byte: u8) -> char {
    let code = match u32::from(byte) {
        code @ 0..=32 => 256 + code,
        code @ 127..=160 => 289 + code - 127,
        173 => 323,
        code => code,
    };
    // Cannot fail: none of these is a surrogate.
    char::from_u32(code).unwrap_or_default()
}

/// Returns the byte of a character, if it stands for one.
fn byte(character: char) -> Option<u8> {
    let code = match u32::from(character) {
        code @ 256..=288 => code - 256,
        code @ 289..=322 => code - 289 + 127,
        323 => 173,
        code @ (33..=126 | 161..=172 | 174..=255) => code,
        _ => return None,
    };
    u8::try_from(code).ok()
}

/// Returns the token of these bytes, as a vocabulary spells it.
pub(super) fn spelled(bytes: &[u8]) -> String {
    bytes.iter().copied().map(character).collect()
}

/// Returns the bytes of a token, if all of its characters stand for one.
pub(super) fn bytes(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn every_byte_has_a_character_of_its_own_and_they_are_those_of_the_library() {
        let all: Vec<u8> = (0..=255).collect();
        let characters: std::collections::HashSet<char> = spelled(&all).chars().collect();
        assert_eq!(characters, ByteLevel::alphabet().into_iter().collect());
        assert_eq!(bytes(&spelled(&all)), Some(all));
    }

    /// Spellings of GPT-2's vocabulary.
    #[test]
    fn a_space_is_a_g_with_a_dot_and_a_line_break_a_c_with_one() {
        assert_eq!(spelled(" the\n".as_bytes()), "ĠtheĊ");
        assert_eq!(spelled("é".as_bytes()), "Ã©");
        assert_eq!((bytes("a b"), bytes("漢")), (None, None));
    }
}
