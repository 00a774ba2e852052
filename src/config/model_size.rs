//! Settings that fit the size of a model.

use std::fmt;

use super::{Config, preset};
use crate::error::Result;

/// Largest model that the defaults of the demo are made for, in parameters: they train the shipped one, of 4 million.
const LARGEST_OF_DEMO: f64 = 20e6;

/// Largest model of which all weights are trained by default.
const LARGEST_SMALL: f64 = 400e6;

/// Presets by size.
const SMALL: &str = "laptop/small-llama";
const LARGE: &str = "laptop/large-llama";

/// Factor by which a learning rate may differ from that of the preset before it is called unusual.
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

    /// Returns the settings that fit models of this size: those of the preset, or the defaults.
    ///
    /// # Errors
    /// None with the presets that ship.
    pub fn settings(self) -> Result<Config> {
        self.preset().map_or_else(|| Ok(Config::default()), |name| preset(name)?.config())
    }

    /// Returns a line for each setting that is far from what worked for models of this size.
    ///
    /// # Errors
    /// None with the presets that ship.
    pub fn unusual(self, settings: &Config) -> Result<Vec<String>> {
        let fitting = self.settings()?;
        let adapted = |config: &Config| config.policy.lora.rank > 0;
        let mut rates = vec![("reward.learning_rate", settings.reward.learning_rate, fitting.reward.learning_rate)];
        // LoRA adapters learn with other rates than weights.
        if adapted(settings) == adapted(&fitting) {
            rates.push(("policy.learning_rate", settings.policy.learning_rate, fitting.policy.learning_rate));
        }
        let unusual =
            |&(_, rate, usual): &(&str, f64, f64)| !(1.0 / USUAL_FACTOR..=USUAL_FACTOR).contains(&(rate / usual));
        let line = |(name, rate, usual): (&str, f64, f64)| {
            let consequence = if rate > usual {
                "a rate this high ruins a model"
            } else {
                "at a rate this low, a model hardly changes"
            };
            format!("{name} is {rate:e}; {usual:e} worked for models of about {self}: {consequence}")
        };
        Ok(rates.into_iter().filter(unusual).map(line).collect())
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
    fn a_rate_that_ruins_a_model_is_named_before_the_work() {
        let size = ModelSize { parameters: 124e6 };
        let fitting = super::preset(SMALL).unwrap().config().unwrap();
        assert_eq!(size.unusual(&fitting).unwrap(), Vec::<String>::new());
        let mut high = fitting;
        high.policy.learning_rate = 4e-3;
        let [line] = &size.unusual(&high).unwrap()[..] else { panic!("there is one line") };
        assert!(line.starts_with("policy.learning_rate is 4e-3") && line.contains("ruins"), "{line}");
        let small = ModelSize { parameters: 4e6 };
        let mut low = Config::default();
        assert!(small.unusual(&low).unwrap().is_empty());
        low.policy.learning_rate = 1e-5;
        assert!(small.unusual(&low).unwrap()[0].contains("hardly changes"));
    }
}
