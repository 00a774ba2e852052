//! A reward model in the place of people.

use super::model::RewardModel;
use crate::data::LeftOut;
use crate::error::{Error, Result};
use crate::labels::{Judgment, Labeler};
use crate::lm::Responses;
use crate::lm::{LanguageModel, MicroBatches};
use crate::task::Task;

/// Labeler that chooses the response with the highest reward.
#[derive(Debug)]
pub struct RewardLabeler<'a> {
    pub reward_model: &'a RewardModel,
    /// Language model whose tokens the reward model reads.
    pub model: &'a LanguageModel,
    pub task: Task,
}

impl Labeler for RewardLabeler<'_> {
    fn name(&self) -> &str {
        "the reward model"
    }

    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment> {
        // Nothing is counted here: responses are sampled no longer than the task's length, and shortened queries are
        // counted where they are continued.
        let mut left_out = LeftOut::default();
        let query = self.task.encode_query(self.model, query, &mut left_out)?;
        let tokens = responses.iter().map(|response| self.task.encode_response(self.model, response, &mut left_out));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let queries = vec![query; tokens.len()];
        let scores = self.reward_model.score(Responses::new(&queries, &tokens), &MicroBatches::of(tokens.len()))?;
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        Judgment::of_highest(&scores).ok_or_else(|| {
            Error::usage("there is no response to choose from", "give every query at least one response")
        })
    }
}
