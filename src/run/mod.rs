//! A run on disk, and what every loop needs beside its mathematics.
//!
//! A run can be killed at any instant and loses no more than the work since its last checkpoint:
//! files become visible whole or not at all, and random numbers depend on their place in the run,
//! not on what was drawn before.

pub mod begin;
pub mod canonical_record;
pub mod checkpoint;
pub mod checkpoints;
pub mod directory;
pub mod disk_space;
mod fault_points;
pub mod files;
pub mod foreign;
pub mod health;
pub mod host_state;
pub mod interrupt;
pub mod journal;
mod latest;
pub mod learning_rate;
mod leftovers;
pub mod metrics;
mod output_file;
mod output_folder;
pub mod progress;
pub mod random;
mod set_aside;
pub mod step_log;
pub mod training_state;
pub mod work;
mod written_models;

pub use begin::begin;
pub use checkpoint::Checkpoint;
pub use checkpoints::{Checkpoints, Latest};
pub use directory::RunDirectory;
pub(crate) use fault_points::fault_point;
pub use interrupt::Interrupt;
pub use journal::Journal;
pub use metrics::MetricsLog;
pub use output_file::{OutputFile, check_file};
pub use output_folder::OutputFolder;
pub use progress::{Mode, Progress};
pub use step_log::StepLog;
pub use work::{Input, Work};

/// Seconds since 1970-01-01 UTC; `None` on a clock that is set before.
pub fn unix_seconds() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
