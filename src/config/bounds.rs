//! The bounds of every number and text among the settings, with their reasons.
//!
//! A bound is far from what anybody trains with: a typing mistake becomes an error before the work, and not an
//! endless run, a machine out of memory or a number that is not finite.

use std::fmt;

use serde::Serialize;
use toml::{Table, Value};

use super::Config;
use super::keys::{find, keys};
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounds {
    /// Key of the setting, such as `policy.kl.target`.
    #[serde(skip)]
    pub key: &'static str,
    pub range: Range,
    /// Reason for the bounds.
    pub why: &'static str,
}

/// Largest number of updates or steps, or of steps between two events; a count of their rows stays exact.
const COUNT: u64 = 1_000_000_000_000;
const COUNT_WHY: &str = "a longer run would not end in a lifetime";
const OFTEN_WHY: &str = "1 is after every step, and the largest value is never";

/// Largest number of rows in a batch.
const ROWS: u64 = 65_536;
const ROWS_WHY: &str = "a batch is kept in memory";
const PASS_WHY: &str = "a pass holds a batch at most";

const TOKENS: u64 = 1_048_576;
const TOKENS_WHY: &str = "no model reads more";

const TOKEN_BYTES: usize = 256;
const TOKEN_WHY: &str = "it is one token";
const PROMPT_BYTES: usize = 65_536;
const PROMPT_WHY: &str = "the model reads it with each query";

const SHARE_WHY: &str = "it is a share";
const SOME_WHY: &str = "some must be on each side";
const RATE_WHY: &str = "weights are small numbers, and 32 bits hold no smaller step";
const EPSILON_WHY: &str = "32 bits hold no smaller one beside a gradient, and a larger one hides them all";
const DECAY_WHY: &str = "more would turn weights around";

const fn whole(key: &'static str, least: u64, most: u64, why: &'static str) -> Bounds {
    Bounds { key, range: Range::Whole(least, most), why }
}

const fn number(key: &'static str, least: f64, most: f64, why: &'static str) -> Bounds {
    Bounds { key, range: Range::Number(least, most), why }
}

const fn share(key: &'static str) -> Bounds {
    number(key, 0.0, 1.0, SHARE_WHY)
}

const fn part(key: &'static str) -> Bounds {
    Bounds { key, range: Range::Inside(0.0, 1.0), why: SOME_WHY }
}

const fn bytes(key: &'static str, least: usize, most: usize, why: &'static str) -> Bounds {
    Bounds { key, range: Range::Bytes(least, most), why }
}

const fn learning_rate(key: &'static str) -> Bounds {
    number(key, 1e-30, 1.0, RATE_WHY)
}

