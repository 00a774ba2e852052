//! Operations on logits over the vocabulary.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::IntTensor;
use burn::tensor::Shape;
use rayon::prelude::*;

use super::elements::{Elements, changed, tensor};
use super::vector::{exp, log_sum_exp, maximum, sum, vectorized};

fn target_ids(targets: &IntTensor<Flex>) -> Vec<usize> {
    let targets = targets.to_contiguous();
    let wide = targets.as_slice::<i64>().map(|ids| ids.iter().map(|&id| id as usize).collect());
    wide.or_else(|| targets.as_slice::<i32>().map(|ids| ids.iter().map(|&id| id as usize).collect()))
        .unwrap_or_default()
}

pub(super) fn pick_log_probs(logits: FlexTensor, targets: &IntTensor<Flex>) -> FlexTensor {
    let logits = Elements::of(logits);
    let targets = target_ids(targets);
    let rows = logits.slice().par_chunks(logits.width()).zip(&targets);
    let pick = |(row, &target): (&[f32], &usize)| row.get(target).copied().unwrap_or(f32::NAN) - log_total(row);
    let picked: Vec<f32> = rows.map(pick).collect();
    let rows = picked.len();
    tensor(picked, Shape::from([rows]))
}

pub(super) fn pick_log_probs_gradient(
    logits: FlexTensor,
    targets: &IntTensor<Flex>,
    gradient: FlexTensor,
) -> FlexTensor {
    let gradient = Elements::of(gradient);
    let targets = target_ids(targets);
    let width = Elements::of(logits.clone()).width();
    changed(logits, |logits| {
        let rows = logits.par_chunks_mut(width).zip(gradient.slice()).zip(&targets);
        rows.for_each(|((row, &gradient), &target)| {
            softmax_times(row, -gradient);
            if let Some(chosen) = row.get_mut(target) {
                *chosen += gradient;
            }
        });
    })
}

pub(super) fn entropies(logits: FlexTensor) -> FlexTensor {
    let logits = Elements::of(logits);
    let found: Vec<f32> = logits.slice().par_chunks(logits.width()).map(entropy).collect();
    let rows = found.len();
    tensor(found, Shape::from([rows]))
}

vectorized! {
    fn log_total[simd](row: &[f32]) -> f32 {
        log_sum_exp(simd, row)
    }
}

vectorized! {
    fn softmax_times[simd](row: &mut [f32], factor: f32) {
        let log_total = log_sum_exp(simd, row);
        for value in row.iter_mut() {
            *value = factor * exp(*value - log_total);
        }
    }
}

vectorized! {
    fn entropy[simd](row: &[f32]) -> f32 {
        let largest = maximum(row);
        let total = sum(simd, row, |x| exp(x - largest));
        // ln Σ − Σ p x, both relative to the largest.
        total.ln() - sum(simd, row, |x| exp(x - largest) * (x - largest)) / total
    }
}
