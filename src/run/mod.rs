//! A run on disk: its folder, checkpoints and logs, and how the same command resumes it.
//!
//! A run can be killed at any instant and loses no more than the work since its last checkpoint:
//! files become visible whole or not at all, and random numbers depend on their place in the run,
//! not on what was drawn before.

pub mod begin;
pub mod checkpoint;
pub mod checkpoints;
pub mod directory;
pub mod journal;
mod latest;
pub mod metrics;
mod output_folder;
mod set_aside;
pub mod step_log;
pub mod work;
mod written_models;

pub use begin::begin;
pub use checkpoint::Checkpoint;
pub use checkpoints::{Checkpoints, Latest};
pub use directory::RunDirectory;
pub use journal::Journal;
pub use metrics::MetricsLog;
pub use output_folder::OutputFolder;
pub use step_log::StepLog;
pub use work::{Input, Work};
