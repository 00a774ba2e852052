//! Settings that fit the size of a model.

use std::fmt;

use super::{Config, preset};
use crate::error::Result;

/// Largest model that the defaults of the demo are made for, in parameters: they train the shipped one, of 4 million.
const LARGEST_OF_DEMO: f64 = 20e6;

/// Largest model for which [`SMALL`] is the default preset.
const LARGEST_SMALL: f64 = 400e6;

/// Presets by size.
const SMALL: &str = "laptop/small-llama";
const LARGE: &str = "laptop/large-llama";

/// Learning rate of the policy that worked for all weights of a model of 135 million parameters.
const RATE_OF_ALL_WEIGHTS: f64 = 1e-4;

/// Evidence for the rates of [`SMALL`].
const TRIED: &str = "worked for SmolLM2-135M";

/// Factor by which a learning rate may differ from the usual one before a line says so.
const USUAL_FACTOR: f64 = 5.0;

/// Size of a model, which decides the settings that it needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSize {
    /// Number of parameters.
    pub parameters: f64,
}

impl ModelSize {
    /// Returns the preset for models of this size; `None` for one so small that the defaults fit it.
    pub fn preset(self) -> Option<&'static str> {
        match self.parameters {
            parameters if parameters <= LARGEST_OF_DEMO => None,
            parameters if parameters <= LARGEST_SMALL => Some(SMALL),
            _ => Some(LARGE),
        }
    }

    /// Returns a line for each learning rate in `names` that is far from what worked for models of this size.
    ///
    /// # Errors
    /// None with the presets that ship.
    pub fn unusual(self, settings: &Config, names: &[&str]) -> Result<Vec<String>> {
        let fitting = self.preset().map_or_else(|| Ok(Config::default()), |name| preset(name)?.config())?;
        let known = match self.preset() {
            None => "worked for the shipped model",
            Some(SMALL) => TRIED,
            Some(_) => "is the rate of laptop/large-llama, which was not tried",
        };
        // LoRA adapters learn with other rates than weights. The presets train adapters, the defaults weights.
        let of_policy = match (self.preset(), settings.policy.lora.rank) {
            (Some(_), 1..) | (None, 0) => Some((fitting.policy.learning_rate, known)),
            (Some(_), 0) => Some((RATE_OF_ALL_WEIGHTS, TRIED)),
            (None, 1..) => None,
        };
        let of_reward = Some((fitting.reward.learning_rate, known));
        let rates = [
            ("reward.learning_rate", settings.reward.learning_rate, of_reward),
            ("policy.learning_rate", settings.policy.learning_rate, of_policy),
        ];
        let line = |(name, rate, usual): (&str, f64, Option<(f64, &str)>)| {
            let (usual, known) = usual.filter(|_| names.contains(&name))?;
            let consequence = match rate / usual {
                ratio if ratio > USUAL_FACTOR => "a rate this high may ruin the model",
                ratio if ratio < 1.0 / USUAL_FACTOR => "at a rate this low, the model may hardly change",
                _ => return None,
            };
            Some(format!("{name} is {rate:e}; {usual:e} {known}: {consequence}"))
        };
        Ok(rates.into_iter().filter_map(line).collect())
    }
}

impl fmt::Display for ModelSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} million parameters", self.parameters / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_decides_the_preset() {
        let preset = |parameters| ModelSize { parameters }.preset();
        assert_eq!(preset(4.3e6), None);
        assert_eq!(preset(124_439_808.0), Some(SMALL));
        assert_eq!(preset(134_515_008.0), Some(SMALL));
        assert_eq!(preset(1.2e9), Some(LARGE));
    }

    #[test]
    fn a_rate_that_may_ruin_a_model_is_named_before_the_work() {
        let both = ["reward.learning_rate", "policy.learning_rate"];
        let lines = |parameters: f64, settings: &Config| ModelSize { parameters }.unusual(settings, &both).unwrap();
        let fitting = super::preset(SMALL).unwrap().config().unwrap();
        assert!(lines(124e6, &fitting).is_empty());
        let mut high = fitting;
        high.policy.learning_rate = 2e-2;
        assert!(ModelSize { parameters: 124e6 }.unusual(&high, &["reward.learning_rate"]).unwrap().is_empty());
        let [line] = &lines(124e6, &high)[..] else { panic!("there is one line") };
        assert_eq!(
            line,
            "policy.learning_rate is 2e-2; 1e-3 worked for SmolLM2-135M: a rate this high may ruin the model"
        );
        assert!(lines(1e9, &high)[0].contains("laptop/large-llama, which was not tried"));
        high.policy.learning_rate = 1e-3;
        assert!(lines(124e6, &high).is_empty());
        high.policy.lora.rank = 0;
        assert!(lines(124e6, &high)[0].contains("1e-4 worked"), "all weights at a rate for adapters");
        let mut low = Config::default();
        assert!(lines(4e6, &low).is_empty());
        low.policy.learning_rate = 1e-5;
        assert!(lines(4e6, &low)[0].contains("may hardly change"));
    }
}
