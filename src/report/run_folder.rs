//! What a run left in its folder, for its report.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MetricsRow, RunReportInput, SampleRow};
use crate::config::Config;
use crate::data::comparisons::parse_comparisons;
use crate::error::{Error, Result};
use crate::eval::{Contest, Judged, Pair, Standing, WinRate};
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
    /// Different ones, that the pairs are about.
    queries: usize,
    /// Of the first contest.
    samples: Vec<SampleRow>,
    /// KL and score of each contestant.
    contestants: Vec<Standing>,
    /// Whether the first contest is the tuned model against the pretrained one, in the paper's experiment.
    is_the_papers: bool,
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
    /// What contests found.
    pub fn new(judged: &Judged, environment: Vec<(String, String)>) -> Self {
        let sample = |contest: &Contest, (index, pair): (usize, &Pair)| SampleRow {
            query: pair.query.clone(),
            before: pair.baseline.clone(),
            after: pair.candidate.clone(),
            before_score: contest.baseline_scores.get(index).copied(),
            after_score: contest.candidate_scores.get(index).copied(),
        };
        let samples = judged.contests.first().map_or_else(Vec::new, |contest| {
            contest.pairs.iter().enumerate().take(SAMPLES).map(|pair| sample(contest, pair)).collect()
        });
        let verdict = |contest: &Contest| Verdict {
            candidate: contest.candidate.clone(),
            baseline: contest.baseline.clone(),
            win_rate: contest.win_rate.clone(),
        };
        let contests = judged.contests.iter().map(verdict).collect();
        let contestants = judged.standings.clone();
        Self { contests, queries: judged.queries, samples, contestants, is_the_papers: false, environment }
    }

    /// The same of the paper's experiment, where the paper's own result stands beside the first.
    pub fn of_experiment(judged: &Judged, environment: Vec<(String, String)>) -> Self {
        Self { is_the_papers: true, ..Self::new(judged, environment) }
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
        let (own_supervised, own): (Vec<_>, Vec<_>) = own.into_iter().partition(is_supervised);
        let (own_policy, own_reward) = own.into_iter().partition(|row| row.contains_key("objective/kl"));
        let fits = fits_of(run);
        let last_fit = fits.last().map_or_else(|| run.join("reward"), |(_, folder)| folder.clone());
        let judgment = Judgment::read(run)?;
        let Judgment { contests, queries, samples, contestants, is_the_papers, environment } =
            judgment.unwrap_or_default();
        Ok(Self {
            title: format!("preftune: {}", run.display()),
            policy_metrics: [metrics_of(&run.join("policy"))?, own_policy].concat(),
            reward_metrics: [metrics_of(&last_fit)?, own_reward].concat(),
            fits: fits.iter().map(last_measured).filter_map(Result::transpose).collect::<Result<_>>()?,
            supervised_metrics: [metrics_of(&run.join("sft"))?, own_supervised].concat(),
            kl_target: kl.adaptive.then_some(kl.target),
            chance: chance_of(run, settings.labels.responses_per_query)?,
            contests,
            queries,
            contestants,
            is_the_papers,
            is_older: is_older_than_training(run),
            stops: stops_of(run)?,
            samples,
            settings: settings_of_stages(run)?,
            environment,
        })
    }
}

/// Whether the policy was trained on after the judgment.
fn is_older_than_training(run: &Path) -> bool {
    let changed = |file: &str| std::fs::metadata(run.join(file)).and_then(|metadata| metadata.modified()).ok();
    let trained = ["metrics.jsonl", "policy/metrics.jsonl"].into_iter().filter_map(changed).max();
    changed(JUDGMENT_FILE).zip(trained).is_some_and(|(judged, trained)| judged < trained)
}

/// The settings of the run, and those of each stage that was begun by a command of its own.
fn settings_of_stages(run: &Path) -> Result<String> {
    let mut texts = Vec::new();
    for stage in ["", "reward", "policy", "sft"] {
        let path = run.join(stage).join("config.toml");
        if path.exists() {
            texts.push(format!("# {}\n\n{}", path.display(), files::read_text(&path)?));
        }
    }
    Ok(texts.join("\n"))
}

fn is_supervised(row: &MetricsRow) -> bool {
    row.contains_key("train/loss") || row.contains_key("held_out/loss")
}

/// Where a run in rounds fitted its reward models, and before which update.
fn fits_of(run: &Path) -> Vec<(u64, PathBuf)> {
    let folders = std::fs::read_dir(run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let update = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("reward-at-")?.parse().ok();
    let mut fits: Vec<(u64, PathBuf)> = folders.filter_map(|path| Some((update(&path)?, path))).collect();
    fits.sort();
    fits
}

/// The accuracy that a fit measured last, with the update before it.
fn last_measured((update, folder): &(u64, PathBuf)) -> Result<Option<MetricsRow>> {
    const ACCURACY: &str = "reward/held_out_accuracy";
    let measured = metrics_of(folder)?.into_iter().rev().find_map(|row| row.get(ACCURACY).copied());
    Ok(measured.map(|accuracy| [("step".into(), *update as f64), (ACCURACY.into(), accuracy)].into()))
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

/// Why the run or a stage of it stopped, each time, as `events.jsonl` has it.
fn stops_of(run: &Path) -> Result<Vec<String>> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders.insert(0, run.into());
    let stop =
        |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("stopped")?.as_str()?.to_string());
    let mut stops = Vec::new();
    for path in folders.iter().map(|folder| folder.join("events.jsonl")).filter(|path| path.exists()) {
        stops.extend(files::read_text(&path)?.lines().filter_map(stop));
    }
    Ok(stops)
}

fn metrics_of(folder: &Path) -> Result<Vec<MetricsRow>> {
    let path = folder.join("metrics.jsonl");
    if path.exists() { metrics::read(&path) } else { Ok(Vec::new()) }
}
