//! Figure 1, left: the reward model learns what the labeler prefers.
//!
//! ```text
//!            ┌────────────────────────────────────────────┐
//! queries ──▶│ language model samples N responses (lm)    │
//!            └──────────────┬─────────────────────────────┘
//!                           ▼
//!              labeler chooses the best (labels)
//!                           ▼
//!   softmax over the N rewards, cross-entropy (loss, train)
//!                           ▼
//!      gain and bias: mean 0, variance 1 (model)
//! ```

mod accuracy;
mod labeler;
mod loss;
mod memory;
mod model;
mod normalization;
mod prepare;
mod train;

pub use accuracy::HeldOutAccuracy;
pub use labeler::RewardLabeler;
pub use loss::{RewardStep, TokenComparison, choice_loss, judge, train_step};
pub use memory::backward_that_fits;
pub use model::{GainAndBias, RewardModel};
pub use normalization::{NormalizationSamples, sample_for_normalization};
pub use prepare::{RewardData, encode_comparisons, split, token_comparisons};
pub use train::{RewardTraining, TrainedRewardModel};
