//! The bounds of every number and text among the settings, with their reasons.
//!
//! A bound is far from what anybody trains with: a typing mistake becomes an error before the work, and not an
//! endless run, a machine out of memory or a number that is not finite.

use std::fmt;

use serde::Serialize;
use toml::Value;

/// The values that a setting may have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// A whole number, both ends included.
    Whole(u64, u64),
    /// A number, both ends included.
    Number(f64, f64),
    /// A number, neither end included.
    Inside(f64, f64),
    /// A text, by its length in bytes, both ends included.
    Bytes(usize, usize),
}

/// The bounds of one setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounds {
    pub range: Range,
    /// The reason for these bounds.
    pub why: String,
}

impl Bounds {
    /// Reads a statement such as `From 1 to 100: the reason.` about a setting with this default; `None` for
    /// anything else.
    pub(super) fn parse(statement: &str, default: &Value) -> Option<Self> {
        let (range, why) = statement.strip_suffix('.')?.split_once(": ")?;
        Some(Self { range: Range::parse(range, default)?, why: why.into() })
    }
}

impl Range {
    fn parse(text: &str, default: &Value) -> Option<Self> {
        let plain = text.replace(',', "");
        let ends = |start: &str, between: &str| plain.strip_prefix(start)?.split_once(between);
        match default {
            Value::String(_) => {
                let (least, most) = ends("A text of ", " to ")?;
                Some(Self::Bytes(least.parse().ok()?, most.strip_suffix(" bytes")?.parse().ok()?))
            }
            Value::Integer(_) => {
                let (least, most) = ends("From ", " to ")?;
                Some(Self::Whole(least.parse().ok()?, most.parse().ok()?))
            }
            _ => match ends("Between ", " and ") {
                Some((low, high)) => Some(Self::Inside(low.parse().ok()?, high.parse().ok()?)),
                None => {
                    let (least, most) = ends("From ", " to ")?;
                    Some(Self::Number(least.parse().ok()?, most.parse().ok()?))
                }
            },
        }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        match (*self, value) {
            (Self::Whole(least, most), Value::Integer(whole)) => {
                u64::try_from(*whole).is_ok_and(|whole| (least..=most).contains(&whole))
            }
            (Self::Number(least, most), Value::Float(number)) => (least..=most).contains(number),
            (Self::Inside(low, high), Value::Float(number)) => low < *number && *number < high,
            (Self::Bytes(least, most), Value::String(text)) => (least..=most).contains(&text.len()),
            _ => false,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(least, most) => write!(f, "from {} to {}", grouped(least), grouped(most)),
            Self::Number(least, most) => write!(f, "from {} to {}", short(least), short(most)),
            Self::Inside(low, high) => write!(f, "between {} and {}", short(low), short(high)),
            Self::Bytes(least, most) => write!(f, "a text of {least} to {} bytes", grouped(most as u64)),
        }
    }
}

/// Largest number of characters of a value that an error shows.
const SHOWN: usize = 60;

/// Formats a value for an error, with only the start of a long text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => short(*number),
        Value::String(text) if text.chars().nth(SHOWN).is_some() => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("{start:?}… of {} bytes", text.len())
        }
        value => shortened(&value.to_string(), SHOWN),
    }
}

/// Returns at most `most` characters of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

/// Formats a number, with a power of ten where it would have many digits.
fn short(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-3..1e7).contains(&size) { number.to_string() } else { format!("{number:e}") }
}

/// Formats a number with grouped digits, such as 1,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let place = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(
            [0, 999, 1_000, 65_536, 1_000_000_000_000].map(grouped),
            ["0", "999", "1,000", "65,536", "1,000,000,000,000"]
        );
    }
}
