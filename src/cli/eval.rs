//! `preftune eval`: how often models are preferred to each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::standings::Standings;
use super::{Common, label};
use crate::data::LeftOut;
use crate::data::queries::openings;
use crate::error::{Error, Result};
use crate::eval::{
    Contestant, Lineup, Match, Reader, Tournament, TournamentResult, TournamentSize, line_up, matches, pair_lines,
    queries_that_fit,
};
use crate::labels::SimulatedLabeler;
use crate::labels::read_instructions;
use crate::labels::{LabelQueue, People, SharedQueue};
use crate::lm::{LanguageModel, ROWS_AT_ONCE, STORYTELLER};
use crate::models;
use crate::platform::{Interrupt, OutputFile, check_file};
use crate::policy::Rollouts;
use crate::report::{Judgment, check_judgments};
use crate::reward::RewardLabeler;
use crate::run::RunDirectory;
use crate::run::begin::go_on_in_parts_of;
use crate::stages;
use crate::stages::{fingerprint_if_given, read_queries};
use crate::task::Task;

/// Judge a tuned model against others, blind
///
/// All models continue the same queries. The labeler sees two responses at a time, in random order, with the
/// pairs of several contests mixed. With --run, the result goes into that run's folder, for `report`.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune eval --model runs/demo-seed-1/policy/model
  preftune eval --model models/mine --baseline storyteller --queries queries.txt --json
  preftune eval --model policy --baseline storyteller --baseline sft --reward reward --best-of 4
  preftune eval --model policy --reward reward --run runs/mine && preftune report runs/mine
  preftune eval --model policy --perplexity-by smollm2-135m
  preftune eval --model policy --ask --set eval.pairs=50 --judgments runs/mine/judgments.jsonl")]
pub(super) struct Arguments {
    /// The tuned model
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// A model to compare the tuned model with; may be repeated. KL is measured from the first
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    baseline: Vec<PathBuf>,
    /// Also compare the tuned model with the best of N responses of the first baseline, by the reward model
    #[arg(long, value_name = "N", requires = "reward", value_parser = RangedU64ValueParser::<usize>::new().range(2..=1024))]
    best_of: Option<usize>,
    /// Also compare the other models with each other
    #[arg(long)]
    all_pairs: bool,
    /// Queries that training did not use, in a format that `train-policy` reads; the held-out story openings if not
    /// given
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// A reward model, as `train-reward` writes it, that scores the responses of all models
    #[arg(long, value_name = "DIR")]
    reward: Option<PathBuf>,
    /// Let the reward model choose in each pair, instead of the simulated labeler
    #[arg(long, requires = "reward", conflicts_with_all = ["ask", "classifier"])]
    by_reward: bool,
    /// Also measure how likely this model finds the responses, in bits per byte: lower is more fluent
    #[arg(long, value_name = "MODEL")]
    perplexity_by: Option<PathBuf>,
    /// Let people choose, in a browser; neither they nor the page know which model wrote a response
    #[arg(long, conflicts_with = "classifier")]
    ask: bool,
    /// Instructions for people: sentiment, descriptiveness, or a text file
    #[arg(long, value_name = "NAME|FILE", default_value = "sentiment", requires = "ask")]
    instructions: PathBuf,
    /// Port of the page, on this computer only; 0 takes the previous port, or any free one
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "ask")]
    port: u16,
    /// File that people's choices are written to and, on a second call, read from; if not given,
    /// judgments.jsonl in the run folder, or in the current folder without --run
    #[arg(long, value_name = "FILE", requires = "ask")]
    judgments: Option<PathBuf>,
    /// Also write every pair with the labeler's choice to this file, as JSONL
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings_for(&arguments.model, None, &[])?;
    // Outputs that could fail are checked before the work.
    let out = arguments.pairs.as_deref().map(OutputFile::new).transpose()?;
    let run = common.run.as_ref().map(RunDirectory::open).transpose()?;
    run.as_ref().map_or(Ok(()), |run| check_judgments(run.path()))?;
    // The judge is named before the work, because files may be moved meanwhile.
    let by = run.as_ref().map(|_| chooser(&arguments)).transpose()?;
    if arguments.ask {
        check_file(&judgments(&arguments, common))?;
    }
    let opened = common.open_device()?;
    let names: Vec<&PathBuf> = std::iter::once(&arguments.model).chain(&arguments.baseline).collect();
    let models = names.iter().map(|name| models::open(name, &opened.device)).collect::<Result<Vec<_>>>()?;
    let titles: Vec<String> = names.iter().map(|name| name.display().to_string()).collect();
    let Lineup { contestants, reference } = line_up(&models, &titles, arguments.best_of)?;
    let load_reward_model = |folder: &PathBuf| models::open_reward_model(folder, reference, &opened.device);
    let reward_model = arguments.reward.as_ref().map(load_reward_model).transpose()?;
    let task = Task::new(&settings.task, reference)?;
    let mut left_out = LeftOut::default();
    let queries = queries(&arguments, reference, &task, &mut left_out)?;
    let reader = arguments.perplexity_by.as_ref().map(|name| models::open(name, &opened.device)).transpose()?;
    let sizes = |model| Reader::new(model, queries.iter().take(settings.eval.pairs), reference, &task);
    let reader = reader.as_ref().map(sizes).transpose().map_err(|error| of_reader(error, &arguments))?;
    let rollouts = reward_model.as_ref().map(|reward_model| Rollouts {
        reference,
        scorer: reward_model,
        task: task.clone(),
        rows_at_once: settings.policy.micro_batch_size.min(ROWS_AT_ONCE),
    });
    let matches = matches(contestants.len(), arguments.all_pairs);
    let size = TournamentSize {
        models: models.len() + usize::from(reward_model.is_some()),
        best_of: arguments.best_of.unwrap_or(1),
        matches: matches.len(),
        pairs: settings.eval.pairs,
        reader,
    };
    let (queries_at_once, memory) = queries_that_fit(reference, &task, &queries, size, opened.device_memory)?;
    common.say(&format!("memory: about {}; {queries_at_once} queries at a time", memory.describe()));
    let judging = Tournament {
        reference,
        rollouts: rollouts.as_ref(),
        queries: &queries,
        task: &settings.task,
        pairs: settings.eval.pairs,
        queries_at_once,
        seed: common.seed,
        interrupt: Interrupt::install()?,
        progress: common.progress(),
    };
    left_out.add(&judging.left_out()?);
    left_out.say("queries");
    run.as_ref().map_or(Ok(()), go_on_in_parts_of)?;
    let mut judged = match &reward_model {
        _ if arguments.ask => ask_people(&judging, &contestants, &matches, &arguments, common)?,
        Some(reward_model) if arguments.by_reward => {
            judging.run(&contestants, &matches, &mut RewardLabeler { reward_model, model: reference, task })?
        }
        _ => judging.run(&contestants, &matches, &mut SimulatedLabeler::open(arguments.classifier.as_deref())?)?,
    };
    // What was judged is written even if the reader fails, and each output is attempted even if another fails.
    let measure = |reader: Reader<'_>| judged.measure_bits_per_byte(reader.model, queries_at_once, &judging.interrupt);
    let measured = reader.map_or(Ok(()), measure).map_err(|error| of_reader(error, &arguments));
    let kept = match (&run, by) {
        (Some(run), Some(by)) => Judgment::new(&judged, by, common.environment(&opened.name, None)).write(run.path()),
        _ => Ok(()),
    };
    let written = out.map_or(Ok(()), |out| out.write(pair_lines(&judged.contests).as_bytes()));
    let standings = Standings::of(&judged, left_out);
    common.print(&standings, &standings.to_text()).and(kept).and(written).and(measured)
}

