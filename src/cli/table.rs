//! `preftune demo --table`: the paper's first table for a stylistic task.

use std::time::Instant;

use serde::Serialize;

use super::Common;
use super::experiment_call::ExperimentCall;
use super::standings::Standings;
use crate::data::LeftOut;
use crate::error::Result;
use crate::labels::SimulatedLabeler;
use crate::report::Judgment;
use crate::stages::{StyleExperiment, Table, Tuned};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Outcome {
    reward_models: Vec<Fit>,
    #[serde(flatten)]
    standings: Standings,
    #[serde(flatten)]
    call: ExperimentCall,
}

#[derive(Serialize)]
struct Fit {
    labels: usize,
    /// Accuracy on comparisons of queries that the reward model was not trained on.
    held_out_accuracy: Option<f64>,
    held_out_accuracy_low: Option<f64>,
    held_out_accuracy_high: Option<f64>,
    held_out_comparisons: usize,
    /// Accuracy of guessing.
    chance: f64,
    differs_from_guessing: bool,
    left_out: LeftOut,
}

pub(super) fn run(
    experiment: &StyleExperiment<'_>,
    device: &str,
    started: Instant,
    is_resumed: bool,
    common: &Common,
) -> Result<()> {
    let Table { tuned, label_ties, judged } = experiment.table(&mut SimulatedLabeler::open(None)?)?;
    let outcome = Outcome {
        reward_models: tuned.iter().map(fit).collect(),
        standings: Standings::of(&judged, LeftOut::default()),
        call: ExperimentCall {
            label_ties,
            seconds: started.elapsed().as_secs_f64(),
            resumed: is_resumed,
            device: device.into(),
            seed: common.seed,
            report: experiment.directory.report(),
        },
    };
    let environment = common.environment(device, (!is_resumed).then_some(outcome.call.seconds));
    Judgment::of_experiment(&judged, environment).write(experiment.directory.path())?;
    super::report::write(experiment.directory)?;
    let fits: String = tuned.iter().map(describe).collect();
    common.print(&outcome, &text(&outcome, &fits))
}

fn fit(tuned: &Tuned) -> Fit {
    let held_out = tuned.fit.held_out();
    let interval = held_out.map(|held_out| held_out.interval());
    Fit {
        labels: tuned.labels,
        held_out_accuracy: held_out.map(|held_out| held_out.accuracy),
        held_out_accuracy_low: interval.map(|interval| interval.low),
        held_out_accuracy_high: interval.map(|interval| interval.high),
        held_out_comparisons: tuned.fit.held_out_comparisons,
        chance: tuned.fit.chance,
        differs_from_guessing: held_out.is_some_and(|held_out| !held_out.may_be_guessing()),
        left_out: tuned.fit.left_out.clone(),
    }
}

fn describe(tuned: &Tuned) -> String {
    format!("\nreward model of {} labels: right in {}", tuned.labels, tuned.fit.describe_accuracy())
}

fn text(outcome: &Outcome, fits: &str) -> String {
    format!(
        "{}\n{fits}\n{}; report: {}",
        outcome.standings.to_text(),
        outcome.call.describe_time(),
        outcome.call.report(),
    )
}
