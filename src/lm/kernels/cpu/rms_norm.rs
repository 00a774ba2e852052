//! RMS norm.

use burn::backend::flex::FlexTensor;
use pulp::Simd;
use rayon::prelude::*;

use super::elements::{Elements, changed, tensor};
use super::vector::{sum, sum_products, vectorized};

/// Numbers that one task works on.
const A_TASK: usize = 1 << 14;

/// Returns 1/√(mean square + ε) of a row.
#[inline(always)]
fn scale_of<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum(simd, row, |x| x * x) / row.len() as f32 + epsilon).sqrt()
}

/// Returns the numbers of some whole rows that one task works on.
fn a_task(width: usize) -> usize {
    width * (A_TASK / width).max(1)
}

pub(super) fn rms_norm(rows: FlexTensor, weight: FlexTensor, epsilon: f64) -> FlexTensor {
    let weight = Elements::of(weight);
    changed(rows, |rows| {
        let parts = rows.par_chunks_mut(a_task(weight.width()));
        parts.for_each(|rows| normalize(rows, weight.slice(), epsilon as f32));
    })
}

vectorized! {
    fn normalize[simd](rows: &mut [f32], weight: &[f32], epsilon: f32) {
        for row in rows.chunks_exact_mut(weight.len()) {
            let scale = scale_of(simd, row, epsilon);
            for (value, weight) in row.iter_mut().zip(weight) {
                *value *= scale * weight;
            }
        }
    }
}

/// Computes the gradients of rows and weight.
pub(super) fn rms_norm_gradients(
    rows: FlexTensor,
    weight: FlexTensor,
    gradient: FlexTensor,
    epsilon: f64,
) -> (FlexTensor, FlexTensor) {
    let (rows, weight) = (Elements::of(rows), Elements::of(weight));
    let width = weight.width();
    let mut to_weight = vec![0.0; width];
    let to_rows = changed(gradient, |gradient| {
        let parts = gradient.par_chunks_mut(a_task(width)).zip(rows.slice().par_chunks(a_task(width)));
        let part = |(gradient, rows)| normalize_back(rows, weight.slice(), gradient, epsilon as f32);
        let parts: Vec<Vec<f32>> = parts.map(part).collect();
        for part in parts {
            for (sum, value) in to_weight.iter_mut().zip(part) {
                *sum += value;
            }
        }
    });
    (to_rows, tensor(to_weight, weight.shape()))
}

vectorized! {
    /// Replaces the gradient of the normalized rows by the gradient of `rows`, (g·w − x̂ · mean(g·w·x̂)) · scale with
    /// x̂ = x · scale; returns the gradient of the weight, Σ g·x̂.
    fn normalize_back[simd](rows: &[f32], weight: &[f32], gradient: &mut [f32], epsilon: f32) -> Vec<f32> {
        let width = weight.len();
        let mut to_weight = vec![0.0; width];
        for (row, gradient) in rows.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
            let scale = scale_of(simd, row, epsilon);
            for (((to_weight, gradient), weight), x) in to_weight.iter_mut().zip(gradient.iter_mut()).zip(weight).zip(row) {
                *to_weight += *gradient * x * scale;
                *gradient *= weight;
            }
            let along = sum_products(simd, gradient, row) * scale * scale / width as f32;
            for (gradient, x) in gradient.iter_mut().zip(row) {
                *gradient = scale * (*gradient - x * along);
            }
        }
        to_weight
    }
}
