//! Rounds of labels and updates: in each, people or a classifier label responses of the current policy, a reward model
//! is trained from the pretrained model on all labels, and the policy trains on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::policy::check_frozen_in_f32;
use super::schedule::{Round, rounds};
use super::settled_labels::{LinesOfLabels, are_labels_settled};
use super::{RewardOutcome, Session, open_log, train_policy, train_reward};
use crate::config::Config;
use crate::data::LeftOut;
use crate::data::comparisons::{Comparison, Record, surviving};
use crate::error::{Error, Result};
use crate::labels::{Labeler, SharedQueue};
use crate::labels::{Labelling, Questions, Ties};
use crate::lm::network::lora;
use crate::platform::files;
use crate::policy::{Policy, TunedPolicy, Written, latest_policy};
use crate::reward::encode_comparisons;
use crate::run::Stage;
use crate::run::checkpoints::latest;
use crate::run::{OutputFolder, RunDirectory};
use crate::task::{Queries, Task};

/// Name of a reward model's folder, up to the number of updates before it.
const STAGE_OF_FIT: &str = "reward-at-";

/// Source of the labels in every round.
pub enum LabelSource<'a> {
    /// Labeler that answers at once.
    Labeler(&'a mut dyn Labeler),
    /// People who answer in their own time.
    People {
        queue: Arc<SharedQueue>,
        /// Time after which a round continues with the labels that there are.
        label_timeout: Option<Duration>,
    },
}

impl LabelSource<'_> {
    /// Reads the first lines of the log, which the queue of people has open.
    fn records(&self, path: &Path, lines: usize) -> Result<Vec<Record>> {
        match self {
            Self::Labeler(_) => open_log(path)?.records(lines),
            Self::People { queue, .. } => queue.with(|queue| queue.log().records(lines)),
        }
    }

    fn stopped_by(&self) -> Option<String> {
        match self {
            Self::Labeler(_) => None,
            Self::People { queue, .. } => queue.with(|queue| queue.stopped_by().map(String::from)),
        }
    }
}

/// Result of a round.
#[derive(Debug, Serialize)]
pub struct RoundOutcome {
    pub round: usize,
    pub comparisons: usize,
    pub held_out_accuracy: Option<f64>,
    /// Lower end of the 95% interval around `held_out_accuracy`.
    pub held_out_accuracy_low: Option<f64>,
    pub held_out_accuracy_high: Option<f64>,
    pub held_out_comparisons: usize,
    /// Accuracy of guessing.
    pub chance: f64,
    pub left_out: LeftOut,
    /// Ties among the judgments that a classifier made in this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_ties: Option<Ties>,
    pub updates: usize,
    #[serde(flatten)]
    pub written: Written,
    /// Path of the reward model.
    #[serde(serialize_with = "files::serialize_path")]
    pub reward_model: PathBuf,
}

/// Run of both loops of Figure 1, in its folder.
pub struct Rounds<'a> {
    pub session: Session<'a>,
    pub queries: &'a [String],
    pub directory: &'a RunDirectory,
}

