//! Statistics of a PPO step under the original's names, computed on the host.

use super::minibatch::Minibatch;
use super::objective::{Clipped, ClippedObjective};
use crate::run::Metric;
use crate::statistics::{mean, population_variance};

/// Statistics of one step, means over all tokens of the minibatch.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepStatistics {
    pub policy_loss: f64,
    pub value_loss: f64,
    pub total_loss: f64,
    pub entropy: f64,
    /// Approximate KL: `½ mean((log π − log π_old)²)`.
    pub approximate_kl: f64,
    /// Share of tokens whose ratio was clipped.
    pub policy_clip_fraction: f64,
    pub returns_mean: f64,
    pub returns_variance: f64,
    pub predicted_value: f64,
    /// Squared error of the values: `mean((V − R)²)`.
    pub value_error: f64,
    pub value_clip_fraction: f64,
    pub old_value_mean: f64,
    pub old_value_variance: f64,
    /// Largest change of a log-probability: `max |log π − log π_old|`.
    pub largest_log_prob_difference: f64,
}

impl StepStatistics {
    /// Computes the statistics of a step on `minibatch` from the policy's log-probabilities, values and entropies, each
    /// `[rows · response]`.
    pub fn of(
        minibatch: &Minibatch,
        [log_probs, values, entropies]: &[Vec<f64>; 3],
        objective: &ClippedObjective,
    ) -> Self {
        let mut sums = Sums::default();
        let old = minibatch.log_probs.iter().flatten().zip(minibatch.values.iter().flatten());
        let goals = minibatch.advantages.iter().flatten().zip(minibatch.returns.iter().flatten());
        for (((log_prob, value), (old_log_prob, old_value)), (advantage, returned)) in
            log_probs.iter().zip(values).zip(old).zip(goals)
        {
            sums.add_policy(objective.policy_loss(*log_prob, *old_log_prob, *advantage), log_prob - old_log_prob);
            sums.add_value(objective.value_loss(*value, *old_value, *returned));
        }
        let (returns, old_values) = (minibatch.returns.concat(), minibatch.values.concat());
        let average = |numbers: &[f64]| mean(numbers).unwrap_or(0.0);
        let count = log_probs.len() as f64;
        let policy_loss = sums.policy_loss / count;
        let value_loss = 0.5 * sums.value_loss / count;
        Self {
            policy_loss,
            value_loss,
            total_loss: objective.total(policy_loss, value_loss),
            entropy: average(entropies),
            approximate_kl: 0.5 * sums.squared_difference / count,
            policy_clip_fraction: sums.policy_clipped / count,
            returns_mean: average(&returns),
            returns_variance: population_variance(&returns).unwrap_or(0.0),
            predicted_value: average(values),
            value_error: sums.value_error / count,
            value_clip_fraction: sums.value_clipped / count,
            old_value_mean: average(&old_values),
            old_value_variance: population_variance(&old_values).unwrap_or(0.0),
            largest_log_prob_difference: sums.largest_difference,
        }
    }
}

#[derive(Default)]
struct Sums {
    policy_loss: f64,
    policy_clipped: f64,
    squared_difference: f64,
    largest_difference: f64,
    value_loss: f64,
    value_error: f64,
    value_clipped: f64,
}

impl Sums {
    fn add_policy(&mut self, loss: Clipped<f64>, difference: f64) {
        self.policy_loss += loss.plain.max(loss.clipped);
        self.policy_clipped += f64::from(u8::from(loss.clipped > loss.plain));
        self.squared_difference += difference * difference;
        self.largest_difference = self.largest_difference.max(difference.abs());
    }

    fn add_value(&mut self, loss: Clipped<f64>) {
        self.value_loss += loss.plain.max(loss.clipped);
        self.value_clipped += f64::from(u8::from(loss.clipped > loss.plain));
        self.value_error += loss.plain;
    }
}

impl StepStatistics {
    /// Returns the name and value of each statistic, as the original logs them.
    pub fn named(&self) -> [(Metric, f64); 14] {
        [
            (Metric::PolicyLoss, self.policy_loss),
            (Metric::ValueLoss, self.value_loss),
            (Metric::TotalLoss, self.total_loss),
            (Metric::PolicyEntropy, self.entropy),
            (Metric::ApproximateKl, self.approximate_kl),
            (Metric::PolicyClipFraction, self.policy_clip_fraction),
            (Metric::ReturnsMean, self.returns_mean),
            (Metric::ReturnsVariance, self.returns_variance),
            (Metric::PredictedValue, self.predicted_value),
            (Metric::ValueError, self.value_error),
            (Metric::ValueClipFraction, self.value_clip_fraction),
            (Metric::OldValueMean, self.old_value_mean),
            (Metric::OldValueVariance, self.old_value_variance),
            (Metric::ExplainedVariance, 1.0 - self.value_error / self.returns_variance),
        ]
    }

    /// Returns the mean of each statistic over the steps of an update.
    pub fn mean_named(steps: &[Self]) -> Vec<(Metric, f64)> {
        let mut sums: Vec<(Metric, f64)> = Self::default().named().map(|(name, _)| (name, 0.0)).into();
        for step in steps {
            for ((_, sum), (_, value)) in sums.iter_mut().zip(step.named()) {
                *sum += value / steps.len() as f64;
            }
        }
        sums
    }
}
