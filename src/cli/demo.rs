//! `preftune demo`: the stylistic experiment from end to end, in the stages of the other commands.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::experiment_call::ExperimentCall;
use super::settings::Settings;
use super::{Common, report, table};
use crate::config;
use crate::data::LeftOut;
use crate::data::queries::openings;
use crate::error::{Error, Result};
use crate::eval::{Contest, Contestant, Standing, WinRate};
use crate::labels::SimulatedLabeler;
use crate::labels::describe_labeler;
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::Interrupt;
use crate::report::Judgment;
use crate::stages::{Labels, RewardOutcome, StyleExperiment};
use crate::task::Variety;

/// Run the whole experiment: label, train a reward model, tune, judge, report
///
/// A model samples four continuations of each story opening. The simulated labeler (a sentiment classifier) chooses the
/// best of the four, and a reward model learns these choices. PPO tunes the model towards the reward model. The simulated
/// labeler judges the tuned model on openings that training never used.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune demo
  preftune demo --quick
  preftune demo --model smollm2-135m
  preftune demo --table
  preftune demo --seed 2 --json > result.json")]
pub(super) struct Arguments {
    /// Model to tune: `storyteller`, a folder in Hugging Face layout, or a model that was fetched
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// Run the same stages at the smallest size
    #[arg(long)]
    quick: bool,
    /// Run the experiment of the paper's first table: 4,992 labels, and the tuned model against the
    /// pretrained model, supervised training on the same labels, the best of four responses, and models tuned
    /// on fewer labels
    #[arg(long)]
    table: bool,
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Outcome {
    reward_model_accuracy: Option<f64>,
    /// Lower end of the 95% confidence interval of `reward_model_accuracy`.
    reward_model_accuracy_low: Option<f64>,
    reward_model_accuracy_high: Option<f64>,
    /// Accuracy of guessing.
    reward_model_chance: f64,
    reward_model_differs_from_guessing: bool,
    held_out_comparisons: usize,
    left_out: LeftOut,
    win_rate: f64,
    win_rate_low: f64,
    win_rate_high: f64,
    pairs: usize,
    ties: usize,
    kl: f64,
    kl_target: f64,
    /// Mean score before tuning. A response that is not valid has the penalty for its score.
    score_before: f64,
    score_after: f64,
    /// Share of the responses before tuning that were valid.
    valid_before: Option<f64>,
    valid_after: Option<f64>,
    /// Variety of the responses of the pairs.
    variety_before: Option<Variety>,
    variety_after: Option<Variety>,
    updates: usize,
    #[serde(flatten)]
    call: ExperimentCall,
}

impl Outcome {
    fn new(
        fit: &RewardOutcome,
        win_rate: &WinRate,
        [after, before]: [&Standing; 2],
        settings: &config::Policy,
        call: ExperimentCall,
    ) -> Self {
        let held_out = fit.held_out();
        Self {
            reward_model_accuracy: held_out.map(|held_out| held_out.accuracy),
            reward_model_accuracy_low: held_out.map(|held_out| held_out.interval().low),
            reward_model_accuracy_high: held_out.map(|held_out| held_out.interval().high),
            reward_model_chance: fit.chance,
            reward_model_differs_from_guessing: held_out.is_some_and(|held_out| !held_out.may_be_guessing()),
            held_out_comparisons: fit.held_out_comparisons,
            left_out: fit.left_out.clone(),
            win_rate: win_rate.rate,
            win_rate_low: win_rate.low,
            win_rate_high: win_rate.high,
            pairs: win_rate.pairs,
            ties: win_rate.ties,
            kl: after.kl,
            kl_target: settings.kl.target,
            score_before: before.score.unwrap_or(f64::NAN),
            score_after: after.score.unwrap_or(f64::NAN),
            valid_before: before.valid,
            valid_after: after.valid,
            variety_before: before.variety,
            variety_after: after.variety,
            updates: settings.updates,
            call,
        }
    }
}

impl Arguments {
    fn is_of_shipped_model(&self) -> bool {
        self.model == Path::new(STORYTELLER)
    }

