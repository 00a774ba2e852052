//! `preftune train-reward`: a reward model from comparisons.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{QueriesFrom, Session, load_model, write_model};
use crate::data::comparisons::{Comparison, parse_comparisons};
use crate::data::split::split_by_query;
use crate::error::{Error, Result};
use crate::lm::hugging_face::{self, Precision};
use crate::lm::{LanguageModel, STORYTELLER, Task};
use crate::reward::{FittedReward, RewardTraining, TokenComparison, draw_normalization_samples};
use crate::run::checkpoints::Checkpoints;
use crate::run::{Interrupt, RunDirectory, files};

/// Fit a reward model to comparisons
#[derive(Args)]
#[command(after_help = "Example:
  preftune label --simulated --out comparisons.jsonl
  preftune train-reward comparisons.jsonl --out reward")]
pub struct Arguments {
    /// Comparisons, as `label` writes them
    #[arg(value_name = "COMPARISONS")]
    comparisons: PathBuf,
    /// The pretrained model to start from
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: String,
    /// Queries whose responses have mean reward 0 and variance 1; the comparisons' own if not given
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Where the reward model goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What fitting printed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub held_out_accuracy: f64,
    pub held_out_loss: f64,
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
    let model = load_model(&arguments.model, &common.open_device()?.device)?;
    let path = &arguments.comparisons;
    let comparisons = parse_comparisons(&files::read_text(path)?, path)?;
    if comparisons.len() < 2 {
        let what = format!("{} comparisons; at least 2 are needed", comparisons.len());
        return Err(Error::input(path, what, "make some with `preftune label`"));
    }
    let queries = match &arguments.queries {
        Some(_) => QueriesFrom::file_or_openings(arguments.queries.as_deref()).read()?,
        None => comparisons.iter().map(|comparison| comparison.query.clone()).collect(),
    };
    let inputs = [arguments.model.clone(), format!("{} comparisons of {}", comparisons.len(), path.display())];
    let directory = common.run_directory("train-reward", &settings, &inputs)?;
    let interrupt = Interrupt::install()?;
    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common };
    let outcome = fit(&session, comparisons, &queries, &arguments.out, &directory)?.1;
    let text = format!(
        "held-out accuracy {:.1}% on {} comparisons of queries not trained on (guessing: {:.0}%)\n\
         reward model written to {}",
        100.0 * outcome.held_out_accuracy,
        outcome.held_out_comparisons,
        100.0 * outcome.chance,
        arguments.out.display(),
    );
    common.print(&outcome, &text)
}

/// Fits, and writes the model to `out`.
pub fn fit(
    session: &Session<'_>,
    comparisons: Vec<Comparison>,
    queries: &[String],
    out: &Path,
    directory: &RunDirectory,
) -> Result<(FittedReward, Outcome)> {
    let Session { model, settings, interrupt, common } = *session;
    let task = Task::new(&settings.task, model)?;
    let mean_responses = comparisons.iter().map(|c| c.responses.len()).sum::<usize>() as f64 / comparisons.len() as f64;
    let (train, held_out) = split_by_query(comparisons, settings.labels.held_out_fraction, common.seed);
    let encode = |all: &[Comparison]| all.iter().map(|c| to_tokens(model, &task, c)).collect::<Result<Vec<_>>>();
    let (train, held_out) = (encode(&train)?, encode(&held_out)?);
    let queries = queries.iter().map(|query| task.encode_query(model, query)).collect::<Result<Vec<_>>>()?;
    let samples = settings.reward.normalize_samples;
    let normalization = draw_normalization_samples(model, &queries, samples, &task.sampling, common.seed)?;
    let training = RewardTraining {
        settings: &settings.reward,
        pretrained: model,
        train: &train,
        held_out: &held_out,
        normalization: &normalization,
        seed: common.seed,
        checkpoints: Checkpoints::new(&directory.checkpoints(), 2)?,
        metrics_path: directory.metrics(),
        interrupt: interrupt.clone(),
        progress: common.progress(),
    };
    let fitted = training.run()?;
    let mut contents = model.with_transformer(fitted.model.transformer().clone()).to_files(Precision::F32)?;
    let heads = hugging_face::write_safetensors(&fitted.model.read_heads()?, Precision::F32)?;
    contents.push((hugging_face::HEADS_FILE.into(), heads));
    write_model(out, contents)?;
    let outcome = Outcome {
        held_out_accuracy: fitted.held_out.accuracy,
        held_out_loss: fitted.held_out.loss,
        chance: 1.0 / mean_responses,
        comparisons: train.len(),
        held_out_comparisons: held_out.len(),
        gain: fitted.gain_and_bias.gain,
        bias: fitted.gain_and_bias.bias,
        out: out.to_path_buf(),
    };
    Ok((fitted, outcome))
}

fn to_tokens(model: &LanguageModel, task: &Task, comparison: &Comparison) -> Result<TokenComparison> {
    Ok(TokenComparison {
        query: task.encode_query(model, &comparison.query)?,
        responses: comparison
            .responses
            .iter()
            .map(|response| task.encode_response(model, response))
            .collect::<Result<_>>()?,
        best: comparison.best,
    })
}
