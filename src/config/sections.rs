//! The sections of the settings. Each field names its unit, and the original's value for
//! `sentiment` where it has one (`launch.py`).

use serde::{Deserialize, Serialize};

/// What is continued, and where a continuation ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// Tokens of a query, at most. Original: 64. From 1 to 1,048,576.
    pub query_length_tokens: usize,
    /// What stays of a longer query. Original: its start.
    pub long_queries: LongQueries,
    /// A query ends after the last such token in it, if there is one; none if empty. Original: none
    /// for texts of one's own; `\n` for news. A text of 0 to 256 bytes.
    pub query_end_token: String,
    /// What the policy, not the reward model, reads before each query. Original: none.
    /// A text of 0 to 65,536 bytes.
    pub query_prefix: String,
    /// And after it; `\n\nTL;DR:` in the original's summarization. A text of 0 to 65,536 bytes.
    pub query_suffix: String,
    /// Every response is sampled in full. Original: 24. From 1 to 1,048,576.
    pub response_length_tokens: usize,
    /// Divides the logits, in sampling and in log-probabilities. Original: 0.7. From 0.001 to 1000.
    pub temperature: f64,
    /// The token after which a response is cut. Original: `.` A text of 1 to 256 bytes.
    pub truncate_token: String,
    /// The first index at which that token counts. Original: 16. From 0 to 1,048,575.
    pub truncate_after_tokens: usize,
    /// The score of a response that cannot be cut. Original: −1. From -10000 to 10000.
    pub penalty_score: f64,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            query_length_tokens: 16,
            long_queries: LongQueries::KeepEnd,
            query_end_token: String::new(),
            query_prefix: String::new(),
            query_suffix: String::new(),
            response_length_tokens: 16,
            temperature: 0.7,
            truncate_token: ".".into(),
            truncate_after_tokens: 5,
            penalty_score: -1.0,
        }
    }
}

/// Which part of a query that is too long is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongQueries {
    /// The first tokens: the lead of an article.
    KeepStart,
    /// The last tokens: those that a continuation follows.
    KeepEnd,
}

/// How comparisons are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// Judgments to make. Original: 4992 used. From 2 to 1,000,000.
    pub comparisons: usize,
    /// Responses to choose from. Original: 4. From 2 to 256.
    pub responses_per_query: usize,
    /// Share of the queries kept for held-out accuracy. The original held out none. Between 0 and 1.
    pub held_out_fraction: f64,
    /// Share of the questions that people are asked a second time, for how far they agree. From 0 to 1.
    pub repeated_fraction: f64,
}

impl Default for Labels {
    fn default() -> Self {
        Self { comparisons: 3072, responses_per_query: 4, held_out_fraction: 0.1, repeated_fraction: 0.05 }
    }
}

/// Reward learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reward {
    /// Falls linearly to 0. Original: 5e-5. From 1e-30 to 1.
    pub learning_rate: f64,
    /// The first so many comparisons of a file train, and those of other queries after them measure;
    /// with 0, `labels.held_out_fraction` decides. Original: 4992, and no measuring.
    /// From 0 to 1,000,000,000,000.
    pub train_comparisons: usize,
    /// Comparisons a step. Original: 32. From 1 to 65,536.
    pub batch_size: usize,
    /// Responses on which rewards are normalized. Original: 256, rounded up to 512. From 2 to 65,536.
    pub normalize_samples: usize,
    /// Normalize before training. Original: true.
    pub normalize_before: bool,
    /// Normalize after training. Original: true.
    pub normalize_after: bool,
    /// Comparisons in one backward pass, at most: halved until it fits. Changes memory, not results.
    /// From 1 to 65,536.
    pub micro_batch_size: usize,
    /// As in `policy`. Original: false.
    pub gradient_checkpointing: bool,
    /// Original: 1e-5. From 1e-12 to 10.
    pub adam_epsilon: f64,
    /// `tensorflow` or `pytorch`. Original: tensorflow.
    pub adam: AdamForm,
    /// From 1 to 1,000,000,000,000.
    pub checkpoint_every_steps: usize,
}

impl Default for Reward {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            train_comparisons: 0,
            batch_size: 16,
            micro_batch_size: 16,
            gradient_checkpointing: false,
            normalize_samples: 256,
            normalize_before: true,
            normalize_after: true,
            adam_epsilon: 1e-5,
            adam: AdamForm::TensorFlow,
            checkpoint_every_steps: 20,
        }
    }
}

