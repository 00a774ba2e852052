//! Checkpoints and logs of a training loop: where it resumes, when it saves, and how it stops.

use std::path::PathBuf;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::training_state;
use crate::error::{Error, Result};
use crate::platform::interrupt::Interrupt;
use crate::run::checkpoints::Checkpoints;
use crate::run::run_logs::RunLogs;
use crate::run::{MetricsLog, StepLog};

/// Model, optimizer and own numbers of a training loop: what a checkpoint holds.
pub struct LoopState<M, S> {
    pub model: M,
    pub optimizer: ModuleOptimizer,
    pub state: S,
}

impl<M: Module, S: DeserializeOwned> LoopState<M, S> {
    /// Loads the newest checkpoint into a model of the same shape, with gradients; `None` where there is no
    /// checkpoint. `optimizer` makes an optimizer for the loaded model.
    ///
    /// # Errors
    /// [`Error::Input`] for a checkpoint of another model, of another optimizer or of another loop.
    pub fn of_newest_checkpoint(
        checkpoints: &Checkpoints,
        model: M,
        optimizer: impl FnOnce(&M) -> ModuleOptimizer,
    ) -> Result<Option<Self>> {
        let Some(checkpoint) = checkpoints.latest()? else { return Ok(None) };
        let state = training_state::load_state(&checkpoint)?;
        let model = training_state::load_model(&checkpoint, model)?.train();
        let optimizer = training_state::load_optimizer(&checkpoint, optimizer(&model))?;
        Ok(Some(Self { model, optimizer, state }))
    }
}

/// Work that is due after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// A checkpoint, after which the run stops if that is requested.
    Save,
    /// The checkpoint of the last step, which is not interrupted.
    SaveLast,
}

/// Steps of a training loop when it begins or resumes.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    pub done: usize,
    pub left: usize,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

/// Checkpoints and logs of a training loop under way.
#[derive(Debug)]
pub struct Checkpointing<'a> {
    checkpoints: &'a Checkpoints,
    interrupt: &'a Interrupt,
    /// Steps from one checkpoint to the next.
    every: usize,
    pub metrics: MetricsLog,
    pub samples: StepLog,
}

impl<'a> Checkpointing<'a> {
    /// Opens the logs, without the entries after the steps that are done: the following steps are done again. A
    /// checkpoint takes `bytes`.
    ///
    /// # Errors
    /// [`Error::Failed`] when the disk has no room for the checkpoints to come; [`Error::Input`] and
    /// [`Error::File`] for logs that cannot be read or written.
    pub fn begin(run_logs: &'a RunLogs, interrupt: &'a Interrupt, steps: Steps, bytes: u64) -> Result<Self> {
        let checkpoints = &run_logs.checkpoints;
        checkpoints.check_space(bytes, steps.left, steps.checkpoint_every)?;
        let (metrics, samples) = run_logs.open_logs(steps.done as u64)?;
        Ok(Self { checkpoints, interrupt, every: steps.checkpoint_every, metrics, samples })
    }

    /// Returns the work that is due after `steps` steps. The last step of the loop is saved, and no longer
    /// interrupted.
    pub fn due(&self, steps: usize, is_last: bool) -> Due {
        match is_last {
            true => Due::SaveLast,
            false if self.interrupt.requested() => Due::Save,
            false if self.checkpoints.is_due(steps as u64, self.every as u64) => Due::Save,
            false => Due::Nothing,
        }
    }

    /// Does the work that is `due` after `steps` steps.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint for [`Due::Save`], when a stop is requested; [`Error::Failed`] and [`Error::File`]
    /// when the checkpoint cannot be written.
    pub fn after_step<M: Module>(
        &self,
        due: Due,
        steps: usize,
        model: &M,
        optimizer: &ModuleOptimizer,
        state: &impl Serialize,
    ) -> Result<()> {
        match due {
            Due::Nothing => Ok(()),
            Due::SaveLast => self.save(steps, model, optimizer, state).map(drop),
            Due::Save => {
                let path = self.save(steps, model, optimizer, state)?;
                // A stop may have been requested while the checkpoint was written.
                if self.interrupt.requested() { Err(Error::Interrupted { checkpoint: Some(path) }) } else { Ok(()) }
            }
        }
    }

    /// Saves a checkpoint after `steps` steps. The logs become durable first, so that no checkpoint is ahead of
    /// them.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::File`] when the logs or the checkpoint cannot be written.
    pub fn save<M: Module>(
        &self,
        steps: usize,
        model: &M,
        optimizer: &ModuleOptimizer,
        state: &impl Serialize,
    ) -> Result<PathBuf> {
        self.metrics.sync()?;
        self.samples.sync()?;
        self.checkpoints.save(steps as u64, training_state::to_files(model, optimizer, state))
    }
}
