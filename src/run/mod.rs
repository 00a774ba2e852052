//! A run on disk: its folder, checkpoints and logs, and how the same command resumes it.
//!
//! A run can be killed at any instant and loses no more than the work since its last checkpoint:
//! files become visible whole or not at all, and random numbers depend on their place in the run,
//! not on what was drawn before.

pub(crate) mod begin;
pub mod checkpoint;
pub mod checkpoints;
pub(crate) mod directory;
mod latest;
mod metric;
pub mod metrics;
mod output_folder;
pub(crate) mod run_logs;
mod set_aside;
mod stage;
pub(crate) mod step_log;
pub mod work;
mod written_models;

pub use begin::begin;
pub use checkpoint::Checkpoint;
pub use checkpoints::{Checkpoints, Latest};
pub use directory::RunDirectory;
pub use metric::Metric;
pub use metrics::{MetricsLog, MetricsRow};
pub use output_folder::OutputFolder;
pub use run_logs::RunLogs;
pub use stage::Stage;
pub use step_log::StepLog;
pub use work::{Input, Work};
