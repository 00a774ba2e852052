//! Figure 1, right: the policy learns to write what the reward model rates highly.
//!
//! ```text
//! queries ──▶ policy draws responses (rollout) ──▶ reward model scores them (score)
//!                ▲                                            │
//!                │                                            ▼
//!   PPO steps (update) ◀── advantages ◀── score − β · KL to the reference (shaping)
//!                │
//!                └──▶ β follows the KL (kl_controller)
//! ```

mod advantages;
mod health;
mod kl_controller;
mod logged;
mod memory;
mod model;
mod rollout;
mod score;
mod shaping;
mod statistics;
mod train;
mod update;
mod update_settings;
mod written;

pub use advantages::{Advantages, estimate, whiten};
pub use health::{RolloutHealth, repetition};
pub use kl_controller::{Adaptive, KlController};
pub use memory::backward_that_fits;
pub use model::{Policy, ResponseStatistics, response_log_probs};
pub use rollout::{Rollout, Rollouts};
pub use score::penalize;
pub use shaping::{Rows, Shaped, mean_of_sums, shape};
pub use statistics::{Minibatch, StepStatistics};
pub use train::{PolicyTraining, TunedPolicy, latest_policy};
pub use update::{Updated, gradients, loss, minibatch, update};
pub use update_settings::UpdateSettings;
pub use written::Written;
