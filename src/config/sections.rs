//! The sections of the settings. Each field names its unit, and the original's value for
//! `sentiment` where it has one (`launch.py`).

use serde::{Deserialize, Serialize};

/// Queries and responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// Largest number of tokens of a query. Original: 64. From 1 to 1,048,576.
    pub query_length_tokens: usize,
    /// Part of a longer query that is kept. Original: its start.
    pub long_queries: LongQueries,
    /// Token after whose last occurrence a query ends, if it occurs; empty for none. Original: none for the
    /// user's own texts, `\n` for news. A text of 0 to 256 bytes.
    pub query_end_token: String,
    /// Text that the policy, but not the reward model, reads before each query. Original: none. A text of 0 to
    /// 65,536 bytes.
    pub query_prefix: String,
    /// Text that the policy, but not the reward model, reads after each query. Original: `\n\nTL;DR:` for
    /// summarization. A text of 0 to 65,536 bytes.
    pub query_suffix: String,
    /// Number of tokens of every response, all of which are sampled. Original: 24. From 1 to 1,048,576.
    pub response_length_tokens: usize,
    /// Divisor of the logits, in sampling and in log-probabilities. Original: 0.7. From 0.001 to 1000.
    pub temperature: f64,
    /// The token after which a response is truncated. Original: `.` A text of 1 to 256 bytes.
    pub truncate_token: String,
    /// The first index in a response at which the truncate token counts. Original: 16. From 0 to 1,048,575.
    pub truncate_after_tokens: usize,
    /// The score of a response that cannot be truncated. Original: −1. From -10000 to 10000.
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
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// Number of comparisons to collect. Original: 4992 used. From 2 to 1,000,000.
    pub comparisons: usize,
    /// Number of responses to choose from. Original: 4. From 2 to 256.
    pub responses_per_query: usize,
    /// Share of the queries kept for held-out accuracy. The original held out none. Between 0 and 1.
    pub held_out_fraction: f64,
    /// Share of the questions that people are asked a second time, to measure how far they agree. From 0 to 1.
    pub repeated_fraction: f64,
}

impl Default for Labels {
    fn default() -> Self {
        Self { comparisons: 3072, responses_per_query: 4, held_out_fraction: 0.1, repeated_fraction: 0.05 }
    }
}

/// Training of the reward model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reward {
    /// Learning rate at the start, which falls linearly to 0. Original: 5e-5. From 1e-30 to 1.
    pub learning_rate: f64,
    /// Number of comparisons at the start of a file that train; later ones of other queries are held out. With
    /// 0, `labels.held_out_fraction` decides. Original: 4992, and none held out. From 0 to 1,000,000,000,000.
    pub train_comparisons: usize,
    /// Comparisons a step. Original: 32. From 1 to 65,536.
    pub batch_size: usize,
    /// Responses on which rewards are normalized. Original: 256, rounded up to 512. From 2 to 65,536.
    pub normalize_samples: usize,
    /// Normalization of rewards before training. Original: true.
    pub normalize_before: bool,
    /// Normalization of rewards after training. Original: true.
    pub normalize_after: bool,
    /// Largest number of comparisons in a micro-batch, halved until it fits the memory. Changes memory, not
    /// results. From 1 to 65,536.
    pub micro_batch_size: usize,
    /// Recomputation of activations in the backward pass instead of keeping them, as in `policy`. Original: false.
    pub gradient_checkpointing: bool,
    /// ε of Adam. Original: 1e-5. From 1e-12 to 10.
    pub adam_epsilon: f64,
    /// Form of Adam: `tensorflow` or `pytorch`. Original: tensorflow.
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

/// The place of ε in Adam's update.
///
/// The two forms differ much in the first steps with ε = 1e-5: measured on the original's data, the first
/// updates move the policy six times as far with PyTorch's form (The N Implementation Details of RLHF with PPO,
/// 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdamForm {
    /// `lr · √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)`: "epsilon hat", as the original trains.
    #[default]
    TensorFlow,
    /// `lr · m̂ / (√v̂ + ε)` with both moments corrected first.
    PyTorch,
}

