//! Tensor operations of the network.
//!
//! On `flex` and on graphics adapters, each operation is fused into one or a few passes over memory, with its
//! own backward function (`fused`); on other backends, it is the chain of small operations that defines it
//! (`plain`).

#[cfg(any(feature = "flex", feature = "wgpu"))]
mod backward;
#[cfg(feature = "flex")]
mod cpu;
#[cfg(any(feature = "flex", feature = "wgpu"))]
pub(crate) mod fused;
#[cfg(feature = "wgpu")]
mod gpu;
pub(crate) mod plain;

#[cfg(any(feature = "flex", feature = "wgpu"))]
use burn::backend::DispatchDevice;
#[cfg(any(feature = "flex", feature = "wgpu"))]
use burn::tensor::Device;
use burn::tensor::{Int, Tensor};

pub use plain::{SLOTS_AT_ONCE, split_heads};

/// β₁ and β₂ of Adam.
pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.999;

/// Numbers of attention heads in a projection to queries, keys and values side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadCounts {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys, and of values. They divide `queries`: each serves a group of query heads that follow each
    /// other.
    pub keys: usize,
}

impl HeadCounts {
    /// Returns the width of one head, from the width of queries, keys and values together.
    pub fn width_of_one(&self, width: usize) -> usize {
        width / (self.queries + 2 * self.keys)
    }

    /// Returns the number of query heads that share the keys and values of one head.
    pub fn group(&self) -> usize {
        self.queries / self.keys
    }
}

/// Step size and ε of one step of Adam.
#[derive(Debug, Clone, Copy)]
pub struct AdamScales {
    pub step_size: f64,
    /// ε, which is added to `√v`.
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

/// Computes `rows · weight + bias`: `[rows, in]`, `[in, out]`, `[out]` to `[rows, out]`.
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::linear(rows, weight, bias);
    }
    plain::linear(rows, weight, bias)
}

/// Computes `rows · weight`: `[rows, in]` and `[in, out]` to `[rows, out]`.
pub fn matrix_product(rows: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::matrix_product(rows, weight);
    }
    rows.matmul(weight)
}

/// Maps hidden states `[rows, d_model]`, with the token embedding `[vocab, d_model]`, to logits
/// `[rows, vocab]`.
pub fn logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&hidden.device()) {
        return fused::logits(hidden, embedding);
    }
    hidden.matmul(embedding.transpose())
}

/// Computes GPT-2's GELU, `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, element by element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&x.device()) {
        return fused::gelu(x);
    }
    plain::gelu(x)
}

/// Computes SwiGLU (Shazeer, 2020), `gate · σ(gate) · up`: gates and numbers side by side, `[rows, 2 · width]`, to
/// `[rows, width]`.
pub fn swiglu(gate_and_up: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&gate_and_up.device()) {
        return fused::swiglu(gate_and_up);
    }
    plain::swiglu(gate_and_up)
}

/// Rotates the first `heads` heads of each row of `[rows, width]` by the angles of its position. `table` holds cosines
/// and sines, `[period, head_width]`: row `i` is at position `i % period`. In a head, the number `j` of the first half
/// and the number `j` of the second are turned together.
pub fn rotate(rows: Tensor<2>, table: Tensor<2>, heads: usize) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::rotate(rows, table, heads);
    }
    plain::rotate(rows, table, heads)
}

/// Divides each row of `[rows, width]` by the root of its mean square plus ε, then scales it.
pub fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::rms_norm(rows, weight, epsilon);
    }
    plain::rms_norm(rows, weight, epsilon)
}

/// Normalizes each row of `[rows, width]` to mean 0 and variance 1, then scales and shifts it.
pub fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&rows.device()) {
        return fused::layer_norm(rows, weight, bias, epsilon);
    }
    plain::layer_norm(rows, weight, bias, epsilon)
}

/// Computes softmax attention in which a token sees itself and the tokens before it in its row:
/// queries, keys and values side by side, `[batch · seq, (queries + 2 · keys) · head_width]`, to
/// `[batch · seq, queries · head_width]`.
pub fn causal_attention(qkv: Tensor<2>, batch: usize, seq: usize, heads: HeadCounts) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&qkv.device()) {
        return fused::causal_attention(qkv, batch, seq, heads);
    }
    plain::causal_attention(qkv, batch, seq, heads)
}

/// Returns the log-probability of one token of each row under the softmax of the row's logits: `[rows, vocab]`
/// and `[rows, 1]` to `[rows]`.
pub fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::pick_log_probs(logits, targets);
    }
    plain::pick_log_probs(logits, targets)
}

/// Returns the entropy of the softmax of each row of logits, `[rows, vocab]` to `[rows]`, without a gradient.
pub fn entropies(logits: Tensor<2>) -> Tensor<1> {
    let logits = logits.without_autodiff();
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::entropies(logits);
    }
    plain::entropies(logits)
}

/// Makes a step of Adam; returns the new parameter and moments.
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

/// Computes the attention of one new token of each row to the first `slots` slots of a key-value cache: queries
/// `[rows, heads · head_width]`, keys and values `[rows, key_value_heads, capacity, head_width]`, and offsets of the
/// slots' scores `[rows, capacity]` (very low for a hidden slot) to `[rows, heads · head_width]`.
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

/// Samples one token of each row by inverting the cumulative distribution: logits `[rows, vocab]`, which are divided by
/// `temperature`, and random numbers in [0, 1) `[rows, 1]` to token ids and their log-probabilities, both `[rows]`.
pub fn draw(logits: Tensor<2>, temperature: f64, uniform: Tensor<2>) -> (Tensor<1, Int>, Tensor<1>) {
    #[cfg(any(feature = "flex", feature = "wgpu"))]
    if has_kernels(&logits.device()) {
        return fused::draw(logits, temperature as f32, uniform);
    }
    plain::draw(logits / temperature, uniform)
}
