//! Checks of every setting against its bounds.

use toml::{Table, Value};

use super::Config;
use super::bounds::{Bounds, Range, shown};
use super::defaults::{Setting, settings};
use super::keys::find;
use crate::error::{Error, Result};

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
        .map_err(|error| Error::usage(format!("a setting is out of range: {error}"), "use numbers below 2⁶³"))?;
    for Setting { key, bounds, .. } in settings() {
        let (Some(bounds), Some(value)) = (bounds, find(&table, key)) else { continue };
        if !holds(&bounds.range, value) {
            return Err(refused(key, bounds, value));
        }
    }
    Ok(())
}

fn refused(key: &str, bounds: &Bounds, value: &Value) -> Error {
    let (Bounds { range, why }, value) = (bounds, shown(value));
    Error::usage(format!("{key} is {value}; it must be {range}: {why}"), format!("change it with --set {key}=…"))
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
                "policy.kl.coefficient is inf; it must be from 0 to 1000: a larger β would hide the score, whose \
                 variance is 1",
            ),
            (
                "labels.held_out_fraction=-0.0",
                "labels.held_out_fraction is -0; it must be between 0 and 1: neither part may be empty",
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
}
