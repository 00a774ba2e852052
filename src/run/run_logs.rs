//! The files that a training run writes into its folder during training.

use std::path::{Path, PathBuf};

use super::checkpoints::Checkpoints;
use super::metrics::MetricsLog;
use super::step_log::StepLog;
use crate::error::Result;

/// Number of checkpoints that are kept: the newest and the one before it.
const KEPT: usize = 2;

/// Checkpoints, a log with one line of metrics a step, and a log of sampled responses for a person to read.
#[derive(Debug)]
pub struct RunLogs {
    pub checkpoints: Checkpoints,
    metrics: PathBuf,
    samples: PathBuf,
}

impl RunLogs {
    /// Opens the checkpoints and logs of the run, or of the stage of a run, in this folder.
    ///
    /// # Errors
    /// The errors of [`Checkpoints::new`].
    pub fn in_folder(folder: &Path) -> Result<Self> {
        Ok(Self {
            checkpoints: Checkpoints::new(&folder.join("checkpoints"), KEPT)?,
            metrics: folder.join("metrics.jsonl"),
            samples: folder.join("samples.jsonl"),
        })
    }

    /// Opens the logs of metrics and samples, and drops their rows of steps after `done`, which are repeated.
    ///
    /// # Errors
    /// The errors of [`MetricsLog::open`].
    pub fn open_logs(&self, done: u64) -> Result<(MetricsLog, StepLog)> {
        Ok((MetricsLog::open(&self.metrics, Some(done))?, StepLog::open(&self.samples, Some(done))?))
    }
}
