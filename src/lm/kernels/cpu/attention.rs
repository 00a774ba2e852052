//! Causal attention, head by head, in a few small products that stay in the processor's cache.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;
use pulp::Simd;
use rayon::prelude::*;

use super::elements::{Elements, tensor};
use super::vector::{exp, maximum, sum, sum_products, vectorized};
use crate::lm::kernels::HeadCounts;

/// Rows and vectors of columns that a step of [`multiply`] works on.
const ROWS: usize = 4;
const VECTORS: usize = 2;

/// Multiple to which the sizes of the scratch buffers are padded: two of the widest vectors.
const COLUMNS: usize = 32;

/// One head of queries with its keys and values in a batch row, and the sizes of the scratch buffers.
#[derive(Clone, Copy)]
struct Head {
    seq: usize,
    counts: HeadCounts,
    head_width: usize,
    /// Number among the heads of queries.
    number: usize,
}

impl Head {
    /// Returns all heads of a batch row.
    fn all(seq: usize, counts: HeadCounts, head_width: usize) -> impl Iterator<Item = Self> {
        (0..counts.queries).map(move |number| Self { seq, counts, head_width, number })
    }

    /// Returns the width of queries, keys and values together.
    fn width(&self) -> usize {
        (self.counts.queries + 2 * self.counts.keys) * self.head_width
    }

    /// Returns the first column of the head's queries.
    fn queries(&self) -> usize {
        self.number * self.head_width
    }

    /// Returns the first column of the head's keys.
    fn keys(&self) -> usize {
        (self.counts.queries + self.number / self.counts.group()) * self.head_width
    }

    /// Returns the first column of the head's values.
    fn values(&self) -> usize {
        self.keys() + self.counts.keys * self.head_width
    }

    /// Returns the factor of the scores.
    fn scale(&self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }

    fn padded_seq(&self) -> usize {
        self.seq.next_multiple_of(COLUMNS)
    }

    fn padded_width(&self) -> usize {
        self.head_width.next_multiple_of(COLUMNS)
    }

    /// Copies columns from `first` on out of rows that are `stride` wide, times `scale`:
    /// `[padded seq, padded width]`, filled up with zeros.
    fn rows(&self, all: &[f32], stride: usize, first: usize, scale: f32) -> Vec<f32> {
        let mut packed = vec![0.0; self.padded_seq() * self.padded_width()];
        for (row, packed) in all.chunks_exact(stride).zip(packed.chunks_exact_mut(self.padded_width())) {
            for (packed, value) in packed.iter_mut().zip(row.iter().skip(first).take(self.head_width)) {
                *packed = scale * value;
            }
        }
        packed
    }

    /// Transposes `[padded seq, padded width]` to `[padded width, padded seq]`.
    fn transposed(&self, packed: &[f32]) -> Vec<f32> {
        let mut result = vec![0.0; packed.len()];
        for (place, row) in packed.chunks_exact(self.padded_width()).enumerate() {
            for (column, value) in result.chunks_exact_mut(self.padded_seq()).zip(row) {
                if let Some(slot) = column.get_mut(place) {
                    *slot = *value;
                }
            }
        }
        result
    }

    /// Adds the head's rows where [`Self::rows`] reads them: heads of a group share their keys and values.
    fn add(&self, packed: &[f32], all: &mut [f32], stride: usize, first: usize, scale: f32) {
        for (row, packed) in all.chunks_exact_mut(stride).zip(packed.chunks_exact(self.padded_width())) {
            for (value, packed) in row.iter_mut().skip(first).take(self.head_width).zip(packed) {
                *value += scale * packed;
            }
        }
    }
}

/// Matrix with strides: the steps from one row and from one column to the next.
#[derive(Clone, Copy)]
struct Strided<'a> {
    elements: &'a [f32],
    row: usize,
    column: usize,
}

/// Computes `result[i, j] = Σ left[i, k] · right[k, j]` on padded matrices. In the group of rows that begins at
/// `i`, only the first `columns(i)` columns are computed, and only the `k` of `inner(i)` are summed.
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    left: Strided<'_>,
    right: &[f32],
    right_width: usize,
    result: &mut [f32],
    columns: impl Fn(usize) -> usize,
    inner: impl Fn(usize) -> Range<usize>,
) {
    let step = VECTORS * S::F32_LANES;
    for (group, rows) in result.chunks_exact_mut(ROWS * right_width).enumerate() {
        let first = group * ROWS;
        for column in (0..columns(first).min(right_width)).step_by(step) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for k in inner(first) {
                let right = right.get(k * right_width + column..).and_then(|rest| rest.get(..step)).unwrap_or_default();
                let [right_0, right_1] = S::as_simd_f32s(right).0 else { break };
                for (row, sums) in sums.iter_mut().enumerate() {
                    let factor = left.elements.get((first + row) * left.row + k * left.column).copied().unwrap_or(0.0);
                    let factor = simd.splat_f32s(factor);
                    let [sum_0, sum_1] = sums;
                    *sum_0 = simd.mul_add_f32s(factor, *right_0, *sum_0);
                    *sum_1 = simd.mul_add_f32s(factor, *right_1, *sum_1);
                }
            }
            for (row, sums) in rows.chunks_exact_mut(right_width).zip(&sums) {
                let place = row.get_mut(column..column + step).unwrap_or_default();
                S::as_mut_simd_f32s(place).0.copy_from_slice(sums);
            }
        }
    }
}