/// Adds to a failure the name of the model that reads the responses.
fn of_reader(error: Error, arguments: &Arguments) -> Error {
    match (error, &arguments.perplexity_by) {
        (Error::Failed { what, .. }, Some(reader)) => Error::failed(
            format!("{} (--perplexity-by): {what}", reader.display()),
            "give --perplexity-by another model, or leave it out",
        ),
        (error, _) => error,
    }
}

/// Reads the queries that were given, or returns the held-out story openings.
fn queries(
    arguments: &Arguments,
    reference: &LanguageModel,
    task: &Task,
    left_out: &mut LeftOut,
) -> Result<Vec<String>> {
    match &arguments.queries {
        Some(path) => read_queries(Some(path), reference, task, left_out)?.texts(&reference.tokenizer, left_out),
        None => Ok(openings()?.held_out),
    }
}

/// Returns the file that people's choices go to.
fn judgments(arguments: &Arguments, common: &Common) -> PathBuf {
    let here = || common.run.clone().unwrap_or_default().join("judgments.jsonl");
    arguments.judgments.clone().unwrap_or_else(here)
}

/// Describes who chose: a labeler with its instructions or its classifier, or a reward model.
fn chooser(arguments: &Arguments) -> Result<String> {
    match arguments.by_reward {
        true => {
            let reward_model = arguments.reward.as_deref().unwrap_or(Path::new(""));
            Ok(format!(
                "the reward model {}",
                models::fingerprint_of_folder("reward model", reward_model)?.with_contents()
            ))
        }
        false => {
            let labeler = stages::fingerprint_of_labeler(arguments.ask.then_some(&arguments.instructions))?;
            let classifier = fingerprint_if_given("classifier", arguments.classifier.as_ref())?;
            let classifier = classifier.map_or_else(String::new, |classifier| classifier.with_contents());
            Ok(format!("{} {classifier}", labeler.with_contents()).trim_end().to_string())
        }
    }
}

/// Lets people choose on the page that `label` uses, which is open before the responses are sampled. Choices
/// may be taken back until the last is made.
fn ask_people(
    judging: &Tournament<'_>,
    contestants: &[Contestant<'_>],
    matches: &[Match],
    arguments: &Arguments,
    common: &Common,
) -> Result<TournamentResult> {
    let instructions = read_instructions(&arguments.instructions)?;
    let log = stages::open_log(&judgments(arguments, common))?;
    let queue = Arc::new(SharedQueue::new(LabelQueue::of_fixed_set(log)));
    let page = label::open_page(&queue, &instructions, arguments.port, common)?;
    let mut people = People::at(&queue, &instructions, judging.interrupt.clone(), common.progress());
    let judged = judging.run(contestants, matches, &mut people);
    if judged.is_err() {
        queue.with(LabelQueue::stop);
    }
    page.stop();
    judged
}
