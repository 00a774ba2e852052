//! `preftune train`: both loops together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::common::{Session, load_labeler, load_model, read_queries, remembered, remembered_model, write_model};
use super::{Common, label, train_policy, train_reward};
use crate::config::Config;
use crate::data::comparisons::Comparison;
use crate::device::Opened;
use crate::error::{Error, Result};
use crate::labels::{Desk, SharedDesk, SimulatedLabeler};
use crate::lm::{Queries, STORYTELLER, Task};
use crate::online::{Round, rounds};
use crate::policy::{Policy, latest_policy};
use crate::reward::{Labelling, Questions, encode_comparisons};
use crate::run::checkpoints::{Checkpoints, latest};
use crate::run::{Interrupt, RunDirectory, files};

/// Label, fit a reward model, tune, and again from the tuned policy, in rounds
///
/// In each round the policy as it is then continues queries, a labeler chooses, the reward model is fitted
/// anew from the pretrained model to all labels so far, and the policy trains on. With train.rounds=1, all
/// labels come first. Run the same command again to go on after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train --run runs/rounds --out runs/rounds/model
  preftune train --ask --instructions taste.txt --out models/taste --set labels.comparisons=600
  preftune train --ask --go-on-after 60 --out models/taste
  preftune train --set train.rounds=20 --set train.labels=falling --out models/online")]
pub struct Arguments {
    /// Ask people, in a browser, in place of the sentiment classifier
    #[arg(long)]
    ask: bool,
    /// Minutes after which a round goes on with the labels that there are; if not given, it waits for all
    #[arg(long, value_name = "MINUTES", requires = "ask")]
    go_on_after: Option<u64>,
    /// What to choose, for people: sentiment, descriptiveness, or a text file
    #[arg(long, value_name = "NAME|FILE", default_value = "sentiment", requires = "ask")]
    instructions: String,
    /// The port of the page, on this computer only; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "ask")]
    port: u16,
    /// The pretrained model: where the policy starts, and what it is kept near
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: String,
    /// Queries, as `train-policy` takes them
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    classifier: Option<PathBuf>,
    /// Where the tuned model goes, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    rounds: Vec<RoundOutcome>,
    out: PathBuf,
}

#[derive(Serialize)]
struct RoundOutcome {
    round: usize,
    comparisons: usize,
    held_out_accuracy: Option<f64>,
    updates: usize,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let Opened { device, room, .. } = common.open_device()?;
    let model = load_model(&arguments.model, &device)?;
    let task = Task::new(&settings.task, &model)?;
    let queries = read_queries(arguments.queries.as_deref(), &model, &task)?.texts(&model.tokenizer)?;
    let inputs = [
        remembered_model(&arguments.model)?,
        remembered(arguments.queries.as_deref())?,
        remembered(arguments.classifier.as_deref())?,
    ];
    let directory = common.run_directory("train", &settings, &inputs)?;
    let interrupt = Interrupt::install()?;
    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common, room };
    let mut labelers = Labelers::new(&session, &arguments, &directory)?;
    let loops = Loops { session, queries: &queries, directory: &directory };
    let trained = loops.run(&mut labelers);
    if let Some(name) = labelers.pulled_by() {
        let why = format!("{name} stopped the run: it was getting worse");
        directory.note_stop(&why);
        common.say(&why);
    }
    labelers.leave();
    let (policy, rounds) = trained?;
    write_model(&arguments.out, policy.to_files(&model)?)?;
    let text = format!("tuned model written to {}", arguments.out.display());
    common.print(&Outcome { rounds, out: arguments.out }, &text)
}

/// Who chooses.
enum Labelers {
    Simulated(SimulatedLabeler),
    People { desk: Arc<SharedDesk>, page: label::Page, patience: Option<Duration> },
}

impl Labelers {
    fn new(session: &Session<'_>, arguments: &Arguments, directory: &RunDirectory) -> Result<Self> {
        if !arguments.ask {
            return Ok(Self::Simulated(load_labeler(arguments.classifier.as_deref())?));
        }
        label::check_keys(session.settings)?;
        let instructions = label::read_instructions(&arguments.instructions)?;
        let mut desk = Desk::new(label::open_log(&directory.comparisons())?, label::plan(session));
        desk.attach_cord(session.interrupt.clone());
        // Until the first round begins.
        desk.begin_round(0, true);
        let desk = Arc::new(SharedDesk::new(desk));
        let page = label::open_page(&desk, &instructions, arguments.port, session.common)?;
        let patience = arguments.go_on_after.map(|minutes| Duration::from_secs(60 * minutes));
        Ok(Self::People { desk, page, patience })
    }

    fn pulled_by(&self) -> Option<String> {
        match self {
            Self::Simulated(_) => None,
            Self::People { desk, .. } => desk.with(|desk| desk.pulled_by().map(String::from)),
        }
    }

    fn leave(self) {
        if let Self::People { desk, page, .. } = self {
            desk.with(|desk| desk.begin_round(0, false));
            page.stop();
        }
    }
}

struct Loops<'a> {
    session: Session<'a>,
    queries: &'a [String],
    directory: &'a RunDirectory,
}

