//! Settings that come with the program: TOML files that say what differs from the defaults.

use super::Config;
use crate::error::{Error, Result};

const PRESETS: &[(&str, &str)] = &[
    ("quick", include_str!("../../examples/presets/quick.toml")),
    ("table", include_str!("../../examples/presets/table.toml")),
    ("openai/sentiment", include_str!("../../examples/presets/openai/sentiment.toml")),
    ("openai/descriptiveness", include_str!("../../examples/presets/openai/descriptiveness.toml")),
    ("openai/tldr", include_str!("../../examples/presets/openai/tldr.toml")),
    ("openai/cnndm", include_str!("../../examples/presets/openai/cnndm.toml")),
    ("paper/sentiment", include_str!("../../examples/presets/paper/sentiment.toml")),
    ("paper/descriptiveness", include_str!("../../examples/presets/paper/descriptiveness.toml")),
    ("paper/tldr", include_str!("../../examples/presets/paper/tldr.toml")),
    ("paper/cnndm", include_str!("../../examples/presets/paper/cnndm.toml")),
    ("details/sentiment", include_str!("../../examples/presets/details/sentiment.toml")),
    ("details/descriptiveness", include_str!("../../examples/presets/details/descriptiveness.toml")),
    ("laptop/small-llama", include_str!("../../examples/presets/laptop/small-llama.toml")),
    ("laptop/large-llama", include_str!("../../examples/presets/laptop/large-llama.toml")),
    ("laptop/sentiment", include_str!("../../examples/presets/laptop/sentiment.toml")),
    ("laptop/descriptiveness", include_str!("../../examples/presets/laptop/descriptiveness.toml")),
];

/// Least similarity (Jaro-Winkler, 0 to 1) at which a preset is suggested.
const WORTH_SUGGESTING: f64 = 0.85;

/// One preset.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Name of the preset for `--preset`.
    pub name: &'static str,
    /// TOML text of the settings that differ from the defaults.
    pub text: &'static str,
}

impl Preset {
    /// Returns the purpose of the preset: the comment that its file begins with.
    pub fn description(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Returns the preset as a layer for [`Config::layered`].
    pub fn layer(&self) -> (String, String) {
        (format!("preset {}", self.name), self.text.to_string())
    }

    /// Returns the defaults, changed by this preset.
    ///
    /// # Errors
    /// None with the presets that ship.
    pub fn config(&self) -> Result<Config> {
        Config::layered(&[self.layer()], &[])
    }
}

/// Lists all presets.
pub fn presets() -> impl Iterator<Item = Preset> {
    PRESETS.iter().map(|&(name, text)| Preset { name, text })
}

/// Returns the preset of this name.
///
/// # Errors
/// [`Error::Usage`] that suggests a similar name or lists all presets, for an unknown name.
pub fn preset(name: &str) -> Result<Preset> {
    presets().find(|preset| preset.name == name).ok_or_else(|| {
        let known: Vec<&str> = presets().map(|preset| preset.name).collect();
        let of_part: Vec<&str> =
            known.iter().copied().filter(|known| known.split('/').any(|part| part == name)).collect();
        let similarity = |known: &&&str| strsim::jaro_winkler(name, known);
        let nearest = known.iter().max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
        let hint = match nearest.filter(|nearest| similarity(nearest) >= WORTH_SUGGESTING) {
            _ if !of_part.is_empty() => format!("did you mean {}?", of_part.join(" or ")),
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("use one of: {}", known.join(", ")),
        };
        Error::usage(format!("no preset \"{name}\""), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdamForm;

    fn config(name: &str) -> Config {
        preset(name).unwrap().config().unwrap()
    }

    #[test]
    fn every_preset_is_valid_and_says_what_it_is_for() {
        for preset in presets() {
            preset.config().unwrap();
            assert!(preset.description().len() > 30 && preset.description().ends_with('.'), "{}", preset.name);
        }
        assert_eq!(preset("quik").unwrap_err().hint(), "did you mean quick?");
        assert_eq!(
            preset("laptop").unwrap_err().hint(),
            "did you mean laptop/small-llama or laptop/large-llama or laptop/sentiment or laptop/descriptiveness?"
        );
        assert!(preset("tldr").unwrap_err().hint().contains("openai/tldr or paper/tldr"));
        assert!(preset("slow").unwrap_err().hint().starts_with("use one of: quick, table, openai/sentiment, "));
    }

    #[test]
    fn every_preset_file_is_in_the_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/presets");
        let files = |folder: &std::path::Path| -> Vec<std::path::PathBuf> {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let (folders, top): (Vec<_>, Vec<_>) = files(&folder).into_iter().partition(|path| path.is_dir());
        let all = top.len() + folders.iter().map(|folder| files(folder).len()).sum::<usize>();
        assert_eq!(all, presets().count());
    }

    /// Compares the presets with the numbers in the original's `launch.py`.
    #[test]
    fn the_originals_numbers_come_out() {
        let numbers = |name: &str| {
            let Config { task, reward, policy, .. } = config(name);
            let lengths = [task.query_length_tokens, task.response_length_tokens, task.truncate_after_tokens];
            let batches = [reward.batch_size, policy.batch_size, policy.minibatches, policy.epochs];
            let rates = [task.temperature, reward.learning_rate, policy.learning_rate, policy.kl.coefficient];
            let common = [reward.adam_epsilon, policy.adam_epsilon, policy.clip_range, policy.clip_range_value];
            assert_eq!(common, [1e-5, 1e-5, 0.2, 0.2], "{name}");
            assert_eq!((policy.discount, policy.gae_lambda, policy.value_coefficient), (1.0, 0.95, 0.1), "{name}");
            assert_eq!(
                (reward.adam, policy.adam, task.penalty_score),
                (AdamForm::TensorFlow, AdamForm::TensorFlow, -1.0)
            );
            let kl = policy.kl.adaptive.then_some((policy.kl.target, policy.kl.horizon_episodes));
            (lengths, batches, rates, kl, task.truncate_token, policy.whiten_rewards)
        };
        for style in ["openai/sentiment", "openai/descriptiveness"] {
            let rates = [0.7, 5e-5, 1e-5, 0.15];
            let expected = ([64, 24, 16], [32, 512, 1, 4], rates, Some((6.0, 10_000.0)), ".".to_string(), true);
            assert_eq!(numbers(style), expected);
        }
        for (summaries, temperature, coefficient) in [("openai/cnndm", 0.5, 0.01), ("openai/tldr", 0.7, 0.03)] {
            let rates = [temperature, 2.5e-5, 2e-6, coefficient];
            let expected = ([500, 75, 55], [16, 32, 1, 4], rates, None, "\n".to_string(), false);
            assert_eq!(numbers(summaries), expected);
        }
    }

    /// Compares the numbers of episodes and of optimizer steps of reward training, which the original derives.
    #[test]
    fn the_originals_schedules_come_out() {
        let shape = |name: &str| {
            let config = config(name);
            let episodes = config.policy.updates * config.policy.batch_size;
            (episodes, config.reward.train_comparisons / config.reward.batch_size)
        };
        assert_eq!(shape("openai/sentiment"), (1_000_448, 156));
        assert_eq!(shape("openai/cnndm"), (1_000_000, 2_875));
        assert_eq!(shape("paper/descriptiveness").0, 2_000_896);
        assert_eq!(shape("paper/tldr").0, 2_000_384);
        assert_eq!(shape("details/sentiment").0, 999_936);
        assert_eq!(shape("laptop/sentiment").0, 100_096);
    }
}
