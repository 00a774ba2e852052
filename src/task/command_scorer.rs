//! A program of any language in the place of a reward model.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::scorer::{Scorer, Scores};
use super::texts::Texts;
use crate::error::Result;
use crate::lm::{MicroBatches, Responses, Tokenizer};
use crate::platform::external_command::ExternalCommand;

/// Scorer that asks a program for the scores of the responses to a query: a list of numbers, one for each
/// response.
pub struct CommandScorer {
    program: Mutex<ExternalCommand>,
    texts: Texts,
}

impl CommandScorer {
    /// Creates a scorer; `tokenizer` is that of the policy.
    pub fn new(program: ExternalCommand, tokenizer: &Tokenizer) -> Self {
        Self { program: Mutex::new(program), texts: Texts::new(tokenizer) }
    }
}

impl Scorer for CommandScorer {
    fn score(&self, responses: Responses<'_>, _micro_batches: &MicroBatches) -> Result<Scores> {
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let scores = self.texts.pairs(responses)?.into_iter().map(|(query, response)| {
            let answer = program.ask(&query, &[response])?;
            let score = answer.as_array().and_then(|scores| match scores.as_slice() {
                // Scores are numbers in f32 from here on.
                [score] => Value::as_f64(score).filter(|&score| (score as f32).is_finite()),
                _ => None,
            });
            score.ok_or_else(|| program.wrong(&answer, "a list of one finite number for each response, such as [0.5]"))
        });
        scores.collect::<Result<_>>().map(Scores::OnHost)
    }
}
