//! How the tokens of a vocabulary spell the bytes of text.

use super::byte_characters;

/// Spelling of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each byte is a character, as in GPT-2.
    ByteLevel,
    /// Text as it is, with a mark for each space, and `<0x0A>` for a byte of a character without a token, as in
    /// SentencePiece.
    SpaceMark,
}

/// Mark of a space.
pub(super) const SPACE_MARK: char = '▁';

impl Spelling {
    /// Returns the token of one byte.
    pub(super) fn token_of_byte(self, byte: u8) -> String {
        match self {
            Self::ByteLevel => byte_characters::character(byte).to_string(),
            Self::SpaceMark => format!("<0x{byte:02X}>"),
        }
    }

    /// Returns the token that a vocabulary would have for this text.
    pub(super) fn token_of(self, text: &str) -> String {
        match self {
            Self::ByteLevel => byte_characters::spelled(text.as_bytes()),
            Self::SpaceMark => text.replace(' ', &SPACE_MARK.to_string()),
        }
    }

    /// Returns the bytes that a token stands for; `None` for a token that no text has.
    pub(super) fn bytes(self, token: &str) -> Option<Vec<u8>> {
        match self {
            Self::ByteLevel => byte_characters::bytes(token),
            Self::SpaceMark => Some(match byte_of_token(token) {
                Some(byte) => vec![byte],
                None => token.replace(SPACE_MARK, " ").into_bytes(),
            }),
        }
    }

    /// Returns the smallest tokens, from which merges make all others.
    pub(super) fn is_smallest(self, token: &str) -> bool {
        match self {
            Self::ByteLevel => token.chars().nth(1).is_none() && byte_characters::bytes(token).is_some(),
            Self::SpaceMark => token.chars().nth(1).is_none() || byte_of_token(token).is_some(),
        }
    }
}

fn byte_of_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>').filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_for_spaces_and_bytes_for_themselves() {
        let spelling = Spelling::SpaceMark;
        assert_eq!(spelling.bytes("▁the"), Some(b" the".to_vec()));
        assert_eq!(spelling.bytes("<0x0A>"), Some(vec![b'\n']));
        assert_eq!(spelling.bytes("<0x0A"), Some(b"<0x0A".to_vec()));
        assert_eq!((spelling.token_of(" the"), spelling.token_of_byte(10)), ("▁the".into(), "<0x0A>".into()));
        assert!(spelling.is_smallest("<0xFF>") && spelling.is_smallest("é") && !spelling.is_smallest("▁t"));
        assert!(Spelling::ByteLevel.is_smallest("Ġ") && !Spelling::ByteLevel.is_smallest("Ġt"));
    }
}
