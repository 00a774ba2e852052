//! `preftune train-reward`: a reward model from comparisons.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{
    Session, fetched_file, load_model, read_queries, refuse_to_overwrite, remembered, remembered_model, write_model,
};
use crate::device::Opened;
use crate::error::{Error, Result};
use crate::lm::{STORYTELLER, Task};
use crate::reward::{self, FittedReward, RewardData, RewardTraining, TokenComparison, token_comparisons};
use crate::run::checkpoints::Checkpoints;
use crate::run::{Interrupt, RunDirectory, files};

/// Fit a reward model to comparisons
#[derive(Args)]
#[command(after_help = "Examples:
  preftune label --simulated --out comparisons.jsonl
  preftune train-reward comparisons.jsonl --out reward")]
pub struct Arguments {
    /// Comparisons, as `label` writes them; pairs of TRL or Anthropic HH, tasks of Label Studio; or a label
    /// file of the original, such as labels/sentiment once it was fetched
    #[arg(value_name = "COMPARISONS")]
    comparisons: PathBuf,
    /// The pretrained model to start from
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: String,
    /// Queries whose responses have mean reward 0 and variance 1, as `train-policy` takes them; the
    /// comparisons' own if not given
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Where the reward model goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What fitting printed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// `None` where no comparison was held out.
    pub held_out_accuracy: Option<f64>,
    pub held_out_loss: Option<f64>,
    /// Accuracy of guessing.
    pub chance: f64,
    pub comparisons: usize,
    pub held_out_comparisons: usize,
    pub gain: f64,
    pub bias: f64,
    pub out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let Opened { device, room, .. } = common.open_device()?;
    let model = load_model(&arguments.model, &device)?;
    let path = &fetched_file(&arguments.comparisons)?;
    let task = Task::new(&settings.task, &model)?;
    let comparisons = token_comparisons(&files::read_text(path)?, path, &model, &task)?;
    if comparisons.len() < 2 {
        let what = format!("{} comparisons; at least 2 are needed", comparisons.len());
        return Err(Error::input(path, what, "make some with `preftune label`"));
    }
    let queries = match &arguments.queries {
        path @ Some(_) => read_queries(path.as_deref(), &model, &task)?.tokens(&model, &task)?,
        None => comparisons.iter().map(|comparison| comparison.query.clone()).collect(),
    };
    let inputs =
        [remembered_model(&arguments.model)?, remembered(Some(path))?, remembered(arguments.queries.as_deref())?];
    let directory = common.run_directory("train-reward", &settings, &inputs)?;
    refuse_to_overwrite(&arguments.out, &directory)?;
    let interrupt = Interrupt::install()?;
    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common, room };
    let outcome = fit(&session, comparisons, &queries, &arguments.out, &directory)?.1;
    let accuracy = match outcome.held_out_accuracy {
        Some(accuracy) => format!(
            "held-out accuracy {:.1}% on {} comparisons of queries not trained on (guessing: {:.0}%)",
            100.0 * accuracy,
            outcome.held_out_comparisons,
            100.0 * outcome.chance,
        ),
        None => "no held-out accuracy: every query trains".to_string(),
    };
    let text = format!("{accuracy}\nreward model written to {}", arguments.out.display());
    common.print(&outcome, &text)
}

/// Fits, and writes the model to `out`.
pub fn fit(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    queries: &[Vec<u32>],
    out: &Path,
    directory: &RunDirectory,
) -> Result<(FittedReward, Outcome)> {
    let Session { model, settings, interrupt, common, room } = *session;
    let task = Task::new(&settings.task, model)?;
    let (backward, memory) = reward::backward_that_fits(&settings.reward, &comparisons, queries, &task, model, room)?;
    common.say(&format!("memory: about {}; {} comparisons in a pass", memory.describe(), backward.micro_batch_size));
    let data = RewardData::new(model, &task, comparisons, queries, settings, common.seed)?;
    let training = RewardTraining {
        settings: &settings.reward,
        backward,
        pretrained: model,
        data: &data,
        seed: common.seed,
        checkpoints: Checkpoints::new(&directory.checkpoints(), 2)?,
        metrics_path: directory.metrics(),
        samples_path: directory.samples(),
        interrupt: interrupt.clone(),
        progress: common.progress(),
    };
    let fitted = training.run()?;
    write_model(out, fitted.model.to_files(model)?)?;
    let outcome = Outcome {
        held_out_accuracy: fitted.held_out.map(|step| step.accuracy),
        held_out_loss: fitted.held_out.map(|step| step.loss),
        chance: data.chance(),
        comparisons: data.train.len(),
        held_out_comparisons: data.held_out.len(),
        gain: fitted.gain_and_bias.gain,
        bias: fitted.gain_and_bias.bias,
        out: out.to_path_buf(),
    };
    Ok((fitted, outcome))
}
