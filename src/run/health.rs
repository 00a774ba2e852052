//! A number that is not finite stops the run before it reaches the weights.

use crate::error::{Error, Result};

/// Checks (name, value) pairs, such as the losses of a step before the optimizer runs.
///
/// `learning_rate` is the key of the setting to lower, such as `policy.learning_rate`. The error
/// names the first bad value and the step.
pub fn check_finite(step: u64, values: &[(&str, f64)], learning_rate: &str) -> Result<()> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => Err(not_finite(step, &format!("{name} is {value}"), learning_rate)),
    }
}

/// Checks many values of one kind, such as the scores of a batch.
///
/// The error counts the bad values and gives the index of the first.
pub fn check_all_finite(step: u64, name: &str, values: &[f32], learning_rate: &str) -> Result<()> {
    let mut bad = values.iter().enumerate().filter(|(_, value)| !value.is_finite());
    match bad.next() {
        None => Ok(()),
        Some((index, value)) => {
            let count = 1 + bad.count();
            let what =
                format!("{count} of {} values of {name} are not finite; number {index} is {value}", values.len());
            Err(not_finite(step, &what, learning_rate))
        }
    }
}

fn not_finite(step: u64, what: &str, learning_rate: &str) -> Error {
    Error::failed(
        format!("at step {step}, {what}; this step did not change the weights"),
        format!("lower {learning_rate}; the last checkpoint is intact"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_numbers_pass() {
        check_finite(1, &[("loss", 0.0), ("kl", -1e300)], "policy.learning_rate").unwrap();
        check_all_finite(1, "scores", &[0.0, f32::MAX], "policy.learning_rate").unwrap();
    }

    #[test]
    fn the_error_says_which_number_when_and_what_to_do() {
        let error = check_finite(7, &[("loss", 1.0), ("kl", f64::NAN)], "policy.learning_rate").unwrap_err();
        assert_eq!(error.to_string(), "at step 7, kl is NaN; this step did not change the weights");
        assert!(error.hint().contains("lower policy.learning_rate"));
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn bad_values_are_counted() {
        let scores = [0.0, f32::INFINITY, 1.0, f32::NAN];
        let error = check_all_finite(2, "scores", &scores, "reward.learning_rate").unwrap_err();
        assert!(error.to_string().contains("2 of 4 values of scores are not finite; number 1 is inf"), "{error}");
    }
}
