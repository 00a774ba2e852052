//! GELU in the form of [`crate::lm::kernels::plain::gelu`].

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, units};

/// 2√(2/π): ½(1 + tanh(y)) is the sigmoid of 2y.
const LINEAR: f32 = 1.595_769;
/// [`LINEAR`] times GPT-2's 0.044715.
const CUBIC: f32 = 0.044_715 * LINEAR;
/// Coefficient of the derivative.
const THREE_CUBIC: f32 = 3.0 * CUBIC;

#[cube]
fn sigmoid_of_cubic(x: f32) -> f32 {
    let inner = x * (x * x * CUBIC + LINEAR);
    1.0_f32 / (1.0_f32 + (-inner).exp())
}

#[cube(launch)]
fn gelu_kernel(x: &Tensor<f32>, output: &mut Tensor<f32>) {
    let place = ABSOLUTE_POS;
    if place < output.len() {
        output[place] = x[place] * sigmoid_of_cubic(x[place]);
    }
}

#[cube(launch)]
fn gelu_gradient_kernel(x: &Tensor<f32>, gradient: &Tensor<f32>, output: &mut Tensor<f32>) {
    let place = ABSOLUTE_POS;
    if place < output.len() {
        let at = x[place];
        let sigmoid = sigmoid_of_cubic(at);
        let slope = at * at * THREE_CUBIC + LINEAR;
        output[place] = gradient[place] * sigmoid * (1.0_f32 + at * (1.0_f32 - sigmoid) * slope);
    }
}

pub(super) fn gelu(x: CubeTensor) -> CubeTensor {
    let x = dense(x);
    let count = x.meta.shape().num_elements();
    let output = empty_like(&x, x.meta.shape().clone());
    let client = x.client.clone();
    gelu_kernel::launch(
        &client,
        cubes(count.div_ceil(UNITS)),
        units(UNITS),
        x.into_tensor_arg(),
        output.clone().into_tensor_arg(),
    );
    output
}

pub(super) fn gelu_gradient(x: CubeTensor, gradient: CubeTensor) -> CubeTensor {
    let (x, gradient) = (dense(x), dense(gradient));
    let count = x.meta.shape().num_elements();
    let output = empty_like(&x, x.meta.shape().clone());
    let client = x.client.clone();
    gelu_gradient_kernel::launch(
        &client,
        cubes(count.div_ceil(UNITS)),
        units(UNITS),
        x.into_tensor_arg(),
        gradient.into_tensor_arg(),
        output.clone().into_tensor_arg(),
    );
    output
}
