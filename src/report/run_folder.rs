//! What a run left in its folder, for its report.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MetricsRow, RunReportInput, SampleRow};
use crate::config::Config;
use crate::data::comparisons::parse_comparisons;
use crate::error::{Error, Result};
use crate::eval::{Contest, Entry, WinRate};
use crate::run::{files, metrics};
use crate::statistics::mean;

/// The judgment of a run, beside its metrics.
const JUDGMENT_FILE: &str = "judgment.json";

/// Rows of the table of continuations before and after.
const SAMPLES: usize = 24;

/// What judging a run found, as `judgment.json` keeps it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Judgment {
    contests: Vec<Verdict>,
    /// Of the first contest.
    samples: Vec<SampleRow>,
    /// What it ran on, as (name, value).
    environment: Vec<(String, String)>,
}

/// One contest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    pub candidate: String,
    pub baseline: String,
    pub win_rate: WinRate,
}

impl Judgment {
    /// What contests among these entries found.
    pub fn new(contests: &[Contest], entries: &[Entry], environment: Vec<(String, String)>) -> Self {
        let score = |name: &str, index| {
            entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.scores.get(index).copied())
        };
        let samples = contests.iter().take(1).flat_map(|contest| {
            contest.pairs.iter().enumerate().take(SAMPLES).map(|(index, pair)| SampleRow {
                query: pair.query.clone(),
                before: pair.baseline.clone(),
                after: pair.candidate.clone(),
                before_score: score(&contest.baseline, index),
                after_score: score(&contest.candidate, index),
            })
        });
        let verdict = |contest: &Contest| Verdict {
            candidate: contest.candidate.clone(),
            baseline: contest.baseline.clone(),
            win_rate: contest.win_rate.clone(),
        };
        Self { contests: contests.iter().map(verdict).collect(), samples: samples.collect(), environment }
    }

    /// Writes it into the folder of a run.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn write(&self, run: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::failed(format!("no JSON: {error}"), ""))?;
        files::write_atomically(&run.join(JUDGMENT_FILE), &json)
    }

    fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join(JUDGMENT_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let judgment = serde_json::from_slice(&files::read(&path)?);
        judgment.map(Some).map_err(|error| {
            Error::input(&path, format!("not a judgment: {error}"), "write it anew with `preftune eval --run`")
        })
    }
}

impl RunReportInput {
    /// Reads what a run left: its settings, metrics of its own and of its stages, the judgment.
    ///
    /// # Errors
    /// When the folder has nothing of all that, or a file is not what it should be.
    pub fn of_run(run: &Path) -> Result<Self> {
        let parts = ["config.toml", JUDGMENT_FILE, "metrics.jsonl", "reward/metrics.jsonl", "policy/metrics.jsonl"];
        if !parts.iter().any(|part| run.join(part).exists()) {
            let hint = "name the folder that a command was given with --run, or the folder above its stages";
            return Err(Error::input(run, "no run is in this folder", hint));
        }
        let settings_path = run.join("config.toml");
        let settings_text = if settings_path.exists() { files::read_text(&settings_path)? } else { String::new() };
        let settings = settings_of(&settings_text)?;
        // A policy that was trained by a command of its own has settings of its own.
        let kl = match run.join("policy/config.toml") {
            path if path.exists() => settings_of(&files::read_text(&path)?)?.policy.kl,
            _ => settings.policy.kl,
        };
        let own = metrics_of(run)?;
        let (own_policy, own_reward) = own.into_iter().partition(|row| row.contains_key("objective/kl"));
        let judgment = Judgment::read(run)?;
        let Judgment { contests, samples, environment } = judgment.unwrap_or_default();
        Ok(Self {
            title: format!("preftune: {}", run.display()),
            policy_metrics: [metrics_of(&run.join("policy"))?, own_policy].concat(),
            reward_metrics: [metrics_of(&reward_stage(run))?, own_reward].concat(),
            kl_target: kl.adaptive.then_some(kl.target),
            chance: chance_of(run, settings.labels.responses_per_query)?,
            contests,
            stops: [stops_of(run)?, stops_of(&run.join("policy"))?, stops_of(&reward_stage(run))?].concat(),
            samples,
            settings: settings_text,
            environment,
        })
    }
}

/// Where the reward model was fitted; of a run in rounds, the last time.
fn reward_stage(run: &Path) -> PathBuf {
    let folders = std::fs::read_dir(run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_round =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("reward-at-"));
    folders.filter(is_round).max().unwrap_or_else(|| run.join("reward"))
}

fn settings_of(text: &str) -> Result<Config> {
    Config::layered(&[("config.toml".into(), text.into())], &[])
}

/// The accuracy of guessing on the run's comparisons; without them, on such as the settings ask for.
fn chance_of(run: &Path, responses_per_query: usize) -> Result<f64> {
    let path = run.join("comparisons.jsonl");
    let comparisons = if path.exists() { parse_comparisons(&files::read_text(&path)?, &path)? } else { Vec::new() };
    let guesses: Vec<f64> = comparisons.iter().map(|one| 1.0 / one.responses.len() as f64).collect();
    Ok(mean(&guesses).unwrap_or(1.0 / responses_per_query as f64))
}

/// Why the run stopped, each time, as `events.jsonl` has it.
fn stops_of(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("events.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let stop =
        |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("stopped")?.as_str()?.into());
    Ok(files::read_text(&path)?.lines().filter_map(stop).collect())
}

fn metrics_of(folder: &Path) -> Result<Vec<MetricsRow>> {
    let path = folder.join("metrics.jsonl");
    if path.exists() { metrics::read(&path) } else { Ok(Vec::new()) }
}
