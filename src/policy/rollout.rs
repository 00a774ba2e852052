//! Batch of episodes: queries, the responses sampled to them, and all that the update needs.

use burn::module::Module;

use super::model::{Policy, by_row, log_probs_in_micro_batches};
use super::shaping::Rows;
use crate::device::Readback;
use crate::error::Result;
use crate::lm::Responses;
use crate::lm::network::lora;
use crate::lm::{LanguageModel, MicroBatches, Sampled, sample};
use crate::platform::interrupt::Interrupt;
use crate::task::Task;
use crate::task::{Scorer, Scores};

/// Episodes: queries and responses, with their log-probabilities, values and scores.
#[derive(Debug, Clone, Default)]
pub struct Rollout {
    /// Contexts that the policy continues: each query's tokens between prefix and suffix of the task.
    pub contexts: Vec<Vec<u32>>,
    /// Responses as sampled, `[rows][response]`.
    pub responses: Vec<Vec<u32>>,
    /// Log-probabilities under the policy that sampled the responses, `[rows][response]`.
    pub log_probs: Rows,
    /// Values before each token, by the policy that sampled the responses, `[rows][response]`.
    pub values: Rows,
    /// Log-probabilities under the reference, `[rows][response]`.
    pub reference_log_probs: Rows,
    /// Scores `[rows]`: those of the reward model, or the penalty for a response that is not valid.
    pub scores: Vec<f64>,
    /// True for each valid response, `[rows]`.
    pub valid: Vec<bool>,
}

/// The models and rules that turn queries into a [`Rollout`].
pub struct Rollouts<'a> {
    /// Reference (ρ in the paper).
    pub reference: &'a LanguageModel,
    /// Reward model, or another scorer of responses.
    pub scorer: &'a dyn Scorer,
    pub task: Task,
    /// Rows in one micro-batch.
    pub rows_at_once: usize,
}

impl Rollouts<'_> {
    /// Samples one response to each query from `policy` and scores it.
    ///
    /// # Errors
    /// Fails for a query that the model cannot read and when the device fails, and with the errors of
    /// [`Interrupt::check`].
    pub fn roll_out(
        &self,
        policy: &Policy,
        queries: Vec<Vec<u32>>,
        uniform: impl Fn(usize) -> Vec<f32> + Sync,
        interrupt: &Interrupt,
    ) -> Result<Rollout> {
        let policy = lora::merge(policy.valid());
        let contexts = self.task.contexts(&queries);
        let (head, sampling) = (Some(&policy.value_head), &self.task.sampling);
        let drawn = sample(&policy.transformer, head, &contexts, sampling, uniform, interrupt)?;
        let Sampled { responses, log_probs, values } = drawn;
        let (truncated, valid) = self.truncate(&responses);
        let micro_batches = MicroBatches::until(interrupt, self.rows_at_once);
        let scores = self.scorer.score(Responses::new(&queries, &truncated), &micro_batches)?;
        let temperature = self.task.sampling.temperature;
        let reference = &self.reference.transformer;
        let log_prob_passes =
            log_probs_in_micro_batches(reference, Responses::new(&contexts, &responses), temperature, &micro_batches)?;
        // Scores and log-probabilities are read at once, because nothing in between needs the host.
        let (on_host, on_device) = match scores {
            Scores::OnHost(scores) => (scores, Vec::new()),
            Scores::OnDevice(micro_batches) => (Vec::new(), micro_batches),
        };
        let score_passes = on_device.len();
        let read = Readback::default().with_all(on_device).with_all(log_prob_passes).floats()?;
        let (on_device, reference_log_probs) = read.split_at(score_passes.min(read.len()));
        let scores = if on_host.is_empty() { widen_row(&on_device.concat()) } else { on_host };
        let scores = penalize(&scores, &valid, self.task.penalty_score);
        let reference_log_probs = by_row(&reference_log_probs.concat(), responses.len());
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

    /// Returns the scores of responses after truncation, and which of them are valid.
    ///
    /// # Errors
    /// The errors of [`Self::roll_out`].
    pub fn score(
        &self,
        queries: &[Vec<u32>],
        responses: &[Vec<u32>],
        interrupt: &Interrupt,
    ) -> Result<(Vec<f64>, Vec<bool>)> {
        let (truncated, valid) = self.truncate(responses);
        let micro_batches = MicroBatches::until(interrupt, self.rows_at_once);
        let scores = self.scorer.score(Responses::new(queries, &truncated), &micro_batches)?.read()?;
        Ok((penalize(&scores, &valid, self.task.penalty_score), valid))
    }

    /// Returns the text of each response in tokens, for the scorer, and which responses are valid.
    fn truncate(&self, responses: &[Vec<u32>]) -> (Vec<Vec<u32>>, Vec<bool>) {
        let truncation = &self.task.truncation;
        responses.iter().map(|response| (truncation.text(response).to_vec(), truncation.is_valid(response))).unzip()
    }
}

fn widen(rows: &[Vec<f32>]) -> Rows {
    rows.iter().map(|row| widen_row(row)).collect()
}

fn widen_row(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&x| f64::from(x)).collect()
}

/// Returns the scores, with `penalty` for the responses that are not valid.
pub fn penalize(scores: &[f64], valid: &[bool], penalty: f64) -> Vec<f64> {
    scores.iter().zip(valid).map(|(&score, &valid)| if valid { score } else { penalty }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_cannot_be_cut_earns_the_penalty_in_place_of_its_score() {
        assert_eq!(penalize(&[3.0, 4.0], &[false, true], -1.0), [-1.0, 4.0]);
    }
}
