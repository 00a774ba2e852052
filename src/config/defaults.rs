//! The settings as `defaults.toml` states them: values, documentation and bounds.

use std::sync::OnceLock;

use serde::Serialize;
use toml::{Table, Value};

use super::bounds::Bounds;
use super::keys::{find, join};
use super::{Config, Eval, Health, Kl, Labels, Lora, Policy, Pretrain, Reward, Sft, Task, Train};

/// Every setting with its documentation, its bounds and its default, as TOML.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// A setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The key, such as `policy.kl.target`.
    pub key: String,
    /// The default, as TOML.
    pub default: String,
    pub documentation: String,
    /// The bounds of a number or a text.
    #[serde(flatten)]
    pub bounds: Option<Bounds>,
    /// The words of which the setting is one; empty for other settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// Returns all settings.
pub fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(|| read(DEFAULTS))
}

/// Returns the bounds of a setting; `None` for a setting that is one of several words, or true or false.
pub fn bounds_of(key: &str) -> Option<&'static Bounds> {
    settings().iter().find(|setting| setting.key == key)?.bounds.as_ref()
}

/// The beginnings of the statement that ends a comment: which values a setting may have.
const STATEMENTS: [&str; 4] = ["From ", "Between ", "A text of ", ONE_OF];

const ONE_OF: &str = "One of: ";

fn read(text: &str) -> Vec<Setting> {
    let table: Table = text.parse().unwrap_or_default();
    let (mut section, mut comment, mut settings) = (String::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name.into();
        } else if let Some((name, default)) = line.split_once(" = ") {
            let key = join(&section, name);
            let value = find(&table, &key);
            settings.extend(value.map(|value| setting(&key, default, value, &comment)));
        }
        comment.clear();
    }
    settings
}

fn setting(key: &str, default: &str, value: &Value, comment: &[&str]) -> Setting {
    let begins = |line: &&str| STATEMENTS.iter().any(|statement| line.starts_with(statement));
    let end = comment.iter().position(begins).unwrap_or(comment.len());
    let (documentation, statement) = comment.split_at(end);
    let statement = statement.join(" ");
    let choices = statement.strip_prefix(ONE_OF).and_then(|choices| choices.strip_suffix('.'));
    Setting {
        key: key.into(),
        default: default.into(),
        documentation: documentation.join(" "),
        bounds: Bounds::parse(&statement, value),
        choices: choices.into_iter().flat_map(|choices| choices.split(", ")).map(String::from).collect(),
    }
}

impl Default for Config {
    #[allow(clippy::expect_used)] // The file is compiled in, and a test reads it.
    fn default() -> Self {
        toml::from_str(DEFAULTS).expect("defaults.toml has every setting")
    }
}

macro_rules! defaults_of {
    ($($section:ident: $($field:ident).+;)*) => {
        $(
            impl Default for $section {
                fn default() -> Self {
                    Config::default().$($field).+
                }
            }
        )*
    };
}

defaults_of! {
    Task: task;
    Labels: labels;
    Reward: reward;
    Policy: policy;
    Kl: policy.kl;
    Lora: policy.lora;
    Health: health;
    Train: train;
    Pretrain: pretrain;
    Sft: sft;
    Eval: eval;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_read_as_a_file_of_settings() {
        Config::default().validate().unwrap();
        assert_eq!(Config::layered(&[("my.toml".into(), DEFAULTS.into())], &[]).unwrap(), Config::default());
    }

    #[test]
    fn a_setting_is_read_with_its_documentation_and_its_bounds() {
        let text = "# The first.\n[one]\n# So many.\n# Each counts.\n# From 1 to 1,000: more is too many.\nmany = 3\n\n\
                    # How.\n# One of: fast, slow.\nhow = \"fast\"\n\n# Whether.\nis = true\n";
        let settings = read(text);
        let [many, how, is] = settings.as_slice() else { panic!("{settings:?}") };
        assert_eq!((many.key.as_str(), many.default.as_str()), ("one.many", "3"));
        assert_eq!(many.documentation, "So many. Each counts.");
        assert_eq!(many.bounds.as_ref().unwrap().range.to_string(), "from 1 to 1,000");
        assert_eq!(many.bounds.as_ref().unwrap().why, "more is too many");
        assert_eq!((how.choices.as_slice(), &how.bounds), (["fast".to_string(), "slow".into()].as_slice(), &None));
        assert!(is.bounds.is_none() && is.choices.is_empty());
    }
}
