//! Supply of a queue's questions, either unlimited or a fixed set, and the choice of each labeler's next question.

use super::fixed_set::FixedSet;
use super::labelers::Labelers;
use super::open_ended::OpenEnded;
use crate::error::Result;
use crate::labels::log::{LabelLog, LogLine};
use crate::labels::question::Question;

/// The questions of a queue.
#[derive(Debug)]
pub(super) enum Supply {
    /// Unlimited questions, made until there are enough labels.
    OpenEnded(OpenEnded),
    /// Fixed set of questions, each of which gets one answer.
    FixedSet(FixedSet),
}

impl Supply {
    /// Returns the number of answers that count towards the end.
    pub(super) fn labels(&self, log: &LabelLog, labelers: &Labelers) -> usize {
        match self {
            Self::OpenEnded(_) => log.labels(),
            Self::FixedSet(set) => set.answered(labelers),
        }
    }

    /// Returns the number of answers after which labelling ends.
    pub(super) fn wanted(&self) -> usize {
        match self {
            Self::OpenEnded(open) => open.settings.wanted,
            Self::FixedSet(set) => set.wanted,
        }
    }

    /// Ends labelling with the labels that there are.
    pub(super) fn end(&mut self, log: &LabelLog, labelers: &Labelers) {
        let labels = self.labels(log, labelers);
        match self {
            Self::OpenEnded(open) => open.settings.wanted = labels,
            Self::FixedSet(set) => set.wanted = labels,
        }
    }

    /// Checks whether there are as many labels as are wanted.
    pub(super) fn is_done(&self, log: &LabelLog, labelers: &Labelers) -> bool {
        let is_known = match self {
            Self::OpenEnded(_) => true,
            Self::FixedSet(set) => !set.is_empty(),
        };
        is_known && self.labels(log, labelers) >= self.wanted()
    }

    /// Takes the next question for this labeler; returns `None` while there is none.
    ///
    /// # Errors
    /// Fails when the log cannot be read again for a repeated question.
    pub(super) fn take(&mut self, labeler: &str, log: &LabelLog, labelers: &Labelers) -> Result<Option<Question>> {
        match self {
            Self::OpenEnded(open) => open.take(labeler, log, labelers),
            Self::FixedSet(set) => Ok(set.take(labeler, labelers)),
        }
    }

    /// Puts a skipped question behind the others.
    pub(super) fn put_back(&mut self, question: Question, log: &LabelLog) {
        match self {
            Self::OpenEnded(open) => open.put_back(question, log),
            Self::FixedSet(set) => set.waiting.push_back(question),
        }
    }

    /// Puts a question before the others, because its labeler has gone back to an earlier one.
    pub(super) fn put_back_first(&mut self, question: Question, log: &LabelLog) {
        match self {
            Self::OpenEnded(open) => open.put_back_first(question, log),
            Self::FixedSet(set) => set.waiting.push_front(question),
        }
    }

    /// Notes that a question has an answer.
    pub(super) fn note_answer(&mut self, id: &str, labelers: &mut Labelers) {
        if let Self::FixedSet(set) = self {
            set.note_answer(id, labelers);
        }
    }

    /// Checks whether this answer belongs to one of the questions of this supply.
    pub(super) fn asks(&self, answer: &LogLine) -> bool {
        match self {
            Self::OpenEnded(_) => true,
            Self::FixedSet(set) => set.contains(&answer.id),
        }
    }
}
