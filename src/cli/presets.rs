//! `preftune presets`: the settings that come with the program, and how they differ.

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::config::{Config, DEFAULTS, preset, presets, settings};
use crate::error::Result;

/// List the presets, show how they differ, or list all settings with their bounds
#[derive(Args)]
#[command(after_help = "Examples:
  preftune presets
  preftune presets openai/sentiment
  preftune presets openai/sentiment paper/sentiment
  preftune presets --settings
  preftune presets --settings > my.toml")]
pub(super) struct Arguments {
    /// List every setting with its documentation, its default and its bounds, as a file for --config
    #[arg(long, conflicts_with = "first")]
    settings: bool,
    /// Show how this preset differs from the defaults
    #[arg(value_name = "PRESET")]
    first: Option<String>,
    /// Compare the first preset with this one instead of with the defaults
    #[arg(value_name = "OTHER")]
    second: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: String,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if arguments.settings {
        return list_settings(common);
    }
    let Some(first) = &arguments.first else { return list(common) };
    let first = preset(first)?.config()?;
    let differences = match &arguments.second {
        Some(second) => first.differences(&preset(second)?.config()?)?,
        None => Config::default().differences(&first)?,
    };
    let text = if differences.is_empty() { "no difference".into() } else { differences.join("\n") };
    common.print(&differences, &text)
}

fn list(common: &Common) -> Result<()> {
    let listed: Vec<Listed> =
        presets().map(|preset| Listed { name: preset.name, description: preset.description() }).collect();
    let widest = listed.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        listed.iter().map(|preset| format!("{:widest$}  {}", preset.name, preset.description)).collect();
    common.print(&listed, &lines.join("\n"))
}

fn list_settings(common: &Common) -> Result<()> {
    common.print(&settings(), DEFAULTS.trim_end())
}
