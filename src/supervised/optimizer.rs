//! Muon for the matrices inside the blocks, AdamW for everything else.
//!
//! Muon (Jordan et al., 2024) needs about half the tokens of AdamW at this size; scaled as in
//! "Muon is Scalable for LLM Training" it shares AdamW's learning rate.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig};
use burn::tensor::Tensor;

use crate::lm::Transformer;
use crate::training::host_state::WithHostState;
use crate::training::training_state::MOMENTS_OF_ADAM;

/// The optimizer of a supervised training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisedOptimizer {
    /// Muon for the matrices inside the blocks, AdamW for everything else: for a new model.
    MuonAndAdamW,
    /// AdamW with β₂ 0.999, for a model that is trained already.
    AdamW,
}

impl SupervisedOptimizer {
    /// Returns the optimizer for this model.
    pub(super) fn build(self, model: &Transformer, weight_decay: f64) -> ModuleOptimizer {
        match self {
            Self::MuonAndAdamW => muon_and_adamw(model, weight_decay),
            Self::AdamW => adamw(weight_decay),
        }
    }

    /// Returns how many numbers a checkpoint keeps for most weights.
    pub(super) fn moments(self) -> u64 {
        match self {
            Self::MuonAndAdamW => 1,
            Self::AdamW => MOMENTS_OF_ADAM,
        }
    }
}

/// Returns an optimizer for this model only, because it knows the parameters by their ids.
fn muon_and_adamw(model: &Transformer, weight_decay: f64) -> ModuleOptimizer {
    let mut matrices = BlockMatrices::default();
    model.visit(&mut matrices);
    let muon = MuonConfig::new()
        .with_weight_decay(Some(WeightDecayConfig::new(weight_decay as f32)))
        .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
        .build();
    let adamw = AdamWConfig::new().with_beta_2(0.95).with_epsilon(1e-8).with_weight_decay(0.0).build();
    let everything = ModuleOptimizer::from(WithHostState(adamw));
    everything.with_group(ParamGroup::from_ids(matrices.ids), WithHostState(muon), None)
}

fn adamw(weight_decay: f64) -> ModuleOptimizer {
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(weight_decay as f32).build();
    WithHostState(adamw).into()
}

#[derive(Default)]
struct BlockMatrices {
    in_blocks: bool,
    depth: usize,
    ids: Vec<ParamId>,
}

impl ModuleVisitor for BlockMatrices {
    fn enter_module(&mut self, name: &str, _container: &str) {
        if self.depth == 0 {
            self.in_blocks = name == "blocks";
        }
        self.depth += 1;
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.depth -= 1;
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.in_blocks && D == 2 {
            self.ids.push(param.id);
        }
    }
}
