//! Linear maps, and the products and sums that compute their gradients.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;
use rayon::prelude::*;

use super::elements::{Elements, tensor};
use super::product::{Matrix, product};
use super::vector::vectorized;

/// Rows that one task works on.
const ROWS_A_TASK: usize = 64;

pub(super) fn linear(rows: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
    let (rows, weight, bias) = (Elements::of(rows), Elements::of(weight), Elements::of(bias));
    let columns = bias.width();
    let mut result = product(Matrix::new(rows.slice(), rows.width()), Matrix::new(weight.slice(), columns));
    result.par_chunks_mut(columns * ROWS_A_TASK).for_each(|rows| add_to_each(rows, bias.slice()));
    let count = result.len() / columns;
    tensor(result, Shape::from([count, columns]))
}

/// Multiplies two matrices; `transposed` says which of them are transposed first.
pub(super) fn product_of(left: FlexTensor, right: FlexTensor, transposed: [bool; 2]) -> FlexTensor {
    let (left, right) = (Elements::of(left), Elements::of(right));
    let [left, right] = [(&left, transposed[0]), (&right, transposed[1])].map(|(elements, transposed)| {
        let matrix = Matrix::new(elements.slice(), elements.width());
        if transposed { matrix.transposed() } else { matrix }
    });
    let shape = Shape::from([left.rows(), right.columns()]);
    tensor(product(left, right), shape)
}

/// Sums `[rows, columns]` to `[columns]`.
pub(super) fn sum_of_rows(rows: FlexTensor) -> FlexTensor {
    let rows = Elements::of(rows);
    let columns = rows.width();
    let sum_of = |rows: &[f32]| {
        let mut sum = vec![0.0; columns];
        add_each(&mut sum, rows);
        sum
    };
    let parts: Vec<f32> = rows.slice().par_chunks(columns * ROWS_A_TASK).flat_map_iter(sum_of).collect();
    tensor(sum_of(&parts), Shape::from([columns]))
}

vectorized! {
    /// Adds one row to each of `rows`.
    fn add_to_each(rows: &mut [f32], one: &[f32]) {
        for row in rows.chunks_exact_mut(one.len()) {
            for (value, one) in row.iter_mut().zip(one) {
                *value += one;
            }
        }
    }
}

vectorized! {
    /// Adds each of `rows` to one row.
    fn add_each(one: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(one.len()) {
            for (one, value) in one.iter_mut().zip(row) {
                *one += value;
            }
        }
    }
}