/// Training of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Number of updates. Original: 1954 (1,000,000 episodes). From 1 to 1,000,000,000,000.
    pub updates: usize,
    /// Episodes an update. Original: 512. From 1 to 65,536.
    pub batch_size: usize,
    /// Number of minibatches into which an epoch is split. Original: 1. From 1 to 65,536.
    pub minibatches: usize,
    /// Largest number of episodes in a micro-batch, halved until it fits the memory. Changes memory, not
    /// results. From 1 to 65,536.
    pub micro_batch_size: usize,
    /// Recomputation of activations in the backward pass instead of keeping them: less memory, one more forward
    /// pass, the same results. Original: false.
    pub gradient_checkpointing: bool,
    /// Passes over the episodes of an update. Original: 4. From 1 to 100.
    pub epochs: usize,
    /// Learning rate at the start, which falls linearly to 0. Original: 1e-5. From 1e-30 to 1.
    pub learning_rate: f64,
    /// Weight of the value loss. Original: 0.1. From 0 to 1000.
    pub value_coefficient: f64,
    /// Clip range of the probability ratios. Original: 0.2. From 1e-6 to 1000000.
    pub clip_range: f64,
    /// Clip range of the values. Original: 0.2. From 1e-6 to 1000000.
    pub clip_range_value: f64,
    /// Discount γ of rewards. Original: 1. From 0 to 1.
    pub discount: f64,
    /// λ of generalized advantage estimation. Original: 0.95. From 0 to 1.
    pub gae_lambda: f64,
    /// Scaling of rewards to variance 1. Original: true.
    pub whiten_rewards: bool,
    /// ε of Adam. Original: 1e-5. From 1e-12 to 10.
    pub adam_epsilon: f64,
    /// Form of Adam: `tensorflow` or `pytorch`. Original: tensorflow.
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

/// The penalty for divergence from the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kl {
    /// KL coefficient β at the start. Original: 0.15. From 0 to 1000.
    pub coefficient: f64,
    /// True if β adapts to the KL. Original: true.
    pub adaptive: bool,
    /// Target of the KL, in nats a response. Original: 6. From 1e-6 to 1000000.
    pub target: f64,
    /// Episodes over which β adapts. Original: 10,000. From 0.2 to 1e12.
    pub horizon_episodes: f64,
}

impl Default for Kl {
    fn default() -> Self {
        Self { coefficient: 0.2, adaptive: true, target: 12.0, horizon_episodes: 500.0 }
    }
}

/// Training of adapters beside the weights, which stay those of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    /// Rank of the adapters; 0 trains all weights. Original: 0. From 0 to 65,536.
    pub rank: usize,
    /// Scale of the adapters, which count alpha / rank times. From 1e-6 to 1000000.
    pub alpha: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 0, alpha: 32.0 }
    }
}

/// Evaluation of a policy.
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
    /// Number of tokens of the tokenizer, which is trained first. From 257 to 1,000,000.
    pub vocabulary_size: usize,
    /// From 1 to 1,024.
    pub layers: usize,
    /// From 1 to 65,536.
    pub width: usize,
    /// From 1 to 65,536.
    pub heads: usize,
    /// Length of the longest sequence. From 2 to 1,048,576.
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
    /// Share at the end of each text that is held out. Between 0 and 1.
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
    /// Largest number of responses in a micro-batch, halved until it fits the memory. Changes memory, not
    /// results. From 1 to 65,536.
    pub micro_batch_size: usize,
    /// Recomputation of activations in the backward pass instead of keeping them, as in `policy`.
    pub gradient_checkpointing: bool,
    /// Learning rate at the start, which falls linearly to 0. From 1e-30 to 1.
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

/// Limits at which a policy run stops by itself, before it makes the policy worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Mean KL of an update's responses, in nats a response. From 1e-6 to 1e9.
    pub largest_kl: f64,
    /// Mean entropy of an update's responses, as a share of the first update's. From 0 to 1.
    pub smallest_entropy: f64,
    /// Mean share of a response's pairs of tokens that occur earlier in the response. From 0 to 1.
    pub most_repetition: f64,
    /// Number of responses at the start of a run, at least one of which must have the truncate token where it
    /// counts; 0 for no limit. From 0 to 1,000,000,000,000.
    pub responses_until_valid: usize,
    /// Least difference in `train` between a reward model's held-out accuracy and that of guessing. From -1 to 1.
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

/// Rounds of labeling, reward training and policy training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Number of times that the reward model is trained: before the first update, and then at evenly spaced
    /// points of training. Paper: 20 online, 1 offline. From 1 to 10,000.
    pub rounds: usize,
    /// Distribution of the labels over the rounds.
    pub labels: LabelSchedule,
    /// Share of the labels that are collected before the first update, with `falling`. Between 0 and 1.
    pub first_share: f64,
}

impl Default for Train {
    fn default() -> Self {
        Self { rounds: 3, labels: LabelSchedule::Even, first_share: 0.5 }
    }
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
