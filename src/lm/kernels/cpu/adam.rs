//! The optimizer's step in one pass over each tensor.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::elements::{Changeable, Elements};
use super::vector::vectorized;
use crate::lm::kernels::{AdamScales, BETA_1, BETA_2};

/// Numbers that one task works on.
const A_TASK: usize = 1 << 14;

/// Computes [`crate::lm::kernels::adam`].
pub(super) fn adam(
    parameter: FlexTensor,
    gradient: FlexTensor,
    moments: [FlexTensor; 2],
    scales: AdamScales,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let gradient = Elements::of(gradient);
    let mut parameter = Changeable::of(parameter);
    let [mut first, mut second] = moments.map(Changeable::of);
    let parts = parameter.slice().par_chunks_mut(A_TASK).zip(gradient.slice().par_chunks(A_TASK));
    let moments = first.slice().par_chunks_mut(A_TASK).zip(second.slice().par_chunks_mut(A_TASK));
    parts.zip(moments).for_each(|((parameter, gradient), (first, second))| {
        step(parameter, gradient, first, second, scales.step_size as f32, scales.epsilon as f32);
    });
    (parameter.tensor(), first.tensor(), second.tensor())
}

vectorized! {
    fn step(
        parameter: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        step_size: f32,
        epsilon: f32,
    ) {
        let (keep_1, keep_2) = (BETA_1 as f32, BETA_2 as f32);
        let (take_1, take_2) = ((1.0 - BETA_1) as f32, (1.0 - BETA_2) as f32);
        for (((parameter, gradient), first), second) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            *first = keep_1 * *first + take_1 * gradient;
            *second = keep_2 * *second + take_2 * gradient * gradient;
            *parameter -= step_size * *first / (second.sqrt() + epsilon);
        }
    }
}
