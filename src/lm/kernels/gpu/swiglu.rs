//! SwiGLU.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};

#[cube]
fn sigmoid(x: f32) -> f32 {
    1.0_f32 / (1.0_f32 + (-x).exp())
}

#[cube(launch)]
fn swiglu_kernel(gate_and_up: &Tensor<f32>, output: &mut Tensor<f32>) {
    let place = ABSOLUTE_POS;
    if place < output.len() {
        let width = output.shape(1);
        let gate_place = place / width * 2 * width + place % width;
        let gate = gate_and_up[gate_place];
        output[place] = gate * sigmoid(gate) * gate_and_up[gate_place + width];
    }
}

#[cube(launch)]
fn swiglu_gradient_kernel(gate_and_up: &Tensor<f32>, gradient: &Tensor<f32>, output: &mut Tensor<f32>) {
    let place = ABSOLUTE_POS;
    if place < gradient.len() {
        let width = gradient.shape(1);
        let gate_place = place / width * 2 * width + place % width;
        let gate = gate_and_up[gate_place];
        let sigmoid = sigmoid(gate);
        let slope = gradient[place] * sigmoid;
        output[gate_place] = slope * gate_and_up[gate_place + width] * (1.0_f32 + gate * (1.0_f32 - sigmoid));
        output[gate_place + width] = slope * gate;
    }
}

pub(super) fn swiglu(gate_and_up: CubeTensor) -> CubeTensor {
    let gate_and_up = dense(gate_and_up);
    let [rows, width] = rows_and_columns(&gate_and_up);
    let output = empty_like(&gate_and_up, [rows, width / 2]);
    let client = gate_and_up.client.clone();
    swiglu_kernel::launch(
        &client,
        cubes((rows * width / 2).div_ceil(UNITS)),
        units(UNITS),
        gate_and_up.into_tensor_arg(),
        output.clone().into_tensor_arg(),
    );
    output
}

pub(super) fn swiglu_gradient(gate_and_up: CubeTensor, gradient: CubeTensor) -> CubeTensor {
    let (gate_and_up, gradient) = (dense(gate_and_up), dense(gradient));
    let output = empty_like(&gate_and_up, gate_and_up.meta.shape().clone());
    let client = gate_and_up.client.clone();
    swiglu_gradient_kernel::launch(
        &client,
        cubes(gradient.meta.shape().num_elements().div_ceil(UNITS)),
        units(UNITS),
        gate_and_up.into_tensor_arg(),
        gradient.into_tensor_arg(),
        output.clone().into_tensor_arg(),
    );
    output
}
