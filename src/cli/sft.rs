//! `preftune sft`: a model from the responses that were chosen.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::data::LeftOut;
use crate::device::OpenDevice;
use crate::error::Result;
use crate::lm::{Precision, STORYTELLER};
use crate::models;
use crate::platform::{Interrupt, files};
use crate::run::OutputFolder;
use crate::sanitize::sanitize_path;
use crate::stages::ComparisonsFile;
use crate::stages::{Supervised, fine_tune, fingerprint_of_file, fingerprint_of_question, read_comparisons};
use crate::task::Task;

/// Train a model on the responses that were chosen, without a reward
///
/// Next-token training on the best response of each comparison is a baseline for tuned models. Run the same
/// command again to resume after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune sft runs/mine/comparisons.jsonl --run runs/mine/sft --out runs/mine/sft/model
  preftune eval --model runs/mine/policy/model --baseline storyteller --baseline runs/mine/sft/model")]
pub(super) struct Arguments {
    /// Comparisons, as `train-reward` takes them
    #[arg(value_name = "COMPARISONS")]
    comparisons: PathBuf,
    /// The question whose answers count, where Label Studio's tasks have several pairwise questions
    #[arg(long, value_name = "NAME")]
    question: Option<String>,
    /// The pretrained model to start from
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// Output folder of the model, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    examples: usize,
    /// Mean negative log-likelihood of held-out chosen responses before training, nats per token; `None` if
    /// there are none.
    held_out_loss_before: Option<f64>,
    held_out_loss: Option<f64>,
    held_out_tokens: usize,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings_for(&arguments.model, Some("sft"), &[])?;
    let out = OutputFolder::new(&arguments.out)?;
    let OpenDevice { device, device_memory, .. } = common.open_device()?;
    let model = models::open(&arguments.model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let question = arguments.question.as_deref();
    let file = ComparisonsFile { path: &arguments.comparisons, question };
    let comparisons = read_comparisons(file, &model, &task, 1, &mut left_out)?;
    let inputs = [models::fingerprint(&arguments.model)?, fingerprint_of_file("comparisons", &arguments.comparisons)?];
    let directory =
        common.run_directory("sft", &settings, inputs.into_iter().chain(fingerprint_of_question(question)))?;
    out.check(&directory)?;
    let interrupt = Interrupt::install()?;
    let session = common.session(&model, &settings, device_memory, &interrupt);
    let Supervised { trained, before, examples, left_out } = fine_tune(&session, comparisons, left_out, &directory)?;
    out.write(&trained.model.to_files(Precision::F32)?, &directory)?;
    let outcome = Outcome {
        examples,
        held_out_loss_before: before.map(|before| before.loss),
        held_out_loss: trained.held_out.map(|after| after.loss),
        held_out_tokens: trained.held_out.map_or(0, |after| after.tokens),
        left_out,
        out: arguments.out,
    };
    let measured = match (outcome.held_out_loss_before, outcome.held_out_loss) {
        (Some(before), Some(after)) => format!(
            "loss on held-out chosen responses: {before:.3} nats per token before, {after:.3} after ({} tokens)",
            outcome.held_out_tokens
        ),
        _ => "nothing measured: no responses were held out".into(),
    };
    let text =
        format!("{measured}\ntrained on {examples} chosen responses; model written to {}", sanitize_path(&outcome.out));
    common.print(&outcome, &text)
}
