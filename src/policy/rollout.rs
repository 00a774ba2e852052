//! A batch of episodes: queries, the responses drawn to them, and all that the update needs.

use burn::module::Module;

use super::model::{Policy, response_log_probs};
use super::score::penalize;
use super::shaping::Rows;
use crate::error::Result;
use crate::lm::{LanguageModel, Sampled, Task, lora, sample};
use crate::reward::RewardModel;

/// Episodes with everything known about them.
#[derive(Debug, Clone, Default)]
pub struct Rollout {
    /// What the policy continues: each query's tokens between prefix and suffix of the task.
    pub contexts: Vec<Vec<u32>>,
    /// `[rows][response]`, as drawn.
    pub responses: Vec<Vec<u32>>,
    /// Log-probabilities when they were drawn, `[rows][response]`.
    pub log_probs: Rows,
    /// Values before each token when they were drawn, `[rows][response]`.
    pub values: Rows,
    /// Log-probabilities under the reference, `[rows][response]`.
    pub reference_log_probs: Rows,
    /// What the reward model gave, or the penalty, `[rows]`.
    pub scores: Vec<f64>,
    /// Whether a response could be cut, `[rows]`.
    pub valid: Vec<bool>,
}

/// The models and rules that turn queries into a [`Rollout`].
pub struct Judges<'a> {
    /// ρ in the paper.
    pub reference: &'a LanguageModel,
    pub reward_model: &'a RewardModel,
    pub task: Task,
    /// Rows in one pass.
    pub rows_at_once: usize,
}

impl Judges<'_> {
    /// Draws one response a query from `policy` and judges it.
    ///
    /// # Errors
    /// For a query the model cannot read, and when the device fails.
    pub fn roll_out(
        &self,
        policy: &Policy,
        queries: Vec<Vec<u32>>,
        uniform: impl Fn(usize) -> Vec<f32> + Sync,
    ) -> Result<Rollout> {
        let policy = lora::merge(policy.valid());
        let config = &self.reference.config;
        let contexts = self.task.contexts(&queries);
        let drawn =
            sample(&policy.transformer, config, Some(&policy.value_head), &contexts, &self.task.sampling, uniform)?;
        let Sampled { responses, log_probs, values } = drawn;
        let (scores, valid) = self.score(&queries, &responses)?;
        let temperature = self.task.sampling.temperature;
        let reference = &self.reference.transformer;
        let reference_log_probs =
            response_log_probs(reference, config, &contexts, &responses, temperature, self.rows_at_once)?;
        Ok(Rollout {
            contexts,
            responses,
            log_probs: widen(&log_probs),
            values: widen(&values),
            reference_log_probs,
            scores,
            valid,
        })
    }

    /// Scores of responses after cutting them, and which could be cut.
    ///
    /// # Errors
    /// As [`Self::roll_out`].
    pub fn score(&self, queries: &[Vec<u32>], responses: &[Vec<u32>]) -> Result<(Vec<f64>, Vec<bool>)> {
        let cut: Vec<Vec<u32>> = responses.iter().map(|response| self.task.truncation.cut(response)).collect();
        let valid: Vec<bool> = responses.iter().map(|response| self.task.truncation.is_valid(response)).collect();
        let scores = self.reward_model.score(&self.reference.config, queries, &cut, self.rows_at_once)?;
        Ok((penalize(&scores, &valid, self.task.penalty_score), valid))
    }
}

fn widen(rows: &[Vec<f32>]) -> Rows {
    rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}
