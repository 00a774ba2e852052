//! What a run left behind, as its report reads it.

use std::collections::BTreeMap;

use super::{Contestants, SampleRow, Series, Verdict};

/// One line of a metrics file: the numbers by name, with the step under `step`.
pub type MetricsRow = BTreeMap<String, f64>;

/// What a run left behind. Parts that a run does not have are empty or `None`, and the page
/// leaves them out.
#[derive(Debug, Clone, Default)]
pub struct RunReportInput {
    pub title: String,
    /// One row an update, with `objective/score`, `objective/score_total`, `objective/kl`
    /// and `objective/kl_coef`.
    pub policy_metrics: Vec<MetricsRow>,
    /// One row a step of fitting the reward model, with `reward/loss`, `reward/accuracy` and,
    /// where it was measured, `reward/held_out_accuracy`.
    pub reward_metrics: Vec<MetricsRow>,
    /// Of a run in rounds, what each round's fit measured last, with the update before it under `step`.
    pub fits: Vec<MetricsRow>,
    /// One row now and then of next-token training, with `train/loss` or `held_out/loss`.
    pub supervised_metrics: Vec<MetricsRow>,
    /// The KL, in nats a response, that the controller steers to.
    pub kl_target: Option<f64>,
    /// What guessing comes to on the run's comparisons, where that is known.
    pub guessing: Option<Guessing>,
    /// The score of a response that could not be cut, where responses are cut.
    pub penalty: Option<f64>,
    /// Updates that the run was to have.
    pub updates: usize,
    pub contests: Vec<Verdict>,
    /// Whether the policy was trained on after these.
    pub is_older: bool,
    /// KL and score of each contestant, each time that they were judged.
    pub contestants: Vec<Contestants>,
    /// Why the run stopped before its end, each time.
    pub stops: Vec<String>,
    pub samples: Vec<SampleRow>,
    /// The configuration the run had, as TOML.
    pub settings: String,
    /// What the run ran on, as (name, value).
    pub environment: Vec<(String, String)>,
}

/// What a reward model comes to that knows nothing, with N responses a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guessing {
    /// The mean of 1/N.
    pub accuracy: f64,
    /// The mean of ln N, in nats.
    pub loss: f64,
}

/// Whether the score of some responses is the penalty.
pub(super) fn has_penalties(input: &RunReportInput) -> bool {
    points(&input.policy_metrics, "objective/valid").any(|(_, valid)| valid < 1.0)
}

/// One series for each (name, metric, factor) that the rows have.
pub(super) fn series(rows: &[MetricsRow], wanted: &[(&str, &str, f64)]) -> Vec<Series> {
    wanted
        .iter()
        .map(|(name, metric, factor)| Series {
            name: (*name).into(),
            points: points(rows, metric).map(|(step, value)| (step, value * factor)).collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// The (step, value) of the rows that have the metric.
pub(super) fn points<'a>(rows: &'a [MetricsRow], metric: &'a str) -> impl DoubleEndedIterator<Item = (f64, f64)> + 'a {
    rows.iter().filter_map(move |row| Some((*row.get("step")?, *row.get(metric)?)))
}