/// Computes the softmax over the keys that each query sees, `[padded seq, padded seq]`.
#[inline(always)]
fn weights<S: Simd>(simd: S, head: Head, queries: &[f32], keys_transposed: &[f32]) -> Vec<f32> {
    let (seq, stride) = (head.seq, head.padded_seq());
    let mut weights = vec![0.0; stride * stride];
    let queries = Strided { elements: queries, row: head.padded_width(), column: 1 };
    multiply(simd, queries, keys_transposed, stride, &mut weights, |row| row + ROWS, |_| 0..head.head_width);
    for (place, row) in weights.chunks_exact_mut(stride).enumerate() {
        let (seen, later) = row.split_at_mut((place + 1).min(seq));
        let largest = maximum(seen);
        for value in seen.iter_mut() {
            *value = exp(*value - largest);
        }
        let scale = 1.0 / sum(simd, seen, |x| x);
        for value in seen {
            *value *= scale;
        }
        later.fill(0.0);
    }
    weights
}

/// Computes [`crate::lm::kernels::causal_attention`].
pub(super) fn causal_attention(qkv: FlexTensor, batch: usize, seq: usize, heads: HeadCounts) -> FlexTensor {
    let qkv = Elements::of(qkv);
    let head_width = heads.width_of_one(qkv.width());
    let width = heads.queries * head_width;
    let mut result = vec![0.0; batch * seq * width];
    let rows = result.par_chunks_mut((seq * width).max(1)).zip(qkv.slice().par_chunks((seq * qkv.width()).max(1)));
    rows.for_each(|(result, qkv)| Head::all(seq, heads, head_width).for_each(|head| attend(head, qkv, result)));
    tensor(result, Shape::from([batch * seq, width]))
}

vectorized! {
    fn attend[simd](head: Head, qkv: &[f32], result: &mut [f32]) {
        let stride = head.width();
        let queries = head.rows(qkv, stride, head.queries(), head.scale());
        let keys = head.transposed(&head.rows(qkv, stride, head.keys(), 1.0));
        let values = head.rows(qkv, stride, head.values(), 1.0);
        let weights = weights(simd, head, &queries, &keys);
        let mut attended = vec![0.0; values.len()];
        let weights = Strided { elements: &weights, row: head.padded_seq(), column: 1 };
        multiply(simd, weights, &values, head.padded_width(), &mut attended, |_| usize::MAX, |row| 0..(row + ROWS).min(head.seq));
        head.add(&attended, result, head.counts.queries * head.head_width, head.queries(), 1.0);
    }
}

/// Computes the gradients of queries, keys and values, in the shape of `qkv`.
pub(super) fn causal_attention_gradient(
    qkv: FlexTensor,
    gradient: FlexTensor,
    batch: usize,
    seq: usize,
    heads: HeadCounts,
) -> FlexTensor {
    let (qkv, gradient) = (Elements::of(qkv), Elements::of(gradient));
    let (width, head_width) = (qkv.width(), heads.width_of_one(qkv.width()));
    let mut result = vec![0.0; batch * seq * width];
    let rows = result.par_chunks_mut((seq * width).max(1)).zip(qkv.slice().par_chunks((seq * width).max(1)));
    let rows = rows.zip(gradient.slice().par_chunks((seq * gradient.width()).max(1)));
    rows.for_each(|((result, qkv), gradient)| {
        Head::all(seq, heads, head_width).for_each(|head| attend_back(head, qkv, gradient, result));
    });
    tensor(result, qkv.shape())
}

vectorized! {
    fn attend_back[simd](head: Head, qkv: &[f32], gradient: &[f32], result: &mut [f32]) {
        let (stride, seq, padded_seq, padded_width) = (head.width(), head.seq, head.padded_seq(), head.padded_width());
        let queries = head.rows(qkv, stride, head.queries(), head.scale());
        let keys = head.rows(qkv, stride, head.keys(), 1.0);
        let values = head.rows(qkv, stride, head.values(), 1.0);
        let gradient = head.rows(gradient, head.counts.queries * head.head_width, head.queries(), 1.0);
        let weights = weights(simd, head, &queries, &head.transposed(&keys));

        let mut to_scores = vec![0.0; weights.len()];
        let rows_of = |elements| Strided { elements, row: padded_width, column: 1 };
        let seen = |row: usize| row + ROWS;
        multiply(simd, rows_of(&gradient), &head.transposed(&values), padded_seq, &mut to_scores, seen, |_| 0..head.head_width);
        for (to_scores, weights) in to_scores.chunks_exact_mut(padded_seq).zip(weights.chunks_exact(padded_seq)) {
            let along = sum_products(simd, to_scores, weights);
            for (score, weight) in to_scores.iter_mut().zip(weights) {
                *score = weight * (*score - along);
            }
        }

        let all = |_| usize::MAX;
        let by_query = |elements| Strided { elements, row: padded_seq, column: 1 };
        let by_key = |elements| Strided { elements, row: 1, column: padded_seq };
        let mut flows = vec![0.0; queries.len()];
        multiply(simd, by_query(&to_scores), &keys, padded_width, &mut flows, all, |row| 0..(row + ROWS).min(seq));
        head.add(&flows, result, stride, head.queries(), head.scale());
        multiply(simd, by_key(&to_scores), &queries, padded_width, &mut flows, all, |row| row.min(seq)..seq);
        head.add(&flows, result, stride, head.keys(), 1.0);
        multiply(simd, by_key(&weights), &gradient, padded_width, &mut flows, all, |row| row.min(seq)..seq);
        head.add(&flows, result, stride, head.values(), 1.0);
    }
}
