//! Stylistic experiment of the paper: the pretrained model is labelled, tuned on all of the labels or on the first of
//! them, and compared.

use super::policy::check_frozen_in_f32;
use super::{RewardOutcome, Session, fine_tune, label, train_policy, train_reward};
use crate::data::LeftOut;
use crate::data::entries::Entries;
use crate::data::queries::Openings;
use crate::error::{Error, Result};
use crate::eval::TournamentSize;
use crate::eval::{Contestant, Tournament, TournamentResult, matches, queries_that_fit};
use crate::labels::Labeler;
use crate::labels::Ties;
use crate::lm::network::lora;
use crate::lm::{LanguageModel, Precision, ROWS_AT_ONCE};
use crate::platform::files;
use crate::policy::Rollouts;
use crate::reward::{TokenComparison, token_comparisons};
use crate::run::Stage;
use crate::run::{OutputFolder, RunDirectory};
use crate::task::{Queries, Task};

/// Divisors of the number of labels for the models on fewer labels in [`StyleExperiment::table`]: the first quarter,
/// and the first sixteenth.
const PARTS: [usize; 2] = [4, 16];

/// Number of responses of which the best is taken, as many as a labeler chooses from.
const BEST_OF: usize = 4;

/// The experiment, in the folder of a run.
pub struct StyleExperiment<'a> {
    pub session: Session<'a>,
    /// Name of the pretrained model.
    pub name: &'a str,
    pub queries: &'a Openings,
    pub directory: &'a RunDirectory,
}

/// The labels of the experiment.
#[derive(Debug)]
pub struct Labels {
    /// Comparisons in the order in which they were made.
    pub comparisons: Vec<TokenComparison>,
    pub left_out: LeftOut,
    /// Ties among the judgments that were made now.
    pub ties: Ties,
}

/// Model tuned on some of the labels, with its reward model.
#[derive(Debug)]
pub struct Tuned {
    /// Number of labels, those held out included.
    pub labels: usize,
    pub fit: RewardOutcome,
    pub model: LanguageModel,
}

/// The paper's first table.
#[derive(Debug)]
pub struct Table {
    /// Models tuned on all labels, then on fewer and fewer.
    pub tuned: Vec<Tuned>,
    /// Ties among the labels that were made now.
    pub label_ties: Ties,
    pub judged: TournamentResult,
}

