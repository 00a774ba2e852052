//! How gradients flow through the fused operations.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::fused::FusedOperations;

#[derive(Debug)]
struct Gelu;
#[derive(Debug)]
struct LayerNorm;
#[derive(Debug)]
struct CausalSoftmax;
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

impl<B: FusedOperations> Backward<B, 1> for CausalSoftmax {
    type State = (FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (weights, scale) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::fused_causal_softmax_gradient(weights, gradient, scale));
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

    fn fused_causal_softmax(scores: FloatTensor<Self>, scale: f64) -> FloatTensor<Self> {
        match CausalSoftmax.prepare::<C>([scores.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let weights = B::fused_causal_softmax(scores.into_primitive(), scale);
                prepared.finish((weights.clone(), scale), weights)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::fused_causal_softmax(scores.into_primitive(), scale)),
        }
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

    fn fused_layer_norm_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient of a gradient")
    }

    fn fused_causal_softmax_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>, _: f64) -> FloatTensor<Self> {
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
