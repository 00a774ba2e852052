//! Products with few rows on the left, as in decoding: the matrix on the right is read once, as it
//! lies, where the general product would pack it first.

use pulp::Simd;
use rayon::prelude::*;

use super::vector::vectorized;

/// More rows than this are the general product's.
pub(super) const MOST_ROWS: usize = 32;

/// Numbers of the result that stay in the processor's nearest cache.
const A_BLOCK: usize = 4096;

/// Rows of the right matrix read side by side.
const AT_ONCE: usize = 4;

/// `left · right`, where `left` is `[rows, inner]` and `right` `[inner, columns]`.
pub(super) fn product(left: &[f32], right: &[f32], inner: usize, columns: usize) -> Vec<f32> {
    let rows = left.len() / inner;
    let width = (A_BLOCK / rows).next_multiple_of(64).min(columns);
    let firsts: Vec<usize> = (0..columns).step_by(width).collect();
    let block = |&first: &usize| {
        let width = width.min(columns - first);
        let mut sums = vec![0.0; rows * width];
        add_block(&mut sums, left, right, inner, columns, first);
        sums
    };
    let blocks: Vec<Vec<f32>> = firsts.par_iter().map(block).collect();
    let mut result = vec![0.0; rows * columns];
    for (first, block) in firsts.iter().zip(blocks) {
        let width = block.len() / rows;
        for (row, block) in result.chunks_exact_mut(columns).zip(block.chunks_exact(width)) {
            if let Some(place) = row.get_mut(*first..first + width) {
                place.copy_from_slice(block);
            }
        }
    }
    result
}

vectorized! {
    /// The columns from `first` on, as many as `sums` has in each of its rows.
    fn add_block[simd](sums: &mut [f32], left: &[f32], right: &[f32], inner: usize, columns: usize, first: usize) {
        let rows = left.len() / inner;
        let width = sums.len() / rows;
        for k in (0..inner).step_by(AT_ONCE) {
            // Past the last row, the first is read again, with a factor of zero.
            let row_of = |offset: usize| {
                let row = if k + offset < inner { k + offset } else { k };
                right.get(row * columns + first..).and_then(|rest| rest.get(..width)).unwrap_or_default()
            };
            let four = [row_of(0), row_of(1), row_of(2), row_of(3)];
            for (left, sums) in left.chunks_exact(inner).zip(sums.chunks_exact_mut(width)) {
                let factor = |offset: usize| left.get(k + offset).copied().unwrap_or(0.0);
                add_four(simd, sums, four, [factor(0), factor(1), factor(2), factor(3)]);
            }
        }
    }
}

/// `sums += Σ factors[i] · rows[i]`
#[inline(always)]
fn add_four<S: Simd>(simd: S, sums: &mut [f32], rows: [&[f32]; AT_ONCE], factors: [f32; AT_ONCE]) {
    let (sums, sums_rest) = S::as_mut_simd_f32s(sums);
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = rows.map(S::as_simd_f32s);
    let [fa, fb, fc, fd] = factors.map(|factor| simd.splat_f32s(factor));
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let pair = simd.mul_add_f32s(fb, *b, simd.mul_add_f32s(fa, *a, *sum));
        *sum = simd.mul_add_f32s(fd, *d, simd.mul_add_f32s(fc, *c, pair));
    }
    let [fa, fb, fc, fd] = factors;
    for ((((sum, a), b), c), d) in sums_rest.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest).zip(d_rest) {
        *sum += fa * a + fb * b + fc * c + fd * d;
    }
}

/// `left · rightᵀ`, where `left` is `[rows, inner]` and `right` `[columns, inner]`.
pub(super) fn product_with_transposed(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    const A_TASK: usize = 64;
    let (rows, columns) = (left.len() / inner, right.len() / inner);
    // `[columns, rows]` in the order in which the right matrix is read.
    let parts = right.par_chunks(A_TASK * inner).flat_map_iter(|part| dot_products(left, part, inner));
    let by_column: Vec<f32> = parts.collect();
    let mut result = vec![0.0; rows * columns];
    for (row, result) in result.chunks_exact_mut(columns).enumerate() {
        for (value, products) in result.iter_mut().zip(by_column.chunks_exact(rows)) {
            *value = products.get(row).copied().unwrap_or(0.0);
        }
    }
    result
}

vectorized! {
    /// Of each row of `right` with each of `left`: `[right rows, left rows]`.
    fn dot_products[simd](left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
        let mut found = Vec::with_capacity(left.len() / inner * (right.len() / inner));
        for right in right.chunks_exact(inner) {
            for group in left.chunks(AT_ONCE * inner) {
                let row = |number: usize| group.get(number * inner..(number + 1) * inner).unwrap_or(right);
                let four = dot_four(simd, right, [row(0), row(1), row(2), row(3)]);
                found.extend_from_slice(four.get(..group.len() / inner).unwrap_or(&four));
            }
        }
        found
    }
}

/// The products of one row with four others.
#[inline(always)]
fn dot_four<S: Simd>(simd: S, one: &[f32], rows: [&[f32]; AT_ONCE]) -> [f32; AT_ONCE] {
    let (one, one_rest) = S::as_simd_f32s(one);
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = rows.map(S::as_simd_f32s);
    let mut sums = [simd.splat_f32s(0.0); AT_ONCE];
    for ((((one, a), b), c), d) in one.iter().zip(a).zip(b).zip(c).zip(d) {
        let [sum_a, sum_b, sum_c, sum_d] = &mut sums;
        *sum_a = simd.mul_add_f32s(*one, *a, *sum_a);
        *sum_b = simd.mul_add_f32s(*one, *b, *sum_b);
        *sum_c = simd.mul_add_f32s(*one, *c, *sum_c);
        *sum_d = simd.mul_add_f32s(*one, *d, *sum_d);
    }
    let rests = [a_rest, b_rest, c_rest, d_rest];
    let rest = |row: &[f32]| one_rest.iter().zip(row).map(|(x, y)| x * y).sum::<f32>();
    let [a, b, c, d] = sums.map(|sum| simd.reduce_sum_f32s(sum));
    let [rest_a, rest_b, rest_c, rest_d] = rests.map(rest);
    [a + rest_a, b + rest_b, c + rest_c, d + rest_d]
}
