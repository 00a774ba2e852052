//! GPT-2's GELU.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::elements::{Elements, changed};
use super::vector::{sigmoid, vectorized};

const CUBIC: f32 = 0.071_354_816;
const LINEAR: f32 = 1.595_769;

/// Numbers that one task works on.
const A_TASK: usize = 1 << 14;

pub(super) fn gelu(x: FlexTensor) -> FlexTensor {
    changed(x, |values| values.par_chunks_mut(A_TASK).for_each(gelu_of))
}

pub(super) fn gelu_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let x = Elements::of(x);
    changed(gradient, |gradient| {
        let parts = gradient.par_chunks_mut(A_TASK).zip(x.slice().par_chunks(A_TASK));
        parts.for_each(|(gradient, x)| times_slope(gradient, x));
    })
}

vectorized! {
    fn gelu_of(values: &mut [f32]) {
        for value in values {
            let x = *value;
            *value = x * sigmoid(x * (LINEAR + CUBIC * x * x));
        }
    }
}

vectorized! {
    fn times_slope(gradient: &mut [f32], x: &[f32]) {
        for (value, &x) in gradient.iter_mut().zip(x) {
            let square = x * x;
            let s = sigmoid(x * (LINEAR + CUBIC * square));
            *value *= s + x * s * (1.0 - s) * (LINEAR + 3.0 * CUBIC * square);
        }
    }
}