    /// Returns the preset of `--quick` or `--table`, if one of them is given.
    fn preset(&self) -> Option<&'static str> {
        if self.quick { Some("quick") } else { self.table.then_some("table") }
    }

    /// Returns the common options, with the preset of `--quick` or `--table`.
    fn with_preset(&self, common: &Common) -> Result<Common> {
        let Some(own) = self.preset() else { return Ok(common.clone()) };
        if let Some(given) = &common.preset {
            let what = format!("--preset {given} and --{own} exclude each other");
            return Err(Error::usage(what, "give one of them"));
        }
        if !self.is_of_shipped_model() {
            let what = format!("--{own} is made for the shipped model, not for {}", self.model.display());
            return Err(Error::usage(
                what,
                "leave it out, and set what you want to be smaller, such as labels.comparisons",
            ));
        }
        Ok(Common { preset: Some(own.into()), ..common.clone() })
    }

    /// Names the run after the experiment, the model and the seed.
    fn run_name(&self, seed: u64) -> String {
        let kind = if self.table { "table" } else { "demo" };
        let size = if self.quick { "-quick" } else { "" };
        let of_model = if self.is_of_shipped_model() { String::new() } else { format!("-{}", short_name(&self.model)) };
        format!("{kind}{size}{of_model}-seed-{seed}")
    }

