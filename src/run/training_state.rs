//! What a training run needs to go on as if it had never stopped: weights, optimizer, and the
//! loop's own numbers.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// The files of a checkpoint, each made when it is asked for: together they are three times the
/// model. `state` holds the loop's own numbers: step, coefficients, seeds. [`Error::Failed`] in the
/// place of one that cannot be serialized.
pub fn to_files<M: Module>(
    model: &M,
    optimizer: &ModuleOptimizer,
    state: &impl Serialize,
) -> impl Iterator<Item = Result<(String, Vec<u8>)>> {
    fn failed(error: impl std::fmt::Display) -> Error {
        Error::failed(format!("the training state cannot be written: {error}"), "")
    }
    let named = |name: &str, bytes: Bytes| {
        (name.to_string(), bytes.try_into_vec::<u8>().unwrap_or_else(|bytes| bytes.to_vec()))
    };
    let model = move || Ok(named(MODEL, model.clone().into_record().into_bytes().map_err(failed)?));
    let optimizer = move || Ok(named(OPTIMIZER, optimizer.into_bytes().map_err(failed)?));
    let state = move || Ok((STATE.to_string(), serde_json::to_vec_pretty(state).map_err(failed)?));
    std::iter::once_with(model).chain(std::iter::once_with(optimizer)).chain(std::iter::once_with(state))
}

/// The weights of a checkpoint, put into a model of the same shape.
///
/// # Errors
/// [`Error::Input`] when the checkpoint is of another model.
pub fn load_model<M: Module>(checkpoint: &Checkpoint, model: M) -> Result<M> {
    let bytes = Bytes::from_bytes_vec(checkpoint.read(MODEL)?);
    let record = ModuleRecord::from_bytes(bytes).map_err(|error| mismatch(checkpoint, &error))?;
    let model = model.try_load_record(record).map_err(|error| mismatch(checkpoint, &error))?;
    Ok(model.map(&mut Copied))
}

/// Each tensor in a buffer of its own: a record's are parts of one, which would stay until the last of
/// them is replaced.
struct Copied;

impl ModuleMapper for Copied {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| tensor * 1.0)
    }
}

/// The optimizer's state of a checkpoint; `optimizer` must be made for the loaded model.
///
/// # Errors
/// [`Error::Input`] when the checkpoint is of another optimizer.
pub fn load_optimizer(checkpoint: &Checkpoint, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
    let bytes = Bytes::from_bytes_vec(checkpoint.read(OPTIMIZER)?);
    let record = OptimizerRecord::from_bytes(bytes).map_err(|error| mismatch(checkpoint, &error))?;
    Ok(optimizer.load_record(record))
}

/// The loop's own numbers of a checkpoint.
///
/// # Errors
/// [`Error::Input`] when they are not what this loop keeps.
pub fn load_state<S: DeserializeOwned>(checkpoint: &Checkpoint) -> Result<S> {
    serde_json::from_slice(&checkpoint.read(STATE)?).map_err(|error| mismatch(checkpoint, &error))
}

fn mismatch(checkpoint: &Checkpoint, error: &dyn std::fmt::Display) -> Error {
    Error::input(
        checkpoint.path(),
        format!("this checkpoint does not fit the run: {error}"),
        "the run was started with other settings; use its own settings, or another --run folder",
    )
}
