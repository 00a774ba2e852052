//! What the settings must satisfy before any work starts.

use std::fmt::Display;

use super::{Config, Health, Kl, Labels, Policy, Pretrain, Reward, Sft, Task};
use crate::error::{Error, Result};

/// The 256 bytes and the end of a text.
const SMALLEST_VOCABULARY: usize = 257;

impl Config {
    /// Checks every setting, alone and with those it depends on.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the first setting that cannot be, and what it must be.
    pub fn validate(&self) -> Result<()> {
        task(&self.task)?;
        labels(&self.labels)?;
        reward(&self.reward)?;
        policy(&self.policy)?;
        kl(&self.policy)?;
        health(&self.health)?;
        at_least("train.rounds", self.train.rounds, 1)?;
        inner_fraction("train.first_share", self.train.first_share)?;
        pretrain(&self.pretrain)?;
        sft(&self.sft)?;
        at_least("eval.pairs", self.eval.pairs, 1)
    }
}

fn task(task: &Task) -> Result<()> {
    at_least("task.query_length_tokens", task.query_length_tokens, 1)?;
    at_least("task.response_length_tokens", task.response_length_tokens, 1)?;
    positive("task.temperature", task.temperature)?;
    require(!task.truncate_token.is_empty(), "task.truncate_token", "\"\"", "a token, such as \".\"")?;
    require(
        task.truncate_after_tokens < task.response_length_tokens,
        "task.truncate_after_tokens",
        task.truncate_after_tokens,
        &format!("less than task.response_length_tokens, {}", task.response_length_tokens),
    )?;
    require(task.penalty_score.is_finite(), "task.penalty_score", task.penalty_score, "a finite number")
}

fn labels(labels: &Labels) -> Result<()> {
    at_least("labels.comparisons", labels.comparisons, 2)?;
    at_least("labels.responses_per_query", labels.responses_per_query, 2)?;
    inner_fraction("labels.held_out_fraction", labels.held_out_fraction)?;
    fraction("labels.repeated_fraction", labels.repeated_fraction)
}

fn reward(reward: &Reward) -> Result<()> {
    positive("reward.learning_rate", reward.learning_rate)?;
    at_least("reward.batch_size", reward.batch_size, 1)?;
    at_least("reward.micro_batch_size", reward.micro_batch_size, 1)?;
    // A variance needs two.
    at_least("reward.normalize_samples", reward.normalize_samples, 2)?;
    positive("reward.adam_epsilon", reward.adam_epsilon)?;
    at_least("reward.checkpoint_every_steps", reward.checkpoint_every_steps, 1)
}

fn policy(policy: &Policy) -> Result<()> {
    at_least("policy.updates", policy.updates, 1)?;
    at_least("policy.batch_size", policy.batch_size, 1)?;
    at_least("policy.minibatches", policy.minibatches, 1)?;
    require(
        policy.batch_size.is_multiple_of(policy.minibatches),
        "policy.batch_size",
        policy.batch_size,
        &format!("a multiple of policy.minibatches, {}", policy.minibatches),
    )?;
    at_least("policy.micro_batch_size", policy.micro_batch_size, 1)?;
    at_least("policy.epochs", policy.epochs, 1)?;
    positive("policy.learning_rate", policy.learning_rate)?;
    not_negative("policy.value_coefficient", policy.value_coefficient)?;
    positive("policy.clip_range", policy.clip_range)?;
    positive("policy.clip_range_value", policy.clip_range_value)?;
    fraction("policy.discount", policy.discount)?;
    fraction("policy.gae_lambda", policy.gae_lambda)?;
    positive("policy.adam_epsilon", policy.adam_epsilon)?;
    positive("policy.lora.alpha", policy.lora.alpha)?;
    at_least("policy.checkpoint_every_updates", policy.checkpoint_every_updates, 1)
}

fn kl(policy: &Policy) -> Result<()> {
    let Kl { coefficient, target, horizon_episodes, .. } = policy.kl;
    not_negative("policy.kl.coefficient", coefficient)?;
    positive("policy.kl.target", target)?;
    positive("policy.kl.horizon_episodes", horizon_episodes)?;
    // An update multiplies β by at least 1 − 0.2 · batch_size/horizon, which must stay above 0.
    require(
        (policy.batch_size as f64) < 5.0 * horizon_episodes,
        "policy.kl.horizon_episodes",
        horizon_episodes,
        &format!("more than a fifth of policy.batch_size, {}", policy.batch_size),
    )
}