impl StyleExperiment<'_> {
    /// Makes as many labels as the settings ask for.
    ///
    /// # Errors
    /// The errors of [`label`].
    pub fn labels(&self, labeler: &mut dyn Labeler) -> Result<Labels> {
        let Session { model, settings, .. } = self.session;
        lora::check_rank(settings.policy.lora.rank, model.config())?;
        check_frozen_in_f32(&settings.policy)?;
        let path = self.directory.comparisons();
        let (_, ties) = label(&self.session, self.name, &self.queries.train, labeler, &path)?;
        let task = Task::new(&settings.task, model)?;
        let (entries, mut left_out) = (Entries::new(files::open_buffered(&path)?, &path), LeftOut::default());
        let mut comparisons = token_comparisons(entries, None, model, &task, &mut left_out)?;
        comparisons.truncate(settings.labels.comparisons);
        Ok(Labels { comparisons, left_out, ties })
    }

    /// Trains a reward model on these labels and tunes the model towards it; the folder names of both end with
    /// `suffix`.
    ///
    /// # Errors
    /// The errors of [`train_reward`] and [`train_policy`].
    pub fn tune_on(&self, labels: &[TokenComparison], left_out: LeftOut, suffix: &str) -> Result<Tuned> {
        let Session { model, settings, progress, .. } = self.session;
        let task = Task::new(&settings.task, model)?;
        // Shortened queries are already counted with the comparisons, which are about the same queries.
        let tokens = Queries::Text(self.queries.train.clone()).tokens(model, &task, &mut LeftOut::default())?;
        let stage = self.directory.stage(&format!("reward{suffix}"))?;
        progress.say(&format!("tuning on {} labels", labels.len()));
        let out = OutputFolder::of_stage(&stage)?;
        let fit = train_reward(&self.session, labels.to_vec(), left_out, &tokens, &out, &stage)
            .map_err(|error| self.name_folder(error))?;
        let stage = self.directory.stage(&format!("policy{suffix}"))?;
        let out = OutputFolder::of_stage(&stage)?;
        let policy = train_policy(&self.session, &fit.fitted.model, &tokens, settings.policy.updates, &stage)
            .map_err(|error| self.name_folder(error))?
            .policy;
        out.write(&policy.to_files(model)?, &stage)?;
        Ok(Tuned { labels: labels.len(), fit, model: model.with_transformer(policy.transformer) })
    }

    /// Trains the model on the chosen responses of these labels.
    ///
    /// # Errors
    /// The errors of [`fine_tune`].
    pub fn supervised_on(&self, labels: &[TokenComparison]) -> Result<LanguageModel> {
        let stage = self.directory.stage(Stage::Supervised.folder())?;
        let out = OutputFolder::of_stage(&stage)?;
        let model = fine_tune(&self.session, labels.to_vec(), LeftOut::default(), &stage)
            .map_err(|error| self.name_folder(error))?
            .trained
            .model;
        out.write(&model.to_files(Precision::F32)?, &stage)?;
        Ok(model)
    }

    /// Compares the model tuned on all labels with the pretrained one, with supervised training on the same labels,
    /// with the best of several by the reward model, and with models tuned on fewer labels.
    ///
    /// # Errors
    /// [`Error::Usage`] for too few labels to take a part of, and the errors of the stages.
    pub fn table(&self, labeler: &mut dyn Labeler) -> Result<Table> {
        let least = 2 * PARTS.into_iter().max().unwrap_or(1);
        let wanted = self.session.settings.labels.comparisons;
        if wanted < least {
            let what = format!(
                "labels.comparisons is {wanted}; the table also trains on parts of the labels, and the smallest part \
                 would have fewer than 2"
            );
            return Err(Error::usage(what, format!("set labels.comparisons to {least} or more")));
        }
        let Labels { comparisons: labels, left_out, ties } = self.labels(labeler)?;
        let mut tuned = vec![self.tune_on(&labels, left_out, "")?];
        let supervised = self.supervised_on(&labels)?;
        for parts in PARTS {
            let first = labels.get(..labels.len() / parts).unwrap_or_default();
            tuned.push(self.tune_on(first, LeftOut::default(), &format!("-on-{}", first.len()))?);
        }
        let contestant = |name: String, model, best_of| Contestant { name, model, best_of, number: 0 };
        let pretrained = self.session.model;
        let mut contestants: Vec<Contestant<'_>> = tuned.iter().map(contestant_on).collect();
        let others = [
            contestant("zero-shot".into(), pretrained, 1),
            contestant(format!("supervised on {} labels", labels.len()), &supervised, 1),
            contestant(format!("best of {BEST_OF} by the reward model"), pretrained, BEST_OF),
        ];
        contestants.splice(1..1, others);
        (0..).zip(&mut contestants).for_each(|(number, contestant)| contestant.number = number);
        let [all, ..] = tuned.as_slice() else { return Err(Error::failed("nothing was tuned", "")) };
        let judged = self.judge(all, &contestants, labeler)?;
        Ok(Table { tuned, label_ties: ties, judged })
    }

    /// Judges the first contestant against each of the others on openings that training never used, scored by the
    /// reward model of `tuned`.
    ///
    /// # Errors
    /// The errors of [`Tournament::run`].
    pub fn judge(
        &self,
        tuned: &Tuned,
        contestants: &[Contestant<'_>],
        labeler: &mut dyn Labeler,
    ) -> Result<TournamentResult> {
        let Session { model, settings, seed, interrupt, progress, device_memory } = self.session;
        let task = Task::new(&settings.task, model)?;
        let queries = &self.queries.held_out;
        let matches = matches(contestants.len(), false);
        let size = TournamentSize {
            models: 1 + contestants.len(),
            best_of: contestants.iter().map(|one| one.best_of).max().unwrap_or(1),
            matches: matches.len(),
            pairs: settings.eval.pairs,
            reader: None,
        };
        let (queries_at_once, _) = queries_that_fit(model, &task, queries, size, device_memory)?;
        let rollouts = Rollouts {
            reference: model,
            scorer: &tuned.fit.fitted.model,
            task,
            rows_at_once: settings.policy.micro_batch_size.min(ROWS_AT_ONCE),
        };
        let judging = Tournament {
            reference: model,
            rollouts: Some(&rollouts),
            queries,
            task: &settings.task,
            pairs: settings.eval.pairs,
            queries_at_once,
            seed,
            interrupt: interrupt.clone(),
            progress,
        };
        judging.run(contestants, &matches, labeler).map_err(|error| self.name_folder(error))
    }

    /// Adds the folder of the run, in which the stages before are kept, to an interruption that names no checkpoint.
    fn name_folder(&self, error: Error) -> Error {
        error.going_on_from(Some(self.directory.path().to_path_buf()))
    }
}

fn contestant_on(tuned: &Tuned) -> Contestant<'_> {
    Contestant { name: format!("tuned on {} labels", tuned.labels), model: &tuned.model, best_of: 1, number: 0 }
}
