//! Low-rank adapters (Hu et al., 2021): the weights stay frozen, and a product of two thin matrices is trained
//! beside each. Policy and reference then share all weights.

use burn::module::{Lora, Module, ModuleMapper, Param, ParamGroup};
use burn::tensor::{Tensor, TensorData};

use super::config::ModelConfig;
use super::parameters::normal;
use super::transformer::Transformer;
use crate::error::{Error, Result};

/// Path of the weights that have an adapter: every matrix inside the blocks. Embeddings, biases and norms stay
/// frozen.
const ADAPTED: &str = "blocks.";

/// Checks that the rank of adapters is at most the width of the model, which is the rank of its matrices.
///
/// # Errors
/// [`Error::Usage`] for a rank above the width of the model.
pub(crate) fn check_rank(rank: usize, config: &ModelConfig) -> Result<()> {
    match config.width {
        width if rank > width => Err(Error::usage(
            format!("policy.lora.rank is {rank}, but the model has width {width}, and a higher rank adds nothing"),
            format!("change it with --set policy.lora.rank=…, from 0 to {width}; 16 is usual"),
        )),
        _ => Ok(()),
    }
}

/// Freezes the model and adds `alpha/rank · A · B` to each matrix of its blocks. `B` begins at zero, so that
/// the model computes the same as before; `A` is drawn from a normal distribution of variance 1/d_in.
pub(crate) fn attach(model: Transformer, rank: usize, alpha: f64, seed: u64) -> Transformer {
    let adapted = ParamGroup::from_predicate(ADAPTED);
    let mut draw = Draw { path: Vec::new(), seed, row: 0 };
    model.apply_lora(Lora::new(rank, alpha).set_param_group(adapted)).map(&mut draw)
}

/// Merges the adapters into the weights: returns an ordinary model that computes the same. Returns a model
/// without adapters unchanged.
#[must_use]
pub(crate) fn merge<M: Module>(model: M) -> M {
    model.materialize()
}

/// Initialization of each `A` by the seed of the run: Burn uses the device's own generator, which the seed does
/// not reach.
struct Draw {
    path: Vec<String>,
    seed: u64,
    row: u64,
}

impl ModuleMapper for Draw {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !matches!(self.path.as_slice(), [.., adapter, factor] if adapter == "lora" && factor == "a") {
            return param;
        }
        self.row += 1;
        let shape = param.lazy_shape().to_vec();
        let deviation = 1.0 / (shape.first().copied().unwrap_or(1) as f32).sqrt();
        let values = normal(shape.iter().product(), deviation, self.seed, ROW_OF_FIRST + self.row);
        param.map(|old| Tensor::from_data(TensorData::new(values, shape), &old.device()))
    }
}

/// Start of the adapters' rows of random numbers; smaller rows are those of a model's own weights.
const ROW_OF_FIRST: u64 = 1 << 32;
