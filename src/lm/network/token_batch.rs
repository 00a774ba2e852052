//! Rows of tokens with padding, as the network reads them.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::{Error, Result};

/// Input of the network, and the places of the wanted outputs.
#[derive(Debug, Clone)]
pub struct Input {
    /// `[batch, seq]`
    pub tokens: Tensor<2, Int>,
    /// Indices into the outputs `[batch · seq]`.
    pub output_positions: Tensor<1, Int>,
}

/// A batch of token rows.
///
/// The original counts positions over real tokens only, hides padding from attention, and gives a padding token
/// the output of the last real token before it (`language/model.py`). A batch moves each row's real tokens to
/// the start of the row, and then computes the same with the causal mask alone: the output of position `t` of
/// the original row is at (number of real tokens up to and including `t`) − 1.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    rows: Vec<Vec<u32>>,
    /// Place of the output of each original position, by row.
    outputs: Vec<Vec<usize>>,
    width: usize,
}

impl TokenBatch {
    /// Creates a batch of rows, which may differ in length; `pad_token` may stand anywhere but at the start of
    /// a row.
    ///
    /// # Errors
    /// [`Error::Usage`] for an id outside the vocabulary, a row that is empty or begins with
    /// padding, or one longer than `max_tokens`.
    pub fn new(rows: &[Vec<u32>], pad_token: u32, vocab_size: usize, max_tokens: usize) -> Result<Self> {
        let mut batch = Self { rows: Vec::new(), outputs: Vec::new(), width: 0 };
        for (number, row) in rows.iter().enumerate() {
            if row.first().is_none_or(|&id| id == pad_token) {
                return Err(Error::usage(
                    format!("row {number} holds no token to start from"),
                    "give every query at least one token",
                ));
            }
            let mut real = Vec::with_capacity(row.len());
            let mut outputs = Vec::with_capacity(row.len());
            for &id in row {
                if id != pad_token {
                    if id as usize >= vocab_size {
                        return Err(unknown_token(id, number, vocab_size));
                    }
                    real.push(id);
                }
                outputs.push(real.len() - 1);
            }
            if real.len() > max_tokens {
                return Err(Error::usage(
                    format!("row {number} has {} tokens, the model reads at most {max_tokens}", real.len()),
                    "shorten task.query_length_tokens or task.response_length_tokens",
                ));
            }
            batch.width = batch.width.max(real.len());
            batch.rows.push(real);
            batch.outputs.push(outputs);
        }
        Ok(batch)
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Checks whether the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the number of real tokens of each row.
    pub fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(Vec::len).collect()
    }

    /// Returns the number of real tokens of the longest row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the tokens `[batch, width]` for [`crate::lm::Transformer::hidden`].
    pub fn tokens(&self, device: &Device) -> Tensor<2, Int> {
        let filled = |row: &Vec<u32>| {
            let fill = self.width - row.len();
            row.iter().map(|&id| i64::from(id)).chain(std::iter::repeat_n(0, fill)).collect::<Vec<_>>()
        };
        let ids: Vec<i64> = self.rows.iter().flat_map(filled).collect();
        Tensor::from_data(TensorData::new(ids, [self.rows.len(), self.width]), device)
    }

    /// Returns the input of the network; the wanted outputs are those of the original positions
    /// `range(row length)` of each row, row after row.
    pub fn input(&self, device: &Device, range: impl Fn(usize) -> std::ops::Range<usize>) -> Input {
        self.input_of_rows(device, |_, length| range(length))
    }

    /// Returns the input of the network; the wanted outputs are those of the original positions
    /// `range(row number, row length)` of each row, row after row.
    pub fn input_of_rows(&self, device: &Device, range: impl Fn(usize, usize) -> std::ops::Range<usize>) -> Input {
        Input { tokens: self.tokens(device), output_positions: indices(&self.outputs_of_rows(range), device) }
    }

    /// Returns the indices into the flattened outputs `[batch · width]` of the original positions
    /// `range(row length)` of each row, row after row.
    pub fn outputs(&self, range: impl Fn(usize) -> std::ops::Range<usize>) -> Vec<usize> {
        self.outputs_of_rows(|_, length| range(length))
    }

    fn outputs_of_rows(&self, range: impl Fn(usize, usize) -> std::ops::Range<usize>) -> Vec<usize> {
        let row = |(number, outputs): (usize, &Vec<usize>)| {
            let places = outputs.get(range(number, outputs.len())).unwrap_or_default();
            places.iter().map(move |place| number * self.width + place).collect::<Vec<_>>()
        };
        self.outputs.iter().enumerate().flat_map(row).collect()
    }
}

/// Selects rows of `[rows, width]` by indices on the host.
pub fn select_rows(rows: Tensor<2>, indices: &[usize]) -> Tensor<2> {
    let index = self::indices(indices, &rows.device());
    rows.select(0, index)
}

fn indices(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let index: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    Tensor::from_data(TensorData::new(index, [indices.len()]), device)
}

fn unknown_token(id: u32, row: usize, vocab_size: usize) -> Error {
    Error::usage(
        format!("unknown token id {id} in row {row}: the vocabulary has {vocab_size} tokens"),
        "the text was encoded with another tokenizer; use the model's own tokenizer.json",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAD: u32 = 99;

    #[test]
    fn padding_inside_a_row_is_skipped_and_repeats_the_output_before_it() {
        let batch = TokenBatch::new(&[vec![5, 6, PAD, PAD, 7], vec![1, 2, 3, 4, 8]], PAD, 10, 10).unwrap();
        assert_eq!(batch.lengths(), [3, 5]);
        assert_eq!(batch.outputs(|len| 0..len), [0, 1, 1, 1, 2, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_named() {
        let error = TokenBatch::new(&[vec![5, 12]], PAD, 10, 10).unwrap_err();
        assert!(error.to_string().contains("unknown token id 12"), "{error}");
    }

    #[test]
    fn a_row_without_tokens_is_refused() {
        assert!(TokenBatch::new(&[vec![PAD, 3]], PAD, 10, 10).is_err());
        assert!(TokenBatch::new(&[vec![]], PAD, 10, 10).is_err());
    }
}
