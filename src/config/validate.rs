//! Conditions that the settings must satisfy before any work starts.

use std::fmt::Display;

use super::check;
use super::{Config, Kl, Policy, Pretrain, Task};
use crate::error::{Error, Result};

impl Config {
    /// Checks every setting, alone and with those it depends on.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the first impossible setting, and what it must be.
    pub fn validate(&self) -> Result<()> {
        check::check(self)?;
        task(&self.task)?;
        policy(&self.policy)?;
        pretrain(&self.pretrain)
    }
}

fn task(task: &Task) -> Result<()> {
    require(
        task.truncate_after_tokens < task.response_length_tokens,
        "task.truncate_after_tokens",
        task.truncate_after_tokens,
        &format!("less than task.response_length_tokens, {}", task.response_length_tokens),
    )
}

fn policy(policy: &Policy) -> Result<()> {
    require(
        policy.batch_size.is_multiple_of(policy.minibatches),
        "policy.batch_size",
        policy.batch_size,
        &format!("a multiple of policy.minibatches, {}", policy.minibatches),
    )?;
    let Kl { horizon_episodes, .. } = policy.kl;
    // An update multiplies β by at least 1 − 0.2 · batch_size/horizon, which must stay above 0.
    require(
        (policy.batch_size as f64) < 5.0 * horizon_episodes,
        "policy.kl.horizon_episodes",
        horizon_episodes,
        &format!("more than a fifth of policy.batch_size, {}", policy.batch_size),
    )
}

fn pretrain(pretrain: &Pretrain) -> Result<()> {
    require(
        pretrain.width.is_multiple_of(pretrain.heads),
        "pretrain.width",
        pretrain.width,
        &format!("a multiple of pretrain.heads, {}", pretrain.heads),
    )
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
            ("policy.minibatches=3", "policy.batch_size is 256; it must be a multiple of policy.minibatches, 3"),
            (
                "labels.responses_per_query=1",
                "labels.responses_per_query is 1; it must be from 2 to 256: a choice needs two, and all are sampled in one batch",
            ),
            (
                "task.temperature=0",
                "task.temperature is 0; it must be from 0.001 to 1000: a lower one samples only the likeliest token, a higher one any token",
            ),
            (
                "task.temperature=nan",
                "task.temperature is NaN; it must be from 0.001 to 1000: a lower one samples only the likeliest token, a higher one any token",
            ),
            (
                "task.truncate_after_tokens=24",
                "task.truncate_after_tokens is 24; it must be less than task.response_length_tokens, 16",
            ),
            (
                "labels.held_out_fraction=1",
                "labels.held_out_fraction is 1; it must be between 0 and 1: neither part may be empty",
            ),
            (
                "policy.kl.horizon_episodes=12",
                "policy.kl.horizon_episodes is 12; it must be more than a fifth of policy.batch_size, 256",
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
