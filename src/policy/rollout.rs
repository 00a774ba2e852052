//! A batch of episodes: queries, the responses drawn to them, and all that the update needs.

use burn::module::Module;

use super::model::{Policy, by_row, log_probs_in_passes};
use super::shaping::Rows;
use crate::device::Readback;
use crate::error::Result;
use crate::lm::Responses;
use crate::lm::network::lora;
use crate::lm::{LanguageModel, Passes, Sampled, sample};
use crate::platform::interrupt::Interrupt;
use crate::task::Task;
use crate::task::{Scorer, Scores};

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
pub struct Rollouts<'a> {
    /// ρ in the paper.
    pub reference: &'a LanguageModel,
    /// A reward model, or what else scores responses.
    pub scorer: &'a dyn Scorer,
    pub task: Task,
    /// Rows in one pass.
    pub rows_at_once: usize,
}

impl Rollouts<'_> {
    /// Draws one response a query from `policy` and judges it.
    ///
    /// # Errors
    /// For a query the model cannot read, when the device fails, and as [`Interrupt::check`].
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
        let (cut, valid) = self.cut(&responses);
        let passes = Passes::until(interrupt, self.rows_at_once);
        let scores = self.scorer.score(Responses::new(&queries, &cut), &passes)?;
        let temperature = self.task.sampling.temperature;
        let reference = &self.reference.transformer;
        let log_prob_passes =
            log_probs_in_passes(reference, Responses::new(&contexts, &responses), temperature, &passes)?;
        // Both in one read: nothing in between needs the host.
        let (on_host, on_device) = match scores {
            Scores::OnHost(scores) => (scores, Vec::new()),
            Scores::OnDevice(passes) => (Vec::new(), passes),
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

    /// Scores of responses after cutting them, and which could be cut.
    ///
    /// # Errors
    /// As [`Self::roll_out`].
    pub fn score(
        &self,
        queries: &[Vec<u32>],
        responses: &[Vec<u32>],
        interrupt: &Interrupt,
    ) -> Result<(Vec<f64>, Vec<bool>)> {
        let (cut, valid) = self.cut(responses);
        let passes = Passes::until(interrupt, self.rows_at_once);
        let scores = self.scorer.score(Responses::new(queries, &cut), &passes)?.read()?;
        Ok((penalize(&scores, &valid, self.task.penalty_score), valid))
    }

    /// Responses as the reward model reads them, and which could be cut.
    fn cut(&self, responses: &[Vec<u32>]) -> (Vec<Vec<u32>>, Vec<bool>) {
        let truncation = &self.task.truncation;
        responses.iter().map(|response| (truncation.cut(response), truncation.is_valid(response))).unzip()
    }
}

fn widen(rows: &[Vec<f32>]) -> Rows {
    rows.iter().map(|row| widen_row(row)).collect()
}

fn widen_row(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&x| f64::from(x)).collect()
}

/// Scores with those of responses that are not valid replaced by `penalty`.
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
