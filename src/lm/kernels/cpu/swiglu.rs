//! SwiGLU.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;
use rayon::prelude::*;

use super::elements::{Elements, changed, tensor};
use super::vector::{sigmoid, vectorized};

/// Rows that one task works on.
const ROWS_A_TASK: usize = 8;

pub(super) fn swiglu(gate_and_up: FlexTensor) -> FlexTensor {
    let gate_and_up = Elements::of(gate_and_up);
    let width = (gate_and_up.width() / 2).max(1);
    let mut result = vec![0.0; gate_and_up.slice().len() / 2];
    let rows = result.par_chunks_mut(width * ROWS_A_TASK);
    rows.zip(gate_and_up.slice().par_chunks(2 * width * ROWS_A_TASK)).for_each(|(result, gate_and_up)| {
        for (result, row) in result.chunks_exact_mut(width).zip(gate_and_up.chunks_exact(2 * width)) {
            let (gate, up) = row.split_at(width);
            multiply_by_gate(result, gate, up);
        }
    });
    let rows = result.len() / width;
    tensor(result, Shape::from([rows, width]))
}

pub(super) fn swiglu_gradient(gate_and_up: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let gradient = Elements::of(gradient);
    let width = gradient.width();
    changed(gate_and_up, |gate_and_up| {
        let rows = gate_and_up.par_chunks_mut(2 * width * ROWS_A_TASK);
        rows.zip(gradient.slice().par_chunks(width * ROWS_A_TASK)).for_each(|(gate_and_up, gradient)| {
            for (row, gradient) in gate_and_up.chunks_exact_mut(2 * width).zip(gradient.chunks_exact(width)) {
                let (gate, up) = row.split_at_mut(width);
                multiply_back(gate, up, gradient);
            }
        });
    })
}

vectorized! {
    fn multiply_by_gate(result: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((result, &gate), up) in result.iter_mut().zip(gate).zip(up) {
            *result = gate * sigmoid(gate) * up;
        }
    }
}

vectorized! {
    /// Replaces gates and numbers by their gradients.
    fn multiply_back(gate: &mut [f32], up: &mut [f32], gradient: &[f32]) {
        for ((gate, up), gradient) in gate.iter_mut().zip(up).zip(gradient) {
            let (x, s) = (*gate, sigmoid(*gate));
            *gate = gradient * *up * s * (1.0 + x * (1.0 - s));
            *up = gradient * x * s;
        }
    }
}
