//! Reward of each token: the score at the end, minus the KL penalty (paper, section 2:
//! `R(x, y) = r(x, y) − β log(π(y|x)/ρ(y|x))`).

use crate::statistics::mean;

/// Numbers for each response token of all rows: `[rows][response]`.
pub type Rows = Vec<Vec<f64>>;

/// Rewards with the KL penalty in them, and the KL itself.
#[derive(Debug, Clone)]
pub struct Shaped {
    /// Rewards `[rows][response]`: `−β (log π − log ρ)` for each token, and the score added to the last.
    pub rewards: Rows,
    /// KL in nats per response: the mean over rows of `Σ (log π − log ρ)`.
    pub kl: f64,
    /// Mean over rows of the KL penalty's sum.
    pub penalty: f64,
}

/// Computes the rewards from scores `[rows]` and log-probabilities `[rows][response]` under policy and reference
/// (`train_policy.py`, `compute_rewards`). Tokens after a truncation point pay the penalty too.
pub fn shape(scores: &[f64], log_probs: &Rows, reference: &Rows, kl_coefficient: f64) -> Shaped {
    let ratios: Rows = log_probs
        .iter()
        .zip(reference)
        .map(|(policy, reference)| policy.iter().zip(reference).map(|(p, r)| p - r).collect())
        .collect();
    let kl = mean_of_sums(&ratios);
    let rewards = ratios.into_iter().zip(scores).map(|(row, score)| {
        let mut rewards: Vec<f64> = row.into_iter().map(|ratio| -kl_coefficient * ratio).collect();
        if let Some(last) = rewards.last_mut() {
            *last += score;
        }
        rewards
    });
    Shaped { rewards: rewards.collect(), kl, penalty: -kl_coefficient * kl }
}

/// Returns the mean over rows of a row's sum, or 0 if there are no rows.
pub fn mean_of_sums(rows: &Rows) -> f64 {
    let sums: Vec<f64> = rows.iter().map(|row| row.iter().sum()).collect();
    mean(&sums).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_did_not_move_earns_its_score_at_the_end() {
        let log_probs = vec![vec![-1.0, -2.0, -3.0]];
        let shaped = shape(&[0.5], &log_probs, &log_probs, 0.1);
        assert_eq!(shaped.rewards, [[0.0, 0.0, 0.5]].map(Vec::from));
        assert_eq!(shaped.kl, 0.0);
    }

    #[test]
    fn moving_costs_on_every_token() {
        let shaped = shape(&[1.0, 0.0], &vec![vec![-1.0, -1.0]; 2], &vec![vec![-2.0, -0.5]; 2], 0.2);
        assert_eq!(shaped.kl, 0.5);
        for (row, score) in shaped.rewards.iter().zip([1.0, 0.0]) {
            assert!((row[0] + 0.2).abs() < 1e-12 && (row[1] - 0.1 - score).abs() < 1e-12);
        }
    }
}
