//! Responses to queries, and their log-probabilities, with logits computed on response tokens only.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use super::config::ModelConfig;
use super::token_batch::{Input, TokenBatch};
use super::transformer::Transformer;
use crate::error::Result;

/// Responses in tokens, each to the query at the same index.
#[derive(Debug, Clone, Copy)]
pub struct Responses<'a> {
    pub queries: &'a [Vec<u32>],
    pub responses: &'a [Vec<u32>],
}

impl<'a> Responses<'a> {
    /// Pairs queries with their responses.
    pub fn new(queries: &'a [Vec<u32>], responses: &'a [Vec<u32>]) -> Self {
        Self { queries, responses }
    }

    /// Returns the number of responses.
    pub fn len(&self) -> usize {
        self.responses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }

    /// Returns the queries and responses at the indices `rows`.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let Self { queries, responses } = self;
        Self {
            queries: queries.get(rows.clone()).unwrap_or_default(),
            responses: responses.get(rows).unwrap_or_default(),
        }
    }

    /// Returns a batch in which each row is a query followed by its response.
    ///
    /// # Errors
    /// The errors of [`TokenBatch::new`].
    pub fn rows(&self, config: &ModelConfig) -> Result<TokenBatch> {
        let rows = self.queries.iter().zip(self.responses);
        let rows: Vec<Vec<u32>> = rows.map(|(query, response)| [query.as_slice(), response].concat()).collect();
        TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.positions)
    }
}

/// Queries followed by responses, for the log-probabilities of the response tokens.
#[derive(Debug, Clone)]
pub struct ResponseBatch {
    batch: TokenBatch,
    /// The response tokens, row after row.
    targets: Vec<u32>,
    response_length: usize,
}

impl ResponseBatch {
    /// Creates a batch of responses that all have the same number of real tokens.
    ///
    /// # Errors
    /// The errors of [`TokenBatch::new`].
    pub fn new(responses: Responses<'_>, config: &ModelConfig) -> Result<Self> {
        Ok(Self {
            batch: responses.rows(config)?,
            targets: responses.responses.concat(),
            response_length: responses.responses.first().map_or(0, Vec::len),
        })
    }

    /// Computes the hidden states from which each response token is predicted: `[batch · response, d_model]`.
    pub fn hidden(&self, model: &Transformer) -> Tensor<2> {
        model.hidden_at(self.input(model))
    }

    /// Returns the input of the network; the wanted outputs are those from which each response token is
    /// predicted, `[batch · response]`.
    pub fn input(&self, model: &Transformer) -> Input {
        self.batch.input(&model.device(), |len| len - self.response_length - 1..len - 1)
    }

    /// Returns the response tokens `[batch · response, 1]`.
    pub fn targets(&self, model: &Transformer) -> Tensor<2, Int> {
        let ids: Vec<i64> = self.targets.iter().map(|&id| i64::from(id)).collect();
        Tensor::from_data(TensorData::new(ids, [self.targets.len(), 1]), &model.device())
    }
}
