//! The metrics that training logs, under the original's names where it logs the same number.

use super::stage::Stage;

macro_rules! metrics {
    ($($stage:ident: { $($metric:ident = $name:literal,)* })*) => {
        /// A number that training logs, at each step or at some steps. The guide's page `metrics` explains each metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $($(
                #[doc = concat!("`", $name, "`")]
                $metric,
            )*)*
        }

        impl Metric {
            /// All metrics, by stage.
            pub const ALL: &[Self] = &[$($(Self::$metric,)*)*];

            /// Returns the metric's name in `metrics.jsonl`.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$metric => $name,)*)*
                }
            }

            /// Returns the stage that logs this metric.
            pub const fn stage(self) -> Stage {
                match self {
                    $($(Self::$metric => Stage::$stage,)*)*
                }
            }
        }
    };
}

metrics! {
    Policy: {
        Kl = "objective/kl",
        KlCoefficient = "objective/kl_coef",
        Entropy = "objective/entropy",
        Score = "objective/score",
        ScoreTotal = "objective/score_total",
        ValidResponses = "objective/valid",
        DistinctBigrams = "text/distinct_bigrams",
        DistinctResponses = "text/distinct_responses",
        PolicyLearningRate = "ppo/learning_rate",
        PolicyLoss = "ppo/loss/policy",
        ValueLoss = "ppo/loss/value",
        TotalLoss = "ppo/loss/total",
        PolicyEntropy = "ppo/policy/entropy",
        ApproximateKl = "ppo/policy/approxkl",
        PolicyClipFraction = "ppo/policy/clipfrac",
        ReturnsMean = "ppo/returns/mean",
        ReturnsVariance = "ppo/returns/var",
        PredictedValue = "ppo/val/vpred",
        ValueError = "ppo/val/error",
        ValueClipFraction = "ppo/val/clipfrac",
        OldValueMean = "ppo/val/mean",
        OldValueVariance = "ppo/val/var",
        ExplainedVariance = "ppo/val/var_explained",
    }
    Reward: {
        RewardLoss = "reward/loss",
        RewardAccuracy = "reward/accuracy",
        RewardLearningRate = "reward/learning_rate",
        Chance = "reward/chance",
        LossOfGuessing = "reward/loss_of_guessing",
        HeldOutRewardLoss = "reward/held_out_loss",
        HeldOutAccuracy = "reward/held_out_accuracy",
        HeldOutComparisons = "reward/held_out_comparisons",
        HeldOutAccuracyLow = "reward/held_out_accuracy_low",
        HeldOutAccuracyHigh = "reward/held_out_accuracy_high",
    }
    Supervised: {
        TrainingLoss = "train/loss",
        TrainingLearningRate = "train/learning_rate",
        HeldOutLoss = "held_out/loss",
        HeldOutBitsPerByte = "held_out/bits_per_byte",
    }
}

impl Metric {
    /// Returns the metric of this name; `None` for a name that this version does not log.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_explains_every_metric() {
        let page = include_str!("../guide/metrics.md");
        for metric in Metric::ALL {
            assert!(page.contains(&format!("`{}`", metric.name())), "{}", metric.name());
            assert_eq!(Metric::named(metric.name()), Some(*metric));
        }
    }
}
