//! `preftune presets`: the settings that come with the program, and how they differ.

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::config::{Config, preset, presets};
use crate::error::Result;

/// List the presets, or show what one changes
#[derive(Args)]
#[command(after_help = "Examples:
  preftune presets
  preftune presets openai/sentiment
  preftune presets openai/sentiment paper/sentiment")]
pub struct Arguments {
    /// Show what this preset changes of the defaults
    #[arg(value_name = "PRESET")]
    first: Option<String>,
    /// Show instead how this one differs from the first
    #[arg(value_name = "OTHER")]
    second: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: String,
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
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