/// Where epsilon stands.
///
/// With ε = 1e-5 the two differ much in the first steps: measured on the original's data, the
/// first updates move the policy six times as far with PyTorch's (The N Implementation Details
/// of RLHF with PPO, 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdamForm {
    /// `lr · √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)`: "epsilon hat", as the original trains.
    #[default]
    TensorFlow,
    /// `lr · m̂ / (√v̂ + ε)` with both moments corrected first.
    PyTorch,
}

/// Policy learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Original: 1954 (1,000,000 episodes). From 1 to 1,000,000,000,000.
    pub updates: usize,
    /// Episodes an update. Original: 512. From 1 to 65,536.
    pub batch_size: usize,
    /// Parts into which an epoch is cut. Original: 1. From 1 to 65,536.
    pub minibatches: usize,
    /// Episodes in one backward pass, at most: halved until it fits. Changes memory, not results.
    /// From 1 to 65,536.
    pub micro_batch_size: usize,
    /// Compute activations again in the backward pass in place of keeping them: less memory, one more
    /// forward pass, the same results. Original: false.
    pub gradient_checkpointing: bool,
    /// Passes over the episodes of an update. Original: 4. From 1 to 100.
    pub epochs: usize,
    /// Falls linearly to 0. Original: 1e-5. From 1e-30 to 1.
    pub learning_rate: f64,
    /// Original: 0.1. From 0 to 1000.
    pub value_coefficient: f64,
    /// Original: 0.2. From 1e-6 to 1000000.
    pub clip_range: f64,
    /// Original: 0.2. From 1e-6 to 1000000.
    pub clip_range_value: f64,
    /// γ. Original: 1. From 0 to 1.
    pub discount: f64,
    /// λ. Original: 0.95. From 0 to 1.
    pub gae_lambda: f64,
    /// Scale rewards to variance 1. Original: true.
    pub whiten_rewards: bool,
    /// Original: 1e-5. From 1e-12 to 10.
    pub adam_epsilon: f64,
    /// `tensorflow` or `pytorch`. Original: tensorflow.
    pub adam: AdamForm,
    /// From 1 to 1,000,000,000,000.
    pub checkpoint_every_updates: usize,
    pub kl: Kl,
    pub lora: Lora,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            updates: 60,
            batch_size: 64,
            minibatches: 1,
            micro_batch_size: 64,
            gradient_checkpointing: false,
            epochs: 4,
            learning_rate: 4e-3,
            value_coefficient: 0.1,
            clip_range: 0.2,
            clip_range_value: 0.2,
            discount: 1.0,
            gae_lambda: 0.95,
            whiten_rewards: true,
            adam_epsilon: 1e-3,
            adam: AdamForm::TensorFlow,
            checkpoint_every_updates: 10,
            kl: Kl::default(),
            lora: Lora::default(),
        }
    }
}

/// The penalty for leaving the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// β at the start. Original: 0.15. From 0 to 1000.
    pub coefficient: f64,
    /// Whether β follows the KL. Original: true.
    pub adaptive: bool,
    /// Nats a response. Original: 6. From 1e-6 to 1000000.
    pub target: f64,
    /// Episodes over which β adapts. Original: 10,000. From 0.2 to 1e12.
    pub horizon_episodes: f64,
}

impl Default for Kl {
    fn default() -> Self {
        Self { coefficient: 0.2, adaptive: true, target: 12.0, horizon_episodes: 500.0 }
    }
}

/// Training thin matrices beside the weights, which then stay the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    /// Width of the matrices; 0 trains all weights. Original: 0. From 0 to 65,536.
    pub rank: usize,
    /// Their product counts alpha / rank times. From 1e-6 to 1000000.
    pub alpha: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 0, alpha: 32.0 }
    }
}

/// Judging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eval {
    /// Pairs shown to the labeler. From 1 to 1,000,000.
    pub pairs: usize,
}

impl Default for Eval {
    fn default() -> Self {
        Self { pairs: 240 }
    }
}

