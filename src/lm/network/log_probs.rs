//! Log-probabilities of responses, with logits computed on response tokens only.

use burn::tensor::{Int, Tensor, TensorData};

use super::config::ModelConfig;
use super::token_batch::{Input, TokenBatch};
use super::transformer::Transformer;
use crate::error::Result;

/// Queries with the responses whose tokens are to be rated.
#[derive(Debug, Clone)]
pub struct ResponseBatch {
    batch: TokenBatch,
    /// The response tokens, row after row.
    targets: Vec<u32>,
    response_length: usize,
}

impl ResponseBatch {
    /// Each row's query followed by its response; all responses are `response_length` real tokens.
    ///
    /// # Errors
    /// As [`TokenBatch::new`].
    pub fn new(queries: &[Vec<u32>], responses: &[Vec<u32>], config: &ModelConfig) -> Result<Self> {
        let response_length = responses.first().map_or(0, Vec::len);
        let rows: Vec<Vec<u32>> = queries.iter().zip(responses).map(|(q, r)| [q.as_slice(), r].concat()).collect();
        Ok(Self {
            batch: TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.n_positions)?,
            targets: responses.concat(),
            response_length,
        })
    }

    /// Hidden states from which each response token is predicted: `[batch · response, d_model]`.
    pub fn hidden(&self, model: &Transformer) -> Tensor<2> {
        model.hidden_at(self.input(model))
    }

    /// What the network reads; the output is wanted from which each response token is predicted,
    /// `[batch · response]`.
    pub fn input(&self, model: &Transformer) -> Input {
        self.batch.input(&model.device(), |len| len - self.response_length - 1..len - 1)
    }

    /// Response tokens `[batch · response, 1]`.
    pub fn targets(&self, model: &Transformer) -> Tensor<2, Int> {
        let ids: Vec<i64> = self.targets.iter().map(|&id| i64::from(id)).collect();
        Tensor::from_data(TensorData::new(ids, [self.targets.len(), 1]), &model.device())
    }
}
