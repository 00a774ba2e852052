//! `preftune demo --table`: the paper's first table for a stylistic task.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::Common;
use super::common::load_labeler;
use super::standings::Standings;
use crate::error::Result;
use crate::report::Judgment;
use crate::stages::{Stylistic, Table, Tuned};
use crate::statistics::Interval;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Outcome {
    reward_models: Vec<Fit>,
    #[serde(flatten)]
    standings: Standings,
    seconds: f64,
    device: String,
    seed: u64,
    report: PathBuf,
}

#[derive(Serialize)]
struct Fit {
    labels: usize,
    /// On comparisons of queries that it was not fitted to.
    held_out_accuracy: Option<f64>,
    held_out_accuracy_low: f64,
    held_out_accuracy_high: f64,
    held_out_comparisons: usize,
}

pub fn run(experiment: &Stylistic<'_>, device: &str, started: Instant, common: &Common) -> Result<()> {
    let Table { tuned, judged } = experiment.table(&mut load_labeler(None)?)?;
    let chance = tuned.first().map_or(f64::NAN, |tuned| tuned.fit.chance);
    let outcome = Outcome {
        reward_models: tuned.iter().map(fit).collect(),
        standings: Standings::of(&judged),
        seconds: started.elapsed().as_secs_f64(),
        device: device.into(),
        seed: common.seed,
        report: experiment.directory.report(),
    };
    let environment = common.environment(device, Some(outcome.seconds));
    Judgment::of_experiment(&judged, environment).write(experiment.directory.path())?;
    super::report::write(experiment.directory)?;
    common.print(&outcome, &text(&outcome, chance))
}

fn fit(tuned: &Tuned) -> Fit {
    let Interval { low, high } = tuned.fit.held_out_interval();
    Fit {
        labels: tuned.labels,
        held_out_accuracy: tuned.fit.held_out_accuracy(),
        held_out_accuracy_low: low,
        held_out_accuracy_high: high,
        held_out_comparisons: tuned.fit.held_out_comparisons,
    }
}

fn text(outcome: &Outcome, chance: f64) -> String {
    let fit = |fit: &Fit| {
        let Fit { labels, held_out_accuracy, held_out_accuracy_low, held_out_accuracy_high, .. } = fit;
        let accuracy = held_out_accuracy.map_or("not measured".into(), |accuracy| {
            let [accuracy, low, high] = [accuracy, *held_out_accuracy_low, *held_out_accuracy_high].map(|x| 100.0 * x);
            format!("{accuracy:.1}% right ({low:.1} to {high:.1}) on {} comparisons", fit.held_out_comparisons)
        });
        format!("\nreward model of {labels} labels: {accuracy} that it had not seen")
    };
    let fits: String = outcome.reward_models.iter().map(fit).collect();
    format!(
        "{}\n{fits}\nguessing is right in {:.0}%\n{:.0} s on {}; report: {}",
        outcome.standings.to_text(),
        100.0 * chance,
        outcome.seconds,
        outcome.device,
        outcome.report.display(),
    )
}
