//! `preftune demo --table`: the paper's first table for a stylistic task.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::Common;
use super::common::load_labeler;
use super::demo::write_report;
use super::standings::Standings;
use crate::error::Result;
use crate::eval::Contestant;
use crate::stages::{Judged, Stylistic, Tuned};

/// Of the labels, so many parts make "fewer": one of them.
const FEWER: [usize; 2] = [4, 16];

/// As many as a labeler chooses from.
const BEST_OF: usize = 4;

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
    held_out_comparisons: usize,
}

pub fn run(experiment: &Stylistic<'_>, device: &str, started: Instant, common: &Common) -> Result<()> {
    let mut labeler = load_labeler(None)?;
    let labels = experiment.labels(&mut labeler)?;
    let tuned = experiment.tune_on(&labels, "")?;
    let supervised = experiment.supervised_on(&labels)?;
    let first = |parts: usize| labels.get(..labels.len() / parts).unwrap_or_default();
    let on_fewer = |parts| {
        let labels = first(parts);
        experiment.tune_on(labels, &format!("-on-{}", labels.len()))
    };
    let fewer = FEWER.into_iter().map(on_fewer).collect::<Result<Vec<Tuned>>>()?;

    let contestant = |name: String, model, best_of| Contestant { name, model, best_of };
    let named = |tuned: &Tuned| format!("tuned on {} labels", tuned.labels);
    let pretrained = experiment.session.model;
    let mut contestants = vec![
        contestant(named(&tuned), &tuned.model, 1),
        contestant("zero-shot".into(), pretrained, 1),
        contestant(format!("supervised on {} labels", labels.len()), &supervised, 1),
        contestant(format!("best of {BEST_OF} by the reward model"), pretrained, BEST_OF),
    ];
    contestants.extend(fewer.iter().map(|tuned| contestant(named(tuned), &tuned.model, 1)));
    let Judged { entries, contests } = experiment.judge(&tuned, &contestants, &mut labeler)?;

    let fit = |tuned: &Tuned| Fit {
        labels: tuned.labels,
        held_out_accuracy: tuned.fit.held_out_accuracy(),
        held_out_comparisons: tuned.fit.held_out_comparisons,
    };
    let outcome = Outcome {
        reward_models: std::iter::once(&tuned).chain(&fewer).map(fit).collect(),
        standings: Standings::of(&entries, &contests),
        seconds: started.elapsed().as_secs_f64(),
        device: device.into(),
        seed: common.seed,
        report: experiment.directory.report(),
    };
    write_report(experiment.directory, &contests, &entries, device, outcome.seconds, common)?;
    common.print(&outcome, &text(&outcome, tuned.fit.chance))
}

fn text(outcome: &Outcome, chance: f64) -> String {
    let fit = |Fit { labels, held_out_accuracy, held_out_comparisons }: &Fit| {
        let accuracy = held_out_accuracy.map_or("not measured".into(), |accuracy| format!("{:.1}%", 100.0 * accuracy));
        format!("\nreward model of {labels} labels: {accuracy} right on {held_out_comparisons} it had not seen")
    };
    let fits: String = outcome.reward_models.iter().map(fit).collect();
    format!(
        "{}\n{fits} (guessing: {:.0}%)\n{:.0} s on {}; report: {}",
        outcome.standings.to_text(),
        100.0 * chance,
        outcome.seconds,
        outcome.device,
        outcome.report.display(),
    )
}
