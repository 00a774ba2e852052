//! State from which a training run resumes as if it had never stopped: weights, optimizer, and the loop's own
//! numbers.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::canonical_record;
use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::Versioned;
use crate::json;
use crate::run::checkpoint::Checkpoint;

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// Returns the files of a checkpoint, each made on demand: together they are three times the size of the model.
/// `state` holds the loop's own numbers: step, coefficients, seeds. A file that cannot be serialized, or that
/// holds a number that is not finite, is [`Error::Failed`]: nothing could resume from it.
pub fn to_files<M: Module>(
    model: &M,
    optimizer: &ModuleOptimizer,
    state: &impl Serialize,
) -> impl Iterator<Item = Result<(String, Vec<u8>)>> {
    let named = |name: &str, bytes: Bytes| {
        (name.to_string(), bytes.try_into_vec::<u8>().unwrap_or_else(|bytes| bytes.to_vec()))
    };
    let model = move || {
        let record = model.clone().into_record().into_bytes().and_then(canonical_record::of_model);
        Ok(named(MODEL, record.map_err(|error| unwritable(MODEL, error))?))
    };
    let optimizer = move || {
        let record = optimizer.into_bytes().and_then(canonical_record::of_optimizer);
        Ok(named(OPTIMIZER, record.map_err(|error| unwritable(OPTIMIZER, error))?))
    };
    let state = move || Ok((STATE.to_string(), state_to_json(state)?));
    std::iter::once_with(model).chain(std::iter::once_with(optimizer)).chain(std::iter::once_with(state))
}

/// Numbers that Adam keeps for each weight.
pub const MOMENTS_OF_ADAM: u64 = 2;

/// Estimates the bytes of a checkpoint's files, where the optimizer keeps `moments` numbers for each weight.
pub fn bytes_on_disk<M: Module>(model: &M, moments: u64) -> u64 {
    size_of::<f32>() as u64 * model.num_params() as u64 * (1 + moments)
}

/// Serializes the loop's own numbers. Refuses numbers that are not finite, which JSON cannot express.
fn state_to_json(state: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(Versioned::new(state)).map_err(|error| unwritable(STATE, error))?;
    let missing = value.as_object().and_then(|fields| fields.iter().find(|(_, value)| holds_null(value)));
    match missing {
        Some((name, _)) => Err(unwritable(STATE, format!("a number of {name} is not finite"))),
        None => serde_json::to_vec_pretty(&Versioned::new(state)).map_err(|error| unwritable(STATE, error)),
    }
}

fn holds_null(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(holds_null),
        Value::Object(fields) => fields.values().any(holds_null),
        _ => false,
    }
}

fn unwritable(file: &str, error: impl std::fmt::Display) -> Error {
    Error::failed(
        format!("the checkpoint is not written: {file}: {error}"),
        "if a number is not finite, lower the learning rate and run the same command again to resume from the previous checkpoint",
    )
}

/// Loads the weights of a checkpoint into a model of the same shape.
///
/// # Errors
/// [`Error::Input`] when the checkpoint is of another model, or a weight in it is not finite.
pub fn load_model<M: Module>(checkpoint: &Checkpoint, model: M) -> Result<M> {
    let bytes = record_bytes(checkpoint, MODEL, canonical_record::check_model)?;
    let record = ModuleRecord::from_bytes(bytes).map_err(|error| mismatch(checkpoint, &error))?;
    let model = model.try_load_record(record).map_err(|error| mismatch(checkpoint, &error))?;
    Ok(model.map(&mut Copied))
}

/// Mapper that copies each tensor to a buffer of its own: all tensors of a record share one buffer, which would
/// stay until the last of them is replaced.
struct Copied;

impl ModuleMapper for Copied {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| tensor * 1.0)
    }
}

/// Loads the optimizer's state of a checkpoint; `optimizer` must be made for the loaded model.
///
/// # Errors
/// [`Error::Input`] when the checkpoint is of another optimizer, or a number in it is not finite.
pub fn load_optimizer(checkpoint: &Checkpoint, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
    let bytes = record_bytes(checkpoint, OPTIMIZER, canonical_record::check_optimizer)?;
    let record = OptimizerRecord::from_bytes(bytes).map_err(|error| mismatch(checkpoint, &error))?;
    let recorded = record.len();
    let optimizer = optimizer.load_record(record);
    // Burn skips tensors that do not fit, and the optimizer would begin anew for their parameters.
    match optimizer.to_record().len() {
        loaded if loaded == recorded => Ok(optimizer),
        loaded => Err(mismatch(checkpoint, &format!("{loaded} of {recorded} tensors are of this optimizer"))),
    }
}

/// Loads the loop's own numbers of a checkpoint.
///
/// # Errors
/// [`Error::Input`] when the numbers are not those that this loop keeps.
pub fn load_state<S: DeserializeOwned>(checkpoint: &Checkpoint) -> Result<S> {
    let json = checkpoint.read(STATE)?;
    match format_version::fault_of(&json) {
        None => json::from_slice(&json).map_err(|error| mismatch(checkpoint, &error)),
        Some(fault) => Err(Error::input(&checkpoint.path().join(STATE), fault, format_version::NEWER_HINT)),
    }
}

/// Reads a record of a checkpoint and checks it.
fn record_bytes(
    checkpoint: &Checkpoint,
    name: &str,
    check: fn(Bytes) -> std::result::Result<(), RecordError>,
) -> Result<Bytes> {
    let bytes = Bytes::from_bytes_vec(checkpoint.read(name)?).shared();
    let whole = bytes.view(0, bytes.len()).unwrap_or_else(|_| bytes.clone());
    check(whole).map_err(|error| {
        Error::input(
            &checkpoint.path().join(name),
            error.to_string(),
            "move this checkpoint out of the folder, to resume from the one before it",
        )
    })?;
    Ok(bytes)
}

fn mismatch(checkpoint: &Checkpoint, error: &dyn std::fmt::Display) -> Error {
    Error::input(
        checkpoint.path(),
        format!("this checkpoint does not fit the run: {error}"),
        "the run was started with other settings; use its own settings, or another --run folder",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct State {
        step: usize,
        coefficient: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        perhaps: Option<f64>,
    }

    #[test]
    fn a_state_that_could_not_be_read_back_is_not_written() {
        let json = |coefficient, perhaps| state_to_json(&State { step: 3, coefficient, perhaps });
        let written = String::from_utf8(json(0.5, None).unwrap()).unwrap();
        assert!(written.starts_with("{\n  \"version\": 1,\n  \"step\": 3"), "{written}");
        for number in [f64::NAN, f64::INFINITY] {
            assert!(json(number, None).unwrap_err().to_string().contains("a number of coefficient is not finite"));
            assert!(json(0.5, Some(number)).unwrap_err().to_string().contains("a number of perhaps is not finite"));
        }
    }
}
