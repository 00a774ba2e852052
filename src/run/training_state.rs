//! What a training run needs to go on as if it had never stopped: weights, optimizer, and the
//! loop's own numbers.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::Checkpoint;
use crate::device::read_floats;
use crate::error::{Error, Result};
use crate::finite::first_not_finite;

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
/// [`Error::Input`] when the checkpoint is of another model, or a weight is not finite.
pub fn load_model<M: Module>(checkpoint: &Checkpoint, model: M) -> Result<M> {
    let bytes = Bytes::from_bytes_vec(checkpoint.read(MODEL)?);
    let record = ModuleRecord::from_bytes(bytes).map_err(|error| mismatch(checkpoint, &error))?;
    let model = model.try_load_record(record).map_err(|error| mismatch(checkpoint, &error))?;
    let mut copied = Copied { path: Vec::new(), complaint: Ok(None) };
    let model = model.map(&mut copied);
    match copied.complaint? {
        None => Ok(model),
        Some(complaint) => {
            let hint = "delete this checkpoint: the run then goes on from the one before it";
            Err(Error::input(&checkpoint.path().join(MODEL), complaint, hint))
        }
    }
}

/// Each tensor in a buffer of its own: a record's are parts of one, which would stay until the last of
/// them is replaced. Every number is looked at on the way.
struct Copied {
    path: Vec<String>,
    /// The first number that is not finite.
    complaint: Result<Option<String>>,
}

impl ModuleMapper for Copied {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if matches!(self.complaint, Ok(None)) {
            let shape = parameter.val().dims();
            self.complaint = read_floats(parameter.val().without_autodiff()).map(|values| {
                let found = first_not_finite(&values, &shape)?;
                Some(format!("{} holds {found}", self.path.join(".")))
            });
        }
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

#[cfg(test)]
mod tests {
    use burn::optim::AdamConfig;

    use super::*;
    use crate::lm::ScalarHead;
    use crate::run::checkpoint;

    #[test]
    fn a_checkpoint_with_a_weight_that_is_not_finite_is_refused_with_its_place() {
        let device = burn::tensor::Device::default();
        let read = |weight: Vec<f32>| {
            let folder = tempfile::tempdir().unwrap();
            let head = ScalarHead::new(weight, 0.5, &device);
            let optimizer = AdamConfig::new().init();
            checkpoint::write(folder.path(), 1, to_files(&head, &optimizer, &())).unwrap();
            let checkpoint = Checkpoint::open(folder.path()).unwrap();
            load_model(&checkpoint, ScalarHead::zeros(3, &device)).map(|head| head.read("value").unwrap())
        };
        assert_eq!(read(vec![1.0, -2.0, 3.0]).unwrap()[0].values, [1.0, -2.0, 3.0]);
        for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let error = read(vec![1.0, value, value]).unwrap_err();
            assert!(
                error.to_string().ends_with(&format!("model.bpk: weight holds {shown} at index 1 ([1, 0])")),
                "{error}"
            );
            assert_eq!(error.exit_code(), 4);
            assert!(error.hint().contains("the one before"));
        }
    }
}
