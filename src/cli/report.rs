//! `preftune report`: a run as one HTML file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::Common;
use crate::config::Config;
use crate::error::Result;
use crate::eval::WinRate;
use crate::report::{MetricsRow, RunReportInput, SampleRow, run_report};
use crate::run::{files, metrics};

/// What a run's `judgment.json` holds: the numbers that the metrics do not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judgment {
    pub reward_model_accuracy: Option<f64>,
    pub win_rate: Option<WinRate>,
    pub samples: Vec<SampleRow>,
    pub environment: Vec<(String, String)>,
}

/// The judgment of a run, beside its metrics.
pub const JUDGMENT_FILE: &str = "judgment.json";

/// Write a run's curves, samples and verdict as one HTML file that works offline
#[derive(Args)]
#[command(after_help = "Example:
  preftune report runs/demo")]
pub struct Arguments {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where the page goes; report.html in the run folder if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    report: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let out = arguments.out.unwrap_or_else(|| arguments.run.join("report.html"));
    write(&arguments.run, &out)?;
    let text = format!("report written to {}", out.display());
    common.print(&Outcome { report: out }, &text)
}

/// Reads what the run left and writes the page; parts that are missing are left out.
pub fn write(run: &Path, out: &Path) -> Result<()> {
    let settings_text = files::read_text(&run.join("config.toml"))?;
    let settings = Config::layered(&[("config.toml".into(), settings_text.clone())], &[])?;
    let judgment_path = run.join(JUDGMENT_FILE);
    let judgment: Option<Judgment> = match judgment_path.exists() {
        true => serde_json::from_slice(&files::read(&judgment_path)?).ok(),
        false => None,
    };
    let own = metrics_of(&run.join("metrics.jsonl"))?;
    let (own_policy, own_reward) = own.into_iter().partition(|row| row.contains_key("objective/kl"));
    let input = RunReportInput {
        title: format!("preftune: {}", run.display()),
        policy_metrics: [metrics_of(&run.join("policy/metrics.jsonl"))?, own_policy].concat(),
        reward_metrics: [metrics_of(&run.join("reward/metrics.jsonl"))?, own_reward].concat(),
        kl_target: settings.policy.kl.adaptive.then_some(settings.policy.kl.target),
        reward_model_accuracy: judgment.as_ref().and_then(|judgment| judgment.reward_model_accuracy),
        chance: 1.0 / settings.labels.responses_per_query as f64,
        win_rate: judgment.as_ref().and_then(|judgment| judgment.win_rate.clone()),
        samples: judgment.as_ref().map(|judgment| judgment.samples.clone()).unwrap_or_default(),
        settings: settings_text,
        environment: judgment.map(|judgment| judgment.environment).unwrap_or_default(),
    };
    files::write_atomically(out, run_report(&input).to_html().as_bytes())
}

fn metrics_of(path: &Path) -> Result<Vec<MetricsRow>> {
    if path.exists() { metrics::read(path) } else { Ok(Vec::new()) }
}
