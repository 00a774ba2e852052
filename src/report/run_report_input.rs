//! The files of a run, as its report reads them.

use super::{Contestants, SampleRow, Series, Verdict};
use crate::run::{Metric, MetricsRow};

/// Everything that a report reads of a run. Parts that a run does not have are empty or `None`, and the page
/// leaves them out.
#[derive(Debug, Clone, Default)]
pub struct RunReportInput {
    pub title: String,
    /// One row for each update, with `objective/score`, `objective/score_total`, `objective/kl` and
    /// `objective/kl_coef`.
    pub policy_metrics: Vec<MetricsRow>,
    /// One row for each step of training the reward model, with `reward/loss`, `reward/accuracy` and, if it
    /// was measured, `reward/held_out_accuracy`.
    pub reward_metrics: Vec<MetricsRow>,
    /// Last held-out measurement of each round's reward model, with the number of updates before it under
    /// `step`.
    pub fits: Vec<MetricsRow>,
    /// Rows of next-token training, with `train/loss` or `held_out/loss`.
    pub supervised_metrics: Vec<MetricsRow>,
    /// Target of the KL controller, in nats per response.
    pub kl_target: Option<f64>,
    /// Accuracy and loss of guessing on the run's comparisons, if known.
    pub guessing: Option<Guessing>,
    /// Score of a response that is not valid, if the task truncates responses.
    pub penalty: Option<f64>,
    /// Number of updates that the settings ask for.
    pub updates: usize,
    pub contests: Vec<Verdict>,
    /// True if the policy was trained further after the last judgment.
    pub is_older: bool,
    /// Contestants of each judgment, with their KL and score.
    pub contestants: Vec<Contestants>,
    /// Reason of each stop before the end of the run.
    pub stops: Vec<String>,
    pub samples: Vec<SampleRow>,
    /// Settings of the run, as TOML.
    pub settings: String,
    /// Facts about where the run ran, as (name, value).
    pub environment: Vec<(String, String)>,
}

/// Accuracy and loss of a reward model that guesses, with N responses in a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guessing {
    /// Accuracy of guessing: the mean of 1/N.
    pub accuracy: f64,
    /// Loss of guessing: the mean of ln N, in nats.
    pub loss: f64,
}

/// Checks whether the score of some responses is the penalty.
pub(super) fn has_penalties(input: &RunReportInput) -> bool {
    points(&input.policy_metrics, Metric::ValidResponses).any(|(_, valid)| valid < 1.0)
}

/// Returns one series for each (name, metric, factor) that the rows have.
pub(super) fn series(rows: &[MetricsRow], wanted: &[(&str, Metric, f64)]) -> Vec<Series> {
    wanted
        .iter()
        .map(|(name, metric, factor)| Series {
            name: (*name).into(),
            points: points(rows, *metric).map(|(step, value)| (step, value * factor)).collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// Returns (step, value) of the rows that have the metric.
pub(super) fn points(rows: &[MetricsRow], metric: Metric) -> impl DoubleEndedIterator<Item = (f64, f64)> {
    rows.iter().filter_map(move |row| Some((row.step, row.get(metric)?)))
}
