//! Every setting of a run in one typed tree: the defaults, and what files and arguments change.

mod bounds;
mod check;
mod defaults;
mod keys;
mod merge;
mod model_size;
mod presets;
mod sections;
mod validate;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use bounds::{Bounds, Range};
pub use defaults::{DEFAULTS, Setting, bounds_of, settings};
pub use model_size::ModelSize;
pub use presets::{Preset, preset, presets};
pub use sections::{
    AdamForm, Eval, FrozenPrecision, Health, Kl, LabelSchedule, Labels, LongQueries, Lora, Policy, Pretrain, Reward,
    Sft, Task, Train,
};

/// All settings; the defaults are the demo's.
///
/// [`Config::layered`] reads settings that differ from the defaults; `Deserialize` wants all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Queries, responses, and which responses are valid.
    pub task: Task,
    /// The comparisons that are collected.
    pub labels: Labels,
    /// Training of the reward model.
    pub reward: Reward,
    /// Training of the policy.
    pub policy: Policy,
    /// Limits at which a policy run stops by itself.
    pub health: Health,
    /// Rounds of labelling, reward training and policy training.
    pub train: Train,
    /// Training of a language model on text.
    pub pretrain: Pretrain,
    /// Supervised fine-tuning on the chosen responses.
    pub sft: Sft,
    /// Evaluation of a policy.
    pub eval: Eval,
}

impl Config {
    /// Reads the settings of a run, as [`Self::to_toml`] wrote them. Settings from before there were bounds may
    /// have larger numbers. `origin` is named in errors.
    ///
    /// # Errors
    /// [`Error::Usage`] for a key that does not exist, a value of the wrong type, and a count that is too
    /// small.
    pub fn recorded(origin: &str, text: &str) -> Result<Self> {
        let mut settings = merge::Settings::new(&Self::default())?;
        settings.change(origin, merge::parse_layer(origin, text)?)?;
        let config = settings.config()?;
        check::check_recorded(&config)?;
        Ok(config)
    }

    /// Reads the settings from a run's own file, which this program wrote.
    ///
    /// # Errors
    /// The errors of [`Self::recorded`], with [`Error::Input`] in place of [`Error::Usage`].
    pub fn of_run(path: &Path, text: &str) -> Result<Self> {
        Self::recorded(&path.display().to_string(), text).map_err(|error| match error {
            Error::Usage { what, hint } => Error::input(path, what, hint),
            other => other,
        })
    }

    /// Returns the defaults, changed by each layer in turn and then by each of `sets`, after validating them.
    ///
    /// A layer is a name for messages ("preset quick", a path) and TOML text with the settings that
    /// differ. A set is `policy.learning_rate=1e-4`: any TOML value, or a word without quotes.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the key and the layer: a key that does not exist, a value of the
    /// wrong type, or one that [`Config::validate`] refuses.
    pub fn layered(layers: &[(String, String)], sets: &[String]) -> Result<Self> {
        let mut settings = merge::Settings::new(&Self::default())?;
        for (origin, text) in layers {
            settings.change(origin, merge::parse_layer(origin, text)?)?;
        }
        for set in sets {
            settings.change(&format!("--set {set}"), merge::parse_set(set)?)?;
        }
        let config = settings.config()?;
        config.validate()?;
        Ok(config)
    }

    /// Lists the settings that differ in `new`, each as `key old → new`.
    ///
    /// # Errors
    /// The errors of [`Self::to_toml`].
    pub fn differences(&self, new: &Self) -> Result<Vec<String>> {
        Ok(merge::Settings::new(self)?.differences(&merge::Settings::new(new)?))
    }

    /// Returns all settings as TOML text with the version of the format, which [`Config::layered`] reads back.
    ///
    /// # Errors
    /// [`Error::Failed`] for a number beyond 2⁶³, which TOML does not have.
    pub fn to_toml(&self) -> Result<String> {
        let settings = toml::to_string(self)
            .map_err(|error| Error::failed(format!("the settings cannot be written: {error}"), ""))?;
        Ok(format!("{}\n\n{settings}", merge::version_line()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdamForm;

    #[test]
    fn later_layers_win_and_arguments_win_over_all() {
        let layers = [
            ("a.toml".to_string(), "[policy]\nepochs = 2\nupdates = 7\n[policy.kl]\ntarget = 10".to_string()),
            ("b.toml".to_string(), "policy.epochs = 3".to_string()),
        ];
        let sets = ["policy.learning_rate=1e-5", "reward.adam=pytorch", "task.truncate_token=!", "policy.updates = 9"];
        let config = Config::layered(&layers, &sets.map(String::from)).unwrap();
        assert_eq!((config.policy.epochs, config.policy.updates), (3, 9));
        assert_eq!((config.policy.kl.target, config.policy.learning_rate), (10.0, 1e-5));
        assert_eq!((config.reward.adam, config.task.truncate_token.as_str()), (AdamForm::PyTorch, "!"));
        assert_eq!(config.policy.adam, AdamForm::TensorFlow);
    }

    #[test]
    fn differences_name_key_and_both_values() {
        let set = |sets: [&str; 3]| Config::layered(&[], &sets.map(String::from)).unwrap();
        let before = set(["policy.kl.target=10", "task.truncate_token=.", "policy.updates=50"]);
        let config = set(["policy.kl.target=6", "task.truncate_token=!", "policy.updates=50"]);
        let differences = before.differences(&config).unwrap();
        assert_eq!(differences, ["policy.kl.target 10.0 → 6.0", "task.truncate_token \".\" → \"!\""]);
        assert!(config.differences(&config).unwrap().is_empty());
    }

    #[test]
    fn settings_of_a_run_that_was_begun_before_there_were_bounds_are_read() {
        let text = "[eval]\npairs = 5000000\n[policy]\nlearning_rate = 7.0\n";
        assert_eq!(Config::recorded("config.toml", text).unwrap().eval.pairs, 5_000_000);
        assert_eq!(Config::layered(&[("config.toml".into(), text.into())], &[]).unwrap_err().exit_code(), 2);
        assert_eq!(Config::recorded("config.toml", "policy.updates = 0").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let config = Config::layered(&[], &["task.truncate_token=\"\\n\"".into(), "eval.pairs=3".into()]).unwrap();
        let text = config.to_toml().unwrap();
        assert!(text.starts_with("version = 1\n"), "{text}");
        let read = |text: String| Config::layered(&[("config.toml".into(), text)], &[]);
        assert_eq!(read(text.clone()).unwrap(), config);
        assert_eq!(read(text.replace("version = 1\n", "")).unwrap(), config);
        let newer = read(text.replace("version = 1\n", "version = 2\n")).unwrap_err().to_string();
        assert!(newer.contains("config.toml: written by a newer preftune (format 2"), "{newer}");
        assert!(read("version = \"1\"".into()).unwrap_err().to_string().contains("version must be a number"));
        assert!(
            Config::layered(&[], &["version=1".into()]).unwrap_err().to_string().contains("unknown setting version")
        );
    }
}