fn sft(sft: &Sft) -> Result<()> {
    at_least("sft.epochs", sft.epochs, 1)?;
    at_least("sft.batch_size", sft.batch_size, 1)?;
    at_least("sft.micro_batch_size", sft.micro_batch_size, 1)?;
    positive("sft.learning_rate", sft.learning_rate)?;
    not_negative("sft.weight_decay", sft.weight_decay)?;
    at_least("sft.checkpoint_every_steps", sft.checkpoint_every_steps, 1)?;
    at_least("sft.evaluate_every_steps", sft.evaluate_every_steps, 1)
}

fn pretrain(pretrain: &Pretrain) -> Result<()> {
    at_least("pretrain.vocabulary_size", pretrain.vocabulary_size, SMALLEST_VOCABULARY)?;
    at_least("pretrain.layers", pretrain.layers, 1)?;
    at_least("pretrain.width", pretrain.width, 1)?;
    at_least("pretrain.heads", pretrain.heads, 1)?;
    require(
        pretrain.width.is_multiple_of(pretrain.heads),
        "pretrain.width",
        pretrain.width,
        &format!("a multiple of pretrain.heads, {}", pretrain.heads),
    )?;
    at_least("pretrain.context_tokens", pretrain.context_tokens, 2)?;
    at_least("pretrain.batch_size", pretrain.batch_size, 1)?;
    at_least("pretrain.steps", pretrain.steps, 1)?;
    positive("pretrain.learning_rate", pretrain.learning_rate)?;
    not_negative("pretrain.weight_decay", pretrain.weight_decay)?;
    fraction("pretrain.decay_fraction", pretrain.decay_fraction)?;
    inner_fraction("pretrain.held_out_fraction", pretrain.held_out_fraction)?;
    at_least("pretrain.checkpoint_every_steps", pretrain.checkpoint_every_steps, 1)?;
    at_least("pretrain.evaluate_every_steps", pretrain.evaluate_every_steps, 1)
}

fn health(health: &Health) -> Result<()> {
    positive("health.largest_kl", health.largest_kl)?;
    fraction("health.smallest_entropy", health.smallest_entropy)?;
    fraction("health.most_repetition", health.most_repetition)?;
    let margin = health.least_above_chance;
    require((-1.0..=1.0).contains(&margin), "health.least_above_chance", margin, "from -1 to 1")
}

fn at_least(key: &str, value: usize, least: usize) -> Result<()> {
    require(value >= least, key, value, &format!("at least {least}"))
}

fn positive(key: &str, value: f64) -> Result<()> {
    require(value > 0.0 && value.is_finite(), key, value, "greater than 0")
}

fn not_negative(key: &str, value: f64) -> Result<()> {
    require(value >= 0.0 && value.is_finite(), key, value, "0 or more")
}

fn fraction(key: &str, value: f64) -> Result<()> {
    require((0.0..=1.0).contains(&value), key, value, "from 0 to 1")
}

fn inner_fraction(key: &str, value: f64) -> Result<()> {
    require(value > 0.0 && value < 1.0, key, value, "between 0 and 1")
}

fn require(holds: bool, key: &str, value: impl Display, must_be: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::usage(format!("{key} is {value}; it must be {must_be}"), format!("change it with --set {key}=…")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (sets, what) in [
            ("policy.minibatches=3", "policy.batch_size is 64; it must be a multiple of policy.minibatches, 3"),
            ("labels.responses_per_query=1", "labels.responses_per_query is 1; it must be at least 2"),
            ("task.temperature=0", "task.temperature is 0; it must be greater than 0"),
            ("task.temperature=nan", "task.temperature is NaN; it must be greater than 0"),
            (
                "task.truncate_after_tokens=24",
                "task.truncate_after_tokens is 24; it must be less than task.response_length_tokens, 16",
            ),
            ("labels.held_out_fraction=1", "labels.held_out_fraction is 1; it must be between 0 and 1"),
            (
                "policy.kl.horizon_episodes=12",
                "policy.kl.horizon_episodes is 12; it must be more than a fifth of policy.batch_size, 64",
            ),
            ("pretrain.heads=3", "pretrain.width is 256; it must be a multiple of pretrain.heads, 3"),
        ] {
            let error = Config::layered(&[], &[sets.to_string()]).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (what, 2));
        }
    }

    #[test]
    fn the_originals_settings_are_valid() {
        let sets = [
            "task.query_length_tokens=64",
            "labels.comparisons=4992",
            "reward.learning_rate=5e-5",
            "reward.batch_size=32",
            "policy.updates=1954",
            "policy.batch_size=512",
            "policy.learning_rate=1e-5",
            "policy.kl.horizon_episodes=10000",
        ];
        Config::layered(&[], &sets.map(String::from)).unwrap();
    }
}
