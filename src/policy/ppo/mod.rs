//! Proximal policy optimization: one update of the policy on a batch of responses (§2.2).

mod minibatch;
mod objective;
mod settings;
mod statistics;
mod update;

pub use minibatch::Minibatch;
pub use objective::{Clipped, ClippedObjective, Number};
pub use settings::UpdateSettings;
pub use statistics::StepStatistics;
pub use update::{Updated, gradients, loss, update};
