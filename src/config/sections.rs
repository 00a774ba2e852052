//! The sections of the settings. `defaults.toml` documents each field; `preftune guide settings` shows it.

use serde::{Deserialize, Serialize};

/// Queries and responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub query_length_tokens: usize,
    pub long_queries: LongQueries,
    pub query_end_token: String,
    pub query_prefix: String,
    pub query_suffix: String,
    pub chat: bool,
    pub response_length_tokens: usize,
    pub temperature: f64,
    pub truncate_token: String,
    pub truncate_after_tokens: usize,
    pub penalty_score: f64,
}

/// The part of a too long query that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongQueries {
    /// The first tokens: the lead of an article.
    KeepStart,
    /// The last tokens: those that a continuation follows.
    KeepEnd,
}

/// Collection of comparisons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    pub comparisons: usize,
    pub responses_per_query: usize,
    pub held_out_fraction: f64,
    pub repeated_fraction: f64,
}

/// Training of the reward model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reward {
    pub learning_rate: f64,
    pub train_comparisons: usize,
    pub batch_size: usize,
    pub normalize_samples: usize,
    pub normalize_before: bool,
    pub normalize_after: bool,
    pub micro_batch_size: usize,
    pub gradient_checkpointing: bool,
    pub adam_epsilon: f64,
    pub adam: AdamForm,
    pub checkpoint_every_steps: usize,
}

/// Numbers in which the weights of frozen models are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrozenPrecision {
    F32,
    /// Half the size, with 8 bits of precision.
    Bf16,
}

/// The place of ε in Adam's update.
///
/// The two forms differ much in the first steps with ε = 1e-5: measured on the original's data, the first
/// updates move the policy six times as far with PyTorch's form (The N Implementation Details of RLHF with PPO,
/// 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdamForm {
    /// `lr · √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)`: "epsilon hat", as the original trains.
    TensorFlow,
    /// `lr · m̂ / (√v̂ + ε)` with both moments corrected first.
    PyTorch,
}

/// Training of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub updates: usize,
    pub batch_size: usize,
    pub minibatches: usize,
    pub micro_batch_size: usize,
    pub gradient_checkpointing: bool,
    pub frozen_precision: FrozenPrecision,
    pub epochs: usize,
    pub learning_rate: f64,
    pub value_coefficient: f64,
    pub clip_range: f64,
    pub clip_range_value: f64,
    pub discount: f64,
    pub gae_lambda: f64,
    pub whiten_rewards: bool,
    pub adam_epsilon: f64,
    pub adam: AdamForm,
    pub checkpoint_every_updates: usize,
    pub kl: Kl,
    pub lora: Lora,
}

/// The penalty for divergence from the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kl {
    pub coefficient: f64,
    pub adaptive: bool,
    pub target: f64,
    pub horizon_episodes: f64,
}

/// Training of LoRA adapters beside the weights, which stay those of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    pub rank: usize,
    pub alpha: f64,
}

/// Evaluation of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    pub pairs: usize,
}

/// Next-token training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    pub vocabulary_size: usize,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub context_tokens: usize,
    pub batch_size: usize,
    pub steps: usize,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub warmup_steps: usize,
    pub decay_fraction: f64,
    pub held_out_fraction: f64,
    pub checkpoint_every_steps: usize,
    pub evaluate_every_steps: usize,
}

/// Supervised fine-tuning on the responses that were chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sft {
    pub epochs: usize,
    pub batch_size: usize,
    pub micro_batch_size: usize,
    pub gradient_checkpointing: bool,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub checkpoint_every_steps: usize,
    pub evaluate_every_steps: usize,
}

/// Limits at which a policy run stops by itself, before it makes the policy worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    pub largest_kl: f64,
    pub smallest_entropy: f64,
    pub most_repetition: f64,
    pub smallest_variety: f64,
    pub responses_until_valid: usize,
    pub least_above_chance: f64,
}

/// Rounds of labelling, reward training and policy training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    pub rounds: usize,
    pub labels: LabelSchedule,
    pub first_share: f64,
}

/// The distribution of labels over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSchedule {
    /// An equal number in each round.
    Even,
    /// A falling number, as in the paper's online runs.
    Falling,
}
