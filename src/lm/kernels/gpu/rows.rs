//! Reductions over the units of a cube, and over the rows of a matrix.

use burn::backend::backend::ops::FloatTensorOps;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeBackend;
use burn_wgpu::CubeTensor;

use super::launch::rows_and_columns;

/// Returns the sum of one number of each unit.
#[cube]
pub(super) fn sum_of_units(number: f32, #[comptime] units: usize) -> f32 {
    let mut numbers = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    numbers[unit] = number;
    sync_cube();
    // Half of `units`, which as a compile-time constant cannot be changed in a kernel.
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = numbers[unit + half];
            numbers[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let all = numbers[0];
    // All units read the result before the memory is used again.
    sync_cube();
    all
}

/// Returns the largest of one number of each unit.
#[cube]
pub(super) fn largest_of_units(number: f32, #[comptime] units: usize) -> f32 {
    let mut numbers = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    numbers[unit] = number;
    sync_cube();
    // Half of `units`, which as a compile-time constant cannot be changed in a kernel.
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = numbers[unit + half];
            numbers[unit] = max(numbers[unit], other);
        }
        sync_cube();
        half /= 2;
    }
    let all = numbers[0];
    // All units read the result before the memory is used again.
    sync_cube();
    all
}

/// Sums `[rows, columns]` to `[columns]`.
pub(super) fn sum_of_rows(rows: CubeTensor) -> CubeTensor {
    let [_, columns] = rows_and_columns(&rows);
    CubeBackend::float_reshape(CubeBackend::float_sum_dim(rows, 0), [columns].into())
}
