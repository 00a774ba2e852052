//! The lines of a log, and which of the answers among them stand.

use std::collections::HashSet;
use std::sync::Arc;

use super::line::LogLine;
use crate::data::comparisons::Record;
use crate::labels::question::Question;

/// All lines of a log, oldest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    lines: Vec<LogLine>,
    /// The places in `lines` of the choices that were not taken back.
    choices: Vec<usize>,
    labelers: HashSet<Arc<str>>,
}

impl Index {
    /// Adds the line that begins after `offset` bytes of the file.
    pub(super) fn add(&mut self, record: &Record, offset: u64) {
        let line = LogLine::new(record, offset, &mut self.labelers);
        if line.is_choice() {
            self.choices.push(self.lines.len());
        } else if !line.is_answer() {
            let is_by_them = |choice: &LogLine| line.labeler.is_empty() || line.labeler == choice.labeler;
            let is_meant = |choice: &LogLine| choice.id == line.id && is_by_them(choice);
            let place = self.choices.iter().rposition(|&choice| self.lines.get(choice).is_some_and(is_meant));
            place.map(|place| self.choices.remove(place));
        }
        self.lines.push(line);
    }

    pub(super) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    /// How many [`Self::choices`] there are.
    pub(super) fn labels(&self) -> usize {
        self.choices.len()
    }

    /// What was decided and not taken back, oldest first.
    pub(super) fn choices(&self) -> impl Iterator<Item = &LogLine> + Clone {
        self.choices.iter().filter_map(|&choice| self.lines.get(choice))
    }

    /// The answers of a labeler that were not taken back, the last first.
    pub(super) fn answers_of(&self, labeler: &str) -> impl Iterator<Item = &LogLine> {
        let mut taken_back: Vec<&str> = Vec::new();
        self.lines.iter().rev().filter(move |line| match line.is_answer() {
            _ if *line.labeler != *labeler => false,
            false => {
                taken_back.push(&line.id);
                false
            }
            true => {
                let place = taken_back.iter().position(|id| **id == *line.id);
                place.map(|place| taken_back.swap_remove(place)).is_none()
            }
        })
    }

    /// The last answer to a question that was not taken back.
    pub(super) fn answer_to(&self, question: &Question) -> Option<&LogLine> {
        let digest = question.digest();
        let mut taken_back: Vec<&str> = Vec::new();
        let mut of_this = self.lines.iter().rev().filter(|line| *line.id == *question.id);
        of_this.find(|line| match line.is_answer() {
            false => {
                taken_back.push(&line.labeler);
                false
            }
            true => {
                let by_them = |labeler: &&str| labeler.is_empty() || **labeler == *line.labeler;
                let undone = taken_back.iter().position(by_them);
                undone.map(|place| taken_back.swap_remove(place)).is_none() && line.question == digest
            }
        })
    }
}
