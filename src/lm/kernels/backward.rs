//! Gradients of the fused operations.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use super::fused::FusedOperations;
use super::{AdamScales, HeadCounts};

#[derive(Debug)]
struct Gelu;
#[derive(Debug)]
struct SwiGlu;
#[derive(Debug)]
struct Rotation;
#[derive(Debug)]
struct RmsNorm;
#[derive(Debug)]
struct LayerNorm;
#[derive(Debug)]
struct CausalAttention;
#[derive(Debug)]
struct Linear;
#[derive(Debug)]
struct Product;
#[derive(Debug)]
struct ProductWithTransposed;
#[derive(Debug)]
struct PickLogProbs;

impl<B: FusedOperations> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::fused_gelu_gradient(ops.state, gradient));
        }
    }
}

impl<B: FusedOperations> Backward<B, 1> for SwiGlu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::fused_swiglu_gradient(ops.state, gradient));
        }
    }
}

impl<B: FusedOperations> Backward<B, 1> for Rotation {
    type State = (FloatTensor<B>, usize, f64);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (table, heads, direction) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::fused_rotation(gradient, table, heads, -direction));
        }
    }
}

impl<B: FusedOperations> Backward<B, 2> for RmsNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight, epsilon) = ops.state;
        let (to_rows, to_weight) = B::fused_rms_norm_gradients(rows, weight, gradient, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip([to_rows, to_weight]) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: FusedOperations> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight, epsilon) = ops.state;
        let (to_rows, to_weight, to_bias) = B::fused_layer_norm_gradients(rows, weight, gradient, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip([to_rows, to_weight, to_bias]) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: FusedOperations> Backward<B, 3> for Linear {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight) = ops.state;
        let [to_rows, to_weight, to_bias] = ops.parents;
        if let Some(parent) = to_bias {
            gradients.register::<B>(parent.id, B::fused_sum_of_rows(gradient.clone()));
        }
        if let Some(parent) = to_weight {
            gradients.register::<B>(parent.id, B::fused_transposed_product(rows, gradient.clone()));
        }
        if let Some(parent) = to_rows {
            gradients.register::<B>(parent.id, B::fused_product_with_transposed(gradient, weight));
        }
    }
}

impl<B: FusedOperations> Backward<B, 2> for Product {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (left, right) = ops.state;
        let [to_left, to_right] = ops.parents;
        if let Some(parent) = to_right {
            gradients.register::<B>(parent.id, B::fused_transposed_product(left, gradient.clone()));
        }
        if let Some(parent) = to_left {
            gradients.register::<B>(parent.id, B::fused_product_with_transposed(gradient, right));
        }
    }
}

impl<B: FusedOperations> Backward<B, 2> for ProductWithTransposed {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (left, right) = ops.state;
        let [to_left, to_right] = ops.parents;
        if let Some(parent) = to_left {
            gradients.register::<B>(parent.id, B::fused_product(gradient.clone(), right));
        }
        if let Some(parent) = to_right {
            gradients.register::<B>(parent.id, B::fused_transposed_product(gradient, left));
        }
    }
}

impl<B: FusedOperations> Backward<B, 1> for CausalAttention {
    type State = (FloatTensor<B>, [usize; 2], HeadCounts);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (qkv, [batch, seq], heads) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let to_qkv = B::fused_causal_attention_gradient(qkv, gradient, batch, seq, heads);
            gradients.register::<B>(parent.id, to_qkv);
        }
    }
}

impl<B: FusedOperations> Backward<B, 1> for PickLogProbs {
    type State = (FloatTensor<B>, IntTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (logits, targets) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::fused_pick_log_probs_gradient(logits, targets, gradient));
        }
    }
}

