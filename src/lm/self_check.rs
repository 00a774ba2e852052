//! Check that a device computes the same with the key-value cache as without it.

use burn::tensor::Device;

use super::kernels::pick_log_probs;
use super::network::Transformer;
use super::network::parameters;
use super::network::{Biases, ModelConfig};
use super::network::{ResponseBatch, Responses};
use super::sampler::{Sampling, sample};
use crate::device::read_floats;
use crate::error::Result;
use crate::platform::interrupt::Interrupt;
use crate::random::{Stream, uniform};

/// Largest difference between cached and uncached log-probabilities that rounding explains.
const TOLERANCE: f64 = 1e-4;

/// Difference between log-probabilities computed with and without the key-value cache.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    pub largest_difference: f64,
    pub agrees: bool,
}

/// Compares log-probabilities that are computed with the key-value cache with those computed without it, on small random
/// models of both architectures: that of GPT-2, and that of the Llama family with grouped queries, norms of queries and
/// keys, and biases.
///
/// # Errors
/// [`crate::Error::Device`] when the device fails, and [`crate::Error::Failed`] for a log-probability that is
/// not finite.
pub fn check_cached_decoding(device: &Device) -> Result<Agreement> {
    let gpt2 = ModelConfig { vocab_size: 300, positions: 96, layers: 2, ..ModelConfig::gpt2(64, 4) };
    let (width, heads, key_value_heads, head_width, feed_forward_width) = (64, 4, 2, 16, 128);
    let llama = ModelConfig {
        vocab_size: 300,
        positions: 96,
        width,
        layers: 2,
        heads,
        key_value_heads,
        head_width,
        feed_forward_width,
        query_key_norms: true,
        biases: Biases { query_key_value: true, attention_output: true, feed_forward: true },
        ..ModelConfig::smollm2_135m()
    };
    let differences = [largest_difference(&gpt2, device)?, largest_difference(&llama, device)?];
    let largest_difference = differences.into_iter().fold(0.0, larger);
    Ok(Agreement { largest_difference, agrees: largest_difference <= TOLERANCE })
}

/// Samples responses from a small random model with the key-value cache, and compares their log-probabilities
/// with those computed without it. The rows are longer than one step of 32 slots of the cache.
fn largest_difference(config: &ModelConfig, device: &Device) -> Result<f64> {
    let model = parameters::draw(Transformer::zeros(config, device), config.layers, 1)?;
    // Flat distributions hide faults: larger weights make the tokens depend on what was read.
    let model = parameters::scale(model, 4.0);
    let queries: Vec<Vec<u32>> = (1..=6).map(|row| (0..10 * row).map(|i| (7 * i + row) % 300).collect()).collect();
    let sampling = Sampling { response_length: 24, temperature: 0.7, responses_per_query: 1 };
    let numbers = |row: usize| uniform(1, Stream::Sampling, 0, row as u64, sampling.response_length);
    let drawn = sample(&model, None, &queries, &sampling, numbers, &Interrupt::new())?;
    let batch = ResponseBatch::new(Responses::new(&queries, &drawn.responses), config)?;
    let logits = model.logits(batch.hidden(&model)) / sampling.temperature;
    let uncached = read_floats(pick_log_probs(logits, batch.targets(&model)))?;
    let differences = drawn.log_probs.iter().flatten().zip(&uncached).map(|(a, b)| f64::from((a - b).abs()));
    Ok(differences.fold(0.0, larger))
}

/// Returns the larger difference; one that is not a number counts as larger than all others.
fn larger(largest: f64, difference: f64) -> f64 {
    if largest.is_nan() || largest > difference { largest } else { difference }
}
