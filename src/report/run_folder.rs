//! What a run left in its folder, for its report.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{MetricsRow, RunReportInput, SampleRow};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::eval::{Contest, Scores, WinRate};
use crate::run::{files, metrics};

/// The judgment of a run, beside its metrics.
const JUDGMENT_FILE: &str = "judgment.json";

/// Rows of the table of continuations before and after.
const SAMPLES: usize = 24;

/// What judging a run found, as `judgment.json` keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judgment {
    win_rate: WinRate,
    samples: Vec<SampleRow>,
    /// What it ran on, as (name, value).
    environment: Vec<(String, String)>,
}

impl Judgment {
    /// What a contest found; `scores` are the reward model's, where there is one.
    pub fn new(contest: &Contest, scores: Option<&Scores>, environment: Vec<(String, String)>) -> Self {
        let score = |side: fn(&Scores) -> &Vec<f64>, index| scores.and_then(|scores| side(scores).get(index).copied());
        let sample = |(index, pair): (usize, &crate::eval::Pair)| SampleRow {
            query: pair.query.clone(),
            before: pair.baseline.clone(),
            after: pair.candidate.clone(),
            before_score: score(|scores| &scores.baseline, index),
            after_score: score(|scores| &scores.candidate, index),
        };
        let samples = contest.pairs.iter().enumerate().take(SAMPLES).map(sample).collect();
        Self { win_rate: contest.win_rate.clone(), samples, environment }
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
    /// When the folder has no settings, or a file is not what it should be.
    pub fn of_run(run: &Path) -> Result<Self> {
        let settings_text = files::read_text(&run.join("config.toml"))?;
        let settings = Config::layered(&[("config.toml".into(), settings_text.clone())], &[])?;
        let own = metrics_of(run)?;
        let (own_policy, own_reward) = own.into_iter().partition(|row| row.contains_key("objective/kl"));
        let judgment = Judgment::read(run)?;
        let (win_rate, samples, environment) = match judgment {
            Some(Judgment { win_rate, samples, environment }) => (Some(win_rate), samples, environment),
            None => Default::default(),
        };
        Ok(Self {
            title: format!("preftune: {}", run.display()),
            policy_metrics: [metrics_of(&run.join("policy"))?, own_policy].concat(),
            reward_metrics: [metrics_of(&run.join("reward"))?, own_reward].concat(),
            kl_target: settings.policy.kl.adaptive.then_some(settings.policy.kl.target),
            chance: 1.0 / settings.labels.responses_per_query as f64,
            win_rate,
            samples,
            settings: settings_text,
            environment,
        })
    }
}

fn metrics_of(folder: &Path) -> Result<Vec<MetricsRow>> {
    let path = folder.join("metrics.jsonl");
    if path.exists() { metrics::read(&path) } else { Ok(Vec::new()) }
}
