//! Mutations of bytes, without regard to the format of the file.

use super::dice::Dice;

/// Numbers that often expose errors in readers.
const NUMBERS: [u64; 16] = [
    0,
    1,
    7,
    8,
    127,
    255,
    256,
    65_535,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Pieces that have a meaning in text formats.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"#",
    b"=",
    b"-",
    b"e9",
    b".0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"null",
];

/// Changes a file in one to four places. `others` are files to take pieces from.
pub fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    for _ in 0..=[0, 0, 0, 1, 3][dice.below(5)] {
        change(bytes, others, dice);
    }
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    let length = bytes.len();
    let at = dice.below(length + 1);
    match dice.below(11) {
        0 if at < length => bytes[at] ^= 1 << dice.below(8),
        1 if at < length => bytes[at] = dice.byte(),
        2 => bytes.insert(at, dice.byte()),
        3 => drop(bytes.drain(dice.range(length))),
        4 => bytes.truncate(at),
        5 => {
            let piece = bytes[dice.range(length)].to_vec();
            bytes.splice(at..at, piece);
        }
        6 => {
            let other = &others[dice.below(others.len())];
            let from = other[dice.below(other.len() + 1)..].to_vec();
            bytes.truncate(at);
            bytes.extend(from);
        }
        7 => {
            let number = NUMBERS[dice.below(NUMBERS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][dice.below(4)];
            // The first bytes of a file often hold a length.
            let at = if dice.one_in(3) { 0 } else { at };
            let end = (at + width).min(length);
            bytes[at.min(end)..end].copy_from_slice(&number[..end - at.min(end)]);
        }
        8 => {
            let piece = dice.pick(&PIECES);
            bytes.splice(at..at, piece.iter().copied());
        }
        9 => {
            let piece = dice.pick(&PIECES);
            let end = (at + piece.len()).min(length);
            bytes[at..end].copy_from_slice(&piece[..end - at]);
        }
        _ => bytes.extend(std::iter::repeat_n(dice.byte(), dice.below(20))),
    }
}
