//! Rotation of queries and keys by the angles of their positions.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};

#[cube(launch)]
fn rotation_kernel(
    rows: &Tensor<f32>,
    table: &Tensor<f32>,
    output: &mut Tensor<f32>,
    rotated_columns: usize,
    direction: f32,
) {
    let place = ABSOLUTE_POS;
    if place < output.len() {
        let width = rows.shape(1);
        let (period, head_width) = (table.shape(0), table.shape(1));
        let (row, column) = (place / width, place % width);
        let half = head_width / 2;
        let pair = column % half;
        let angles = row % period * head_width;
        let cosine = table[angles + pair];
        let sine = table[angles + half + pair] * direction;
        if column >= rotated_columns {
            output[place] = rows[place];
        } else if column % head_width < half {
            output[place] = rows[place] * cosine - rows[place + half] * sine;
        } else {
            output[place] = rows[place] * cosine + rows[place - half] * sine;
        }
    }
}

/// Computes [`crate::lm::kernels::rotate`], backwards with a `direction` of −1.
pub(super) fn rotation(rows: CubeTensor, table: CubeTensor, heads: usize, direction: f64) -> CubeTensor {
    let (rows, table) = (dense(rows), dense(table));
    let [_, head_width] = rows_and_columns(&table);
    let output = empty_like(&rows, rows.meta.shape().clone());
    let client = rows.client.clone();
    rotation_kernel::launch(
        &client,
        cubes(rows.meta.shape().num_elements().div_ceil(UNITS)),
        units(UNITS),
        rows.into_tensor_arg(),
        table.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        heads * head_width,
        direction as f32,
    );
    output
}
