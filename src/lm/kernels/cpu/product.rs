//! Products of matrices.
#![allow(unsafe_code)]

use gemm::Parallelism;

use super::skinny_matmul;

/// Factor of a product: a matrix in row-major order, or the transpose of one.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    elements: &'a [f32],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Creates a matrix whose rows are `columns` numbers each.
    pub(super) fn new(elements: &'a [f32], columns: usize) -> Self {
        Self { elements, rows: elements.len() / columns.max(1), columns, transposed: false }
    }

    pub(super) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the steps to the next column and to the next row.
    fn strides(&self) -> [isize; 2] {
        if self.transposed { [self.rows as isize, 1] } else { [1, self.columns as isize] }
    }
}

/// Smallest number of multiplications that is worth a second thread.
const SERIAL: usize = 192 * 192 * 192;

/// Computes `left · right`, in row-major order.
///
/// # Panics
/// Panics when the shapes do not fit each other.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert!(inner == right.rows && left.elements.len() >= rows * inner && right.elements.len() >= inner * columns);
    if rows * inner * columns == 0 {
        return vec![0.0; rows * columns];
    }
    if skinny_matmul::are_few(rows, inner * columns) && !left.transposed {
        return match right.transposed {
            false => skinny_matmul::product(left.elements, right.elements, inner, columns),
            true => skinny_matmul::product_with_transposed(left.elements, right.elements, inner),
        };
    }
    let mut result: Vec<f32> = Vec::with_capacity(rows * columns);
    let parallelism = if rows * inner * columns < SERIAL { Parallelism::None } else { Parallelism::Rayon(0) };
    let ([left_column, left_row], [right_column, right_row]) = (left.strides(), right.strides());
    // The library has an interface of pointers only. Both matrices have the elements that these sizes and
    // strides reach, as asserted above, and the result has room for `rows · columns` elements. The library does
    // not read the result and writes every element of it, so that it has this length afterwards.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            result.as_mut_ptr(),
            1,
            columns as isize,
            false,
            left.elements.as_ptr(),
            left_column,
            left_row,
            right.elements.as_ptr(),
            right_column,
            right_row,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
        result.set_len(rows * columns);
    }
    result
}
