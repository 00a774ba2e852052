//! A step of Adam in one pass.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, owned, units};
use crate::lm::kernels::{AdamScales, BETA_1, BETA_2};

#[cube(launch)]
fn adam_kernel(
    gradient: &Tensor<f32>,
    parameter: &mut Tensor<f32>,
    first: &mut Tensor<f32>,
    second: &mut Tensor<f32>,
    beta_1: f32,
    beta_2: f32,
    step_size: f32,
    epsilon: f32,
) {
    let place = ABSOLUTE_POS;
    if place < parameter.len() {
        let slope = gradient[place];
        let moment_1 = first[place] * beta_1 + slope * (1.0_f32 - beta_1);
        let moment_2 = second[place] * beta_2 + slope * slope * (1.0_f32 - beta_2);
        first[place] = moment_1;
        second[place] = moment_2;
        parameter[place] -= moment_1 / (moment_2.sqrt() + epsilon) * step_size;
    }
}

pub(super) fn adam(
    parameter: CubeTensor,
    gradient: CubeTensor,
    first: CubeTensor,
    second: CubeTensor,
    scales: AdamScales,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let gradient = dense(gradient);
    let (parameter, first, second) = (owned(parameter), owned(first), owned(second));
    let count = parameter.meta.shape().num_elements();
    let client = parameter.client.clone();
    adam_kernel::launch(
        &client,
        cubes(count.div_ceil(UNITS)),
        units(UNITS),
        gradient.into_tensor_arg(),
        parameter.clone().into_tensor_arg(),
        first.clone().into_tensor_arg(),
        second.clone().into_tensor_arg(),
        BETA_1 as f32,
        BETA_2 as f32,
        scales.step_size as f32,
        scales.epsilon as f32,
    );
    (parameter, first, second)
}
