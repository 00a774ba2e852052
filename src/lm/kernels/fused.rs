//! Tensor operations in fused form, for `flex` and for graphics adapters, each with its own backward function.
//!
//! The functions panic on other backends; [`super`] selects the form.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Tensor};

use super::{AdamScales, HeadCounts};

/// Forward passes and gradients of the fused operations.
// The macro needs a trait: `cpu` and `gpu` implement it for the backends, `backward` for autodiff.
#[backend_extension(Autodiff, Flex: cfg(feature = "flex"), Cube: cfg(feature = "wgpu"))]
pub(crate) trait FusedOperations: Backend {
    fn fused_linear(rows: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_product_with_transposed(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;

    // These two operations compute gradients.
    fn fused_transposed_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_sum_of_rows(rows: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_swiglu(gate_and_up: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_swiglu_gradient(gate_and_up: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Turns backwards with a `direction` of −1, which is the gradient of turning forwards.
    fn fused_rotation(
        rows: FloatTensor<Self>,
        table: FloatTensor<Self>,
        heads: usize,
        direction: f64,
    ) -> FloatTensor<Self>;

    fn fused_rms_norm(rows: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    fn fused_rms_norm_gradients(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn fused_layer_norm(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    fn fused_layer_norm_gradients(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn fused_causal_attention(qkv: FloatTensor<Self>, batch: usize, seq: usize, heads: HeadCounts)
    -> FloatTensor<Self>;
    fn fused_causal_attention_gradient(
        qkv: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        batch: usize,
        seq: usize,
        heads: HeadCounts,
    ) -> FloatTensor<Self>;

    fn fused_pick_log_probs(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
    fn fused_pick_log_probs_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        scales: AdamScales,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn fused_cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        slots: usize,
    ) -> FloatTensor<Self>;

    fn fused_draw(
        logits: FloatTensor<Self>,
        temperature: f32,
        uniform: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn fused_entropies(logits: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Computes [`super::linear`] in fused form.
pub(crate) fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let (rows, weight, bias) = (rows.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_linear(rows, weight, bias))
}

/// Computes [`super::matrix_product`] in fused form.
pub(crate) fn matrix_product(rows: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_product(rows.into_dispatch(), weight.into_dispatch()))
}

/// Computes [`super::logits`] in fused form.
pub(crate) fn logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_product_with_transposed(hidden.into_dispatch(), embedding.into_dispatch()))
}

/// Computes [`super::gelu`] in fused form.
pub(crate) fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_gelu(x.into_dispatch()))
}

/// Computes [`super::swiglu`] in fused form.
pub(crate) fn swiglu(gate_and_up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_swiglu(gate_and_up.into_dispatch()))
}

/// Computes [`super::rotate`] in fused form.
pub(crate) fn rotate(rows: Tensor<2>, table: Tensor<2>, heads: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_rotation(rows.into_dispatch(), table.into_dispatch(), heads, 1.0))
}

/// Computes [`super::rms_norm`] in fused form.
pub(crate) fn rms_norm(rows: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_rms_norm(rows.into_dispatch(), weight.into_dispatch(), epsilon))
}

/// Computes [`super::layer_norm`] in fused form.
pub(crate) fn layer_norm(rows: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let (rows, weight, bias) = (rows.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_layer_norm(rows, weight, bias, epsilon))
}

/// Computes [`super::causal_attention`] in fused form.
pub(crate) fn causal_attention(qkv: Tensor<2>, batch: usize, seq: usize, heads: HeadCounts) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_causal_attention(qkv.into_dispatch(), batch, seq, heads))
}

/// Computes [`super::pick_log_probs`] in fused form.
pub(crate) fn pick_log_probs(logits: Tensor<2>, targets: Tensor<2, Int>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::fused_pick_log_probs(logits.into_dispatch(), targets.into_dispatch()))
}

/// Computes [`super::adam`] in fused form.
pub(crate) fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    scales: AdamScales,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (parameter, gradient) = (parameter.into_dispatch(), gradient.into_dispatch());
    let (first, second) = (first.into_dispatch(), second.into_dispatch());
    let (parameter, first, second) = Dispatch::fused_adam(parameter, gradient, first, second, scales);
    (Tensor::from_dispatch(parameter), [first, second].map(Tensor::from_dispatch))
}

/// Computes [`super::cached_attention`] in fused form.
pub(crate) fn cached_attention(
    query: Tensor<2>,
    keys: Tensor<4>,
    values: Tensor<4>,
    scores: Tensor<2>,
    slots: usize,
) -> Tensor<2> {
    let (query, keys, values) = (query.into_dispatch(), keys.into_dispatch(), values.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_cached_attention(query, keys, values, scores.into_dispatch(), slots))
}

/// Computes [`super::draw`] in fused form.
pub(crate) fn draw(logits: Tensor<2>, temperature: f32, uniform: Tensor<2>) -> (Tensor<1, Int>, Tensor<1>) {
    let (tokens, log_probs) = Dispatch::fused_draw(logits.into_dispatch(), temperature, uniform.into_dispatch());
    (Tensor::<1>::from_dispatch(tokens).int(), Tensor::from_dispatch(log_probs))
}

/// Computes [`super::entropies`] in fused form.
pub(crate) fn entropies(logits: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::fused_entropies(logits.into_dispatch()))
}
