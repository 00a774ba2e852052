//! RMS norm: a cube takes one row forward, and several rows backward, over which it sums the gradient of the weight.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{sum_of_rows, sum_of_units};

/// Rows that a cube takes in the backward pass.
const ROWS_A_CUBE: usize = 16;

/// Computes 1/√(mean square + ε).
#[cube]
fn scale_of_row(rows: &Tensor<f32>, start: usize, width: usize, epsilon: f32, #[comptime] units: usize) -> f32 {
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let number = rows[start + column];
        sum += number * number;
        column += units;
    }
    let mean_square = sum_of_units(sum, units) / f32::cast_from(width);
    1.0_f32 / (mean_square + epsilon).sqrt()
}

#[cube(launch)]
fn rms_norm_kernel(
    rows: &Tensor<f32>,
    weight: &Tensor<f32>,
    output: &mut Tensor<f32>,
    epsilon: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows.shape(0) {
        terminate!();
    }
    let width = rows.shape(1);
    let start = row * width;
    let scale = scale_of_row(rows, start, width, epsilon, units);
    let mut column = UNIT_POS as usize;
    while column < width {
        output[start + column] = rows[start + column] * scale * weight[column];
        column += units;
    }
}

/// Computes the gradients of the row, (g·w − x̂ · mean(g·w·x̂)) · scale, and of the weight, Σ g·x̂, where x̂ is the
/// normalized row, x · scale, and g the gradient of the output. The sum is over the rows of one cube.
#[cube(launch)]
fn rms_norm_gradients_kernel(
    rows: &Tensor<f32>,
    weight: &Tensor<f32>,
    gradient: &Tensor<f32>,
    to_rows: &mut Tensor<f32>,
    to_weight: &mut Tensor<f32>,
    epsilon: f32,
    #[comptime] rows_a_cube: usize,
    #[comptime] units: usize,
) {
    let part = CUBE_POS;
    if part >= to_weight.shape(0) {
        terminate!();
    }
    let width = rows.shape(1);
    let unit = UNIT_POS as usize;
    let sums = part * width;
    let mut column = unit;
    while column < width {
        to_weight[sums + column] = 0.0_f32;
        column += units;
    }
    let end = min(rows.shape(0), (part + 1) * rows_a_cube);
    for row in part * rows_a_cube..end {
        let start = row * width;
        let scale = scale_of_row(rows, start, width, epsilon, units);
        let mut sum = 0.0_f32;
        let mut column = unit;
        while column < width {
            sum += gradient[start + column] * weight[column] * rows[start + column] * scale;
            column += units;
        }
        let mean_with_normalized = sum_of_units(sum, units) / f32::cast_from(width);
        let mut column = unit;
        while column < width {
            let normalized = rows[start + column] * scale;
            let slope = gradient[start + column];
            to_rows[start + column] = (slope * weight[column] - normalized * mean_with_normalized) * scale;
            to_weight[sums + column] += slope * normalized;
            column += units;
        }
    }
}

pub(super) fn rms_norm(rows: CubeTensor, weight: CubeTensor, epsilon: f64) -> CubeTensor {
    let (rows, weight) = (dense(rows), dense(weight));
    let [count, _] = rows_and_columns(&rows);
    let output = empty_like(&rows, rows.meta.shape().clone());
    let client = rows.client.clone();
    rms_norm_kernel::launch(
        &client,
        cubes(count),
        units(UNITS),
        rows.into_tensor_arg(),
        weight.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        epsilon as f32,
        UNITS,
    );
    output
}

pub(super) fn rms_norm_gradients(
    rows: CubeTensor,
    weight: CubeTensor,
    gradient: CubeTensor,
    epsilon: f64,
) -> (CubeTensor, CubeTensor) {
    let (rows, weight, gradient) = (dense(rows), dense(weight), dense(gradient));
    let [count, width] = rows_and_columns(&rows);
    let parts = count.div_ceil(ROWS_A_CUBE);
    let to_rows = empty_like(&rows, [count, width]);
    let to_weight = empty_like(&rows, [parts, width]);
    let client = rows.client.clone();
    rms_norm_gradients_kernel::launch(
        &client,
        cubes(parts),
        units(UNITS),
        rows.into_tensor_arg(),
        weight.into_tensor_arg(),
        gradient.into_tensor_arg(),
        to_rows.clone().into_tensor_arg(),
        to_weight.clone().into_tensor_arg(),
        epsilon as f32,
        ROWS_A_CUBE,
        UNITS,
    );
    (to_rows, sum_of_rows(to_weight))
}
