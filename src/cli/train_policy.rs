//! `preftune train-policy`: a policy from a reward model.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;

use super::Common;
use crate::data::LeftOut;
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::external_command::ExternalCommand;
use crate::platform::{Interrupt, files};
use crate::policy::{TunedPolicy, Written};
use crate::run::{Input, OutputFolder};
use crate::sanitize::sanitize_path;
use crate::stages::{fingerprint_if_given, read_queries, round_frozen_models, train_policy_from};
use crate::task::Task;
use crate::task::{CommandScorer, Scorer};

/// Tune a model towards a reward model, by PPO with a KL penalty
///
/// Run the same command again to resume after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train-reward comparisons.jsonl --out reward
  preftune train-policy --reward reward --out policy
  preftune train-policy --reward-command 'python3 score.py' --out policy
  preftune eval --model policy")]
pub(super) struct Arguments {
    /// The reward model, as `train-reward` writes it
    #[arg(long, value_name = "DIR", required_unless_present = "reward_command")]
    reward: Option<PathBuf>,
    /// A program that scores instead of a reward model: it reads a line `{"query": "…", "responses": ["…"]}`
    /// for each response, and answers with a list of one number, such as [0.5], on a line of its own
    #[arg(long, value_name = "COMMAND", conflicts_with = "reward")]
    reward_command: Option<String>,
    /// Seconds that the program may take for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "reward_command", value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    command_timeout: u64,
    /// The pretrained model: the policy starts from it, and the KL penalty keeps the policy near it
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// Queries: a file with one per line, or JSONL; a label file of the original (OpenAI's published code for the
    /// paper); or a folder of books. If not given, the story openings for training
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Output folder of the tuned model, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    updates: usize,
    #[serde(flatten)]
    written: Written,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings_for(&arguments.model, Some("train-policy"), &["policy.learning_rate"])?;
    let out = OutputFolder::new(&arguments.out)?;
    let OpenDevice { device, device_memory, .. } = common.open_device()?;
    let mut model = models::open(&arguments.model, &device)?;
    let reward_model = arguments.reward.as_ref().map(|folder| models::open_reward_model(folder, &model, &device));
    let reward_model = reward_model.transpose()?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let queries = read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?;
    let queries = queries.tokens(&model, &task, &mut left_out)?;
    left_out.say("queries");
    let inputs = [
        Some(models::fingerprint(&arguments.model)?),
        Some(match (&arguments.reward, &arguments.reward_command) {
            (Some(folder), _) => models::fingerprint_of_folder("reward model", folder)?,
            (None, command) => {
                Input::named("reward", &format!("the command {:?} scores", command.as_deref().unwrap_or("")))
            }
        }),
        fingerprint_if_given("queries", arguments.queries.as_ref())?,
    ];
    let directory = common.run_directory("train-policy", &settings, inputs.into_iter().flatten())?;
    out.check(&directory)?;
    let interrupt = Interrupt::install()?;
    let (reward_model, start) = round_frozen_models(&settings.policy, &mut model, reward_model)?;
    let session = common.session(&model, &settings, device_memory, &interrupt);
    let program = match &arguments.reward_command {
        Some(command) => {
            let timeout = Duration::from_secs(arguments.command_timeout);
            let program = ExternalCommand::start(command, timeout, interrupt.clone())?;
            Some(CommandScorer::new(program, &model.tokenizer))
        }
        None => None,
    };
    let scorer = reward_model.as_ref().map(|model| model as &dyn Scorer);
    let scorer = scorer.or(program.as_ref().map(|program| program as &dyn Scorer));
    let scorer = scorer.ok_or_else(|| Error::usage("no scorer is given", "give --reward or --reward-command"))?;
    let TunedPolicy { policy, written } =
        train_policy_from(start, &session, scorer, &queries, settings.policy.updates, &directory)?;
    out.write(&policy.to_files(&model)?, &directory)?;
    let described = written.describe(settings.task.penalty_score);
    let text = format!("{described}\ntuned model written to {}", sanitize_path(&arguments.out));
    common.print(&Outcome { updates: settings.policy.updates, written, left_out, out: arguments.out }, &text)
}
