//! Functions of the softmax of each row of logits: one pass over the row finds the largest logit, one sums the
//! exponentials.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{largest_of_units, sum_of_units};

/// Returns the largest number of a row.
#[cube]
pub(super) fn largest_of_row(logits: &Tensor<f32>, start: usize, columns: usize, #[comptime] units: usize) -> f32 {
    let mut largest = logits[start];
    let mut column = UNIT_POS as usize;
    while column < columns {
        largest = max(largest, logits[start + column]);
        column += units;
    }
    largest_of_units(largest, units)
}

/// Computes Σ exp(x − largest) over a row.
#[cube]
fn sum_of_exponentials(
    logits: &Tensor<f32>,
    start: usize,
    columns: usize,
    largest: f32,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < columns {
        sum += (logits[start + column] - largest).exp();
        column += units;
    }
    sum_of_units(sum, units)
}

#[cube(launch)]
fn pick_log_probs_kernel(
    logits: &Tensor<f32>,
    targets: &Tensor<i32>,
    output: &mut Tensor<f32>,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= output.len() {
        terminate!();
    }
    let columns = logits.shape(1);
    let start = row * columns;
    let largest = largest_of_row(logits, start, columns, units);
    let sum = sum_of_exponentials(logits, start, columns, largest, units);
    if UNIT_POS == 0 {
        output[row] = logits[start + targets[row] as usize] - largest - sum.ln();
    }
}

#[cube(launch)]
fn pick_log_probs_gradient_kernel(
    logits: &Tensor<f32>,
    targets: &Tensor<i32>,
    gradient: &Tensor<f32>,
    output: &mut Tensor<f32>,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= gradient.len() {
        terminate!();
    }
    let columns = logits.shape(1);
    let start = row * columns;
    let largest = largest_of_row(logits, start, columns, units);
    let sum = sum_of_exponentials(logits, start, columns, largest, units);
    let target = targets[row] as usize;
    let scale = gradient[row];
    let mut column = UNIT_POS as usize;
    while column < columns {
        let mut slope = -(logits[start + column] - largest).exp() / sum;
        if column == target {
            slope += 1.0_f32;
        }
        output[start + column] = slope * scale;
        column += units;
    }
}

#[cube(launch)]
fn entropies_kernel(logits: &Tensor<f32>, output: &mut Tensor<f32>, #[comptime] units: usize) {
    let row = CUBE_POS;
    if row >= output.len() {
        terminate!();
    }
    let columns = logits.shape(1);
    let start = row * columns;
    let largest = largest_of_row(logits, start, columns, units);
    let sum = sum_of_exponentials(logits, start, columns, largest, units);
    let mut weighted = 0.0_f32;
    let mut column = UNIT_POS as usize;
    while column < columns {
        let centred = logits[start + column] - largest;
        weighted += centred.exp() * centred;
        column += units;
    }
    let weighted = sum_of_units(weighted, units);
    if UNIT_POS == 0 {
        output[row] = sum.ln() - weighted / sum;
    }
}

pub(super) fn pick_log_probs(logits: CubeTensor, targets: CubeTensor) -> CubeTensor {
    let (logits, targets) = (dense(logits), dense(targets));
    let [rows, _] = rows_and_columns(&logits);
    let output = empty_like(&logits, [rows]);
    let client = logits.client.clone();
    pick_log_probs_kernel::launch(
        &client,
        cubes(rows),
        units(UNITS),
        logits.into_tensor_arg(),
        targets.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        UNITS,
    );
    output
}

pub(super) fn pick_log_probs_gradient(logits: CubeTensor, targets: CubeTensor, gradient: CubeTensor) -> CubeTensor {
    let (logits, targets, gradient) = (dense(logits), dense(targets), dense(gradient));
    let [rows, _] = rows_and_columns(&logits);
    let output = empty_like(&logits, logits.meta.shape().clone());
    let client = logits.client.clone();
    pick_log_probs_gradient_kernel::launch(
        &client,
        cubes(rows),
        units(UNITS),
        logits.into_tensor_arg(),
        targets.into_tensor_arg(),
        gradient.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        UNITS,
    );
    output
}

pub(super) fn entropies(logits: CubeTensor) -> CubeTensor {
    let logits = dense(logits);
    let [rows, _] = rows_and_columns(&logits);
    let output = empty_like(&logits, [rows]);
    let client = logits.client.clone();
    entropies_kernel::launch(
        &client,
        cubes(rows),
        units(UNITS),
        logits.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        UNITS,
    );
    output
}
