//! Fused operations as loops over slices, in the widest vector instructions of the processor, on all threads of
//! the current pool.

mod adam;
mod attention;
mod decoding;
mod elements;
mod gelu;
mod layer_norm;
mod linear;
mod product;
mod rms_norm;
mod rotation;
mod skinny_matmul;
mod swiglu;
mod vector;
mod vocabulary;

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::fused::FusedOperations;
use super::{AdamScales, HeadCounts};

impl FusedOperations for Flex {
    fn fused_linear(rows: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::linear(rows, weight, bias)
    }

    fn fused_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::product_of(left, right, [false, false])
    }

    fn fused_product_with_transposed(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::product_of(left, right, [false, true])
    }

    fn fused_transposed_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::product_of(left, right, [true, false])
    }

    fn fused_sum_of_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::sum_of_rows(rows)
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
        vocabulary::pick_log_probs(logits, &targets)
    }

    fn fused_pick_log_probs_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        vocabulary::pick_log_probs_gradient(logits, &targets, gradient)
    }

    fn fused_adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        scales: AdamScales,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adam::adam(parameter, gradient, [first, second], scales)
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
        decoding::draw(logits, temperature, uniform)
    }

    fn fused_entropies(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        vocabulary::entropies(logits)
    }
}
