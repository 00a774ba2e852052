//! The bounds of every number and text among the settings, with their reasons.
//!
//! A bound is far from what anybody trains with: a typing mistake becomes an error before the work, and not an
//! endless run, a machine out of memory or a number that is not finite.

use std::fmt;

use serde::Serialize;
use toml::{Table, Value};

use super::Config;
use super::defaults::{Setting, settings};
use super::keys::find;
use crate::error::{Error, Result};

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

/// Checks each setting alone.
///
/// # Errors
/// [`Error::Usage`] with the first setting that is out of its bounds, its value, the bounds, and why.
pub(super) fn check(config: &Config) -> Result<()> {
    check_by(config, Range::contains)
}

/// Checks the settings of a run, which may be from before there were bounds: only that whole numbers are not too small.
///
/// # Errors
/// The errors of [`check`].
pub(super) fn check_recorded(config: &Config) -> Result<()> {
    check_by(config, |range, value| match (range, value) {
        (Range::Whole(least, _), Value::Integer(whole)) => i128::from(*whole) >= i128::from(*least),
        _ => true,
    })
}

fn check_by(config: &Config, holds: fn(&Range, &Value) -> bool) -> Result<()> {
    let table = Table::try_from(config)
        .map_err(|error| Error::usage(format!("a setting cannot be: {error}"), "numbers end before 2⁶³"))?;
    for Setting { key, bounds, .. } in settings() {
        let (Some(bounds), Some(value)) = (bounds, find(&table, key)) else { continue };
        if !holds(&bounds.range, value) {
            return Err(bounds.refused(key, value));
        }
    }
    Ok(())
}

impl Bounds {
    /// Reads a statement such as `From 1 to 100: the reason.` about a setting with this default; `None` for
    /// anything else.
    pub(super) fn parse(statement: &str, default: &Value) -> Option<Self> {
        let (range, why) = statement.strip_suffix('.')?.split_once(": ")?;
        Some(Self { range: Range::parse(range, default)?, why: why.into() })
    }

    fn refused(&self, key: &str, value: &Value) -> Error {
        let (Self { range, why }, value) = (self, shown(value));
        Error::usage(format!("{key} is {value}; it must be {range}: {why}"), format!("change it with --set {key}=…"))
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

    fn contains(&self, value: &Value) -> bool {
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
    use crate::config::{keys, presets};

    #[test]
    fn every_setting_is_documented_and_every_number_and_text_has_bounds() {
        let table = Table::try_from(Config::default()).unwrap();
        let listed: Vec<&str> = settings().iter().map(|setting| setting.key.as_str()).collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        let mut known = keys::keys(&table);
        known.sort_unstable();
        assert_eq!(sorted, known, "defaults.toml has the settings that there are");
        for Setting { key, documentation, bounds, choices, .. } in settings() {
            let is_switch = matches!(find(&table, key), Some(Value::Boolean(_)));
            assert!(documentation.len() > 8 && documentation.ends_with('.'), "{key}: {documentation}");
            assert!(is_switch || bounds.is_some() == choices.is_empty(), "{key}: {documentation}");
        }
    }

    #[test]
    fn choices_are_those_that_can_be_made() {
        for Setting { key, choices, .. } in settings() {
            for choice in choices {
                Config::layered(&[], &[format!("{key}={choice}")]).unwrap();
            }
            let nonsense = Config::layered(&[], &[format!("{key}=nonsense")]);
            assert!(choices.is_empty() || nonsense.is_err(), "{key}");
        }
    }

    #[test]
    fn the_defaults_and_the_presets_are_far_from_the_bounds() {
        for preset in presets() {
            let table = Table::try_from(preset.config().unwrap()).unwrap();
            for Setting { key, bounds, .. } in settings() {
                let Some(Bounds { range, .. }) = bounds else { continue };
                match (range, find(&table, key).unwrap()) {
                    (Range::Whole(_, most), Value::Integer(whole)) if *most > 100 => {
                        assert!(*whole as u64 <= most / 10, "{}: {key}", preset.name);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_value_out_of_bounds_is_shown_with_the_bounds_and_why() {
        for (set, what) in [
            (
                "eval.pairs=1000000000000",
                "eval.pairs is 1000000000000; it must be from 1 to 1,000,000: all are kept in memory, and a win rate of \
                 so many is known to a tenth of a percent",
            ),
            (
                "task.penalty_score=-1e38",
                "task.penalty_score is -1e38; it must be from -10000 to 10000: rewards have mean 0 and variance 1",
            ),
            (
                "policy.kl.coefficient=inf",
                "policy.kl.coefficient is inf; it must be from 0 to 1000: beside it the score, whose variance is 1, would \
                 be lost",
            ),
            (
                "labels.held_out_fraction=-0.0",
                "labels.held_out_fraction is -0; it must be between 0 and 1: some must be on each side",
            ),
        ] {
            let error = Config::layered(&[], &[set.to_string()]).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (what, 2));
        }
        let text = "é".repeat(1 << 20);
        let error = Config::layered(&[], &[format!("task.query_prefix={text}")]).unwrap_err().to_string();
        assert!(
            error.contains("… of 2097152 bytes; it must be a text of 0 to 65,536 bytes") && error.len() < 300,
            "{error}"
        );
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(
            [0, 999, 1_000, 65_536, 1_000_000_000_000].map(grouped),
            ["0", "999", "1,000", "65,536", "1,000,000,000,000"]
        );
    }
}
