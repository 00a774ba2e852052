//! Decoding of one token of each row: attention to the key-value cache, and sampling of the next token.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_wgpu::CubeTensor;

use super::launch::{UNITS, cubes, dense, empty_like, rows_and_columns, units};
use super::rows::{largest_of_units, sum_of_units};
use super::vocabulary::largest_of_row;

/// Units for one head of one row.
const UNITS_A_HEAD: usize = 64;

/// Computes the attention of one new token of each row; a cube takes one head of one row.
#[cube(launch)]
fn cached_attention_kernel(
    query: &Tensor<f32>,
    keys: &Tensor<f32>,
    values: &Tensor<f32>,
    scores: &Tensor<f32>,
    output: &mut Tensor<f32>,
    slots: usize,
    scale: f32,
    #[comptime] capacity: usize,
    #[comptime] units: usize,
) {
    let (key_heads, head_width) = (keys.shape(1), keys.shape(3));
    let heads = query.shape(1) / head_width;
    let cube = CUBE_POS;
    if cube >= keys.shape(0) * heads {
        terminate!();
    }
    let (row, unit) = (cube / heads, UNIT_POS as usize);
    let query_start = cube * head_width;
    let key_head = cube % heads / (heads / key_heads);
    let cache_start = (row * key_heads + key_head) * capacity * head_width;
    let mut weights = Shared::<[f32]>::new_slice(capacity);

    let mut largest = f32::new(-1e30_f32);
    let mut slot = unit;
    while slot < slots {
        let mut score = 0.0_f32;
        for place in 0..head_width {
            score += query[query_start + place] * keys[cache_start + slot * head_width + place];
        }
        score = score * scale + scores[row * capacity + slot];
        weights[slot] = score;
        largest = max(largest, score);
        slot += units;
    }
    let largest = largest_of_units(largest, units);
    let mut sum = 0.0_f32;
    let mut slot = unit;
    while slot < slots {
        let weight = (weights[slot] - largest).exp();
        weights[slot] = weight;
        sum += weight;
        slot += units;
    }
    // The sum synchronizes the cube: every unit's weights are written before any is read.
    let sum = sum_of_units(sum, units);
    let mut place = unit;
    while place < head_width {
        let mut value = 0.0_f32;
        for slot in 0..slots {
            value += weights[slot] * values[cache_start + slot * head_width + place];
        }
        output[query_start + place] = value / sum;
        place += units;
    }
}

/// Samples one token of each row. Each unit sums a stretch of the vocabulary; the first unit finds the stretch
/// that the random number falls into, and then the token in this stretch.
#[cube(launch)]
fn draw_kernel(
    logits: &Tensor<f32>,
    uniform: &Tensor<f32>,
    tokens: &mut Tensor<f32>,
    log_probs: &mut Tensor<f32>,
    #[comptime] stretch: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= tokens.len() {
        terminate!();
    }
    let columns = logits.shape(1);
    let start = row * columns;
    let unit = UNIT_POS as usize;
    let largest = largest_of_row(logits, start, columns, units);

    let mut sums = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0_f32;
    for column in min(unit * stretch, columns)..min((unit + 1) * stretch, columns) {
        sum += (logits[start + column] - largest).exp();
    }
    sums[unit] = sum;
    let mut chosen = Shared::<[u32]>::new_slice(1usize);
    let mut before = Shared::<[f32]>::new_slice(2usize);
    sync_cube();
    if unit == 0 {
        let mut total = 0.0_f32;
        for other in 0..units {
            total += sums[other];
        }
        let target = uniform[row] * total;
        // If rounding carries the number past all stretches, the last stretch with any weight is chosen.
        let mut passed = 0.0_f32;
        let mut passed_before_chosen = 0.0_f32;
        let mut found = false;
        // If no stretch has a weight, as with NaN, the first one is chosen.
        chosen[0] = 0;
        for other in 0..units {
            if !found && sums[other] > 0.0_f32 {
                chosen[0] = other as u32;
                passed_before_chosen = passed;
                passed += sums[other];
                found = passed > target;
            }
        }
        before[0] = target - passed_before_chosen;
        before[1] = total;
    }
    sync_cube();

    let first = chosen[0] as usize * stretch;
    let mut weights = Shared::<[f32]>::new_slice(stretch);
    let mut place = unit;
    while place < stretch {
        let mut weight = 0.0_f32;
        if first + place < columns {
            weight = (logits[start + first + place] - largest).exp();
        }
        weights[place] = weight;
        place += units;
    }
    sync_cube();
    if unit == 0 {
        let mut passed = 0.0_f32;
        let mut found = false;
        let mut token = first;
        for place in 0..stretch {
            if !found && weights[place] > 0.0_f32 {
                token = first + place;
                passed += weights[place];
                found = passed > before[0];
            }
        }
        tokens[row] = f32::cast_from(token);
        log_probs[row] = logits[start + token] - largest - before[1].ln();
    }
}

pub(super) fn cached_attention(
    query: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    scores: CubeTensor,
    slots: usize,
) -> CubeTensor {
    let (query, keys, values, scores) = (dense(query), dense(keys), dense(values), dense(scores));
    let [_, _, capacity, head_width] = keys.meta.shape().dims();
    let heads_of_all_rows = query.meta.shape().num_elements() / head_width;
    let output = empty_like(&query, query.meta.shape().clone());
    let client = query.client.clone();
    cached_attention_kernel::launch(
        &client,
        cubes(heads_of_all_rows),
        units(UNITS_A_HEAD),
        query.into_tensor_arg(),
        keys.into_tensor_arg(),
        values.into_tensor_arg(),
        scores.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        slots,
        (head_width as f32).sqrt().recip(),
        capacity,
        UNITS_A_HEAD,
    );
    output
}

pub(super) fn draw(logits: CubeTensor, uniform: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (logits, uniform) = (dense(logits), dense(uniform));
    let [rows, vocabulary] = rows_and_columns(&logits);
    let tokens = empty_like(&logits, [rows]);
    let log_probs = empty_like(&logits, [rows]);
    let client = logits.client.clone();
    draw_kernel::launch(
        &client,
        cubes(rows),
        units(UNITS),
        logits.into_tensor_arg(),
        uniform.into_tensor_arg(),
        tokens.clone().into_tensor_arg(),
        log_probs.clone().into_tensor_arg(),
        vocabulary.div_ceil(UNITS),
        UNITS,
    );
    (tokens, log_probs)
}
