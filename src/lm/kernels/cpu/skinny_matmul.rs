//! Products with few rows on the left, as in decoding: the matrix on the right is read once, in place, while
//! the general product would pack it first.

use pulp::Simd;
use rayon::prelude::*;

use super::vector::vectorized;

/// Checks whether this module multiplies `rows` rows by a matrix of `elements` elements faster than the general
/// product: packing costs more for a large matrix than for a small one, which processor caches hold.
pub(super) fn are_few(rows: usize, elements: usize) -> bool {
    rows <= if elements < LARGE_MATRIX_ELEMENTS { 16 } else { 64 }
}

const LARGE_MATRIX_ELEMENTS: usize = 1 << 19;

/// Rows of the right matrix that are worked on together: each sum is read and written once for all of them.
const AT_ONCE: usize = 8;

/// Computes `left · right`, where `left` is `[rows, inner]` and `right` `[inner, columns]`.
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
    side_by_side(firsts.par_iter().map(stretch).collect(), rows, columns)
}

/// Numbers that one task copies.
const COPIED_BY_A_TASK: usize = 1 << 14;

/// Joins parts `[rows, some columns]` into `[rows, columns]`.
fn side_by_side(mut parts: Vec<Vec<f32>>, rows: usize, columns: usize) -> Vec<f32> {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut result = vec![0.0; rows * columns];
    let places = result.par_chunks_exact_mut(columns).with_min_len(COPIED_BY_A_TASK.div_ceil(columns)).enumerate();
    places.for_each(|(row, mut place)| {
        for part in &parts {
            let width = part.len() / rows;
            let (filled, rest) = place.split_at_mut(width);
            filled.copy_from_slice(part.get(row * width..(row + 1) * width).unwrap_or_default());
            place = rest;
        }
    });
    result
}

/// Rearranges `[rows, inner]` as `[inner / AT_ONCE, rows][AT_ONCE]`, filled up with zeros.
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
    /// Adds the products for the columns from `first` on, as many columns as each row of `sums` has.
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
            // Rows after the last one are empty, and count as zeros.
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

/// Computes `sums += Σ factors[i] · group[i]` in each row, in `VECTORS` vectors from `column` on: so few that
/// all vectors of `group` stay in registers. Returns the number of columns.
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

/// Returns the first `VECTORS` vectors of a row from `column` on.
#[inline(always)]
fn vectors_at<S: Simd, const VECTORS: usize>(simd: S, row: &[f32], column: usize) -> [S::f32s; VECTORS] {
    let (vectors, _) = S::as_simd_f32s(row.get(column..).unwrap_or_default());
    vectors.first_chunk().copied().unwrap_or([simd.splat_f32s(0.0); VECTORS])
}

/// Computes [`add_columns`] for one column.
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

/// Computes `left · rightᵀ`, where `left` is `[rows, inner]` and `right` `[columns, inner]`.
pub(super) fn product_with_transposed(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    const COLUMNS_A_TASK: usize = 256;
    let (rows, columns) = (left.len() / inner, right.len() / inner);
    let parts = right.par_chunks(COLUMNS_A_TASK * inner).map(|part| dot_products(left, part, inner)).collect();
    side_by_side(parts, rows, columns)
}

/// Rows of the right matrix whose products with one or two left rows are summed in registers: many, because
/// reading from several places at once hides the latency of memory.
const RIGHT_AT_ONCE: usize = 8;

vectorized! {
    /// Computes the dot product of each row of `left` with each row of `right`: `[left rows, right rows]`.
    fn dot_products[simd](left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
        if has_32_registers(simd) {
            dot_rows::<_, 2>(simd, left, right, inner)
        } else {
            dot_rows::<_, 1>(simd, left, right, inner)
        }
    }
}

#[inline(always)]
fn dot_rows<S: Simd, const LEFT: usize>(simd: S, left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    let columns = right.len() / inner;
    let mut found = vec![0.0; left.len() / inner * columns];
    let mut groups = Vec::new();
    for rows in left.chunks(LEFT * inner) {
        groups.push(interleaved::<_, LEFT>(simd, rows, inner));
    }
    for (number, right) in right.chunks(RIGHT_AT_ONCE * inner).enumerate() {
        let right = eight_rows(right, inner);
        for (left, found) in groups.iter().zip(found.chunks_mut(LEFT * columns)) {
            let products = dot_each(simd, left, right);
            for (found, products) in found.chunks_exact_mut(columns).zip(products) {
                // Rows of the right after the last one have no place in the result.
                for (place, product) in found.iter_mut().skip(number * RIGHT_AT_ONCE).zip(products) {
                    *place = product;
                }
            }
        }
    }
    if !inner.is_multiple_of(S::F32_LANES) {
        add_products_of_ends(&mut found, left, right, inner, inner - inner % S::F32_LANES);
    }
    found
}

