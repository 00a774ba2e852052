//! Sampling of responses of a fixed length, token by token, from the model's own distribution.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use super::kernels::draw;
use super::network::ScalarHead;
use super::network::Transformer;
use super::network::{TokenBatch, select_rows};
use crate::device::Readback;
use crate::device::parallel::in_parts;
use crate::error::{Error, Result};
use crate::platform::interrupt::Interrupt;

/// Largest number of rows that are decoded together; more rows are several micro-batches.
pub const ROWS_AT_ONCE: usize = 256;

/// Smallest number of rows in a part of a batch: each part reads all weights for each of its tokens.
const ROWS_A_PART: usize = 32;

/// Largest number of parameters of a model whose batches are split into parts: processor caches do not hold a
/// larger model.
const LARGE_MODEL_PARAMETERS: usize = 1 << 24;

/// Settings of sampling.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// Tokens of every response: sampling never stops early (`policy.py`).
    pub response_length: usize,
    /// Divisor of the logits.
    pub temperature: f64,
    /// Responses to each query; the model reads a query once for all of them.
    pub responses_per_query: usize,
}

/// Responses in the order of the queries; the responses to one query are adjacent.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// `[rows][response]`
    pub responses: Vec<Vec<u32>>,
    /// Log-probability of each token at the sampling temperature, `[rows][response]`.
    pub log_probs: Vec<Vec<f32>>,
    /// The value head's output before each token, `[rows][response]`; empty without a head.
    pub values: Vec<Vec<f32>>,
}

/// Samples responses to `queries`. `uniform(row)` gives the random numbers of a row in [0, 1), one for each
/// token: the same numbers give the same responses on every backend, up to rounding.
///
/// # Errors
/// [`crate::Error::Usage`] for a bad query (see [`TokenBatch::new`]), [`crate::Error::Device`] when the device
/// fails, [`crate::Error::Failed`] for a log-probability that is not finite, and the errors of
/// [`Interrupt::check`].
pub fn sample(
    model: &Transformer,
    value_head: Option<&ScalarHead>,
    queries: &[Vec<u32>],
    sampling: &Sampling,
    uniform: impl Fn(usize) -> Vec<f32> + Sync,
    interrupt: &Interrupt,
) -> Result<Sampled> {
    sample_and_tell(model, value_head, queries, sampling, uniform, interrupt, |_| Ok(()))
}

/// Samples responses as [`sample`] does, and calls `drawn` with the number of new rows after each micro-batch.
///
/// # Errors
/// The errors of [`sample`], and the first error of `drawn`.
pub fn sample_and_tell(
    model: &Transformer,
    value_head: Option<&ScalarHead>,
    queries: &[Vec<u32>],
    sampling: &Sampling,
    uniform: impl Fn(usize) -> Vec<f32> + Sync,
    interrupt: &Interrupt,
    mut drawn: impl FnMut(usize) -> Result<()>,
) -> Result<Sampled> {
    let uniform = &uniform;
    let config = model.config();
    let longest_query = config.positions.saturating_sub(sampling.response_length);
    let rows = queries.len() * sampling.responses_per_query;
    let parts = if model.num_params() > LARGE_MODEL_PARAMETERS { 1 } else { (rows / ROWS_A_PART).max(1) };
    let all_responses = sampling.responses_per_query;
    let mut passes = Vec::new();
    for Pass { queries: those, responses } in passes_of(queries.len(), all_responses, ROWS_AT_ONCE) {
        let queries = queries.get(those.clone()).unwrap_or_default();
        let part_of_them = Sampling { responses_per_query: responses.len(), ..*sampling };
        let parts = in_parts(&model.device(), queries.len(), parts, |part| {
            let numbers = part.clone().flat_map(|query| {
                let first_row = (those.start + query) * all_responses;
                responses.clone().flat_map(move |response| uniform(first_row + response))
            });
            let numbers: Vec<f32> = numbers.collect();
            let queries = queries.get(part).unwrap_or_default();
            let batch = TokenBatch::new(queries, config.pad_token(), config.vocab_size, longest_query)?;
            sample_pass(model, value_head, &batch, &part_of_them, numbers, interrupt)
        });
        for part in parts {
            passes.push(part?);
        }
        drawn(those.len() * responses.len())?;
    }
    read_back(passes, sampling.response_length)
}

/// Micro-batch of sampling: a range of the queries, and a range of the responses to each of them.
pub struct Pass {
    pub queries: Range<usize>,
    pub responses: Range<usize>,
}

/// Splits sampling into micro-batches of at most `rows` rows: all responses to some queries, or some of the
/// responses to one query.
pub fn passes_of(queries: usize, responses: usize, rows: usize) -> impl Iterator<Item = Pass> {
    let (queries_at_once, responses_at_once) = ((rows / responses.max(1)).max(1), responses.clamp(1, rows.max(1)));
    let parts = |count: usize, size: usize| (0..count).step_by(size).map(move |first| first..(first + size).min(count));
    parts(queries, queries_at_once).flat_map(move |queries| {
        parts(responses, responses_at_once).map(move |responses| Pass { queries: queries.clone(), responses })
    })
}

