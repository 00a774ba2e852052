//! Products with few rows on the left, as in decoding: the matrix on the right is read once, as it
//! lies, where the general product would pack it first.

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{sum_products, vectorized};

/// More rows than this are the general product's.
pub(super) const MOST_ROWS: usize = 16;

/// Rows of the right matrix that are worked on together: each sum is read and written once for all of them.
const AT_ONCE: usize = 8;

/// `left · right`, where `left` is `[rows, inner]` and `right` `[inner, columns]`.
pub(super) fn product(left: &[f32], right: &[f32], inner: usize, columns: usize) -> Vec<f32> {
    let rows = left.len() / inner;
    let factors = factors(left, inner);
    // A stretch of columns for each thread.
    let width = columns.div_ceil(rayon::current_num_threads()).next_multiple_of(64);
    let firsts: Vec<usize> = (0..columns).step_by(width).collect();
    let stretch = |&first: &usize| {
        let mut sums = vec![0.0; rows * width.min(columns - first)];
        add_products(&mut sums, &factors, right, rows, columns, first);
        sums
    };
    let mut stretches: Vec<Vec<f32>> = firsts.par_iter().map(stretch).collect();
    if stretches.len() == 1 {
        return stretches.pop().unwrap_or_default();
    }
    let mut result = vec![0.0; rows * columns];
    for (first, stretch) in firsts.iter().zip(stretches) {
        let width = stretch.len() / rows;
        for (row, stretch) in result.chunks_exact_mut(columns).zip(stretch.chunks_exact(width)) {
            if let Some(place) = row.get_mut(*first..first + width) {
                place.copy_from_slice(stretch);
            }
        }
    }
    result
}

/// `[rows, inner]` to `[inner / AT_ONCE, rows][AT_ONCE]`, filled up with zeros.
fn factors(left: &[f32], inner: usize) -> Vec<[f32; AT_ONCE]> {
    let rows = left.len() / inner;
    let mut factors = vec![[0.0; AT_ONCE]; inner.div_ceil(AT_ONCE) * rows];
    for (number, row) in left.chunks_exact(inner).enumerate() {
        let places = factors.iter_mut().skip(number).step_by(rows);
        for (place, values) in places.zip(row.chunks(AT_ONCE)) {
            for (place, value) in place.iter_mut().zip(values) {
                *place = *value;
            }
        }
    }
    factors
}

vectorized! {
    /// The columns from `first` on, as many as `sums` has in each of its rows.
    fn add_products[simd](
        sums: &mut [f32],
        factors: &[[f32; AT_ONCE]],
        right: &[f32],
        rows: usize,
        columns: usize,
        first: usize,
    ) {
        let width = sums.len() / rows;
        for (factors, group) in factors.chunks_exact(rows).zip(right.chunks(AT_ONCE * columns)) {
            // Past the last row there are no numbers, which count as zeros.
            let row = |number: usize| {
                let row = group.get(number * columns + first..).unwrap_or_default();
                row.get(..width).unwrap_or_default()
            };
            let group = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
            let mut column = 0;
            while column < width {
                column += match (width - column) / lanes(simd) {
                    2.. if has_32_registers(simd) => add_columns::<_, 2>(simd, sums, factors, group, column, width),
                    1.. => add_columns::<_, 1>(simd, sums, factors, group, column, width),
                    0 => add_column(sums, factors, group, column, width),
                };
            }
        }
    }
}

#[inline(always)]
fn lanes<S: Simd>(_: S) -> usize {
    S::F32_LANES
}

#[inline(always)]
fn has_32_registers<S: Simd>(_: S) -> bool {
    S::REGISTER_COUNT >= 32
}

/// `sums += Σ factors[i] · group[i]` in each row, in `VECTORS` vectors from `column` on: so many that all
/// those of `group` stay in registers. Says how many columns those are.
#[inline(always)]
fn add_columns<S: Simd, const VECTORS: usize>(
    simd: S,
    sums: &mut [f32],
    factors: &[[f32; AT_ONCE]],
    group: [&[f32]; AT_ONCE],
    column: usize,
    width: usize,
) -> usize {
    let mut right = [[simd.splat_f32s(0.0); VECTORS]; AT_ONCE];
    for (vectors, row) in right.iter_mut().zip(group) {
        *vectors = vectors_at(simd, row, column);
    }
    for (factors, sums) in factors.iter().zip(sums.chunks_exact_mut(width)) {
        let (places, _) = S::as_mut_simd_f32s(sums.get_mut(column..).unwrap_or_default());
        let Some(places) = places.first_chunk_mut::<VECTORS>() else { continue };
        let mut sums = *places;
        for (factor, vectors) in factors.iter().zip(&right) {
            let factor = simd.splat_f32s(*factor);
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.mul_add_f32s(factor, *vector, *sum);
            }
        }
        *places = sums;
    }
    VECTORS * S::F32_LANES
}

