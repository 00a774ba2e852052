//! Fixed set of questions: each is asked until somebody has answered it, even if others took or skipped it.

use std::collections::{HashSet, VecDeque};

use super::labelers::Labelers;
use crate::labels::log::LabelLog;
use crate::labels::question::Question;

/// Questions whose ids differ. A question without an answer waits, or is shown to a labeler.
#[derive(Debug)]
pub(super) struct FixedSet {
    ids: HashSet<String>,
    pub(super) waiting: VecDeque<Question>,
    pub(super) wanted: usize,
}

impl FixedSet {
    /// Creates the set of these questions; a question with an answer in the log is not asked.
    pub(super) fn new(questions: &[Question], log: &LabelLog) -> Self {
        Self {
            ids: questions.iter().map(|question| question.id.clone()).collect(),
            waiting: questions.iter().filter(|question| log.answer_to(question).is_none()).cloned().collect(),
            wanted: questions.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Counts the answered questions: those that neither wait nor are shown to a labeler.
    pub(super) fn answered(&self, labelers: &Labelers) -> usize {
        let before = labelers.values().filter_map(|state| state.before.as_ref());
        let open: HashSet<&str> = self.waiting.iter().chain(before).map(|question| question.id.as_str()).collect();
        self.wanted.saturating_sub(open.len())
    }

    /// Takes a waiting question, if possible one that this labeler has not skipped. If none waits, takes the question
    /// that is shown to the fewest other labelers, because these may have left.
    pub(super) fn take(&mut self, labeler: &str, labelers: &Labelers) -> Option<Question> {
        let skipped = labelers.get(labeler).map(|state| &state.skipped);
        let is_new = |question: &Question| skipped.is_none_or(|skipped| !skipped.contains(&question.digest()));
        let place = self.waiting.iter().position(is_new);
        let waiting = place.and_then(|place| self.waiting.remove(place)).or_else(|| self.waiting.pop_front());
        waiting.or_else(|| {
            let others = labelers.iter().filter(|(name, _)| *name != labeler);
            let before: Vec<&Question> = others.filter_map(|(_, state)| state.before.as_ref()).collect();
            let holders = |question: &&&Question| before.iter().filter(|other| other.id == question.id).count();
            before.iter().min_by_key(holders).map(|question| (*question).clone())
        })
    }

    /// Removes an answered question from all labelers who have it, and from those that wait.
    pub(super) fn note_answer(&mut self, id: &str, labelers: &mut Labelers) {
        labelers.values_mut().for_each(|state| drop(state.before.take_if(|before| before.id == id)));
        self.waiting.retain(|waiting| waiting.id != id);
    }
}