/// Interleaves rows: the first vector of each row, then the second of each, up to the last whole vector.
#[inline(always)]
fn interleaved<S: Simd, const ROWS: usize>(simd: S, rows: &[f32], inner: usize) -> Vec<[S::f32s; ROWS]> {
    let mut vectors = vec![[simd.splat_f32s(0.0); ROWS]; inner / S::F32_LANES];
    for (number, row) in rows.chunks_exact(inner).enumerate() {
        for (places, vector) in vectors.iter_mut().zip(S::as_simd_f32s(row).0) {
            if let Some(place) = places.get_mut(number) {
                *place = *vector;
            }
        }
    }
    vectors
}

/// Returns eight rows; the first one stands in for missing rows.
#[inline(always)]
fn eight_rows(rows: &[f32], inner: usize) -> [&[f32]; RIGHT_AT_ONCE] {
    let first = rows.get(..inner).unwrap_or_default();
    std::array::from_fn(|number| rows.get(number * inner..(number + 1) * inner).unwrap_or(first))
}

/// Computes the dot product of each left row with each right row, over whole vectors only.
#[inline(always)]
fn dot_each<S: Simd, const LEFT: usize>(
    simd: S,
    left: &[[S::f32s; LEFT]],
    right: [&[f32]; RIGHT_AT_ONCE],
) -> [[f32; RIGHT_AT_ONCE]; LEFT] {
    let mut sums = [[simd.splat_f32s(0.0); RIGHT_AT_ONCE]; LEFT];
    let [a, b, c, d, e, f, g, h] = right.map(|row| S::as_simd_f32s(row).0);
    let vectors = left.iter().zip(a).zip(b).zip(c).zip(d).zip(e).zip(f).zip(g).zip(h);
    for ((((((((left, a), b), c), d), e), f), g), h) in vectors {
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *sum = simd.mul_add_f32s(*left, *right, *sum);
            }
        }
    }
    let mut products = [[0.0; RIGHT_AT_ONCE]; LEFT];
    for (products, sums) in products.iter_mut().zip(sums) {
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = simd.reduce_sum_f32s(sum);
        }
    }
    products
}

/// Adds the products of the elements from `first` on, which are fewer than a vector.
fn add_products_of_ends(found: &mut [f32], left: &[f32], right: &[f32], inner: usize, first: usize) {
    let columns = right.len() / inner;
    for (left, found) in left.chunks_exact(inner).zip(found.chunks_exact_mut(columns)) {
        for (right, found) in right.chunks_exact(inner).zip(found) {
            let ends = left.iter().zip(right).skip(first);
            *found += ends.map(|(left, right)| left * right).sum::<f32>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Computes `left · right` in f64; `right` is `[inner, columns]`.
    fn sums(left: &[f32], right: &[f32], inner: usize, columns: usize) -> Vec<f64> {
        let cell = |row: &[f32], column: usize| {
            row.iter().zip(right.iter().skip(column).step_by(columns)).map(|(&l, &r)| f64::from(l) * f64::from(r)).sum()
        };
        left.chunks(inner).flat_map(|row| (0..columns).map(move |column| cell(row, column))).collect()
    }

    proptest! {
        #[test]
        fn products_are_sums_of_products_at_every_size(rows in 1..65usize, inner in 1..70usize, columns in 1..600usize) {
            let left: Vec<f32> = (0..rows * inner).map(|n| (n * 7 % 23) as f32 - 11.0).collect();
            let right: Vec<f32> = (0..inner * columns).map(|n| (n * 5 % 19) as f32 - 9.0).collect();
            let transposed: Vec<f32> = (0..columns * inner).map(|n| right[n % inner * columns + n / inner]).collect();
            // Whole numbers, and so small that all sums are exact.
            let expected = sums(&left, &right, inner, columns);
            for found in [product(&left, &right, inner, columns), product_with_transposed(&left, &transposed, inner)] {
                prop_assert!(found.iter().map(|&x| f64::from(x)).eq(expected.iter().copied()));
            }
        }
    }
}
