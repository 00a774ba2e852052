//! Proximal policy optimization: one update of the policy on a batch of responses (§2.2).

mod settings;
mod statistics;
mod update;

pub use settings::UpdateSettings;
pub use statistics::{Minibatch, StepStatistics};
pub use update::{Updated, gradients, loss, minibatch, update};
