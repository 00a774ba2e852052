//! `preftune train-policy`: a policy from a reward model.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{
    Session, load_model, load_reward_model, read_queries, refuse_to_overwrite, remembered, remembered_model,
    write_model,
};
use crate::device::Opened;
use crate::error::Result;
use crate::lm::{STORYTELLER, Task};
use crate::policy::{self, Judges, Policy, PolicyTraining};
use crate::reward::RewardModel;
use crate::run::checkpoints::Checkpoints;
use crate::run::{Interrupt, RunDirectory};

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
    out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let Opened { device, room, .. } = common.open_device()?;
    let model = load_model(&arguments.model, &device)?;
    let reward_model = load_reward_model(&arguments.reward, &model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let queries = read_queries(arguments.queries.as_deref(), &model, &task)?.tokens(&model, &task)?;
    let inputs = [
        remembered_model(&arguments.model)?,
        remembered(Some(&arguments.reward))?,
        remembered(arguments.queries.as_deref())?,
    ];
    let directory = common.run_directory("train-policy", &settings, &inputs)?;
    refuse_to_overwrite(&arguments.out, &directory)?;
    let interrupt = Interrupt::install()?;
    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common, room };
    let policy = tune(&session, &reward_model, &queries, settings.policy.updates, &directory)?;
    write_model(&arguments.out, policy.to_files(&model)?)?;
    let text = format!("tuned model written to {}", arguments.out.display());
    common.print(&Outcome { updates: settings.policy.updates, out: arguments.out }, &text)
}

/// Tunes for so many updates, those before counted.
pub fn tune(
    session: &Session<'_>,
    reward_model: &RewardModel,
    queries: &[Vec<u32>],
    stop_at: usize,
    directory: &RunDirectory,
) -> Result<Policy> {
    let Session { model, settings, interrupt, common, room } = *session;
    let task = Task::new(&settings.task, model)?;
    let (backward, memory) = policy::backward_that_fits(&settings.policy, &task, queries, model, room)?;
    common.say(&format!("memory: about {}; {} episodes in a pass", memory.describe(), backward.micro_batch_size));
    let training = PolicyTraining {
        settings: &settings.policy,
        health: &settings.health,
        stop_at,
        backward,
        judges: Judges { reference: model, reward_model, task, rows_at_once: backward.micro_batch_size },
        queries,
        seed: common.seed,
        checkpoints: Checkpoints::new(&directory.checkpoints(), 2)?,
        metrics_path: directory.metrics(),
        samples_path: directory.samples(),
        interrupt: interrupt.clone(),
        progress: common.progress(),
    };
    training.run().inspect_err(|error| directory.note_stop(error))
}
