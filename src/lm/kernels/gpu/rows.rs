//! What the units of a cube find out together.

use burn::backend::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::launch::rows_and_columns;

/// The sum of one number a unit.
#[cube]
pub(super) fn sum_of_units(number: f32, #[comptime] units: usize) -> f32 {
    let mut numbers = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    numbers[unit] = number;
    sync_cube();
    // Half of `units`, which is known too early to be changed in a kernel.
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
    // Before the memory is anything else's.
    sync_cube();
    all
}

/// The largest of one number a unit.
#[cube]
pub(super) fn largest_of_units(number: f32, #[comptime] units: usize) -> f32 {
    let mut numbers = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    numbers[unit] = number;
    sync_cube();
    // Half of `units`, which is known too early to be changed in a kernel.
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
    // Before the memory is anything else's.
    sync_cube();
    all
}

/// `[rows, columns]` to `[columns]`.
pub(super) fn sum_of_rows(rows: CubeTensor) -> CubeTensor {
    let [_, columns] = rows_and_columns(&rows);
    CubeBackend::float_reshape(CubeBackend::float_sum_dim(rows, 0), [columns].into())
}
