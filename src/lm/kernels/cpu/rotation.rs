//! Rotation of queries and keys by the angles of their positions.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::elements::{Elements, changed};
use super::vector::vectorized;

/// Rows that one task works on.
const ROWS_A_TASK: usize = 16;

/// Computes [`crate::lm::kernels::rotate`], backwards with a `direction` of −1.
pub(super) fn rotation(rows: FlexTensor, table: FlexTensor, heads: usize, direction: f64) -> FlexTensor {
    let table = Elements::of(table);
    let head_width = table.width();
    let width = Elements::of(rows.clone()).width();
    changed(rows, |rows| {
        rows.par_chunks_mut(width * ROWS_A_TASK).enumerate().for_each(|(task, rows)| {
            let angles = table
                .slice()
                .chunks_exact(head_width)
                .cycle()
                .skip(task * ROWS_A_TASK % (table.slice().len() / head_width).max(1));
            for (row, angles) in rows.chunks_exact_mut(width).zip(angles) {
                let (columns, _) = row.split_at_mut(heads * head_width);
                rotate_heads(columns, angles, direction as f32);
            }
        });
    })
}

vectorized! {
    fn rotate_heads(heads: &mut [f32], angles: &[f32], direction: f32) {
        let half = angles.len() / 2;
        let (cosines, sines) = angles.split_at(half);
        for head in heads.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for (((first, second), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                let (x, y, sine) = (*first, *second, direction * sine);
                *first = x * cosine - y * sine;
                *second = y * cosine + x * sine;
            }
        }
    }
}
