//! Low-rank adapters (Hu et al., 2021): the weights stay as they are, and a product of two thin
//! matrices is learned beside each. Policy and reference then share all weights.

use burn::module::{Lora, Module, ModuleMapper, Param, ParamGroup};
use burn::tensor::{Tensor, TensorData};

use super::config::ModelConfig;
use super::parameters::normal;
use super::transformer::Transformer;
use crate::error::{Error, Result};

/// Every matrix inside the blocks has an adapter; embeddings, biases and norms stay frozen.
const ADAPTED: &str = "blocks.";

/// Adapters have at most the rank that the matrices have.
///
/// # Errors
/// [`Error::Usage`] for a rank above the width of the model.
pub fn check_rank(rank: usize, config: &ModelConfig) -> Result<()> {
    match config.n_embd {
        width if rank > width => Err(Error::usage(
            format!("policy.lora.rank is {rank}, and the model is {width} wide: more adds nothing"),
            format!("change it with --set policy.lora.rank=…, from 0 to {width}; 16 is usual"),
        )),
        _ => Ok(()),
    }
}

/// Freezes the model and lays `W + alpha/rank · A · B` over each matrix `W` of its blocks. `B` begins
/// at zero, so that the model computes what it did; `A` is drawn from N(0, 1/d_in).
pub fn attach(model: Transformer, rank: usize, alpha: f64, seed: u64) -> Transformer {
    let adapted = ParamGroup::from_predicate(ADAPTED);
    let mut draw = Draw { path: Vec::new(), seed, row: 0 };
    model.apply_lora(Lora::new(rank, alpha).set_param_group(adapted)).map(&mut draw)
}

/// The adapters multiplied out: an ordinary model that computes the same. Without adapters, the model.
#[must_use]
pub fn merge<M: Module>(model: M) -> M {
    model.materialize()
}

/// Burn draws `A` with the device's own generator, which no seed of a run reaches.
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

/// Rows below are those of a model's own weights.
const ROW_OF_FIRST: u64 = 1 << 32;
