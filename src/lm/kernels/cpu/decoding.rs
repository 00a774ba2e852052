//! Decoding of one token of each row: attention to the key-value cache, and sampling of the next token.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;
use pulp::Simd;
use rayon::prelude::*;

use super::elements::{Elements, tensor};
use super::vector::{exp, maximum, sum, sum_products, vectorized};

/// Computes [`crate::lm::kernels::cached_attention`].
pub(super) fn cached_attention(
    query: FlexTensor,
    keys: FlexTensor,
    values: FlexTensor,
    scores: FlexTensor,
    slots: usize,
) -> FlexTensor {
    let head_width = Elements::of(keys.clone()).width();
    let [query, keys, values, scores] = [query, keys, values, scores].map(Elements::of);
    let (width, capacity) = (query.width(), scores.width());
    let row_of = |all: &Elements| all.slice().len() / (query.slice().len() / width).max(1);
    let (keys_a_row, values_a_row) = (row_of(&keys), row_of(&values));
    let mut result = vec![0.0; query.slice().len()];
    let rows = result.par_chunks_mut(width).zip(query.slice().par_chunks(width));
    let rows = rows.zip(keys.slice().par_chunks(keys_a_row).zip(values.slice().par_chunks(values_a_row)));
    rows.zip(scores.slice().par_chunks(capacity)).for_each(|(((result, query), (keys, values)), scores)| {
        attend(result, query, keys, values, scores.get(..slots).unwrap_or(scores), capacity, head_width);
    });
    tensor(result, query.shape())
}

vectorized! {
    /// Computes the attention of one row: `result` and `query` are `[heads · head_width]`, keys and values
    /// `[key_value_heads, capacity, head_width]`, and `scores` are the offsets of the slots' scores.
    fn attend[simd](
        result: &mut [f32],
        query: &[f32],
        keys: &[f32],
        values: &[f32],
        scores: &[f32],
        capacity: usize,
        head_width: usize,
    ) {
        let scale = 1.0 / (head_width as f32).sqrt();
        let a_head = capacity * head_width;
        let group = (query.len() / (keys.len() / capacity).max(1)).max(1);
        let mut weights = vec![0.0; scores.len()];
        let heads = result.chunks_exact_mut(head_width).zip(query.chunks_exact(head_width)).enumerate();
        for (head, (result, query)) in heads {
            let of_head = |all| cached_head(all, head / group, a_head);
            let (keys, values) = (of_head(keys), of_head(values));
            for ((weight, key), score) in weights.iter_mut().zip(keys.chunks_exact(head_width)).zip(scores) {
                *weight = scale * sum_products(simd, query, key) + score;
            }
            let largest = maximum(&weights);
            for weight in &mut weights {
                *weight = exp(*weight - largest);
            }
            let total = 1.0 / sum(simd, &weights, |x| x);
            for weight in &mut weights {
                *weight *= total;
            }
            add_weighted(simd, result, &weights, values);
        }
    }
}

/// Returns the keys or values of one head, `[capacity, head_width]`.
#[inline(always)]
fn cached_head(all: &[f32], head: usize, size: usize) -> &[f32] {
    all.get(head * size..(head + 1) * size).unwrap_or_default()
}

/// Computes `result += Σ weights[i] · rows[i]`.
#[inline(always)]
fn add_weighted<S: Simd>(simd: S, result: &mut [f32], weights: &[f32], rows: &[f32]) {
    let width = result.len();
    let (vectors, rest) = S::as_mut_simd_f32s(result);
    let first_of_rest = width - rest.len();
    for (place, result) in vectors.iter_mut().enumerate() {
        let mut sum = *result;
        for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            if let Some(vector) = S::as_simd_f32s(row).0.get(place) {
                sum = simd.mul_add_f32s(simd.splat_f32s(*weight), *vector, sum);
            }
        }
        *result = sum;
    }
    for (place, result) in (first_of_rest..).zip(rest) {
        for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            *result += weight * row.get(place).copied().unwrap_or(0.0);
        }
    }
}

/// Computes [`crate::lm::kernels::draw`], with token ids as floats.
pub(super) fn draw(logits: FlexTensor, temperature: f32, uniform: FlexTensor) -> (FlexTensor, FlexTensor) {
    let (logits, uniform) = (Elements::of(logits), Elements::of(uniform));
    let rows = logits.slice().par_chunks(logits.width()).zip(uniform.slice());
    let (tokens, log_probs): (Vec<f32>, Vec<f32>) =
        rows.map(|(row, &uniform)| draw_one(row, temperature, uniform)).unzip();
    let shape = Shape::from([tokens.len()]);
    (tensor(tokens, shape.clone()), tensor(log_probs, shape))
}

/// Weights in a block: sampling first finds the block of the token, then the token in the block.
const BLOCK: usize = 256;

vectorized! {
    /// Returns the token whose share of the cumulative distribution holds `uniform`, and its log-probability.
    fn draw_one[simd](logits: &[f32], temperature: f32, uniform: f32) -> (f32, f32) {
        let logits: Vec<f32> = logits.iter().map(|logit| logit / temperature).collect();
        let largest = maximum(&logits);
        // `exp` clamps its argument, and so never returns zero.
        let weight = |x: f32| if x < -80.0 { 0.0 } else { exp(x) };
        let weights: Vec<f32> = logits.iter().map(|&x| weight(x - largest)).collect();
        let blocks: Vec<f64> = weights.chunks(BLOCK).map(|block| f64::from(sum(simd, block, |x| x))).collect();
        let total: f64 = blocks.iter().sum();
        let mut left = f64::from(uniform) * total;
        let mut first = 0;
        for (number, block) in blocks.iter().enumerate() {
            first = number * BLOCK;
            if left < *block || number + 1 == blocks.len() {
                break;
            }
            left -= block;
        }
        let mut token = first;
        for (place, &weight) in weights.iter().enumerate().skip(first).take(BLOCK) {
            // Rounding may carry a number past the last token with any weight.
            if weight > 0.0 {
                token = place;
            }
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
        let log_prob = logits.get(token).map_or(f32::NAN, |logit| logit - largest) - (total as f32).ln();
        (token as f32, log_prob)
    }
}
