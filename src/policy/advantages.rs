//! Generalized advantage estimation (Schulman et al., 2015) and whitening.

use super::shaping::Rows;
use crate::statistics::{mean, population_variance};

/// Advantages and the returns that the value head learns, both `[rows][response]`.
#[derive(Debug, Clone)]
pub struct Advantages {
    pub advantages: Rows,
    pub returns: Rows,
}

/// Parameters of generalized advantage estimation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneralizedAdvantages {
    /// Discount γ.
    pub discount: f64,
    /// Decay λ.
    pub lambda: f64,
}

impl GeneralizedAdvantages {
    /// Estimates `δₜ = rₜ + γ V(sₜ₊₁) − V(sₜ)`, `Âₜ = δₜ + γλ Âₜ₊₁`, with value 0 after the last token; the returns are
    /// `Â + V` (`train_policy.py`, `PPOTrainer.loss`).
    pub fn estimate(&self, rewards: &Rows, values: &Rows) -> Advantages {
        let advantages: Rows = rewards.iter().zip(values).map(|(r, v)| self.estimate_row(r, v)).collect();
        let returned = |(a, v): (&Vec<f64>, &Vec<f64>)| a.iter().zip(v).map(|(a, v)| a + v).collect();
        let returns = advantages.iter().zip(values).map(returned).collect();
        Advantages { advantages, returns }
    }

    fn estimate_row(&self, rewards: &[f64], values: &[f64]) -> Vec<f64> {
        let Self { discount, lambda } = self;
        let (mut next_value, mut next_advantage) = (0.0, 0.0);
        let mut advantages: Vec<f64> = rewards
            .iter()
            .zip(values)
            .rev()
            .map(|(reward, value)| {
                let delta = reward + discount * next_value - value;
                next_value = *value;
                next_advantage = delta + discount * lambda * next_advantage;
                next_advantage
            })
            .collect();
        advantages.reverse();
        advantages
    }
}

/// Scales all numbers to variance 1 (population variance, 1e-8 added before the root), and to
/// mean 0 unless the mean is to be kept.
pub fn whiten(rows: &Rows, keep_mean: bool) -> Rows {
    let all = rows.concat();
    let (Some(mean), Some(variance)) = (mean(&all), population_variance(&all)) else { return rows.clone() };
    let scale = 1.0 / (variance + 1e-8).sqrt();
    let shift = if keep_mean { mean } else { 0.0 };
    rows.iter().map(|row| row.iter().map(|x| (x - mean) * scale + shift).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the definition written out: Â at t is the sum of (γλ)^k δ at t + k.
    fn written_out(rewards: &[f64], values: &[f64], discount: f64, lambda: f64) -> Vec<f64> {
        let delta = |t: usize| rewards[t] + discount * values.get(t + 1).copied().unwrap_or(0.0) - values[t];
        (0..rewards.len())
            .map(|t| (t..rewards.len()).map(|s| (discount * lambda).powi((s - t) as i32) * delta(s)).sum())
            .collect()
    }

    #[test]
    fn the_backward_loop_equals_the_sum_written_out() {
        let rewards = vec![vec![0.3, -0.2, 0.0, 1.5], vec![-1.0, 0.1, 0.2, 0.3]];
        let values = vec![vec![0.5, 0.4, -0.3, 0.2], vec![0.0, 1.0, 2.0, -1.0]];
        for (discount, lambda) in [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (0.99, 1.0)] {
            let found = GeneralizedAdvantages { discount, lambda }.estimate(&rewards, &values);
            for row in 0..2 {
                let expected = written_out(&rewards[row], &values[row], discount, lambda);
                for (a, b) in found.advantages[row].iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn whitened_numbers_have_variance_one_and_keep_or_lose_their_mean() {
        let rows = vec![vec![1.0, 2.0], vec![3.0, 10.0]];
        for (keep_mean, expected) in [(true, 4.0), (false, 0.0)] {
            let white = whiten(&rows, keep_mean).concat();
            assert!((mean(&white).unwrap() - expected).abs() < 1e-12);
            assert!((population_variance(&white).unwrap() - 1.0).abs() < 1e-6);
        }
    }
}