/// Next-token training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pretrain {
    /// Tokens of a tokenizer that is trained on the way. From 257 to 1,000,000.
    pub vocabulary_size: usize,
    /// From 1 to 1,024.
    pub layers: usize,
    /// From 1 to 65,536.
    pub width: usize,
    /// From 1 to 65,536.
    pub heads: usize,
    /// Longest sequence. From 2 to 1,048,576.
    pub context_tokens: usize,
    /// Sequences a step. From 1 to 65,536.
    pub batch_size: usize,
    /// From 1 to 1,000,000,000,000.
    pub steps: usize,
    /// From 1e-30 to 1.
    pub learning_rate: f64,
    /// From 0 to 1.
    pub weight_decay: f64,
    /// From 0 to 1,000,000,000,000.
    pub warmup_steps: usize,
    /// Share of the steps, at the end, over which the learning rate falls to 0. From 0 to 1.
    pub decay_fraction: f64,
    /// The last part of each text, never trained on. Between 0 and 1.
    pub held_out_fraction: f64,
    /// From 1 to 1,000,000,000,000.
    pub checkpoint_every_steps: usize,
    /// From 1 to 1,000,000,000,000.
    pub evaluate_every_steps: usize,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            vocabulary_size: 4096,
            layers: 4,
            width: 256,
            heads: 4,
            context_tokens: 256,
            batch_size: 16,
            steps: 3000,
            learning_rate: 4e-3,
            weight_decay: 0.1,
            warmup_steps: 100,
            decay_fraction: 0.5,
            held_out_fraction: 0.05,
            checkpoint_every_steps: 100,
            evaluate_every_steps: 500,
        }
    }
}

/// Supervised fine-tuning on the responses that were chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sft {
    /// Passes over the chosen responses. From 1 to 100,000.
    pub epochs: usize,
    /// Responses a step. From 1 to 65,536.
    pub batch_size: usize,
    /// Responses in one backward pass, at most: halved until it fits. Changes memory, not results.
    /// From 1 to 65,536.
    pub micro_batch_size: usize,
    /// As in `policy`.
    pub gradient_checkpointing: bool,
    /// Falls linearly to 0. From 1e-30 to 1.
    pub learning_rate: f64,
    /// From 0 to 1.
    pub weight_decay: f64,
    /// From 1 to 1,000,000,000,000.
    pub checkpoint_every_steps: usize,
    /// From 1 to 1,000,000,000,000.
    pub evaluate_every_steps: usize,
}

impl Default for Sft {
    fn default() -> Self {
        Self {
            epochs: 2,
            batch_size: 32,
            micro_batch_size: 32,
            gradient_checkpointing: false,
            learning_rate: 1e-4,
            weight_decay: 0.0,
            checkpoint_every_steps: 50,
            evaluate_every_steps: 50,
        }
    }
}

/// What stops a policy run by itself, before it makes anything worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Mean KL of an update's responses, in nats a response. From 1e-6 to 1e9.
    pub largest_kl: f64,
    /// Mean entropy of an update's responses, as a share of the first update's. From 0 to 1.
    pub smallest_entropy: f64,
    /// Mean share of a response's pairs of tokens that came in it before. From 0 to 1.
    pub most_repetition: f64,
    /// Responses at the start of a run of which one at least must have the truncate token where it counts; 0
    /// for no limit. From 0 to 1,000,000,000,000.
    pub responses_until_valid: usize,
    /// By how much a reward model's held-out accuracy must be above that of guessing, in `train`.
    /// From -1 to 1.
    pub least_above_chance: f64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            largest_kl: 100.0,
            smallest_entropy: 0.02,
            most_repetition: 0.6,
            responses_until_valid: 512,
            least_above_chance: 0.0,
        }
    }
}

/// Both loops together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// How often the reward model is fitted: before the first update, and then at evenly spaced points of
    /// training. Paper, online: 20; offline: 1. From 1 to 10,000.
    pub rounds: usize,
    /// How labels come in over the rounds.
    pub labels: LabelSchedule,
    /// With `falling`, the share of the labels before the first update. Between 0 and 1.
    pub first_share: f64,
}

impl Default for Train {
    fn default() -> Self {
        Self { rounds: 3, labels: LabelSchedule::Even, first_share: 0.5 }
    }
}

/// How many labels there are by which round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSchedule {
    /// As many in each round.
    Even,
    /// Fewer and fewer, as the paper's online runs had them.
    Falling,
}
