//! Hyperparameters of one PPO update.

use super::objective::ClippedObjective;
use crate::config;
use crate::platform::interrupt::Interrupt;
use crate::policy::advantages::GeneralizedAdvantages;
use crate::training::Backward;

/// Hyperparameters of one PPO update.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    pub learning_rate: f64,
    pub temperature: f64,
    pub minibatches: usize,
    pub backward: Backward,
    pub objective: ClippedObjective,
    pub advantages: GeneralizedAdvantages,
    pub whiten_rewards: bool,
    /// Flag that aborts the update when it is raised.
    pub interrupt: Interrupt,
}

impl UpdateSettings {
    /// Combines the settings of a run with the values that they leave open.
    pub fn new(
        settings: &config::Policy,
        backward: Backward,
        learning_rate: f64,
        temperature: f64,
        interrupt: &Interrupt,
    ) -> Self {
        let &config::Policy { clip_range, clip_range_value, value_coefficient, discount, gae_lambda, .. } = settings;
        Self {
            learning_rate,
            temperature,
            minibatches: settings.minibatches,
            backward,
            objective: ClippedObjective { clip_range, clip_range_value, value_coefficient },
            advantages: GeneralizedAdvantages { discount, lambda: gae_lambda },
            whiten_rewards: settings.whiten_rewards,
            interrupt: interrupt.clone(),
        }
    }
}