impl<B: FusedOperations, C: CheckpointStrategy> FusedOperations for Autodiff<B, C> {
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match Gelu.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(x.primitive().clone(), B::fused_gelu(x.into_primitive())),
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_gelu(x.into_primitive())),
        }
    }

    fn fused_swiglu(gate_and_up: FloatTensor<Self>) -> FloatTensor<Self> {
        match SwiGlu.prepare::<C>([gate_and_up.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = gate_and_up.primitive().clone();
                prepared.finish(kept, B::fused_swiglu(gate_and_up.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_swiglu(gate_and_up.into_primitive())),
        }
    }

    fn fused_rotation(
        rows: FloatTensor<Self>,
        table: FloatTensor<Self>,
        heads: usize,
        direction: f64,
    ) -> FloatTensor<Self> {
        let node = rows.node();
        let (rows, table) = (rows.into_primitive(), table.into_primitive());
        match Rotation.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((table.clone(), heads, direction), B::fused_rotation(rows, table, heads, direction))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_rotation(rows, table, heads, direction)),
        }
    }

    fn fused_rms_norm(rows: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let nodes = [rows.node(), weight.node()];
        let (rows, weight) = (rows.into_primitive(), weight.into_primitive());
        match RmsNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((rows.clone(), weight.clone(), epsilon), B::fused_rms_norm(rows, weight, epsilon))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_rms_norm(rows, weight, epsilon)),
        }
    }

    fn fused_layer_norm(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [rows.node(), weight.node(), bias.node()];
        let (rows, weight, bias) = (rows.into_primitive(), weight.into_primitive(), bias.into_primitive());
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared
                .finish((rows.clone(), weight.clone(), epsilon), B::fused_layer_norm(rows, weight, bias, epsilon)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_layer_norm(rows, weight, bias, epsilon)),
        }
    }

    fn fused_linear(rows: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [rows.node(), weight.node(), bias.node()];
        let (rows, weight, bias) = (rows.into_primitive(), weight.into_primitive(), bias.into_primitive());
        match Linear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((rows.clone(), weight.clone()), B::fused_linear(rows, weight, bias))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_linear(rows, weight, bias)),
        }
    }

    fn fused_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [left.node(), right.node()];
        let (left, right) = (left.into_primitive(), right.into_primitive());
        match Product.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((left.clone(), right.clone()), B::fused_product(left, right)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_product(left, right)),
        }
    }

    fn fused_product_with_transposed(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [left.node(), right.node()];
        let (left, right) = (left.into_primitive(), right.into_primitive());
        match ProductWithTransposed.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((left.clone(), right.clone()), B::fused_product_with_transposed(left, right))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_product_with_transposed(left, right)),
        }
    }

    fn fused_causal_attention(
        qkv: FloatTensor<Self>,
        batch: usize,
        seq: usize,
        heads: HeadCounts,
    ) -> FloatTensor<Self> {
        match CausalAttention.prepare::<C>([qkv.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let qkv = qkv.into_primitive();
                let attended = B::fused_causal_attention(qkv.clone(), batch, seq, heads);
                prepared.finish((qkv, [batch, seq], heads), attended)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::fused_causal_attention(qkv.into_primitive(), batch, seq, heads))
            }
        }
    }

    fn fused_adam(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: AdamScales,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("the optimizer works on plain tensors")
    }

    fn fused_cached_attention(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
    ) -> FloatTensor<Self> {
        unreachable!("sampling works on plain tensors")
    }

    fn fused_draw(_: FloatTensor<Self>, _: f32, _: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("sampling works on plain tensors")
    }

    fn fused_entropies(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("entropies are of plain tensors")
    }

    fn fused_pick_log_probs(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        match PickLogProbs.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let picked = B::fused_pick_log_probs(logits.primitive().clone(), targets.clone());
                prepared.finish((logits.into_primitive(), targets), picked)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_pick_log_probs(logits.into_primitive(), targets)),
        }
    }

    // Gradients are not differentiated again: Burn's autodiff is of first order.
    fn fused_gelu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }

    fn fused_swiglu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }

    fn fused_rms_norm_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient of a gradient")
    }

    fn fused_layer_norm_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient of a gradient")
    }

    fn fused_causal_attention_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: usize,
        _: HeadCounts,
    ) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }

    fn fused_transposed_product(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }

    fn fused_sum_of_rows(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }

    fn fused_pick_log_probs_gradient(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("a gradient of a gradient")
    }
}
