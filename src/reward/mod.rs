//! Figure 1, left: the reward model learns what the labeler prefers.
//!
//! ```text
//!            ┌────────────────────────────────────────────┐
//! queries ──▶│ language model draws N responses (collect) │
//!            └──────────────┬─────────────────────────────┘
//!                           ▼
//!              labeler chooses the best (labels)
//!                           ▼
//!   softmax over the N rewards, cross-entropy (loss, fit)
//!                           ▼
//!      gain and bias: mean 0, variance 1 (model)
//! ```

mod collect;
mod fit;
mod loss;
mod model;

pub use collect::{Collection, collect, draw_normalization_samples};
pub use fit::{FittedReward, NormalizationSamples, RewardTraining};
pub use loss::{RewardStep, TokenComparison, choice_loss, judge, train_step};
pub use model::{GainAndBias, RewardModel};
