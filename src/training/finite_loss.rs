//! Check of losses: a number that is not finite stops the run.

use crate::error::{Error, Result};
use crate::run::Metric;

/// Checks (name, value) pairs, such as the losses of a step.
///
/// # Errors
/// [`Error::Failed`] with the first that is NaN or infinite; the hint names `learning_rate`, the
/// key of the setting to lower.
pub(crate) fn check_finite(values: &[(Metric, f64)], learning_rate: &str) -> Result<()> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((metric, value)) => Err(Error::failed(
            format!("{} is {value}", metric.name()),
            format!("lower {learning_rate} and run the same command again to resume from the last checkpoint"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_not_finite_is_named() {
        check_finite(&[(Metric::TotalLoss, 0.0), (Metric::Kl, -1e300)], "policy.learning_rate").unwrap();
        let error =
            check_finite(&[(Metric::TotalLoss, 1.0), (Metric::Kl, f64::NAN)], "policy.learning_rate").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("objective/kl is NaN", 1));
        assert!(error.hint().contains("lower policy.learning_rate"));
    }
}
