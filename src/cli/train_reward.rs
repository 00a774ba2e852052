//! `preftune train-reward`: a reward model from comparisons.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::data::LeftOut;
use crate::device::OpenDevice;
use crate::error::Result;
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::{Interrupt, files};
use crate::run::OutputFolder;
use crate::sanitize::sanitize_path;
use crate::stages::ComparisonsFile;
use crate::stages::{
    fingerprint_if_given, fingerprint_of_file, fingerprint_of_question, read_comparisons, read_queries, train_reward,
};
use crate::task::Task;

/// Train a reward model on comparisons
#[derive(Args)]
#[command(after_help = "Examples:
  preftune label --simulated --out comparisons.jsonl
  preftune train-reward comparisons.jsonl --out reward")]
pub(super) struct Arguments {
    /// Comparisons, as `label` writes them; pairs of TRL or Anthropic HH; tasks of Label Studio; or a label
    /// file of the original (OpenAI's published code for the paper), such as labels/sentiment after it was fetched
    #[arg(value_name = "COMPARISONS")]
    comparisons: PathBuf,
    /// The question whose answers count, where Label Studio's tasks have several pairwise questions
    #[arg(long, value_name = "NAME")]
    question: Option<String>,
    /// The pretrained model to start from
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// Queries, in a format that `train-policy` reads, on whose responses the reward is normalized to mean 0 and
    /// variance 1; those of the comparisons if not given
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Output folder of the reward model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    /// Accuracy on held-out comparisons; `None` if none was held out.
    held_out_accuracy: Option<f64>,
    /// Lower end of the 95% confidence interval of `held_out_accuracy`.
    held_out_accuracy_low: Option<f64>,
    held_out_accuracy_high: Option<f64>,
    held_out_loss: Option<f64>,
    /// Accuracy of guessing.
    chance: f64,
    /// True if the confidence interval excludes the accuracy of guessing.
    differs_from_guessing: bool,
    comparisons: usize,
    held_out_comparisons: usize,
    /// Counts of the comparisons that were left out or shortened.
    left_out: LeftOut,
    /// Counts of the queries of `--queries` that were left out or shortened.
    queries_left_out: LeftOut,
    gain: f64,
    bias: f64,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings_for(&arguments.model, Some("train-reward"), &["reward.learning_rate"])?;
    let out = OutputFolder::new(&arguments.out)?;
    let OpenDevice { device, device_memory, .. } = common.open_device()?;
    let model = models::open(&arguments.model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let (mut left_out, mut queries_left_out) = (LeftOut::default(), LeftOut::default());
    let from = ComparisonsFile { path: &arguments.comparisons, question: arguments.question.as_deref() };
    let comparisons = read_comparisons(from, &model, &task, 2, &mut left_out)?;
    let queries = match &arguments.queries {
        path @ Some(_) => {
            let queries = read_queries(path.as_deref(), &model, &task, &mut queries_left_out)?;
            queries.tokens(&model, &task, &mut queries_left_out)?
        }
        None => comparisons.iter().map(|comparison| comparison.query.clone()).collect(),
    };
    queries_left_out.say("queries");
    let inputs = [
        Some(models::fingerprint(&arguments.model)?),
        Some(fingerprint_of_file("comparisons", &arguments.comparisons)?),
        fingerprint_of_question(arguments.question.as_deref()),
        fingerprint_if_given("queries", arguments.queries.as_ref())?,
    ];
    let directory = common.run_directory("train-reward", &settings, inputs.into_iter().flatten())?;
    out.check(&directory)?;
    let interrupt = Interrupt::install()?;
    let session = common.session(&model, &settings, device_memory, &interrupt);
    let fit = train_reward(&session, comparisons, left_out, &queries, &out, &directory)?;
    let held_out = fit.held_out();
    let interval = held_out.map(|held_out| held_out.interval());
    let outcome = Outcome {
        held_out_accuracy: held_out.map(|held_out| held_out.accuracy),
        held_out_accuracy_low: interval.map(|interval| interval.low),
        held_out_accuracy_high: interval.map(|interval| interval.high),
        held_out_loss: fit.fitted.held_out.map(|step| step.loss),
        chance: fit.chance,
        differs_from_guessing: held_out.is_some_and(|held_out| !held_out.may_be_guessing()),
        comparisons: fit.comparisons,
        held_out_comparisons: fit.held_out_comparisons,
        left_out: fit.left_out.clone(),
        queries_left_out,
        gain: fit.fitted.gain_and_bias.gain,
        bias: fit.fitted.gain_and_bias.bias,
        out: arguments.out,
    };
    let text = format!(
        "held-out accuracy {}\nreward model written to {}",
        fit.describe_accuracy(),
        sanitize_path(&outcome.out)
    );
    common.print(&outcome, &text)
}
