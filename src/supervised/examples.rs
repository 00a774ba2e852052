//! What next-token training reads: tokens, and those after them that are to be predicted.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::Result;
use crate::lm::{Input, ModelConfig, TokenBatch};

/// Tokens that are read, and what follows them: of the latter, each is to be predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// At least one token.
    pub context: Vec<u32>,
    pub continuation: Vec<u32>,
}

/// Where the examples of a training come from.
pub trait Examples: Sync {
    /// The examples of a step, from 0 on, `size` or fewer: each pass over all of them has an order of its own.
    fn of_step(&self, seed: u64, step: usize, size: usize) -> Vec<Example>;
}

/// Examples as the network reads them.
#[derive(Debug)]
pub struct ExampleBatch {
    batch: TokenBatch,
    /// Of each row, where its continuation begins.
    begins: Vec<usize>,
    targets: Vec<i64>,
}

impl ExampleBatch {
    /// The last token of each is only predicted, so that a row is one token shorter than its example.
    ///
    /// # Errors
    /// As [`TokenBatch::new`].
    pub fn new(examples: &[Example], config: &ModelConfig) -> Result<Self> {
        let row = |example: &Example| {
            let mut row = [example.context.as_slice(), &example.continuation].concat();
            row.pop();
            row
        };
        let rows: Vec<Vec<u32>> = examples.iter().map(row).collect();
        let targets = examples.iter().flat_map(|example| &example.continuation);
        Ok(Self {
            batch: TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.n_positions)?,
            begins: examples.iter().map(|example| example.context.len()).collect(),
            targets: targets.map(|&id| i64::from(id)).collect(),
        })
    }

    /// Tokens to predict.
    pub fn predicted(&self) -> usize {
        self.targets.len()
    }

    /// What the network reads; the output is wanted from which each continuation's token is predicted.
    pub fn input(&self, device: &Device) -> Input {
        let begin = |row: usize| self.begins.get(row).map_or(0, |begin| begin - 1);
        self.batch.input_of_rows(device, |row, length| begin(row)..length)
    }

    /// The continuations' tokens, row after row: `[predicted, 1]`.
    pub fn targets(&self, device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(self.targets.clone(), [self.targets.len(), 1]), device)
    }
}
