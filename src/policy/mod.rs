//! Figure 1, right: the policy learns to write what the reward model rates highly.
//!
//! ```text
//! queries ──▶ policy samples responses (rollout) ──▶ reward model scores them (score)
//!                ▲                                              │
//!                │                                              ▼
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
pub mod ppo;
mod rollout;
mod shaping;
mod train;
mod written;

pub use advantages::{Advantages, GeneralizedAdvantages, whiten};
pub use health::{RolloutHealth, repetition};
pub use kl_controller::{Adaptive, KlController};
pub use memory::backward_that_fits;
pub use model::{Policy, ResponseStatistics, response_log_probs};
pub use ppo::{Minibatch, StepStatistics, UpdateSettings};
pub use rollout::{Rollout, Rollouts, penalize};
pub use shaping::{Rows, Shaped, mean_of_sums, shape};
pub use train::{PolicyTraining, TunedPolicy, latest_policy};
pub use written::Written;
