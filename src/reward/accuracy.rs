//! How often a reward model is right on comparisons that it was not fitted to.

use std::fmt;

use crate::config::Health;
use crate::error::{Error, Result};
use crate::statistics::{Interval, wilson_interval};

/// Held-out comparisons that tell a reward model from guessing.
const FEWEST_TO_JUDGE_BY: usize = 100;

/// Beside guessing and with its interval: few comparisons say little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutAccuracy {
    /// In 0..=1.
    pub accuracy: f64,
    /// Those that it was measured on.
    pub comparisons: usize,
    /// The accuracy of guessing: the mean of 1/N with N responses each that all differ.
    pub chance: f64,
}

impl HeldOutAccuracy {
    /// The 95% interval.
    pub fn interval(&self) -> Interval {
        wilson_interval(self.accuracy * self.comparisons as f64, self.comparisons)
    }

    /// Whether guessing may be as right as that.
    pub fn may_be_guessing(&self) -> bool {
        let Interval { low, high } = self.interval();
        (low..=high).contains(&self.chance)
    }

    /// Whether the model is better than guessing; few comparisons say nothing.
    ///
    /// # Errors
    /// [`Error::Failed`] where its accuracy is not as far above guessing as the limit says.
    pub fn check(&self, limits: &Health) -> Result<()> {
        let least = self.chance + limits.least_above_chance;
        if self.accuracy > least || self.comparisons < FEWEST_TO_JUDGE_BY {
            return Ok(());
        }
        let [accuracy, least, chance] = [self.accuracy, least, self.chance].map(|rate| 100.0 * rate);
        Err(Error::failed(
            format!(
                "stopped, because the reward model is right on {accuracy:.1}% of the comparisons it has not seen, where \
                 {least:.1}% is the least (guessing: {chance:.1}%)"
            ),
            "if that is far below guessing, check that `best` names the preferred response; if it is near, collect more \
             labels or change reward.learning_rate; the same command fits anew; a negative health.least_above_chance \
             lets it pass",
        ))
    }
}

/// Such as `56.1% (95% interval 45.3 to 66.3; guessing: 25%) on 82 comparisons of queries not trained on`, and
/// whether that says nothing of the model.
impl fmt::Display for HeldOutAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        let [accuracy, low, high, chance] = [self.accuracy, low, high, self.chance].map(|rate| 100.0 * rate);
        let chance = format!("{chance:.1}");
        let chance = chance.strip_suffix(".0").unwrap_or(&chance);
        let (count, plural) = (self.comparisons, if self.comparisons == 1 { "" } else { "s" });
        write!(f, "{accuracy:.1}% (95% interval {low:.1} to {high:.1}; guessing: {chance}%)")?;
        write!(f, " on {count} comparison{plural} of queries not trained on")?;
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
            "60.0% (95% interval 31.3 to 83.2; guessing: 50%) on 10 comparisons of queries not trained on: this cannot be told \
             from guessing"
        );
        assert_eq!(
            of(1000).to_string(),
            "60.0% (95% interval 56.9 to 63.0; guessing: 50%) on 1000 comparisons of queries not trained on"
        );
        assert!(of(1).to_string().contains(" on 1 comparison of queries"));
        assert!(of(0).may_be_guessing());
        let below = HeldOutAccuracy { accuracy: 0.1, comparisons: 200, chance: 0.375 };
        assert!(!below.may_be_guessing() && below.to_string().contains("guessing: 37.5%"), "{below}");
    }
}
