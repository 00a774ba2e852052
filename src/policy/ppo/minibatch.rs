//! Minibatch: the rows of one step of an update.

use std::ops::Range;

use super::settings::UpdateSettings;
use crate::lm::Responses;
use crate::policy::advantages::{Advantages, whiten};
use crate::policy::rollout::Rollout;
use crate::policy::shaping::Rows;

/// Rows of one step, each `[rows][response]`.
#[derive(Debug, Clone)]
pub struct Minibatch {
    pub contexts: Vec<Vec<u32>>,
    pub responses: Vec<Vec<u32>>,
    /// Log-probabilities under the policy that sampled the responses.
    pub log_probs: Rows,
    /// Values by the policy that sampled the responses.
    pub values: Rows,
    /// Rewards, whitened if the settings ask for it.
    pub rewards: Rows,
    /// Advantages, whitened.
    pub advantages: Rows,
    pub returns: Rows,
}

impl Minibatch {
    /// Takes these rows of a rollout with their shaped rewards `[rows][response]`. Whitening is over the minibatch, as
    /// in the original.
    pub fn new(rollout: &Rollout, rewards: &Rows, rows: &[usize], settings: &UpdateSettings) -> Self {
        let (rewards, values) = (pick(rewards, rows), pick(&rollout.values, rows));
        let rewards = if settings.whiten_rewards { whiten(&rewards, true) } else { rewards };
        let Advantages { advantages, returns } = settings.advantages.estimate(&rewards, &values);
        Self {
            contexts: pick(&rollout.contexts, rows),
            responses: pick(&rollout.responses, rows),
            log_probs: pick(&rollout.log_probs, rows),
            values,
            advantages: whiten(&advantages, false),
            returns,
            rewards,
        }
    }

    /// Returns the responses with their contexts.
    pub fn responses(&self) -> Responses<'_> {
        Responses::new(&self.contexts, &self.responses)
    }

    /// Returns some of the rows.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        fn part<T: Clone>(all: &[T], rows: &Range<usize>) -> Vec<T> {
            all.get(rows.clone()).unwrap_or_default().to_vec()
        }
        Self {
            contexts: part(&self.contexts, &rows),
            responses: part(&self.responses, &rows),
            log_probs: part(&self.log_probs, &rows),
            values: part(&self.values, &rows),
            rewards: part(&self.rewards, &rows),
            advantages: part(&self.advantages, &rows),
            returns: part(&self.returns, &rows),
        }
    }
}

fn pick<T: Clone>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|&row| all.get(row)).cloned().collect()
}
