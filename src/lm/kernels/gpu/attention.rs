//! Causal attention: one kernel splits heads, one merges them, and one masks, scales and applies the softmax to
//! the scores. Matrix products are Burn's own.
//!
//! The backward pass computes the attention weights again instead of keeping them.

use burn::backend::backend::ops::FloatTensorOps;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::{CubeBackend, CubeTensor};

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{largest_of_units, sum_of_units};
use super::{product, transposed};
use crate::lm::kernels::HeadCounts;

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

/// Replaces the scores `[batch, key heads, group · seq, seq]` by the softmax over the tokens that a token may see.
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

/// Sizes of attention.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    seq: usize,
    heads: HeadCounts,
    head_width: usize,
}

impl Sizes {
    fn of(qkv: &CubeTensor, batch: usize, seq: usize, heads: HeadCounts) -> Self {
        let [_, width] = rows_and_columns(qkv);
        Self { batch, seq, heads, head_width: heads.width_of_one(width) }
    }

    /// Returns the factor of the scores.
    fn scale(&self) -> f32 {
        (self.head_width as f32).sqrt().recip()
    }

    /// Returns the shape of some heads, `[batch, heads, seq, head_width]`.
    fn shape(&self, heads: usize) -> [usize; 4] {
        [self.batch, heads, self.seq, self.head_width]
    }

    /// Returns the queries of heads that share a head of keys one below the other,
    /// `[batch, key heads, group · seq, head_width]`, so that products with keys and values, and their gradients, sum
    /// over the group.
    fn grouped(&self, queries: CubeTensor) -> CubeTensor {
        let shape = [self.batch, self.heads.keys, self.heads.group() * self.seq, self.head_width];
        CubeBackend::float_reshape(queries, shape.into())
    }

    /// Undoes [`Self::grouped`].
    fn ungrouped(&self, queries: CubeTensor) -> CubeTensor {
        CubeBackend::float_reshape(queries, self.shape(self.heads.queries).into())
    }

    /// Returns the first columns of queries, keys and values.
    fn first_columns(&self) -> [usize; 3] {
        let HeadCounts { queries, keys } = self.heads;
        [0, queries, queries + keys].map(|head| head * self.head_width)
    }

    /// Returns grouped queries, and keys and values `[batch, key heads, seq, head_width]`.
    fn queries_keys_and_values(&self, qkv: &CubeTensor) -> [CubeTensor; 3] {
        let [queries, keys, values] = self.first_columns();
        let of_keys = self.shape(self.heads.keys);
        let queries = self.grouped(take_heads(qkv, self.shape(self.heads.queries), queries));
        [queries, take_heads(qkv, of_keys, keys), take_heads(qkv, of_keys, values)]
    }
}

fn attention_weights(queries: CubeTensor, keys: CubeTensor, scale: f32) -> CubeTensor {
    let scores = dense(product(queries, transposed(keys)));
    let [batch, heads, rows, _] = scores.meta.shape().dims();
    let client = scores.client.clone();
    causal_softmax_kernel::launch(
        &client,
        cubes(batch * heads * rows),
        units(UNITS_A_ROW),
        scores.clone().into_tensor_arg(),
        scale,
        UNITS_A_ROW,
    );
    scores
}

pub(super) fn causal_attention(qkv: CubeTensor, batch: usize, seq: usize, heads: HeadCounts) -> CubeTensor {
    let qkv = dense(qkv);
    let sizes = Sizes::of(&qkv, batch, seq, heads);
    let [queries, keys, values] = sizes.queries_keys_and_values(&qkv);
    let attended = product(attention_weights(queries, keys, sizes.scale()), values);
    let output = empty_like(&qkv, [batch * seq, heads.queries * sizes.head_width]);
    put_heads(sizes.ungrouped(attended), &output, 0);
    output
}

pub(super) fn causal_attention_gradient(
    qkv: CubeTensor,
    gradient: CubeTensor,
    batch: usize,
    seq: usize,
    heads: HeadCounts,
) -> CubeTensor {
    let (qkv, gradient) = (dense(qkv), dense(gradient));
    let sizes = Sizes::of(&qkv, batch, seq, heads);
    let [queries, keys, values] = sizes.queries_keys_and_values(&qkv);
    let weights = attention_weights(queries.clone(), keys.clone(), sizes.scale());
    let gradient = sizes.grouped(take_heads(&gradient, sizes.shape(heads.queries), 0));
    let to_values = product(transposed(weights.clone()), gradient.clone());
    let to_scores = dense(product(gradient, transposed(values)));
    let client = to_scores.client.clone();
    causal_softmax_gradient_kernel::launch(
        &client,
        cubes(batch * heads.queries * seq),
        units(UNITS_A_ROW),
        weights.into_tensor_arg(),
        to_scores.clone().into_tensor_arg(),
        sizes.scale(),
        UNITS_A_ROW,
    );
    let to_queries = sizes.ungrouped(product(to_scores.clone(), keys));
    let to_keys = product(transposed(to_scores), queries);
    let to_qkv = empty_like(&qkv, qkv.meta.shape().clone());
    for (heads, first_column) in [to_queries, to_keys, to_values].into_iter().zip(sizes.first_columns()) {
        put_heads(heads, &to_qkv, first_column);
    }
    to_qkv
}