/// Bounds of all settings that are numbers or texts, in the order of the sections.
pub const BOUNDS: &[Bounds] = &[
    whole("task.query_length_tokens", 1, TOKENS, TOKENS_WHY),
    bytes("task.query_end_token", 0, TOKEN_BYTES, TOKEN_WHY),
    bytes("task.query_prefix", 0, PROMPT_BYTES, PROMPT_WHY),
    bytes("task.query_suffix", 0, PROMPT_BYTES, PROMPT_WHY),
    whole("task.response_length_tokens", 1, TOKENS, TOKENS_WHY),
    number("task.temperature", 1e-3, 1e3, "less always takes the likeliest token, and more takes any"),
    bytes("task.truncate_token", 1, TOKEN_BYTES, TOKEN_WHY),
    whole("task.truncate_after_tokens", 0, TOKENS - 1, TOKENS_WHY),
    number("task.penalty_score", -1e4, 1e4, "rewards have mean 0 and variance 1"),
    whole("labels.comparisons", 2, 1_000_000, "a reward model learns from two or more, and all are kept in memory"),
    whole("labels.responses_per_query", 2, 256, "two make a choice, and all are drawn side by side"),
    part("labels.held_out_fraction"),
    share("labels.repeated_fraction"),
    learning_rate("reward.learning_rate"),
    whole("reward.train_comparisons", 0, COUNT, "no file holds more"),
    whole("reward.batch_size", 1, ROWS, ROWS_WHY),
    whole("reward.normalize_samples", 2, ROWS, "a variance needs two, and all are kept in memory"),
    whole("reward.micro_batch_size", 1, ROWS, PASS_WHY),
    number("reward.adam_epsilon", 1e-12, 10.0, EPSILON_WHY),
    whole("reward.checkpoint_every_steps", 1, COUNT, OFTEN_WHY),
    whole("policy.updates", 1, COUNT, COUNT_WHY),
    whole("policy.batch_size", 1, ROWS, ROWS_WHY),
    whole("policy.minibatches", 1, ROWS, "each has an episode or more"),
    whole("policy.micro_batch_size", 1, ROWS, PASS_WHY),
    whole("policy.epochs", 1, 100, "episodes that old say nothing of the policy"),
    learning_rate("policy.learning_rate"),
    number("policy.value_coefficient", 0.0, 1e3, "beside it the policy's own loss would be lost"),
    number("policy.clip_range", 1e-6, 1e6, "the least lets nothing move, and the most clips nothing"),
    number("policy.clip_range_value", 1e-6, 1e6, "the least lets nothing move, and the most clips nothing"),
    share("policy.discount"),
    share("policy.gae_lambda"),
    number("policy.adam_epsilon", 1e-12, 10.0, EPSILON_WHY),
    whole("policy.checkpoint_every_updates", 1, COUNT, OFTEN_WHY),
    number("policy.kl.coefficient", 0.0, 1e3, "beside it the score, whose variance is 1, would be lost"),
    number("policy.kl.target", 1e-6, 1e6, "KL is measured in nats a response"),
    number("policy.kl.horizon_episodes", 0.2, 1e12, "the most is never"),
    whole("policy.lora.rank", 0, ROWS, "more than the width of the model adds nothing"),
    number("policy.lora.alpha", 1e-6, 1e6, "the adapters count alpha / rank times"),
    number("health.largest_kl", 1e-6, 1e9, "the most is no limit"),
    share("health.smallest_entropy"),
    share("health.most_repetition"),
    whole("health.responses_until_valid", 0, COUNT, COUNT_WHY),
    number("health.least_above_chance", -1.0, 1.0, "it is a difference of two shares"),
    whole("train.rounds", 1, 10_000, "each fits a reward model"),
    part("train.first_share"),
    whole(
        "pretrain.vocabulary_size",
        257,
        1_000_000,
        "the 256 bytes and the end of a text are in it, and nobody's is larger",
    ),
    whole("pretrain.layers", 1, 1_024, "no model is deeper"),
    whole("pretrain.width", 1, ROWS, "no model is wider"),
    whole("pretrain.heads", 1, ROWS, "each head has a dimension of the width or more"),
    whole("pretrain.context_tokens", 2, TOKENS, "one is read and one predicted; no model reads more"),
    whole("pretrain.batch_size", 1, ROWS, ROWS_WHY),
    whole("pretrain.steps", 1, COUNT, COUNT_WHY),
    learning_rate("pretrain.learning_rate"),
    number("pretrain.weight_decay", 0.0, 1.0, DECAY_WHY),
    whole("pretrain.warmup_steps", 0, COUNT, COUNT_WHY),
    share("pretrain.decay_fraction"),
    part("pretrain.held_out_fraction"),
    whole("pretrain.checkpoint_every_steps", 1, COUNT, OFTEN_WHY),
    whole("pretrain.evaluate_every_steps", 1, COUNT, OFTEN_WHY),
    whole("sft.epochs", 1, 100_000, COUNT_WHY),
    whole("sft.batch_size", 1, ROWS, ROWS_WHY),
    whole("sft.micro_batch_size", 1, ROWS, PASS_WHY),
    learning_rate("sft.learning_rate"),
    number("sft.weight_decay", 0.0, 1.0, DECAY_WHY),
    whole("sft.checkpoint_every_steps", 1, COUNT, OFTEN_WHY),
    whole("sft.evaluate_every_steps", 1, COUNT, OFTEN_WHY),
    whole(
        "eval.pairs",
        1,
        1_000_000,
        "all are kept in memory, and a win rate of so many is known to a tenth of a percent",
    ),
];