impl Loops<'_> {
    /// All rounds that are not done; the policy, and what each round came to.
    fn run(&self, labelers: &mut Labelers) -> Result<(Policy, Vec<RoundOutcome>)> {
        let Config { train, labels, policy, .. } = self.session.settings;
        let rounds = rounds(train, labels.comparisons, policy.updates)?;
        let stage = self.directory.stage("policy")?;
        let done = latest(&stage.checkpoints())?.checkpoint.map_or(0, |checkpoint| checkpoint.step() as usize);
        let count = rounds.len();
        // The last round is looked at again where all are done: it gives the policy.
        let open = |(number, round): &(usize, Round)| round.updates > done || number + 1 == count;
        let open: Vec<(usize, Round)> = rounds.into_iter().enumerate().filter(open).collect();
        let mut done = done;
        let mut outcomes = Vec::new();
        let mut tuned = None;
        for (number, round) in open {
            self.session.common.say(&format!(
                "round {} of {count}: {} labels, then up to update {}",
                number + 1,
                round.labels,
                round.updates
            ));
            let (policy, outcome) = self.run_round(number, round, number + 1 < count, labelers, done)?;
            done = done.max(round.updates);
            tuned = Some(policy);
            outcomes.push(outcome);
        }
        let policy = tuned.ok_or_else(|| Error::failed("there is no round", "train.rounds must be at least 1"))?;
        Ok((policy, outcomes))
    }

    /// One round, before which `done` updates are done.
    fn run_round(
        &self,
        number: usize,
        round: Round,
        another: bool,
        labelers: &mut Labelers,
        done: usize,
    ) -> Result<(Policy, RoundOutcome)> {
        let Session { model, settings, common, .. } = self.session;
        let task = Task::new(&settings.task, model)?;
        let stage = self.directory.stage(&format!("reward-{number}"))?;
        let comparisons = self.comparisons(&stage, round, another, labelers, done)?;
        let comparisons = encode_comparisons(&comparisons, model, &task)?;
        let tokens = Queries::Text(self.queries.to_vec()).tokens(model, &task)?;
        let out = stage.path().join("model");
        let (fitted, fit) = train_reward::fit(&self.session, comparisons, &tokens, &out, &stage)?;
        if let Some(accuracy) = fit.held_out_accuracy {
            let (accuracy, chance) = (100.0 * accuracy, 100.0 * fit.chance);
            common.say(&format!("held-out accuracy {accuracy:.1}% (guessing: {chance:.0}%)"));
        }
        let checked = fitted.check(&settings.health, fit.chance, fit.held_out_comparisons);
        checked.inspect_err(|error| stage.note_stop(error))?;
        let stage = self.directory.stage("policy")?;
        let policy = train_policy::tune(&self.session, &fitted.model, &tokens, round.updates, &stage)?;
        let outcome = RoundOutcome {
            round: number + 1,
            comparisons: fit.comparisons + fit.held_out_comparisons,
            held_out_accuracy: fit.held_out_accuracy,
            updates: round.updates,
        };
        Ok((policy, outcome))
    }

    /// The labels that a round's reward model is fitted to. Once the fit has begun, they are settled.
    fn comparisons(
        &self,
        stage: &RunDirectory,
        round: Round,
        another: bool,
        labelers: &mut Labelers,
        done: usize,
    ) -> Result<Vec<Comparison>> {
        let note = stage.path().join("labels.txt");
        let settled = match note.exists() {
            true => files::read_text(&note)?.trim().parse().ok(),
            false => None,
        };
        let mut comparisons = self.label(round, another, labelers, done, settled.is_some())?;
        match settled {
            Some(count) => comparisons.truncate(count),
            None => files::write_atomically(&note, format!("{}\n", comparisons.len()).as_bytes())?,
        }
        Ok(comparisons)
    }

    /// All labels so far, after those that are missing came in.
    fn label(
        &self,
        round: Round,
        another: bool,
        labelers: &mut Labelers,
        done: usize,
        settled: bool,
    ) -> Result<Vec<Comparison>> {
        let Session { model, settings, interrupt, common, .. } = self.session;
        let checkpoints = Checkpoints::new(&self.directory.stage("policy")?.checkpoints(), 2)?;
        let policy = latest_policy(&settings.policy, model, common.seed, &checkpoints)?;
        let name = if policy.is_some() { format!("update-{done}") } else { "pretrained".into() };
        let sampler = policy.map_or_else(|| model.clone(), |policy| model.with_transformer(policy.transformer));
        let task = Task::new(&settings.task, &sampler)?;
        let count = settings.labels.responses_per_query;
        let labelling = |patience, progress| -> Result<Labelling<'_>> {
            let questions = Questions::new((&sampler, &name), task.clone(), self.queries, count, common.seed)?;
            Ok(Labelling { questions, wanted: round.labels, patience, interrupt: interrupt.clone(), progress })
        };
        match labelers {
            Labelers::Simulated(labeler) => {
                let mut log = label::open_log(&self.directory.comparisons())?;
                if !settled {
                    labelling(None, common.progress())?.run(labeler, &mut log)?;
                }
                Ok(log.comparisons().to_vec())
            }
            Labelers::People { desk, patience, .. } => {
                if !settled {
                    desk.with(|desk| desk.begin_round(round.labels, another));
                    labelling(*patience, common.progress())?.supply(desk)?;
                }
                Ok(desk.with(|desk| desk.log().comparisons().to_vec()))
            }
        }
    }
}
