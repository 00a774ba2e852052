//! `preftune train-policy`: a policy from a reward model.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{load_model, load_reward_model, read_queries, refuse_to_overwrite, remembered, remembered_model};
use crate::data::LeftOut;
use crate::device::Opened;
use crate::error::Result;
use crate::lm::{STORYTELLER, Task};
use crate::run::{Interrupt, files};
use crate::stages::tune;

/// Tune a model towards a reward model, by PPO with a KL penalty
///
/// Run the same command again to go on after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train-reward comparisons.jsonl --out reward
  preftune train-policy --reward reward --out policy
  preftune eval --model policy")]
pub struct Arguments {
    /// The reward model, as `train-reward` writes it
    #[arg(long, value_name = "DIR")]
    reward: PathBuf,
    /// The pretrained model: where the policy starts, and what it is kept near
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: String,
    /// Queries: a file with one a line, or JSONL; a label file of the original; a folder of books;
    /// without it, the story openings that ship for training
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Where the tuned model goes, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    updates: usize,
    left_out: LeftOut,
    out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let Opened { device, room, .. } = common.open_device()?;
    let model = load_model(&arguments.model, &device)?;
    let reward_model = load_reward_model(&arguments.reward, &model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let queries = read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?;
    let queries = queries.tokens(&model, &task, &mut left_out)?;
    left_out.say("queries");
    let inputs = [
        remembered_model(&arguments.model)?,
        remembered(Some(&arguments.reward))?,
        remembered(arguments.queries.as_deref())?,
    ];
    let directory = common.run_directory("train-policy", &settings, &inputs)?;
    refuse_to_overwrite(&arguments.out, &directory)?;
    let interrupt = Interrupt::install()?;
    let session = common.session(&model, &settings, room, &interrupt);
    let policy = tune(&session, &reward_model, &queries, settings.policy.updates, &directory)?;
    files::write_folder(&arguments.out, policy.to_files(&model)?)?;
    let text = format!("tuned model written to {}", arguments.out.display());
    common.print(&Outcome { updates: settings.policy.updates, left_out, out: arguments.out }, &text)
}
