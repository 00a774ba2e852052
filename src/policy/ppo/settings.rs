//! Hyperparameters of one PPO update.

use crate::config;
use crate::platform::interrupt::Interrupt;
use crate::training::Backward;

/// Hyperparameters of one PPO update.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    pub learning_rate: f64,
    pub temperature: f64,
    pub minibatches: usize,
    pub backward: Backward,
    pub clip_range: f64,
    pub clip_range_value: f64,
    pub value_coefficient: f64,
    /// γ
    pub discount: f64,
    /// λ
    pub gae_lambda: f64,
    pub whiten_rewards: bool,
    /// Aborts the update when raised.
    pub interrupt: Interrupt,
}

impl UpdateSettings {
    /// Those of the settings, with what they leave open.
    pub fn new(
        settings: &config::Policy,
        backward: Backward,
        learning_rate: f64,
        temperature: f64,
        interrupt: &Interrupt,
    ) -> Self {
        Self {
            learning_rate,
            temperature,
            minibatches: settings.minibatches,
            backward,
            clip_range: settings.clip_range,
            clip_range_value: settings.clip_range_value,
            value_coefficient: settings.value_coefficient,
            discount: settings.discount,
            gae_lambda: settings.gae_lambda,
            whiten_rewards: settings.whiten_rewards,
            interrupt: interrupt.clone(),
        }
    }
}
