//! What a training run writes while it goes, in its folder.

use std::path::{Path, PathBuf};

use super::checkpoints::Checkpoints;
use super::metrics::MetricsLog;
use super::step_log::StepLog;
use crate::error::Result;

/// Checkpoints that are kept: the newest, and one before it.
const KEPT: usize = 2;

/// Checkpoints, one line of numbers a step, and samples for a person to read.
#[derive(Debug)]
pub struct Journal {
    pub checkpoints: Checkpoints,
    metrics: PathBuf,
    samples: PathBuf,
}

impl Journal {
    /// That of the run, or the stage of one, in this folder.
    ///
    /// # Errors
    /// As [`Checkpoints::new`].
    pub fn in_folder(folder: &Path) -> Result<Self> {
        Ok(Self {
            checkpoints: Checkpoints::new(&folder.join("checkpoints"), KEPT)?,
            metrics: folder.join("metrics.jsonl"),
            samples: folder.join("samples.jsonl"),
        })
    }

    /// Metrics and samples, without what was written after so many steps: it is done again.
    ///
    /// # Errors
    /// As [`MetricsLog::open`].
    pub fn open_logs(&self, done: u64) -> Result<(MetricsLog, StepLog)> {
        Ok((MetricsLog::open(&self.metrics, Some(done))?, StepLog::open(&self.samples, Some(done))?))
    }
}
