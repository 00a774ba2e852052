//! The network's building blocks as functions on tensors.
//!
//! On `flex`, four of them run as one pass with a backward pass of their own ([`fused`]);
//! everywhere else as the chain of small operations that defines them ([`plain`]).

#[cfg(feature = "flex")]
mod backward;
#[cfg(feature = "flex")]
mod flex_kernels;
#[cfg(feature = "flex")]
pub mod fused;
pub mod plain;

use burn::tensor::{Device, Int, Tensor};

pub use plain::{linear, merge_heads, split_heads};

#[cfg(feature = "flex")]
fn has_kernels(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// GPT-2's GELU, `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, element by element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if has_kernels(&x.device()) {
        return fused::gelu(x);
    }
    plain::gelu(x)
}

/// Each row of `[rows, width]` to mean 0 and variance 1, then scaled and shifted.
pub fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if has_kernels(&rows.device()) {
        return fused::layer_norm(rows, weight, bias, epsilon);
    }
    plain::layer_norm(rows, weight, bias, epsilon)
}

/// Softmax attention in which a token sees itself and those before it in its row:
/// `[batch · seq, 3 · d_model]` to `[batch · seq, d_model]`.
pub fn causal_attention(qkv: Tensor<2>, batch: usize, seq: usize, heads: usize) -> Tensor<2> {
    let [query, key, value] = split_heads(qkv, batch, seq, heads);
    let [_, _, _, head_width] = query.dims();
    let scores = query.matmul(key.swap_dims(2, 3));
    merge_heads(causal_softmax(scores, 1.0 / (head_width as f64).sqrt()).matmul(value))
}

/// Softmax over the last dimension of `scale · scores`, `[batch, heads, seq, seq]`, in which a
/// query sees the keys up to its own place.
pub fn causal_softmax(scores: Tensor<4>, scale: f64) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if has_kernels(&scores.device()) {
        return fused::causal_softmax(scores, scale);
    }
    plain::causal_softmax(scores, scale)
}

/// Log-probability of one token a row under the softmax of its logits:
/// `[rows, vocab]` and `[rows, 1]` to `[rows]`.
pub fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if has_kernels(&logits.device()) {
        return fused::pick_log_probs(logits, targets);
    }
    plain::pick_log_probs(logits, targets)
}
