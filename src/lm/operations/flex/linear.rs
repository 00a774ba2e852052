//! A linear map and its gradients.

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

/// What flows back to the rows: `gradient · weightᵀ`.
pub(super) fn gradient_of_rows(weight: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (weight, gradient) = (Elements::of(weight), Elements::of(gradient));
    let columns = gradient.width();
    let result = product(Matrix::new(gradient.slice(), columns), Matrix::new(weight.slice(), columns).transposed());
    let width = weight.slice().len() / columns;
    let count = result.len() / width.max(1);
    tensor(result, Shape::from([count, width]))
}

/// What flows back to the weight: `rowsᵀ · gradient`.
pub(super) fn gradient_of_weight(rows: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (rows, gradient) = (Elements::of(rows), Elements::of(gradient));
    let (width, columns) = (rows.width(), gradient.width());
    let result = product(Matrix::new(rows.slice(), width).transposed(), Matrix::new(gradient.slice(), columns));
    tensor(result, Shape::from([width, columns]))
}

/// What flows back to the bias: the sum over rows.
pub(super) fn gradient_of_bias(gradient: FlexTensor) -> FlexTensor {
    let gradient = Elements::of(gradient);
    let columns = gradient.width();
    let sum_of = |rows: &[f32]| {
        let mut sum = vec![0.0; columns];
        add_each(&mut sum, rows);
        sum
    };
    let parts: Vec<f32> = gradient.slice().par_chunks(columns * ROWS_A_TASK).flat_map_iter(sum_of).collect();
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
