//! The network's building blocks as functions on tensors.
//!
//! On `flex` and on graphics adapters they run as one pass or few, with a backward pass of their own
//! ([`fused`]); everywhere else as the chain of small operations that defines them ([`plain`]).

#[cfg(any(feature = "flex", feature = "wgpu"))]
mod backward;
#[cfg(feature = "flex")]
mod cpu;
#[cfg(any(feature = "flex", feature = "wgpu"))]
pub mod fused;
#[cfg(feature = "wgpu")]
mod gpu;
pub mod plain;

#[cfg(any(feature = "flex", feature = "wgpu"))]
use burn::backend::DispatchDevice;
#[cfg(any(feature = "flex", feature = "wgpu"))]
use burn::tensor::Device;
use burn::tensor::{Int, Tensor};

pub use plain::{SLOTS_AT_ONCE, split_heads};

/// β₁ and β₂ of Adam.
pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.999;

/// What a step of Adam is governed by.
#[derive(Debug, Clone, Copy)]
pub struct AdamScales {
    pub step_size: f64,
    /// Beside `√v`.
    pub epsilon: f64,
}

#[cfg(any(feature = "flex", feature = "wgpu"))]
fn has_kernels(device: &Device) -> bool {
    match device.clone().without_autodiff().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(_) => true,
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// `rows · weight + bias`: `[rows, in]`, `[in, out]`, `[out]` to `[rows, out]`.
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::linear(rows, weight, bias);
    }
    plain::linear(rows, weight, bias)
}

/// Hidden states `[rows, d_model]` and the token embedding `[vocab, d_model]` to logits
/// `[rows, vocab]`.
pub fn logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&hidden.device()) {
        return fused::logits(hidden, embedding);
    }
    hidden.matmul(embedding.transpose())
}

/// GPT-2's GELU, `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, element by element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&x.device()) {
        return fused::gelu(x);
    }
    plain::gelu(x)
}

/// Each row of `[rows, width]` to mean 0 and variance 1, then scaled and shifted.
pub fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::layer_norm(rows, weight, bias, epsilon);
    }
    plain::layer_norm(rows, weight, bias, epsilon)
}

/// Softmax attention in which a token sees itself and those before it in its row:
/// `[batch · seq, 3 · d_model]` to `[batch · seq, d_model]`.
pub fn causal_attention(qkv: Tensor<2>, batch: usize, seq: usize, heads: usize) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&qkv.device()) {
        return fused::causal_attention(qkv, batch, seq, heads);
    }
    plain::causal_attention(qkv, batch, seq, heads)
}

/// Log-probability of one token a row under the softmax of its logits:
/// `[rows, vocab]` and `[rows, 1]` to `[rows]`.
pub fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::pick_log_probs(logits, targets);
    }
    plain::pick_log_probs(logits, targets)
}

/// Entropy of the softmax of each row of logits, `[rows, vocab]` to `[rows]`; carries no gradient.
pub fn entropies(logits: Tensor<2>) -> Tensor<1> {
    let logits = logits.without_autodiff();
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::entropies(logits);
    }
    plain::entropies(logits)
}

/// A step of Adam: parameter and moments after it.
pub fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: [Tensor<D>; 2],
    scales: AdamScales,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&parameter.device()) {
        return fused::adam(parameter, gradient, moments, scales);
    }
    plain::adam(parameter, gradient, moments, scales)
}

/// Attention of one new token a row to the first `slots` slots of a cache: queries `[rows, d_model]`,
/// keys and values `[rows, heads, capacity, head_width]`, and what each slot's score has beforehand,
/// `[rows, capacity]` (very low where it is not to be seen), to `[rows, d_model]`.
pub fn cached_attention(
    query: Tensor<2>,
    keys: Tensor<4>,
    values: Tensor<4>,
    scores: Tensor<2>,
    slots: usize,
) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&query.device()) {
        return fused::cached_attention(query, keys, values, scores, slots);
    }
    plain::cached_attention(query, keys, values, scores, slots)
}

/// One token a row: logits `[rows, vocab]` and numbers in [0, 1) `[rows, 1]` to token ids and their
/// log-probabilities, both `[rows]`. Inverts the cumulative distribution.
pub fn draw(logits: Tensor<2>, uniform: Tensor<2>) -> (Tensor<1, Int>, Tensor<1>) {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::draw(logits, uniform);
    }
    plain::draw(logits, uniform)
}