/// The first vectors of a row from `column` on.
#[inline(always)]
fn vectors_at<S: Simd, const VECTORS: usize>(simd: S, row: &[f32], column: usize) -> [S::f32s; VECTORS] {
    let (vectors, _) = S::as_simd_f32s(row.get(column..).unwrap_or_default());
    vectors.first_chunk().copied().unwrap_or([simd.splat_f32s(0.0); VECTORS])
}

/// The same for one column.
#[inline(always)]
fn add_column(
    sums: &mut [f32],
    factors: &[[f32; AT_ONCE]],
    group: [&[f32]; AT_ONCE],
    column: usize,
    width: usize,
) -> usize {
    for (factors, sums) in factors.iter().zip(sums.chunks_exact_mut(width)) {
        if let Some(place) = sums.get_mut(column) {
            for (factor, row) in factors.iter().zip(group) {
                *place += factor * row.get(column).copied().unwrap_or(0.0);
            }
        }
    }
    1
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

/// Rows of the left matrix, and of the right, whose products with each other are summed in registers.
const LEFT_AT_ONCE: usize = 4;
const RIGHT_AT_ONCE: usize = 2;

vectorized! {
    /// Of each row of `right` with each of `left`: `[right rows, left rows]`.
    fn dot_products[simd](left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
        let rows = left.len() / inner;
        let mut found = vec![0.0; rows * (right.len() / inner)];
        for (found, pair) in found.chunks_mut(RIGHT_AT_ONCE * rows).zip(right.chunks(RIGHT_AT_ONCE * inner)) {
            // Past the last row, the first is taken again, and its products are left out.
            let (one, another) = pair.split_at(inner);
            let another = if another.is_empty() { one } else { another };
            for (number, group) in left.chunks(LEFT_AT_ONCE * inner).enumerate() {
                let row = |number: usize| group.get(number * inner..(number + 1) * inner).unwrap_or(one);
                let products = dot_eight(simd, [row(0), row(1), row(2), row(3)], [one, another]);
                for (found, products) in found.chunks_exact_mut(rows).zip(products) {
                    let places = found.iter_mut().skip(number * LEFT_AT_ONCE);
                    for (place, product) in places.zip(products) {
                        *place = product;
                    }
                }
            }
        }
        found
    }
}

/// The products of each of two rows with four others.
#[inline(always)]
fn dot_eight<S: Simd>(
    simd: S,
    left: [&[f32]; LEFT_AT_ONCE],
    right: [&[f32]; RIGHT_AT_ONCE],
) -> [[f32; LEFT_AT_ONCE]; RIGHT_AT_ONCE] {
    let [a, b, c, d] = left;
    let [p, q] = right;
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let ((c, c_rest), (d, d_rest)) = (S::as_simd_f32s(c), S::as_simd_f32s(d));
    let ((p, p_rest), (q, q_rest)) = (S::as_simd_f32s(p), S::as_simd_f32s(q));
    let mut sums = [[simd.splat_f32s(0.0); LEFT_AT_ONCE]; RIGHT_AT_ONCE];
    for (((((a, b), c), d), p), q) in a.iter().zip(b).zip(c).zip(d).zip(p).zip(q) {
        for (sums, right) in sums.iter_mut().zip([p, q]) {
            for (sum, left) in sums.iter_mut().zip([a, b, c, d]) {
                *sum = simd.mul_add_f32s(*left, *right, *sum);
            }
        }
    }
    let mut products = [[0.0; LEFT_AT_ONCE]; RIGHT_AT_ONCE];
    for ((products, sums), right) in products.iter_mut().zip(sums).zip([p_rest, q_rest]) {
        for ((product, sum), left) in products.iter_mut().zip(sums).zip([a_rest, b_rest, c_rest, d_rest]) {
            *product = simd.reduce_sum_f32s(sum) + sum_products(left, right);
        }
    }
    products
}