    /// Says which settings are no longer those of the preset of `--quick` or `--table`.
    fn say_what_differs_from_the_preset(&self, settings: &Settings, common: &Common) -> Result<()> {
        let Some(own) = self.preset() else { return Ok(()) };
        let changed = config::preset(own)?.config()?.differences(settings)?;
        if !changed.is_empty() {
            common.say(&format!("settings that differ from the preset {own}: {}", changed.join(", ")));
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let started = Instant::now();
    let common = &arguments.with_preset(common)?;
    let name = arguments.run_name(common.seed);
    let settings =
        common.settings_for(&arguments.model, Some(&name), &["reward.learning_rate", "policy.learning_rate"])?;
    arguments.say_what_differs_from_the_preset(&settings, common)?;
    let opened = common.open_device()?;
    let fixed_settings = [("labels.comparisons", "the finished models were tuned on the first number of labels")];
    let inputs = [models::fingerprint(&arguments.model)?];
    let directory = common.run_directory_that_keeps(&name, &settings, inputs, &fixed_settings)?;
    let is_resumed = directory.comparisons().exists();
    let interrupt = Interrupt::install()?;
    let model = models::open(&arguments.model, &opened.device)?;
    let model_name = arguments.model.to_string_lossy();
    let experiment = StyleExperiment {
        name: &model_name,
        session: common.session(&model, &settings, opened.device_memory, &interrupt),
        queries: &openings()?,
        directory: &directory,
    };
    if arguments.table {
        return table::run(&experiment, &opened.name, started, is_resumed, common);
    }
    let mut labeler = SimulatedLabeler::open(None)?;
    let Labels { comparisons, left_out, ties } = experiment.labels(&mut labeler)?;
    let tuned = experiment.tune_on(&comparisons, left_out, "")?;
    let contestant = |name: &str, model, number| Contestant { name: name.into(), model, best_of: 1, number };
    let contestants = [contestant("tuned", &tuned.model, 0), contestant(&model_name, &model, 1)];
    let judged = experiment.judge(&tuned, &contestants, &mut labeler)?;
    let ([contest], [after, before]) = (judged.contests.as_slice(), judged.standings.as_slice()) else {
        return Err(Error::failed("one contest between two was expected", ""));
    };
    let call = ExperimentCall {
        label_ties: ties,
        seconds: started.elapsed().as_secs_f64(),
        resumed: is_resumed,
        device: opened.name.clone(),
        seed: common.seed,
        report: directory.report(),
    };
    let outcome = Outcome::new(&tuned.fit, &contest.win_rate, [after, before], &settings.policy, call);
    let environment = common.environment(&opened.name, (!is_resumed).then_some(outcome.call.seconds));
    Judgment::of_experiment(&judged, environment).write(directory.path())?;
    report::write(&directory)?;
    print(&outcome, contest, &tuned.fit.describe_accuracy(), common)
}

/// Returns the last part of a model's path, or the last three where that is `model`, as every stage calls its model: then
/// the name of the run is among them, such as in `runs/ours/policy/model`.
fn short_name(model: &Path) -> String {
    let whole = std::path::absolute(model).unwrap_or_else(|_| model.into());
    let parts: Vec<_> = whole
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    // What stands before `runs` depends on the current folder.
    let parts = parts.rsplit(|part| part == "runs").find(|rest| !rest.is_empty()).unwrap_or_default();
    let count = if parts.last().is_some_and(|last| last == "model") { 3 } else { 1 };
    parts.get(parts.len().saturating_sub(count)..).unwrap_or_default().join("-")
}

fn print(outcome: &Outcome, contest: &Contest, accuracy: &str, common: &Common) -> Result<()> {
    let examples: Vec<String> = contest
        .pairs
        .iter()
        .take(3)
        .map(|pair| {
            let [query, before, after] =
                [&pair.query, &pair.baseline, &pair.candidate].map(|text| super::sample::one_line(text));
            format!("  {query}\n    before:{before}\n    after: {after}")
        })
        .collect();
    let text = format!(
        "{}\n\nreward model   right in {}\n\
         tuned model    {}\n\
         score          {:.2} before, {:.2} after{}\n\
         KL             {:.2} nats per response, target {:.1}\n\
         variety        {}\n\
         time           {}\n\
         report         {}",
        examples.join("\n"),
        accuracy,
        describe(&contest.win_rate),
        outcome.score_before,
        outcome.score_after,
        penalized(outcome),
        outcome.kl,
        outcome.kl_target,
        describe_variety(outcome),
        outcome.call.describe_time(),
        outcome.call.report(),
    );
    common.print(outcome, &text)
}

/// Describes how many of the responses have the penalty for their score.
fn penalized(outcome: &Outcome) -> String {
    match [outcome.valid_before, outcome.valid_after].map(|valid| valid.map(|valid| 100.0 * (1.0 - valid))) {
        [Some(before), Some(after)] if before > 0.0 || after > 0.0 => {
            format!("; {before:.0}% of the responses got the penalty before, {after:.0}% after")
        }
        _ => String::new(),
    }
}

/// Describes how far the responses differ from each other.
fn describe_variety(outcome: &Outcome) -> String {
    match (outcome.variety_before, outcome.variety_after) {
        (Some(before), Some(after)) => format!(
            "distinct bigrams: {:.2} times their share before tuning; {:.1}% of the responses are distinct ({:.1}% \
             before)",
            after.distinct_bigrams / before.distinct_bigrams,
            100.0 * after.distinct_responses,
            100.0 * before.distinct_responses
        ),
        _ => "not measured".into(),
    }
}

/// Describes the win rate in words.
fn describe(win_rate: &WinRate) -> String {
    format!(
        "preferred in {:.1}% of {} pairs (95% interval {:.1} to {:.1}), {} {} counted half; judged by {}",
        100.0 * win_rate.rate,
        win_rate.pairs,
        100.0 * win_rate.low,
        100.0 * win_rate.high,
        win_rate.ties,
        if win_rate.ties == 1 { "tie" } else { "ties" },
        describe_labeler(&win_rate.labeler),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stage calls its model `model`, so that two tuned models once had one run folder.
    #[test]
    fn the_run_of_a_tuned_model_is_named_after_the_run_that_tuned_it() {
        let name = |path: &str| short_name(Path::new(path));
        assert_eq!(name("smollm2-135m"), "smollm2-135m");
        assert_eq!(name("/models/SmolLM2/"), "SmolLM2");
        assert_eq!(name("runs/demo-seed-1/policy/model"), "demo-seed-1-policy-model");
        assert_eq!(name("/runs/ours/model"), "ours-model");
        assert_eq!(name("runs/ours/model"), "ours-model");
        assert_eq!(name("runs/table-seed-2/policy-on-312/model"), "table-seed-2-policy-on-312-model");
    }
}
