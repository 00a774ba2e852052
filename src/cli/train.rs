//! `preftune train`: labels, reward model and policy, in rounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Common, label};
use crate::data::LeftOut;
use crate::device::OpenDevice;
use crate::error::Result;
use crate::labels::SimulatedLabeler;
use crate::labels::read_instructions;
use crate::labels::{LabelQueue, SharedQueue};
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::{Interrupt, files};
use crate::policy::Policy;
use crate::run::OutputFolder;
use crate::sanitize::sanitize_path;
use crate::stages::{LabelSource, RoundOutcome, Rounds, Session, fingerprint_if_given, open_log, read_queries};
use crate::stages::{check_keys, fingerprint_of_labeler, queue_settings};
use crate::task::{Queries, Task};

/// Label, train a reward model and tune the policy, in rounds
///
/// In each round, the current policy continues queries, a labeler chooses, the reward model is trained anew
/// from the pretrained model on all labels so far, and the policy is trained further. With train.rounds=1,
/// all labels come first. Run the same command again to resume after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train --run runs/rounds --out runs/rounds/model
  preftune train --ask --instructions taste.txt --out models/taste --set labels.comparisons=600
  preftune train --ask --go-on-after 60 --out models/taste
  preftune train --set train.rounds=20 --set train.labels=falling --out models/online")]
pub(super) struct Arguments {
    /// Ask people, in a browser, instead of the simulated labeler
    #[arg(long)]
    ask: bool,
    /// Minutes after which a round continues with the labels that it has, at least two; if not given, it
    /// waits for all labels
    #[arg(long, value_name = "MINUTES", requires = "ask", value_parser = clap::value_parser!(u64).range(..=MOST_MINUTES))]
    go_on_after: Option<u64>,
    /// Instructions for people: sentiment, descriptiveness, or a text file
    #[arg(long, value_name = "NAME|FILE", default_value = "sentiment", requires = "ask")]
    instructions: PathBuf,
    /// Port of the page, on this computer only; 0 takes the previous port, or any free one
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "ask")]
    port: u16,
    /// The pretrained model: the policy starts from it, and the KL penalty keeps the policy near it
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// Queries, in a format that `train-policy` reads; the story openings for training if not given
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    classifier: Option<PathBuf>,
    /// Output folder of the tuned model, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Ten years, in minutes.
const MOST_MINUTES: u64 = 5_256_000;

#[derive(Serialize)]
struct Outcome {
    rounds: Vec<RoundOutcome>,
    /// Counts of the queries that were left out or shortened.
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    reward_model: PathBuf,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings =
        common.settings_for(&arguments.model, Some("train"), &["reward.learning_rate", "policy.learning_rate"])?;
    let out = OutputFolder::new(&arguments.out)?;
    let OpenDevice { device, device_memory, .. } = common.open_device()?;
    let model = models::open(&arguments.model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let queries = read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?
        .texts(&model.tokenizer, &mut left_out)?;
    Queries::Text(queries.clone()).tokens(&model, &task, &mut left_out)?;
    left_out.say("queries");
    let inputs = [
        Some(models::fingerprint(&arguments.model)?),
        fingerprint_if_given("queries", arguments.queries.as_ref())?,
        fingerprint_if_given("classifier", arguments.classifier.as_ref())?,
        Some(fingerprint_of_labeler(arguments.ask.then_some(&arguments.instructions))?),
    ];
    let directory = common.run_directory("train", &settings, inputs.into_iter().flatten())?;
    out.check(&directory)?;
    let interrupt = Interrupt::install()?;
    let session = common.session(&model, &settings, device_memory, &interrupt);
    let loops = Rounds { session, queries: &queries, directory: &directory };
    let (policy, rounds) = match arguments.ask {
        true => ask_people(&loops, &arguments, common)?,
        false => {
            let mut labeler = SimulatedLabeler::open(arguments.classifier.as_deref())?;
            loops.run(&mut LabelSource::Labeler(&mut labeler))?
        }
    };
    out.write(&policy.to_files(&model)?, &directory)?;
    let reward_model = rounds.last().map_or_else(PathBuf::new, |round| round.reward_model.clone());
    let [out, reward, model] = [&arguments.out, &reward_model, &arguments.model].map(|path| sanitize_path(path));
    let described = rounds
        .last()
        .map_or_else(String::new, |round| format!("{}\n", round.written.describe(settings.task.penalty_score)));
    let text = format!(
        "{described}tuned model written to {out}, the last round's reward model to {reward}\n\
         judge it with: preftune eval --model {out} --baseline {model} --reward {reward}"
    );
    common.print(&Outcome { rounds, left_out, reward_model, out: arguments.out.clone() }, &text)
}

/// Runs all rounds with one page for people, which stays open between rounds.
fn ask_people(loops: &Rounds<'_>, arguments: &Arguments, common: &Common) -> Result<(Policy, Vec<RoundOutcome>)> {
    let Session { settings, interrupt, .. } = loops.session;
    check_keys(settings)?;
    let instructions = read_instructions(&arguments.instructions)?;
    let mut queue = LabelQueue::new(open_log(&loops.directory.comparisons())?, queue_settings(&loops.session));
    queue.attach_stop_switch(interrupt.clone());
    // Labelers wait until the first round begins.
    queue.begin_round(0, true);
    let queue = Arc::new(SharedQueue::new(queue));
    let page = label::open_page(&queue, &instructions, arguments.port, common)?;
    let label_timeout = arguments.go_on_after.map(|minutes| Duration::from_secs(60 * minutes));
    let trained = loops.run(&mut LabelSource::People { queue: Arc::clone(&queue), label_timeout });
    queue.with(if trained.is_ok() { LabelQueue::finish } else { LabelQueue::stop });
    page.stop();
    trained
}
