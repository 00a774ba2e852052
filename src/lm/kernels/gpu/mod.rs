//! Fused operations as kernels for GPUs, written in CubeCL, which compiles them for the GPU's
//! API. Matrix products are Burn's own.
//!
//! A unit is one thread of a kernel, and a cube is a group of units that share memory. In most operations on
//! rows, a cube takes one row.

// Indices in kernels do not follow Rust's rules: an index out of bounds does not panic.
#![allow(clippy::indexing_slicing)]

mod adam;
mod attention;
mod decoding;
mod gelu;
mod launch;
mod layer_norm;
mod rms_norm;
mod rotation;
mod rows;
mod swiglu;
mod vocabulary;

use burn::backend::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_wgpu::CubeBackend;

use super::fused::FusedOperations;
use super::{AdamScales, HeadCounts};

/// Transposes a matrix `[rows, columns]`, or each matrix of the leading dimensions.
fn transposed(matrices: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    let last = matrices.meta.num_dims() - 1;
    CubeBackend::float_swap_dims(matrices, last - 1, last)
}

fn product(left: FloatTensor<CubeBackend>, right: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    CubeBackend::float_matmul(left, right)
}

impl FusedOperations for CubeBackend {
    fn fused_linear(rows: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let width = bias.meta.shape().num_elements();
        let bias = Self::float_reshape(bias, [1, width].into());
        Self::float_add(product(rows, weight), bias)
    }

    fn fused_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        product(left, right)
    }

    fn fused_product_with_transposed(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        product(left, transposed(right))
    }

    fn fused_transposed_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        product(transposed(left), right)
    }

    fn fused_sum_of_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        rows::sum_of_rows(rows)
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::gelu(x)
    }

    fn fused_gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::gelu_gradient(x, gradient)
    }

    fn fused_swiglu(gate_and_up: FloatTensor<Self>) -> FloatTensor<Self> {
        swiglu::swiglu(gate_and_up)
    }

    fn fused_swiglu_gradient(gate_and_up: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        swiglu::swiglu_gradient(gate_and_up, gradient)
    }

    fn fused_rotation(
        rows: FloatTensor<Self>,
        table: FloatTensor<Self>,
        heads: usize,
        direction: f64,
    ) -> FloatTensor<Self> {
        rotation::rotation(rows, table, heads, direction)
    }

    fn fused_rms_norm(rows: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        rms_norm::rms_norm(rows, weight, epsilon)
    }

    fn fused_rms_norm_gradients(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        rms_norm::rms_norm_gradients(rows, weight, gradient, epsilon)
    }

    fn fused_layer_norm(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        layer_norm::layer_norm(rows, weight, bias, epsilon)
    }

    fn fused_layer_norm_gradients(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        layer_norm::layer_norm_gradients(rows, weight, gradient, epsilon)
    }

    fn fused_causal_attention(
        qkv: FloatTensor<Self>,
        batch: usize,
        seq: usize,
        heads: HeadCounts,
    ) -> FloatTensor<Self> {
        attention::causal_attention(qkv, batch, seq, heads)
    }

    fn fused_causal_attention_gradient(
        qkv: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        batch: usize,
        seq: usize,
        heads: HeadCounts,
    ) -> FloatTensor<Self> {
        attention::causal_attention_gradient(qkv, gradient, batch, seq, heads)
    }

    fn fused_pick_log_probs(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        vocabulary::pick_log_probs(logits, targets)
    }

    fn fused_pick_log_probs_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        vocabulary::pick_log_probs_gradient(logits, targets, gradient)
    }

    fn fused_adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        scales: AdamScales,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adam::adam(parameter, gradient, first, second, scales)
    }

    fn fused_cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        slots: usize,
    ) -> FloatTensor<Self> {
        decoding::cached_attention(query, keys, values, scores, slots)
    }

    fn fused_draw(
        logits: FloatTensor<Self>,
        temperature: f32,
        uniform: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        decoding::draw(Self::float_div_scalar(logits, temperature.into()), uniform)
    }

    fn fused_entropies(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        vocabulary::entropies(logits)
    }
}
