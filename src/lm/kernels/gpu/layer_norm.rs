//! Layer normalization: a cube takes one row forward, and several rows backward, over which it sums the
//! gradients of weight and bias.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{sum_of_rows, sum_of_units};

/// Rows that a cube takes in the backward pass.
const ROWS_A_CUBE: usize = 16;

#[cube]
fn mean_of_row(rows: &Tensor<f32>, start: usize, width: usize, #[comptime] units: usize) -> f32 {
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        sum += rows[start + column];
        column += units;
    }
    sum_of_units(sum, units) / f32::cast_from(width)
}

/// Computes 1/√(variance + ε).
#[cube]
fn inverse_deviation_of_row(
    rows: &Tensor<f32>,
    start: usize,
    width: usize,
    mean: f32,
    epsilon: f32,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let centred = rows[start + column] - mean;
        sum += centred * centred;
        column += units;
    }
    let variance = sum_of_units(sum, units) / f32::cast_from(width);
    1.0_f32 / (variance + epsilon).sqrt()
}

#[cube(launch)]
fn layer_norm_kernel(
    rows: &Tensor<f32>,
    weight: &Tensor<f32>,
    bias: &Tensor<f32>,
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
    let mean = mean_of_row(rows, start, width, units);
    let scale = inverse_deviation_of_row(rows, start, width, mean, epsilon, units);
    let mut column = UNIT_POS as usize;
    while column < width {
        output[start + column] = (rows[start + column] - mean) * scale * weight[column] + bias[column];
        column += units;
    }
}

/// Computes the gradients of the row, (g·w − mean(g·w) − x̂ · mean(g·w·x̂)) / σ, of the weight, Σ g·x̂, and of
/// the bias, Σ g, where x̂ is the normalized row and g the gradient of the output. The sums are over the rows
/// of one cube.
#[cube(launch)]
fn layer_norm_gradients_kernel(
    rows: &Tensor<f32>,
    weight: &Tensor<f32>,
    gradient: &Tensor<f32>,
    to_rows: &mut Tensor<f32>,
    to_weight: &mut Tensor<f32>,
    to_bias: &mut Tensor<f32>,
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
        to_bias[sums + column] = 0.0_f32;
        column += units;
    }
    let end = min(rows.shape(0), (part + 1) * rows_a_cube);
    for row in part * rows_a_cube..end {
        let start = row * width;
        let mean = mean_of_row(rows, start, width, units);
        let scale = inverse_deviation_of_row(rows, start, width, mean, epsilon, units);
        let mut sum = 0.0_f32;
        let mut sum_with_normalized = 0.0_f32;
        let mut column = unit;
        while column < width {
            let scaled = gradient[start + column] * weight[column];
            sum += scaled;
            sum_with_normalized += scaled * (rows[start + column] - mean) * scale;
            column += units;
        }
        let mean_slope = sum_of_units(sum, units) / f32::cast_from(width);
        let mean_with_normalized = sum_of_units(sum_with_normalized, units) / f32::cast_from(width);
        let mut column = unit;
        while column < width {
            let normalized = (rows[start + column] - mean) * scale;
            let slope = gradient[start + column];
            to_rows[start + column] = (slope * weight[column] - mean_slope - normalized * mean_with_normalized) * scale;
            to_weight[sums + column] += slope * normalized;
            to_bias[sums + column] += slope;
            column += units;
        }
    }
}

pub(super) fn layer_norm(rows: CubeTensor, weight: CubeTensor, bias: CubeTensor, epsilon: f64) -> CubeTensor {
    let (rows, weight, bias) = (dense(rows), dense(weight), dense(bias));
    let [count, _] = rows_and_columns(&rows);
    let output = empty_like(&rows, rows.meta.shape().clone());
    let client = rows.client.clone();
    layer_norm_kernel::launch(
        &client,
        cubes(count),
        units(UNITS),
        rows.into_tensor_arg(),
        weight.into_tensor_arg(),
        bias.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        epsilon as f32,
        UNITS,
    );
    output
}

pub(super) fn layer_norm_gradients(
    rows: CubeTensor,
    weight: CubeTensor,
    gradient: CubeTensor,
    epsilon: f64,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (rows, weight, gradient) = (dense(rows), dense(weight), dense(gradient));
    let [count, width] = rows_and_columns(&rows);
    let parts = count.div_ceil(ROWS_A_CUBE);
    let to_rows = empty_like(&rows, [count, width]);
    let to_weight = empty_like(&rows, [parts, width]);
    let to_bias = empty_like(&rows, [parts, width]);
    let client = rows.client.clone();
    layer_norm_gradients_kernel::launch(
        &client,
        cubes(parts),
        units(UNITS),
        rows.into_tensor_arg(),
        weight.into_tensor_arg(),
        gradient.into_tensor_arg(),
        to_rows.clone().into_tensor_arg(),
        to_weight.clone().into_tensor_arg(),
        to_bias.clone().into_tensor_arg(),
        epsilon as f32,
        ROWS_A_CUBE,
        UNITS,
    );
    (to_rows, sum_of_rows(to_weight), sum_of_rows(to_bias))
}
