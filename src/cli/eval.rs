//! `preftune eval`: how often a tuned model is preferred.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{load_labeler, load_model};
use crate::config::Config;
use crate::data::queries::{openings, parse_queries};
use crate::error::Result;
use crate::eval::{Contest, Pair, WinRate, contest};
use crate::labels::Labeler;
use crate::lm::{LanguageModel, STORYTELLER};
use crate::run::files;

/// Judge a tuned model against the model from before, blind
///
/// Both continue the same queries; the labeler sees each pair in random order.
#[derive(Args)]
#[command(after_help = "Example:
  preftune eval --model runs/demo/policy/model
  preftune eval --model models/mine --baseline storyteller --queries queries.txt --json")]
pub struct Arguments {
    /// The tuned model
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The model to compare with
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    baseline: String,
    /// A file of queries that training did not use; without it, the held-out story openings
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// Also write every pair there, one a line, as JSONL
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    win_rate: f64,
    win_rate_low: f64,
    win_rate_high: f64,
    pairs: usize,
    wins: usize,
    losses: usize,
    ties: usize,
    first_shown_rate: f64,
    kl: f64,
    labeler: String,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let device = common.open_device()?.device;
    let tuned = load_model(&arguments.model, &device)?;
    let baseline = load_model(&arguments.baseline, &device)?;
    let queries = match &arguments.queries {
        Some(path) => parse_queries(&files::read_text(path)?, path)?,
        None => openings()?.held_out,
    };
    let mut labeler = load_labeler(arguments.classifier.as_deref())?;
    let judged = judge(&tuned, &baseline, &queries, &mut labeler, &settings, common.seed)?;
    if let Some(path) = &arguments.pairs {
        write_pairs(path, &judged.pairs)?;
    }
    let Contest { win_rate, kl, .. } = judged;
    let text = format!("{}\nKL to the baseline {kl:.2} nats a response", describe(&win_rate));
    let outcome = Outcome {
        win_rate: win_rate.rate,
        win_rate_low: win_rate.low,
        win_rate_high: win_rate.high,
        pairs: win_rate.pairs,
        wins: win_rate.wins,
        losses: win_rate.losses,
        ties: win_rate.ties,
        first_shown_rate: win_rate.first_shown_rate,
        kl,
        labeler: win_rate.labeler,
    };
    common.print(&outcome, &text)
}

/// Lets both models continue `eval.pairs` queries and the labeler choose.
pub fn judge(
    tuned: &LanguageModel,
    baseline: &LanguageModel,
    queries: &[String],
    labeler: &mut dyn Labeler,
    settings: &Config,
    seed: u64,
) -> Result<Contest> {
    contest(tuned, baseline, queries, labeler, &settings.task, settings.eval.pairs, seed)
}

/// The win rate in words.
pub fn describe(win_rate: &WinRate) -> String {
    format!(
        "preferred in {:.1}% of {} pairs (95% interval {:.1} to {:.1}), {} ties counted half; judged by {}",
        100.0 * win_rate.rate,
        win_rate.pairs,
        100.0 * win_rate.low,
        100.0 * win_rate.high,
        win_rate.ties,
        win_rate.labeler,
    )
}

fn write_pairs(path: &Path, pairs: &[Pair]) -> Result<()> {
    let lines: Vec<String> = pairs.iter().filter_map(|pair| serde_json::to_string(pair).ok()).collect();
    files::write_atomically(path, (lines.join("\n") + "\n").as_bytes())
}