impl Rounds<'_> {
    /// Runs all rounds that are not done; returns the policy, and the outcome of each round. The folder records it if a
    /// labeler stopped the run.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the folder to resume from, [`Error::Failed`] with the limit that was exceeded, or
    /// any other error that stops the run.
    pub fn run(&self, label_source: &mut LabelSource<'_>) -> Result<(Policy, Vec<RoundOutcome>)> {
        check_frozen_in_f32(&self.session.settings.policy)?;
        let outcome = self.run_those_left(label_source);
        // A stop during the final step still counts, because the page has confirmed it.
        let outcome = outcome.and_then(|done| self.session.interrupt.check().map(|()| done));
        let outcome = outcome.map_err(|error| error.going_on_from(Some(self.directory.path().to_path_buf())));
        if let (Some(name), Err(Error::Interrupted { .. })) = (label_source.stopped_by(), &outcome) {
            let why = format!("{name} stopped the run: it was getting worse");
            self.directory.note_stop(&why);
            self.session.progress.say(&why);
        }
        outcome
    }

    fn run_those_left(&self, label_source: &mut LabelSource<'_>) -> Result<(Policy, Vec<RoundOutcome>)> {
        let Config { train, labels, policy, .. } = self.session.settings;
        lora::check_rank(policy.lora.rank, self.session.model.config())?;
        let rounds = rounds(train, labels.comparisons, policy.updates)?;
        let stage = self.directory.stage(Stage::Policy.folder())?;
        let mut done = latest(&stage.checkpoints())?.checkpoint.map_or(0, |checkpoint| checkpoint.step() as usize);
        let count = rounds.len();
        // If all rounds are done, the last one is opened again, because it returns the policy.
        let open = |(number, round): &(usize, Round)| round.updates > done || number + 1 == count;
        let open: Vec<(usize, Round)> = rounds.into_iter().enumerate().filter(open).collect();
        let mut outcomes = Vec::new();
        let mut tuned = None;
        for (number, round) in open {
            if self.session.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: None });
            }
            let round = self.with_fit_that_is_there(round, done)?;
            self.session.progress.say(&format!(
                "round {} of {count}: {}; training up to update {}",
                number + 1,
                match are_labels_settled(&self.directory.path().join(stage_of_fit(round.first_update)))? {
                    true => format!("its labels are complete (collected before update {})", round.first_update + 1),
                    false => format!("labelling until there are {} labels", round.labels),
                },
                round.updates
            ));
            let (policy, outcome) = self.run_round(number, round, number + 1 < count, label_source, done)?;
            done = done.max(round.updates);
            tuned = Some(policy);
            outcomes.push(outcome);
        }
        let policy = tuned.ok_or_else(|| Error::failed("there is no round", "train.rounds must be at least 1"))?;
        Ok((policy, outcomes))
    }

    /// Returns the round, beginning at its newest reward model: a run that was begun with another schedule has its
    /// reward models at other updates.
    fn with_fit_that_is_there(&self, round: Round, done: usize) -> Result<Round> {
        let mut fits = fits_of(self.directory.path())?.into_iter().map(|(update, _)| update);
        let newest = fits.rfind(|update| (round.first_update..round.updates).contains(update) && *update <= done);
        Ok(Round { first_update: newest.unwrap_or(round.first_update), ..round })
    }

    /// Runs one round, before which `done` updates are done.
    fn run_round(
        &self,
        number: usize,
        round: Round,
        another: bool,
        label_source: &mut LabelSource<'_>,
        done: usize,
    ) -> Result<(Policy, RoundOutcome)> {
        let Session { model, settings, progress, .. } = self.session;
        let task = Task::new(&settings.task, model)?;
        let stage = self.directory.stage(&stage_of_fit(round.first_update))?;
        let (texts, label_ties) = self.comparisons(&stage, round, another, label_source, done)?;
        let mut left_out = LeftOut::default();
        let comparisons = encode_comparisons(&texts, model, &task, &mut left_out)?;
        drop(texts);
        // Shortened queries are counted where they are read.
        let tokens = Queries::Text(self.queries.to_vec()).tokens(model, &task, &mut LeftOut::default())?;
        let reward_model = stage.path().join("model");
        let out = OutputFolder::of_stage(&stage)?;
        let fit = train_reward(&self.session, comparisons, left_out, &tokens, &out, &stage)?;
        progress.say(&format!("held-out accuracy {}", fit.describe_accuracy()));
        let held_out = fit.held_out();
        let RewardOutcome { fitted, chance, comparisons, held_out_comparisons, left_out } = fit;
        if let Err(stop) = held_out.map_or(Ok(()), |held_out| held_out.check(&settings.health)) {
            stage.note_stop(&stop);
            stage.forget_work()?;
            return Err(stop);
        }
        let stage = self.directory.stage(Stage::Policy.folder())?;
        let TunedPolicy { policy, written } =
            train_policy(&self.session, &fitted.model, &tokens, round.updates, &stage)?;
        let interval = held_out.map(|held_out| held_out.interval());
        let outcome = RoundOutcome {
            round: number + 1,
            comparisons: comparisons + held_out_comparisons,
            held_out_accuracy: held_out.map(|held_out| held_out.accuracy),
            held_out_accuracy_low: interval.map(|interval| interval.low),
            held_out_accuracy_high: interval.map(|interval| interval.high),
            held_out_comparisons,
            chance,
            left_out,
            label_ties,
            updates: round.updates,
            written,
            reward_model,
        };
        Ok((policy, outcome))
    }

    /// Returns the labels on which a round's reward model is trained, and the ties of a classifier that made them now.
    fn comparisons(
        &self,
        stage: &RunDirectory,
        round: Round,
        another: bool,
        label_source: &mut LabelSource<'_>,
        done: usize,
    ) -> Result<(Vec<Comparison>, Option<Ties>)> {
        let mut ties = None;
        if !are_labels_settled(stage.path())? {
            let lines;
            (lines, ties) = self.label(round, another, label_source, done)?;
            LinesOfLabels::write(lines, stage.path())?;
        }
        let lines = LinesOfLabels::read(stage.path())?;
        let path = self.directory.comparisons();
        let records = label_source.records(&path, lines)?;
        if records.len() < lines {
            let what =
                format!("the file has {} lines, but this round's reward model was trained on {lines}", records.len());
            return Err(Error::input(&path, what, "restore the file from a copy, or begin another run"));
        }
        let settled = surviving(records);
        if let LabelSource::People { queue, .. } = label_source {
            queue.with(|queue| {
                queue.begin_round(settled.len(), another);
                if !another {
                    queue.close();
                }
            });
        }
        Ok((settled, ties))
    }

    /// Has the missing labels of a round made; returns the number of lines in the log, and a classifier's ties.
    fn label(
        &self,
        round: Round,
        another: bool,
        label_source: &mut LabelSource<'_>,
        done: usize,
    ) -> Result<(usize, Option<Ties>)> {
        let Session { model, settings, seed, interrupt, device_memory, progress } = self.session;
        let checkpoints = self.directory.stage(Stage::Policy.folder())?.run_logs()?.checkpoints;
        let policy = latest_policy(&settings.policy, model, seed, &checkpoints)?;
        let name = if policy.is_some() { format!("update-{done}") } else { "pretrained".into() };
        let sampler = policy.map_or_else(|| model.clone(), |policy| model.with_transformer(policy.transformer));
        let task = Task::new(&settings.task, &sampler)?;
        let count = settings.labels.responses_per_query;
        let labelling = |label_timeout| -> Result<Labelling<'_>> {
            let questions = Questions::new(&sampler, &name, task.clone(), self.queries, count, seed)?;
            let (at_once, memory) = Labelling::at_once_that_fits(&questions, round.labels, device_memory)?;
            progress.say(&format!("memory: about {}; {at_once} questions at a time", memory.describe()));
            let (wanted, interrupt) = (round.labels, interrupt.clone());
            Ok(Labelling { questions, wanted, at_once, label_timeout, interrupt, progress })
        };
        match label_source {
            LabelSource::Labeler(labeler) => {
                let mut log = open_log(&self.directory.comparisons())?;
                let ties = labelling(None)?.run(&mut **labeler, &mut log)?;
                Ok((log.lines().len(), Some(ties)))
            }
            LabelSource::People { queue, label_timeout } => {
                queue.with(|queue| queue.begin_round(round.labels, another));
                labelling(*label_timeout)?.supply(queue)?;
                let labels = queue.with(|queue| queue.log().labels());
                if labels < round.labels {
                    progress.say(&format!("continuing with {labels} of {} labels", round.labels));
                }
                Ok((queue.with(|queue| queue.log().lines().len()), None))
            }
        }
    }
}

/// Returns the folder name of the reward model that is trained before this update.
fn stage_of_fit(first_update: usize) -> String {
    format!("{STAGE_OF_FIT}{first_update:06}")
}

/// Lists the reward models of a run in rounds, oldest first: the number of updates before each, and its folder.
///
/// # Errors
/// [`Error::File`] when the folder of the run cannot be read.
pub fn fits_of(run: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let update = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(STAGE_OF_FIT)?.parse().ok();
    let folders = files::list(run)?.into_iter();
    let mut fits: Vec<(usize, PathBuf)> = folders.filter_map(|path| Some((update(&path)?, path))).collect();
    fits.sort();
    Ok(fits)
}
