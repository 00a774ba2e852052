//! Tensor operations as chains of small operations, which define their results on any backend.

use burn::tensor::activation::{log_softmax, sigmoid, silu, softmax};
use burn::tensor::{Bool, Int, Tensor};

use super::{AdamScales, BETA_1, BETA_2, HeadCounts};

/// Multiple to which the length of cached attention is rounded up, so that a GPU tunes its kernels for few
/// lengths.
pub const SLOTS_AT_ONCE: usize = 32;

/// Computes `rows · weight + bias`: `[rows, in]`, `[in, out]`, `[out]` to `[rows, out]`.
pub(crate) fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    burn::tensor::module::linear(rows, weight, Some(bias))
}

/// Computes GPT-2's GELU, `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, in the equal form
/// `x · σ(2√(2/π)(x + 0.044715x³))`, which needs neither `powf` nor `tanh`.
pub(crate) fn gelu(x: Tensor<2>) -> Tensor<2> {
    let cubic = x.clone() * x.clone() * 0.071_354_816_272_600_3 + 1.595_769_121_605_731;
    x.clone() * sigmoid(x * cubic)
}

/// Computes [`super::swiglu`].
pub(crate) fn swiglu(gate_and_up: Tensor<2>) -> Tensor<2> {
    let [gate, up] = halves(gate_and_up);
    silu(gate) * up
}

/// Splits `[rows, 2 · width]` into its left and its right half.
fn halves(rows: Tensor<2>) -> [Tensor<2>; 2] {
    let [count, width] = rows.dims();
    [0..width / 2, width / 2..width].map(|columns| rows.clone().slice([0..count, columns]))
}

/// Computes [`super::rotate`].
pub(crate) fn rotate(rows: Tensor<2>, table: Tensor<2>, heads: usize) -> Tensor<2> {
    let [count, width] = rows.dims();
    let [period, head_width] = table.dims();
    let columns = heads * head_width;
    let shape = [count / period, period, heads, head_width / 2];
    let [cosine, sine] = halves(table).map(|half| half.reshape([1, period, 1, head_width / 2]).expand(shape));
    let rotated = rows.clone().slice([0..count, 0..columns]).reshape([count * heads, head_width]);
    let [first, second] = halves(rotated).map(|half| half.reshape(shape));
    let turned = [first.clone() * cosine.clone() - second.clone() * sine.clone(), second * cosine + first * sine];
    let rotated = Tensor::cat(turned.into(), 3).reshape([count, columns]);
    if columns == width {
        return rotated;
    }
    Tensor::cat(vec![rotated, rows.slice([0..count, columns..width])], 1)
}

/// Computes [`super::rms_norm`].
pub(crate) fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let mean_square = (rows.clone() * rows.clone()).mean_dim(1);
    rows / (mean_square + epsilon).sqrt() * weight.unsqueeze()
}

/// Normalizes each row of `[rows, width]` to mean 0 and variance 1, then scales and shifts it.
pub(crate) fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centred = rows.clone() - rows.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / (variance + epsilon).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

/// Splits a projection `[batch · seq, (queries + 2 · keys) · head_width]` into queries
/// `[batch, queries, seq, head_width]`, keys and values, both `[batch, keys, seq, head_width]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, seq: usize, heads: HeadCounts) -> [Tensor<4>; 3] {
    let [_, width] = qkv.dims();
    let head_width = heads.width_of_one(width);
    let part = |first: usize, count: usize| {
        qkv.clone()
            .slice([0..batch * seq, first * head_width..(first + count) * head_width])
            .reshape([batch, seq, count, head_width])
            .swap_dims(1, 2)
    };
    let HeadCounts { queries, keys } = heads;
    [part(0, queries), part(queries, keys), part(queries + keys, keys)]
}

/// Repeats each head of keys or values for its group of query heads: `[batch, keys, seq, head_width]` to
/// `[batch, keys · group, seq, head_width]`.
fn repeat_heads(heads: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, keys, seq, head_width] = heads.dims();
    if group == 1 {
        return heads;
    }
    let repeated = heads.reshape([batch, keys, 1, seq, head_width]).expand([batch, keys, group, seq, head_width]);
    repeated.reshape([batch, keys * group, seq, head_width])
}

/// Merges heads `[batch, heads, seq, head_width]` into rows `[batch · seq, d_model]`.
pub(crate) fn merge_heads(heads: Tensor<4>) -> Tensor<2> {
    let [batch, count, seq, width] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch * seq, count * width])
}

