//! Index of the lines of a log and of the answers that were not taken back.

use std::collections::HashSet;
use std::sync::Arc;

use super::line::LogLine;
use crate::data::comparisons::Record;
use crate::labels::question::Question;

/// All lines of a log, oldest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    lines: Vec<LogLine>,
    /// The places in `lines` of the answers that were not taken back.
    answers: Vec<usize>,
    /// Number of the `answers` that choose a response.
    labels: usize,
    labelers: HashSet<Arc<str>>,
}

impl Index {
    /// Adds the line that begins after `offset` bytes of the file.
    pub(super) fn add(&mut self, record: &Record, offset: u64) {
        let line = LogLine::new(record, offset, &mut self.labelers);
        match record {
            Record::Judged(_) | Record::Undecided(_) => {
                self.answers.push(self.lines.len());
                self.labels += usize::from(line.is_choice());
            }
            Record::Undone(undone) => {
                let is_meant = |answer: &LogLine| undone.takes_back(&answer.id, &answer.labeler);
                let place = self.answers.iter().rposition(|&answer| self.lines.get(answer).is_some_and(is_meant));
                let taken_back = place.map(|place| self.answers.remove(place));
                let was_choice = taken_back.and_then(|answer| self.lines.get(answer)).is_some_and(LogLine::is_choice);
                self.labels -= usize::from(was_choice);
            }
        }
        self.lines.push(line);
    }

    pub(super) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    /// Returns the number of [`Self::choices`].
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// Returns the answers that were not taken back, oldest first.
    fn answers(&self) -> impl DoubleEndedIterator<Item = &LogLine> + Clone {
        self.answers.iter().filter_map(|&answer| self.lines.get(answer))
    }

    /// Returns the answers that choose a response and were not taken back, oldest first.
    pub(super) fn choices(&self) -> impl Iterator<Item = &LogLine> + Clone {
        self.answers().filter(|answer| answer.is_choice())
    }

    /// Returns the answers of a labeler that were not taken back, the last first.
    pub(super) fn answers_of(&self, labeler: &str) -> impl Iterator<Item = &LogLine> {
        self.answers().rev().filter(move |answer| *answer.labeler == *labeler)
    }

    /// Returns the last answer to a question that was not taken back.
    pub(super) fn answer_to(&self, question: &Question) -> Option<&LogLine> {
        let digest = question.digest();
        self.answers().rev().find(|answer| *answer.id == *question.id && answer.question == digest)
    }
}
