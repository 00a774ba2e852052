//! The building blocks as chains of small operations: what they compute, on any backend.

use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Bool, Int, Tensor};

/// `rows · weight + bias`: `[rows, in]`, `[in, out]`, `[out]` to `[rows, out]`.
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    burn::tensor::module::linear(rows, weight, Some(bias))
}

/// GPT-2's GELU, `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, in the equal form
/// `x · σ(2√(2/π)(x + 0.044715x³))`, which needs neither `powf` nor `tanh`.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    let cubic = x.clone() * x.clone() * 0.071_354_816_272_600_3 + 1.595_769_121_605_731;
    x.clone() * sigmoid(x * cubic)
}

/// Each row of `[rows, width]` to mean 0 and variance 1, then scaled and shifted.
pub fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centred = rows.clone() - rows.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / (variance + epsilon).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

/// Queries, keys and values of one projection `[batch · seq, 3 · d_model]`, each as
/// `[batch, heads, seq, head_width]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, seq: usize, heads: usize) -> [Tensor<4>; 3] {
    let [_, triple_width] = qkv.dims();
    let width = triple_width / 3;
    let part = |index: usize| {
        qkv.clone()
            .slice([0..batch * seq, index * width..(index + 1) * width])
            .reshape([batch, seq, heads, width / heads])
            .swap_dims(1, 2)
    };
    [part(0), part(1), part(2)]
}

/// Heads `[batch, heads, seq, head_width]` back to rows `[batch · seq, d_model]`.
pub fn merge_heads(heads: Tensor<4>) -> Tensor<2> {
    let [batch, count, seq, width] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch * seq, count * width])
}

/// Softmax over the last dimension of `scale · scores`, `[batch, heads, seq, seq]`, in which a
/// query sees the keys up to its own place.
pub fn causal_softmax(scores: Tensor<4>, scale: f64) -> Tensor<4> {
    let [_, _, seq, _] = scores.dims();
    let later = Tensor::<2, Bool>::tril_mask([seq, seq], 0, &scores.device());
    softmax((scores * scale).mask_fill(later.unsqueeze(), f32::NEG_INFINITY), 3)
}

/// Log-probability of one token a row under the softmax of its logits:
/// `[rows, vocab]` and `[rows, 1]` to `[rows]`.
pub fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    log_softmax(logits, 1).gather(1, targets).reshape([rows])
}