/// Returns the bounds of the setting `key`; `None` for a setting that is chosen from a list, or true or false.
pub fn bounds_of(key: &str) -> Option<&'static Bounds> {
    BOUNDS.iter().find(|bounds| bounds.key == key)
}

/// An entry in a list of settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    pub key: String,
    /// Default value, as TOML.
    pub default: String,
    #[serde(flatten)]
    pub bounds: Option<&'static Bounds>,
}

/// Lists all settings.
///
/// # Errors
/// None with the defaults.
pub fn settings() -> Result<Vec<Setting>> {
    let table = Table::try_from(Config::default())
        .map_err(|error| Error::failed(format!("the default settings are not TOML: {error}"), ""))?;
    let default = |key: &str| find(&table, key).map_or_else(String::new, ToString::to_string);
    let setting = |key: String| Setting { default: default(&key), bounds: bounds_of(&key), key };
    Ok(keys(&table).into_iter().map(setting).collect())
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
    let outside = |bounds: &&Bounds| find(&table, bounds.key).is_some_and(|value| !holds(&bounds.range, value));
    match BOUNDS.iter().find(outside) {
        None => Ok(()),
        Some(bounds) => Err(bounds.refused(&table)),
    }
}

impl Bounds {
    fn refused(&self, settings: &Table) -> Error {
        let Self { key, range, why } = self;
        let value = find(settings, key).map_or_else(String::new, shown);
        Error::usage(format!("{key} is {value}; it must be {range}: {why}"), format!("change it with --set {key}=…"))
    }
}

impl Range {
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
    use crate::config::presets;

    /// Returns the doc comment of each field of the sections, by the field's key.
    fn documentation() -> Vec<(String, String)> {
        let mut section = "";
        let (mut comment, mut found) = (String::new(), Vec::new());
        for line in include_str!("sections.rs").lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("pub struct ") {
                section = match name.trim_end_matches(" {") {
                    "Kl" => "policy.kl",
                    "Lora" => "policy.lora",
                    other => other,
                };
            } else if let Some(text) = line.strip_prefix("/// ") {
                comment += &format!(" {text}");
                continue;
            } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
                found.push((format!("{}.{field}", section.to_lowercase()), comment.to_lowercase()));
            }
            comment.clear();
        }
        found
    }

    #[test]
    fn every_number_and_text_has_bounds_that_its_documentation_states() {
        let table = Table::try_from(Config::default()).unwrap();
        let documentation = documentation();
        for key in keys(&table) {
            let listed = matches!(find(&table, &key), Some(Value::Boolean(_)))
                || ["task.long_queries", "reward.adam", "policy.adam", "train.labels"].contains(&key.as_str());
            let Some(bounds) = bounds_of(&key) else {
                assert!(listed, "{key} has no bounds");
                continue;
            };
            let (_, stated) = documentation.iter().find(|(name, _)| *name == key).unwrap();
            assert!(stated.contains(&bounds.range.to_string()), "{key}: {} is not in:{stated}", bounds.range);
        }
        assert!(BOUNDS.iter().all(|bounds| find(&table, bounds.key).is_some()));
    }

    #[test]
    fn the_defaults_and_the_presets_are_far_from_the_bounds() {
        for preset in presets() {
            let table = Table::try_from(preset.config().unwrap()).unwrap();
            for Bounds { key, range, .. } in BOUNDS {
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
        assert_eq!([0, 999, 1_000, 65_536, COUNT].map(grouped), ["0", "999", "1,000", "65,536", "1,000,000,000,000"]);
    }
}
