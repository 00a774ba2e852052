//! Examples of next-token training: tokens that are read, and the tokens after them that are predicted.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::Result;
use crate::lm::{Input, ModelConfig, TokenBatch};

/// Tokens that are read, and the tokens after them, each of which is predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Context of at least one token.
    pub context: Vec<u32>,
    pub continuation: Vec<u32>,
}

/// Source of the examples of a training run.
pub trait Examples: Sync {
    /// Returns the examples of a step, counted from 0: `size` or fewer. Each pass over all examples has an order of its
    /// own.
    fn of_step(&self, seed: u64, step: usize, size: usize) -> Vec<Example>;
}

/// Examples as the network reads them.
#[derive(Debug)]
pub struct ExampleBatch {
    batch: TokenBatch,
    /// Start of the continuation in each row.
    begins: Vec<usize>,
    targets: Vec<i64>,
}

impl ExampleBatch {
    /// Creates a batch. The last token of each example is only predicted, so that a row is one token shorter than its
    /// example.
    ///
    /// # Errors
    /// The errors of [`TokenBatch::new`].
    pub fn new(examples: &[Example], config: &ModelConfig) -> Result<Self> {
        let row = |example: &Example| {
            let mut row = [example.context.as_slice(), &example.continuation].concat();
            row.pop();
            row
        };
        let rows: Vec<Vec<u32>> = examples.iter().map(row).collect();
        let targets = examples.iter().flat_map(|example| &example.continuation);
        Ok(Self {
            batch: TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.positions)?,
            begins: examples.iter().map(|example| example.context.len()).collect(),
            targets: targets.map(|&id| i64::from(id)).collect(),
        })
    }

    /// Returns the number of tokens to predict.
    pub fn predicted(&self) -> usize {
        self.targets.len()
    }

    /// Returns the network's input, with the outputs from which the continuations' tokens are predicted.
    pub fn input(&self, device: &Device) -> Input {
        let begin = |row: usize| self.begins.get(row).map_or(0, |begin| begin - 1);
        self.batch.input_of_rows(device, |row, length| begin(row)..length)
    }

    /// Returns the continuations' tokens, row after row: `[predicted, 1]`.
    pub fn targets(&self, device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(self.targets.clone(), [self.targets.len(), 1]), device)
    }
}
