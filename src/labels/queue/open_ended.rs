//! Unlimited questions: each is asked once, and a share of them again, until there are enough labels.

use std::collections::VecDeque;

use super::QueueSettings;
use super::labelers::{LabelerState, Labelers};
use super::repeats;
use crate::error::Result;
use crate::labels::log::LabelLog;
use crate::labels::question::Question;

/// Unlimited questions, made ahead of the labelers.
#[derive(Debug)]
pub(super) struct OpenEnded {
    pub(super) settings: QueueSettings,
    pub(super) waiting: VecDeque<Question>,
}

impl OpenEnded {
    /// Creates the supply without any question yet.
    pub(super) fn new(settings: QueueSettings) -> Self {
        Self { settings, waiting: VecDeque::new() }
    }

    /// Returns the number of questions to make so that every labeler has `ahead` questions ready; no more than the
    /// labels still wanted.
    pub(super) fn lacks(&self, ahead: usize, log: &LabelLog, labelers: &Labelers) -> usize {
        let open =
            |state: &LabelerState| self.waiting.iter().filter(|one| !state.skipped.contains(&one.digest())).count();
        let fewest = labelers.values().map(open).min().unwrap_or(self.waiting.len());
        let skipped = self.waiting.len() - fewest;
        let left = self.settings.wanted.saturating_sub(log.labels()) + skipped;
        (ahead * labelers.len().max(1)).min(left).saturating_sub(fewest)
    }

    /// Takes a question that was answered before, for a share of the questions, and otherwise the first that this
    /// labeler has not skipped.
    pub(super) fn take(&mut self, labeler: &str, log: &LabelLog, labelers: &Labelers) -> Result<Option<Question>> {
        let Some(state) = labelers.get(labeler) else { return Ok(None) };
        let QueueSettings { repeated, seed, .. } = self.settings;
        if let Some(again) = repeats::draw(log, labeler, &state.skipped, repeated, seed)? {
            return Ok(Some(again));
        }
        let place = self.waiting.iter().position(|question| !state.skipped.contains(&question.digest()));
        Ok(place.and_then(|place| self.waiting.remove(place)))
    }

    /// Puts the question behind the others, unless it is a repeated one.
    pub(super) fn put_back(&mut self, question: Question, log: &LabelLog) {
        if !was_asked(&question, log) {
            self.waiting.push_back(question);
        }
    }

    /// Puts the question before the others, unless it is a repeated one.
    pub(super) fn put_back_first(&mut self, question: Question, log: &LabelLog) {
        if !was_asked(&question, log) {
            self.waiting.push_front(question);
        }
    }
}

/// Checks whether a question was answered before and is therefore a repeated one.
fn was_asked(question: &Question, log: &LabelLog) -> bool {
    let digest = question.digest();
    log.choices().any(|choice| choice.question == digest)
}
