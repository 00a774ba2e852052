//! Growth of the cost of an update with each of its sizes, beside the growth of its arithmetic.

use serde::Serialize;

use super::{Speed, Work, measure, memory_that_fits, random_model, shape_for};
use crate::device::OpenDevice;
use crate::error::Result;
use crate::lm::ModelConfig;
use crate::platform::progress::Mode;

/// Measurement of an update of which one size is varied.
#[derive(Debug, Clone, Serialize)]
pub struct Growth {
    /// Name of the varied size: `nothing`, `batch`, `response`, `query`, `layers` or `width`.
    pub varied: &'static str,
    pub layers: usize,
    pub width: usize,
    #[serde(flatten)]
    pub speed: Speed,
    /// Arithmetic of an update in 10¹² additions and multiplications, as [`arithmetic`] counts them.
    pub update_tflop: f64,
    pub update_s_per_tflop: f64,
}

/// Factors by which each size is varied.
const FACTORS: [f64; 3] = [0.5, 2.0, 4.0];

/// Measures `work` on random models of this shape, then with each size halved, doubled and quadrupled; hands each
/// measurement to `measured`.
///
/// # Errors
/// The errors of [`measure`] and of `measured`.
pub fn grow(
    shape: &ModelConfig,
    work: &Work,
    model: &str,
    opened: &OpenDevice,
    progress: Mode,
    mut measured: impl FnMut(&Growth) -> Result<()>,
) -> Result<()> {
    let times = |size: usize, factor: f64| ((size as f64 * factor) as usize).max(1);
    let mut cases = vec![("nothing", shape.clone(), *work)];
    for factor in FACTORS {
        cases.push(("batch", shape.clone(), Work { batch: times(work.batch, factor), ..*work }));
    }
    for factor in FACTORS {
        cases.push(("response", shape.clone(), Work { response: times(work.response, factor), ..*work }));
    }
    for factor in FACTORS {
        cases.push(("query", shape.clone(), Work { query: times(work.query, factor), ..*work }));
    }
    for factor in FACTORS {
        cases.push(("layers", ModelConfig { layers: times(shape.layers, factor), ..shape.clone() }, *work));
    }
    for factor in FACTORS {
        cases.push(("width", with_heads(shape, times(shape.heads, factor)), *work));
    }
    let case = |(varied, shape, work): (&'static str, ModelConfig, Work)| {
        let config = shape_for(shape, &work);
        memory_that_fits(&config, &work, opened)?;
        let transformer = random_model(&config, &opened.device)?;
        let speed = measure(transformer, &work, model, &opened.name, progress)?;
        let update_tflop = arithmetic(&config, &work) / 1e12;
        let (layers, width) = (config.layers, config.width);
        let update_s_per_tflop = speed.update_s / update_tflop;
        measured(&Growth { varied, layers, width, speed, update_tflop, update_s_per_tflop })
    };
    cases.into_iter().try_for_each(case)
}

/// Returns the shape with another number of heads: heads stay as wide as they are, and all other widths grow with their
/// number.
fn with_heads(shape: &ModelConfig, heads: usize) -> ModelConfig {
    let times = |size: usize| (size * heads / shape.heads).max(1);
    let dividing = (1..=times(shape.key_value_heads)).rev().find(|keys| heads.is_multiple_of(*keys));
    ModelConfig {
        width: times(shape.width),
        heads,
        key_value_heads: dividing.unwrap_or(1),
        feed_forward_width: times(shape.feed_forward_width),
        ..shape.clone()
    }
}

/// Counts the additions and multiplications of an update in matrix products and attention: sampling, two scorings,
/// and four training passes, each three times a forward pass.
pub fn arithmetic(config: &ModelConfig, work: &Work) -> f64 {
    let [batch, query, response] = [work.batch, work.query, work.response].map(|size| size as f64);
    // Consecutive tokens, the first of which sees `before` tokens before it.
    let tokens = |count: f64, before: f64| count * config.operations_of_token(before + count / 2.0);
    let logits = response * config.operations_of_logits();
    let scored = tokens(query + response, 0.0);
    let generated = tokens(query, 0.0) + tokens(response - 1.0, query) + logits;
    batch * (generated + 2.0 * scored + 4.0 * 3.0 * (scored + logits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::named_shape;

    const WORK: Work = Work { batch: 8, query: 64, response: 24, micro_batch: 8, repetitions: 1 };

    #[test]
    fn arithmetic_is_about_six_for_each_weight_and_trained_token() {
        let shape = named_shape("gpt2-124m").unwrap();
        let trained_tokens = 4.0 * 8.0 * 88.0;
        let scored_tokens = 8.0 * (2.0 * 88.0 + 87.0);
        // The blocks see every token; the embedding, as output head, sees only those of responses.
        let blocks = 85e6 * (6.0 * trained_tokens + 2.0 * scored_tokens);
        let head = 38.6e6 * (6.0 * 4.0 * 8.0 * 24.0 + 2.0 * 8.0 * 24.0);
        let counted = arithmetic(&shape, &WORK);
        assert!((counted / (blocks + head) - 1.0).abs() < 0.03, "{counted:e} against {:e}", blocks + head);
    }

    #[test]
    fn arithmetic_is_proportional_to_the_batch() {
        let shape = named_shape("tiny").unwrap();
        let of = |batch| arithmetic(&shape, &Work { batch, ..WORK });
        assert!((of(32) / of(8) - 4.0).abs() < 1e-12);
    }
}
