//! `preftune train`: both loops together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::common::{
    Session, load_labeler, load_model, read_queries, refuse_to_overwrite, remembered, remembered_model, write_model,
};
use super::{Common, label, train_policy, train_reward};
use crate::config::Config;
use crate::data::comparisons::{Comparison, Record, standing};
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
    /// Minutes after which a round goes on with the labels that there are, at least two; if not given, it
    /// waits for all
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
        label::remembered_labeler(arguments.ask.then_some(&arguments.instructions))?,
    ];
    let directory = common.run_directory("train", &settings, &inputs)?;
    refuse_to_overwrite(&arguments.out, &directory)?;
    let interrupt = Interrupt::install()?;
    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common, room };
    let mut labelers = Labelers::new(&session, &arguments, &directory)?;
    let loops = Loops { session, queries: &queries, directory: &directory };
    let trained = loops.run(&mut labelers);
    if let (Some(name), Err(Error::Interrupted { .. })) = (labelers.pulled_by(), &trained) {
        let why = format!("{name} stopped the run: it was getting worse");
        directory.note_stop(&why);
        common.say(&why);
    }
    labelers.leave(trained.is_ok());
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

    /// Every line of the log, which people's desk holds.
    fn records(&self, path: &Path) -> Result<Vec<Record>> {
        match self {
            Self::Simulated(_) => Ok(label::open_log(path)?.records().to_vec()),
            Self::People { desk, .. } => Ok(desk.with(|desk| desk.log().records().to_vec())),
        }
    }

    fn pulled_by(&self) -> Option<String> {
        match self {
            Self::Simulated(_) => None,
            Self::People { desk, .. } => desk.with(|desk| desk.pulled_by().map(String::from)),
        }
    }

    fn leave(self, done: bool) {
        if let Self::People { desk, page, .. } = self {
            if done {
                desk.with(Desk::finish);
            }
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
        let mut done = latest(&stage.checkpoints())?.checkpoint.map_or(0, |checkpoint| checkpoint.step() as usize);
        let count = rounds.len();
        // The last round is looked at again where all are done: it gives the policy.
        let open = |(number, round): &(usize, Round)| round.updates > done || number + 1 == count;
        let open: Vec<(usize, Round)> = rounds.into_iter().enumerate().filter(open).collect();
        let mut outcomes = Vec::new();
        let mut tuned = None;
        for (number, round) in open {
            if self.session.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: Some(stage.checkpoints()) });
            }
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
        let stage = self.directory.stage(&format!("reward-at-{:06}", round.first_update))?;
        let comparisons = self.comparisons(&stage, round, another, labelers, done)?;
        let comparisons = encode_comparisons(&comparisons, model, &task)?;
        let tokens = Queries::Text(self.queries.to_vec()).tokens(model, &task)?;
        let out = stage.path().join("model");
        let (fitted, fit) = train_reward::fit(&self.session, comparisons, &tokens, &out, &stage)?;
        if let Some(accuracy) = fit.held_out_accuracy {
            let (accuracy, chance) = (100.0 * accuracy, 100.0 * fit.chance);
            common.say(&format!("held-out accuracy {accuracy:.1}% (guessing: {chance:.0}%)"));
        }
        if let Err(stop) = fitted.check(&settings.health, fit.chance, fit.held_out_comparisons) {
            stage.note_stop(&stop);
            stage.forget_work()?;
            return Err(stop);
        }
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

    /// The labels that a round's reward model is fitted to. Once the fit has begun, they are settled, even
    /// if somebody takes one back.
    fn comparisons(
        &self,
        stage: &RunDirectory,
        round: Round,
        another: bool,
        labelers: &mut Labelers,
        done: usize,
    ) -> Result<Vec<Comparison>> {
        let note = stage.path().join("lines-of-labels.txt");
        if !(note.exists() && stage.checkpoints().exists()) {
            let lines = self.label(round, another, labelers, done)?;
            files::write_atomically(&note, format!("{lines}\n").as_bytes())?;
        }
        let lines: usize = files::read_text(&note)?.trim().parse().map_err(|_| {
            Error::input(&note, "not a number", "delete it, so that the labels that there are now count")
        })?;
        let mut records = labelers.records(&self.directory.comparisons())?;
        records.truncate(lines);
        let settled = standing(records);
        if let Labelers::People { desk, .. } = labelers {
            desk.with(|desk| desk.begin_round(settled.len(), another));
        }
        Ok(settled)
    }

    /// Has the labels of a round made that are missing; how many lines the log has then.
    fn label(&self, round: Round, another: bool, labelers: &mut Labelers, done: usize) -> Result<usize> {
        let Session { model, settings, interrupt, common, .. } = self.session;
        let checkpoints = Checkpoints::new(&self.directory.stage("policy")?.checkpoints(), 2)?;
        let policy = latest_policy(&settings.policy, model, common.seed, &checkpoints)?;
        let name = if policy.is_some() { format!("update-{done}") } else { "pretrained".into() };
        let sampler = policy.map_or_else(|| model.clone(), |policy| model.with_transformer(policy.transformer));
        let task = Task::new(&settings.task, &sampler)?;
        let count = settings.labels.responses_per_query;
        let labelling = |patience| -> Result<Labelling<'_>> {
            let questions = Questions::new((&sampler, &name), task.clone(), self.queries, count, common.seed)?;
            let progress = common.progress();
            Ok(Labelling { questions, wanted: round.labels, patience, interrupt: interrupt.clone(), progress })
        };
        match labelers {
            Labelers::Simulated(labeler) => {
                let mut log = label::open_log(&self.directory.comparisons())?;
                labelling(None)?.run(labeler, &mut log)?;
                Ok(log.records().len())
            }
            Labelers::People { desk, patience, .. } => {
                desk.with(|desk| desk.begin_round(round.labels, another));
                labelling(*patience)?.supply(desk)?;
                let labels = desk.with(|desk| desk.log().comparisons().len());
                if labels < round.labels {
                    common.say(&format!("going on with {labels} of {} labels", round.labels));
                }
                Ok(desk.with(|desk| desk.log().records().len()))
            }
        }
    }
}