/// Computes softmax attention in which a token sees itself and the tokens before it in its row:
/// see [`super::causal_attention`].
pub(crate) fn causal_attention(qkv: Tensor<2>, batch: usize, seq: usize, heads: HeadCounts) -> Tensor<2> {
    let [query, key, value] = split_heads(qkv, batch, seq, heads);
    let [key, value] = [key, value].map(|part| repeat_heads(part, heads.group()));
    let [_, _, _, head_width] = query.dims();
    let scores = query.matmul(key.swap_dims(2, 3)) / (head_width as f64).sqrt();
    let later = Tensor::<2, Bool>::tril_mask([seq, seq], 0, &scores.device());
    merge_heads(softmax(scores.mask_fill(later.unsqueeze(), f32::NEG_INFINITY), 3).matmul(value))
}

/// Returns the log-probability of one token of each row under the softmax of the row's logits: `[rows, vocab]`
/// and `[rows, 1]` to `[rows]`.
pub(crate) fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    log_softmax(logits, 1).gather(1, targets).reshape([rows])
}

/// Returns the entropy of the softmax of each row of logits, `[rows, vocab]` to `[rows]`.
pub(crate) fn entropies(logits: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let log_probs = log_softmax(logits, 1);
    (log_probs.clone().exp() * log_probs).sum_dim(1).neg().reshape([rows])
}

/// Makes a step of Adam; returns the new parameter and moments.
pub(crate) fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    scales: AdamScales,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let second = second * BETA_2 + gradient.clone() * gradient.clone() * (1.0 - BETA_2);
    let first = first * BETA_1 + gradient * (1.0 - BETA_1);
    let direction = first.clone() / (second.clone().sqrt() + scales.epsilon);
    (parameter - direction * scales.step_size, [first, second])
}

/// Samples one token of each row, as [`super::draw`] does, from logits that are divided by the temperature already.
///
/// Inverts the cumulative distribution in two levels, over blocks of the vocabulary and inside
/// one block, because a running sum over the whole vocabulary is quadratic on GPU backends.
pub(crate) fn draw(logits: Tensor<2>, uniform: Tensor<2>) -> (Tensor<1, Int>, Tensor<1>) {
    // Below 1, so that rounding never carries a number past the last token with any weight.
    const INSIDE: f64 = 1.0 - 1e-6;
    let [rows, vocab] = logits.dims();
    let block = vocab.isqrt();
    let blocks = vocab.div_ceil(block);
    let centred = logits.clone() - logits.max_dim(1);
    let weights = fill_last_block(centred.clone().exp(), blocks * block).reshape([rows, blocks, block]);

    let sums = weights.clone().sum_dim(2).reshape([rows, blocks]);
    let running = sums.clone().cumsum(1);
    let total = running.clone().slice([0..rows, blocks - 1..blocks]);
    let target = (uniform * total.clone()).min_pair(total.clone() * INSIDE);
    let chosen = running.clone().lower_equal(target.clone().expand([rows, blocks])).int().sum_dim(1);
    let before = running.gather(1, chosen.clone()) - sums.gather(1, chosen.clone());

    let index = chosen.clone().reshape([rows, 1, 1]).expand([rows, 1, block]);
    let running = weights.gather(1, index).reshape([rows, block]).cumsum(1);
    let block_total = running.clone().slice([0..rows, block - 1..block]);
    let target = (target - before).min_pair(block_total * INSIDE);
    let offset = running.lower_equal(target.expand([rows, block])).int().sum_dim(1);

    let token = chosen * block as i64 + offset;
    let log_prob = centred.gather(1, token.clone()) - total.log();
    (token.reshape([rows]), log_prob.reshape([rows]))
}

/// Appends zeros up to `width` columns.
fn fill_last_block(weights: Tensor<2>, width: usize) -> Tensor<2> {
    let [rows, columns] = weights.dims();
    if columns == width {
        return weights;
    }
    let zeros = Tensor::zeros([rows, width - columns], &weights.device());
    Tensor::cat(vec![weights, zeros], 1)
}

/// Computes the attention of one new token of each row to the first `slots` slots of a key-value cache; see
/// [`super::cached_attention`].
pub(crate) fn cached_attention(
    query: Tensor<2>,
    keys: Tensor<4>,
    values: Tensor<4>,
    scores: Tensor<2>,
    slots: usize,
) -> Tensor<2> {
    let [rows, heads, capacity, head_width] = keys.dims();
    let slots = slots.next_multiple_of(SLOTS_AT_ONCE).min(capacity);
    let seen = [0..rows, 0..heads, 0..slots, 0..head_width];
    let [_, query_width] = query.dims();
    let (queries, group) = (query_width / head_width, query_width / head_width / heads);
    let [keys, values] = [keys, values].map(|part| repeat_heads(part.slice(seen.clone()), group));
    let query = query.reshape([rows, queries, 1, head_width]);
    let products = query.matmul(keys.swap_dims(2, 3)) / (head_width as f64).sqrt();
    let scores = scores.slice([0..rows, 0..slots]).reshape([rows, 1, 1, slots]);
    merge_heads(softmax(products + scores, 3).matmul(values))
}
