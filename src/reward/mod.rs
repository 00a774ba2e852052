//! Figure 1, left: the reward model learns what the labeler prefers.
//!
//! ```text
//!            ┌────────────────────────────────────────────┐
//! queries ──▶│ language model samples N responses (lm)    │
//!            └──────────────┬─────────────────────────────┘
//!                           ▼
//!              labeler chooses the best (labels)
//!                           ▼
//!   softmax over the N rewards, cross-entropy (loss, fit)
//!                           ▼
//!      gain and bias: mean 0, variance 1 (model)
//! ```

mod accuracy;
mod fit;
mod labeler;
mod loss;
mod memory;
mod model;
mod normalization;
mod prepare;

pub use accuracy::HeldOutAccuracy;
pub use fit::{FittedReward, RewardTraining};
pub use labeler::RewardLabeler;
pub use loss::{RewardStep, TokenComparison, choice_loss, judge, train_step};
pub use memory::backward_that_fits;
pub use model::{GainAndBias, RewardModel};
pub use normalization::{NormalizationSamples, draw_normalization_samples};
pub use prepare::{RewardData, encode_comparisons, split, token_comparisons};
