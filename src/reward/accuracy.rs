//! Accuracy of a reward model on held-out comparisons.

use std::fmt;

use crate::config::Health;
use crate::error::{Error, Result};
use crate::statistics::{Interval, wilson_interval};

/// Smallest number of held-out comparisons that can tell a reward model from guessing.
const FEWEST_TO_JUDGE_BY: usize = 100;

/// Held-out accuracy, with the number of comparisons and the accuracy of guessing: few comparisons say little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutAccuracy {
    /// Share of comparisons in which the reward model agrees with the labeler, in 0..=1.
    pub accuracy: f64,
    /// Number of held-out comparisons.
    pub comparisons: usize,
    /// Accuracy of guessing: the mean of 1/N over comparisons with N responses that all differ.
    pub chance: f64,
}

impl HeldOutAccuracy {
    /// Returns the 95% Wilson interval around the accuracy.
    pub fn interval(&self) -> Interval {
        wilson_interval(self.accuracy * self.comparisons as f64, self.comparisons)
    }

    /// Checks whether guessing may reach the same accuracy, because the interval contains it.
    pub fn may_be_guessing(&self) -> bool {
        let Interval { low, high } = self.interval();
        (low..=high).contains(&self.chance)
    }

    /// Checks that the model is better than guessing; too few comparisons pass in any case.
    ///
    /// # Errors
    /// [`Error::Failed`] if the accuracy is not as far above guessing as the limit requires.
    pub fn check(&self, limits: &Health) -> Result<()> {
        let least = self.chance + limits.least_above_chance;
        if self.accuracy > least || self.comparisons < FEWEST_TO_JUDGE_BY {
            return Ok(());
        }
        let [accuracy, least, chance] = [self.accuracy, least, self.chance].map(|rate| 100.0 * rate);
        Err(Error::failed(
            format!(
                "stopped, because the reward model is right on {accuracy:.1}% of the held-out comparisons, and more \
                 than {least:.1}% is required (guessing: {chance:.1}%)"
            ),
            "if this is far below guessing, check that `best` names the preferred response; if it is close, collect more \
             labels or change reward.learning_rate, and run the same command, which trains again; to continue anyway, \
             set health.least_above_chance below 0",
        ))
    }
}

/// Writes `56.1% (95% interval 45.3 to 66.3; guessing: 25%) on 82 held-out comparisons`, for example,
/// and a note if the accuracy cannot be told from guessing.
impl fmt::Display for HeldOutAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        let [accuracy, low, high, chance] = [self.accuracy, low, high, self.chance].map(|rate| 100.0 * rate);
        let chance = format!("{chance:.1}");
        let chance = chance.strip_suffix(".0").unwrap_or(&chance);
        let (count, plural) = (self.comparisons, if self.comparisons == 1 { "" } else { "s" });
        write!(f, "{accuracy:.1}% (95% interval {low:.1} to {high:.1}; guessing: {chance}%)")?;
        write!(f, " on {count} held-out comparison{plural}")?;
        if self.may_be_guessing() { f.write_str(": this cannot be told from guessing") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_comparisons_cannot_tell_a_model_from_guessing() {
        let of = |comparisons| HeldOutAccuracy { accuracy: 0.6, comparisons, chance: 0.5 };
        // Wilson's interval of 6 in 10 is 31.3% to 83.2%, of 600 in 1,000 56.9% to 63.0%.
        assert_eq!(
            of(10).to_string(),
            "60.0% (95% interval 31.3 to 83.2; guessing: 50%) on 10 held-out comparisons: this cannot be told \
             from guessing"
        );
        assert_eq!(
            of(1000).to_string(),
            "60.0% (95% interval 56.9 to 63.0; guessing: 50%) on 1000 held-out comparisons"
        );
        assert!(of(1).to_string().contains(" on 1 held-out comparison: "));
        assert!(of(0).may_be_guessing());
        let below = HeldOutAccuracy { accuracy: 0.1, comparisons: 200, chance: 0.375 };
        assert!(!below.may_be_guessing() && below.to_string().contains("guessing: 37.5%"), "{below}");
    }
}
