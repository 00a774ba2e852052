//! Causal attention: one kernel splits heads, one merges them, and one masks, scales and applies the softmax to
//! the scores. Matrix products are Burn's own.
//!
//! The backward pass computes the attention weights again instead of keeping them.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{largest_of_units, sum_of_units};
use super::{product, transposed};

/// Units for one row of scores.
const UNITS_A_ROW: usize = 64;

/// Copies `[batch · seq, width]`, from `first_column` on, to `[batch, heads, seq, head_width]`.
#[cube(launch)]
fn take_heads_kernel(rows: &Tensor<f32>, heads: &mut Tensor<f32>, first_column: usize) {
    let place = ABSOLUTE_POS;
    if place < heads.len() {
        let (count, seq, head_width) = (heads.shape(1), heads.shape(2), heads.shape(3));
        let inside = place % head_width;
        let token = place / head_width % seq;
        let head = place / (head_width * seq) % count;
        let batch = place / (head_width * seq * count);
        heads[place] = rows[(batch * seq + token) * rows.shape(1) + first_column + head * head_width + inside];
    }
}

/// Copies `[batch, heads, seq, head_width]` to `[batch · seq, width]`, from `first_column` on.
#[cube(launch)]
fn put_heads_kernel(heads: &Tensor<f32>, rows: &mut Tensor<f32>, first_column: usize) {
    let place = ABSOLUTE_POS;
    if place < heads.len() {
        let (count, seq, head_width) = (heads.shape(1), heads.shape(2), heads.shape(3));
        let inside = place % head_width;
        let token = place / head_width % seq;
        let head = place / (head_width * seq) % count;
        let batch = place / (head_width * seq * count);
        let row = (batch * seq + token) * rows.shape(1);
        rows[row + first_column + head * head_width + inside] = heads[place];
    }
}

/// Replaces the scores `[batch, heads, seq, seq]` by the softmax over the tokens that a token may see.
#[cube(launch)]
fn causal_softmax_kernel(scores: &mut Tensor<f32>, scale: f32, #[comptime] units: usize) {
    let seq = scores.shape(3);
    let start = CUBE_POS * seq;
    if start >= scores.len() {
        terminate!();
    }
    let seen = CUBE_POS % seq + 1;
    let mut largest = scores[start] * scale;
    let mut column = UNIT_POS as usize;
    while column < seen {
        largest = max(largest, scores[start + column] * scale);
        column += units;
    }
    let largest = largest_of_units(largest, units);
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < seq {
        let mut weight = 0.0_f32;
        if column < seen {
            weight = (scores[start + column] * scale - largest).exp();
        }
        scores[start + column] = weight;
        sum += weight;
        column += units;
    }
    let sum = sum_of_units(sum, units);
    let mut column = UNIT_POS as usize;
    while column < seen {
        scores[start + column] /= sum;
        column += units;
    }
}

/// Replaces the gradients of the weights by the gradients of the scores before scaling: w · (g − Σ w·g) ·
/// scale.
#[cube(launch)]
fn causal_softmax_gradient_kernel(
    weights: &Tensor<f32>,
    gradient: &mut Tensor<f32>,
    scale: f32,
    #[comptime] units: usize,
) {
    let seq = weights.shape(3);
    let start = CUBE_POS * seq;
    if start >= weights.len() {
        terminate!();
    }
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < seq {
        sum += weights[start + column] * gradient[start + column];
        column += units;
    }
    let sum = sum_of_units(sum, units);
    let mut column = UNIT_POS as usize;
    while column < seq {
        gradient[start + column] = weights[start + column] * (gradient[start + column] - sum) * scale;
        column += units;
    }
}

fn take_heads(rows: &CubeTensor, shape: [usize; 4], first_column: usize) -> CubeTensor {
    let heads = empty_like(rows, shape);
    let count = heads.meta.shape().num_elements();
    take_heads_kernel::launch(
        &rows.client,
        cubes(count.div_ceil(UNITS)),
        units(UNITS),
        rows.clone().into_tensor_arg(),
        heads.clone().into_tensor_arg(),
        first_column,
    );
    heads
}

fn put_heads(heads: CubeTensor, rows: &CubeTensor, first_column: usize) {
    let heads = dense(heads);
    let count = heads.meta.shape().num_elements();
    put_heads_kernel::launch(
        &rows.client,
        cubes(count.div_ceil(UNITS)),
        units(UNITS),
        heads.into_tensor_arg(),
        rows.clone().into_tensor_arg(),
        first_column,
    );
}

/// Returns queries, keys and values, each `[batch, heads, seq, head_width]`.
fn queries_keys_and_values(qkv: &CubeTensor, shape: [usize; 4]) -> [CubeTensor; 3] {
    let [_, heads, _, head_width] = shape;
    [0, 1, 2].map(|part| take_heads(qkv, shape, part * heads * head_width))
}

fn attention_weights(queries: CubeTensor, keys: CubeTensor, scale: f32) -> CubeTensor {
    let scores = dense(product(queries, transposed(keys)));
    let [batch, heads, seq, _] = scores.meta.shape().dims();
    let client = scores.client.clone();
    causal_softmax_kernel::launch(
        &client,
        cubes(batch * heads * seq),
        units(UNITS_A_ROW),
        scores.clone().into_tensor_arg(),
        scale,
        UNITS_A_ROW,
    );
    scores
}

/// Returns `[batch, heads, seq, head_width]` and the factor of the scores.
fn shape_and_scale(qkv: &CubeTensor, batch: usize, seq: usize, heads: usize) -> ([usize; 4], f32) {
    let [_, triple_width] = rows_and_columns(qkv);
    let head_width = triple_width / 3 / heads;
    ([batch, heads, seq, head_width], (head_width as f32).sqrt().recip())
}

pub(super) fn causal_attention(qkv: CubeTensor, batch: usize, seq: usize, heads: usize) -> CubeTensor {
    let qkv = dense(qkv);
    let (shape, scale) = shape_and_scale(&qkv, batch, seq, heads);
    let [queries, keys, values] = queries_keys_and_values(&qkv, shape);
    let attended = product(attention_weights(queries, keys, scale), values);
    let output = empty_like(&qkv, [batch * seq, heads * shape[3]]);
    put_heads(attended, &output, 0);
    output
}

pub(super) fn causal_attention_gradient(
    qkv: CubeTensor,
    gradient: CubeTensor,
    batch: usize,
    seq: usize,
    heads: usize,
) -> CubeTensor {
    let (qkv, gradient) = (dense(qkv), dense(gradient));
    let (shape, scale) = shape_and_scale(&qkv, batch, seq, heads);
    let [queries, keys, values] = queries_keys_and_values(&qkv, shape);
    let weights = attention_weights(queries.clone(), keys.clone(), scale);
    let gradient = take_heads(&gradient, shape, 0);
    let to_values = product(transposed(weights.clone()), gradient.clone());
    let to_scores = dense(product(gradient, transposed(values)));
    let client = to_scores.client.clone();
    causal_softmax_gradient_kernel::launch(
        &client,
        cubes(batch * heads * seq),
        units(UNITS_A_ROW),
        weights.into_tensor_arg(),
        to_scores.clone().into_tensor_arg(),
        scale,
        UNITS_A_ROW,
    );
    let to_queries = product(to_scores.clone(), keys);
    let to_keys = product(transposed(to_scores), queries);
    let to_qkv = empty_like(&qkv, qkv.meta.shape().clone());
    let width = heads * shape[3];
    for (part, heads) in [to_queries, to_keys, to_values].into_iter().enumerate() {
        put_heads(heads, &to_qkv, part * width);
    }
    to_qkv
}
