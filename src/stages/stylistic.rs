//! The paper's stylistic experiment: the pretrained model is labelled, and tuned on all of the labels or
//! on the first of them.

use super::{RewardFit, Session, fine_tune, fit, label, tune};
use crate::data::queries::Openings;
use crate::error::Result;
use crate::eval::{Contest, Contestant, Entry, Judging};
use crate::labels::Labeler;
use crate::lm::{LanguageModel, Precision, Queries, STORYTELLER, Task};
use crate::policy::Judges;
use crate::reward::{TokenComparison, token_comparisons};
use crate::run::{RunDirectory, files};

/// The experiment, in the folder of a run.
pub struct Stylistic<'a> {
    pub session: Session<'a>,
    pub queries: &'a Openings,
    pub directory: &'a RunDirectory,
}

/// What the pretrained model became by some of the labels.
#[derive(Debug)]
pub struct Tuned {
    /// Labels, those held out included.
    pub labels: usize,
    pub fit: RewardFit,
    pub model: LanguageModel,
}

/// Who met whom, and what each wrote.
#[derive(Debug)]
pub struct Judged {
    pub entries: Vec<Entry>,
    pub contests: Vec<Contest>,
}

impl Stylistic<'_> {
    /// As many labels as the settings ask for, in the order in which they were made.
    ///
    /// # Errors
    /// As [`label`].
    pub fn labels(&self, labeler: &mut dyn Labeler) -> Result<Vec<TokenComparison>> {
        let path = self.directory.comparisons();
        label(&self.session, STORYTELLER, &self.queries.train, labeler, &path)?;
        let model = self.session.model;
        token_comparisons(&files::read_text(&path)?, &path, model, &Task::new(&self.session.settings.task, model)?)
    }

    /// A reward model from these labels, and the model tuned towards it; `suffix` is at the end of the
    /// names of the folders of both.
    ///
    /// # Errors
    /// As [`fit`] and [`tune`].
    pub fn tune_on(&self, labels: &[TokenComparison], suffix: &str) -> Result<Tuned> {
        let Session { model, settings, .. } = self.session;
        let task = Task::new(&settings.task, model)?;
        let tokens = Queries::Text(self.queries.train.clone()).tokens(model, &task)?;
        let stage = self.directory.stage(&format!("reward{suffix}"))?;
        let fit = fit(&self.session, labels.to_vec(), &tokens, &stage.path().join("model"), &stage)?;
        let stage = self.directory.stage(&format!("policy{suffix}"))?;
        let policy = tune(&self.session, &fit.fitted.model, &tokens, settings.policy.updates, &stage)?;
        files::write_folder(&stage.path().join("model"), policy.to_files(model)?)?;
        Ok(Tuned { labels: labels.len(), fit, model: model.with_transformer(policy.transformer) })
    }

    /// The model trained on the chosen responses of these labels.
    ///
    /// # Errors
    /// As [`fine_tune`].
    pub fn supervised_on(&self, labels: &[TokenComparison]) -> Result<LanguageModel> {
        let stage = self.directory.stage("sft")?;
        let model = fine_tune(&self.session, labels.to_vec(), &stage)?.trained.model;
        files::write_folder(&stage.path().join("model"), model.to_files(Precision::F32)?)?;
        Ok(model)
    }

    /// The first of the contestants against each of the others, on openings that training never used,
    /// scored by the first's reward model.
    ///
    /// # Errors
    /// As [`Judging::draw`] and [`Judging::judge`].
    pub fn judge(&self, tuned: &Tuned, contestants: &[Contestant<'_>], labeler: &mut dyn Labeler) -> Result<Judged> {
        let Session { model, settings, seed, progress, .. } = self.session;
        let judges = Judges {
            reference: model,
            reward_model: &tuned.fit.fitted.model,
            task: Task::new(&settings.task, model)?,
            rows_at_once: settings.policy.micro_batch_size,
        };
        let judging = Judging {
            reference: model,
            judges: Some(&judges),
            queries: &self.queries.held_out,
            task: &settings.task,
            pairs: settings.eval.pairs,
            seed,
            progress,
        };
        let entries = judging.draw(contestants)?;
        let matches: Vec<(usize, usize)> = (1..contestants.len()).map(|other| (0, other)).collect();
        let contests = judging.judge(&entries, &matches, labeler)?;
        Ok(Judged { entries, contests })
    }
}
