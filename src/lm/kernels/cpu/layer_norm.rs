//! Layer norm.

use burn::backend::flex::FlexTensor;
use pulp::Simd;
use rayon::prelude::*;

use super::elements::{Elements, changed, tensor};
use super::vector::{sum, sum_products, vectorized};

/// Rows that one task works on.
const ROWS_A_TASK: usize = 64;

/// Returns the mean and 1/√(variance + ε) of a row.
#[inline(always)]
fn moments<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(simd, row, |x| x) / count;
    let variance = sum(simd, row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

pub(super) fn layer_norm(rows: FlexTensor, weight: FlexTensor, bias: FlexTensor, epsilon: f64) -> FlexTensor {
    let (weight, bias) = (Elements::of(weight), Elements::of(bias));
    let width = weight.width();
    changed(rows, |rows| {
        let parts = rows.par_chunks_mut(width * ROWS_A_TASK);
        parts.for_each(|rows| normalize(rows, weight.slice(), bias.slice(), epsilon as f32));
    })
}

vectorized! {
    fn normalize[simd](rows: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
        for row in rows.chunks_exact_mut(weight.len()) {
            let (mean, scale) = moments(simd, row, epsilon);
            for ((value, w), b) in row.iter_mut().zip(weight).zip(bias) {
                *value = (*value - mean) * scale * w + b;
            }
        }
    }
}

/// Computes the gradients of rows, weight and bias.
pub(super) fn layer_norm_gradients(
    rows: FlexTensor,
    weight: FlexTensor,
    gradient: FlexTensor,
    epsilon: f64,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (rows, weight) = (Elements::of(rows), Elements::of(weight));
    let width = weight.width();
    let mut sums = vec![0.0; 2 * width];
    let to_rows = changed(gradient, |gradient| {
        let parts = gradient.par_chunks_mut(width * ROWS_A_TASK).zip(rows.slice().par_chunks(width * ROWS_A_TASK));
        let part = |(gradient, rows)| normalize_back(rows, weight.slice(), gradient, epsilon as f32);
        let parts: Vec<Vec<f32>> = parts.map(part).collect();
        for part in parts {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
    });
    let to_bias = sums.split_off(width);
    (to_rows, tensor(sums, weight.shape()), tensor(to_bias, weight.shape()))
}

vectorized! {
    /// Replaces the gradient of the normalized rows by the gradient of `rows`; returns the gradient of the
    /// weight, followed by the gradient of the bias.
    fn normalize_back[simd](rows: &[f32], weight: &[f32], gradient: &mut [f32], epsilon: f32) -> Vec<f32> {
        let width = weight.len();
        let mut sums = vec![0.0; 2 * width];
        let mut normed = vec![0.0; width];
        for (row, gradient) in rows.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
            let (mean, scale) = moments(simd, row, epsilon);
            for (normed, x) in normed.iter_mut().zip(row) {
                *normed = (x - mean) * scale;
            }
            let (to_weight, to_bias) = sums.split_at_mut(width);
            let totals = to_weight.iter_mut().zip(to_bias);
            for ((weight, bias), (gradient, normed)) in totals.zip(gradient.iter().zip(&normed)) {
                *weight += gradient * normed;
                *bias += gradient;
            }
            for (gradient, weight) in gradient.iter_mut().zip(weight) {
                *gradient *= weight;
            }
            let along_mean = sum(simd, gradient, |g| g) / width as f32;
            let along_scale = sum_products(simd, gradient, &normed) / width as f32;
            for (gradient, normed) in gradient.iter_mut().zip(&normed) {
                *gradient = scale * (*gradient - along_mean - normed * along_scale);
            }
        }
        sums
    }
}