/// Sampled responses on the device, not read back yet.
struct Drawn {
    /// `[rows, response]`; ids below 2²⁴ are exact in f32.
    tokens: Tensor<2>,
    /// `[rows, response]`
    log_probs: Tensor<2>,
    /// `[rows, response]`; `None` without a value head.
    values: Option<Tensor<2>>,
}

fn sample_pass(
    model: &Transformer,
    value_head: Option<&ScalarHead>,
    batch: &TokenBatch,
    sampling: &Sampling,
    uniform: Vec<f32>,
    interrupt: &Interrupt,
) -> Result<Drawn> {
    interrupt.check()?;
    let device = model.device();
    let length = sampling.response_length;
    let sources: Vec<usize> =
        (0..batch.len()).flat_map(|row| std::iter::repeat_n(row, sampling.responses_per_query)).collect();
    let rows = sources.len();
    let uniform = Tensor::<2>::from_data(TensorData::new(uniform, [rows, length]), &device);

    let mut cache = model.kv_cache(batch.len(), batch.width() + length);
    let last = model.prefill(batch.input(&device, |len| len - 1..len), &mut cache);
    let lengths = batch.lengths();
    cache.hide_padding(&lengths);
    let mut cache = cache.repeat_rows(&sources);
    let mut hidden = select_rows(last, &sources);
    let first_positions: Vec<i64> = sources.iter().filter_map(|&row| lengths.get(row)).map(|&n| n as i64).collect();
    let first_positions = Tensor::<1, Int>::from_data(TensorData::new(first_positions, [rows]), &device);

    let (mut tokens, mut log_probs, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..length {
        interrupt.check()?;
        if let Some(head) = value_head {
            values.push(head.forward(hidden.clone()));
        }
        let numbers = uniform.clone().slice([0..rows, step..step + 1]);
        let (token, log_prob) = draw(model.logits(hidden.clone()), sampling.temperature, numbers);
        if step + 1 < length {
            hidden = model.decode(token.clone(), first_positions.clone() + step as i64, &mut cache);
        }
        tokens.push(token);
        log_probs.push(log_prob);
    }
    Ok(Drawn {
        tokens: Tensor::stack::<2>(tokens, 1).float(),
        log_probs: Tensor::stack(log_probs, 1),
        values: (!values.is_empty()).then(|| Tensor::stack(values, 1)),
    })
}

/// Refuses log-probabilities that are not finite, which a model with finite weights can still compute.
fn check_finite(sampled: &Sampled) -> Result<()> {
    let log_probs = sampled.log_probs.iter().flatten();
    match log_probs.copied().find(|log_prob| !log_prob.is_finite()) {
        None => Ok(()),
        Some(log_prob) => Err(Error::failed(
            format!("the log-probability of a sampled token is {log_prob}"),
            "the weights of the model are too large or damaged: use another copy; during training, lower the learning \
             rate and run the same command again to resume from the last checkpoint",
        )),
    }
}

/// Reads all micro-batches back in one transfer.
fn read_back(passes: Vec<Drawn>, length: usize) -> Result<Sampled> {
    let with = |readback: Readback, pass: Drawn| readback.with(pass.tokens).with(pass.log_probs).with_all(pass.values);
    let parts = if passes.iter().any(|pass| pass.values.is_some()) { 3 } else { 2 };
    let read = passes.into_iter().fold(Readback::default(), with).floats()?;
    let mut sampled = Sampled::default();
    for pass in read.chunks(parts) {
        let mut rows = pass.iter().map(|part| part.chunks(length).map(<[f32]>::to_vec).collect::<Vec<_>>());
        let mut next = || rows.next().unwrap_or_default();
        let tokens = next().into_iter();
        sampled.responses.extend(tokens.map(|row| row.into_iter().map(|id| id as u32).collect()));
        sampled.log_probs.extend(next());
        sampled.values.extend(next());
    }
    check_finite(&sampled)?;
    Ok(sampled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_whole_queries_or_a_part_of_one_and_never_more_rows_than_fit() {
        let passes = |queries, responses, rows| -> Vec<(Range<usize>, Range<usize>)> {
            passes_of(queries, responses, rows).map(|pass| (pass.queries, pass.responses)).collect()
        };
        assert_eq!(passes(5, 3, 7), [(0..2, 0..3), (2..4, 0..3), (4..5, 0..3)]);
        assert_eq!(passes(2, 5, 3), [(0..1, 0..3), (0..1, 3..5), (1..2, 0..3), (1..2, 3..5)]);
        assert_eq!(passes(2, 4, 4), [(0..1, 0..4), (1..2, 0..4)]);
        assert!(passes(0, 4, 4).is_empty() && passes(3, 0, 4).is_empty());
    }
}
