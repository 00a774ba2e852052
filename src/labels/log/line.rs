//! Line of a label log as it is kept in memory; its texts stay in the file.

use std::collections::HashSet;
use std::sync::Arc;

use crate::data::comparisons::{Comparison, Record};
use crate::labels::question::QuestionDigest;

/// One line of a label log, without its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub decision: Decision,
    /// The id of the question; in a line that takes an answer back, the id of that answer.
    pub id: Box<str>,
    pub labeler: Arc<str>,
    /// Milliseconds from showing the question to the answer.
    pub ms: Option<u64>,
    /// The digest of query and responses; a line that takes an answer back has the default.
    pub question: QuestionDigest,
    /// Bytes of the file before this line.
    pub(super) offset: u64,
}

/// The decision that a line records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Best {
        /// Index into the responses, from 0.
        response: u32,
        /// Index of the first response with the same text as the chosen one.
        first_alike: u32,
    },
    CannotTell,
    TakenBack,
}

impl LogLine {
    /// Creates the line of `record`, which begins after `offset` bytes of the file. `names` holds each labeler's name
    /// once.
    pub(super) fn new(record: &Record, offset: u64, names: &mut HashSet<Arc<str>>) -> Self {
        match record {
            Record::Judged(answer) => Self::of_answer(answer, best(answer), offset, names),
            Record::Undecided(answer) => Self::of_answer(answer, Decision::CannotTell, offset, names),
            Record::Undone(undone) => Self {
                decision: Decision::TakenBack,
                id: undone.undo.as_str().into(),
                labeler: shared(&undone.labeler, names),
                ms: None,
                question: QuestionDigest::default(),
                offset,
            },
        }
    }

    fn of_answer(answer: &Comparison, decision: Decision, offset: u64, names: &mut HashSet<Arc<str>>) -> Self {
        Self {
            decision,
            id: answer.id.as_str().into(),
            labeler: shared(&answer.labeler, names),
            ms: answer.ms,
            question: QuestionDigest::of(&answer.query, &answer.responses),
            offset,
        }
    }

    /// Returns true for an answer to a question, whether it chooses a response or not.
    pub fn is_answer(&self) -> bool {
        self.decision != Decision::TakenBack
    }

    /// Returns true for an answer that chooses a response.
    pub fn is_choice(&self) -> bool {
        matches!(self.decision, Decision::Best { .. })
    }
}

fn best(answer: &Comparison) -> Decision {
    let chosen = answer.responses.get(answer.best);
    let first = answer.responses.iter().position(|response| Some(response) == chosen).unwrap_or(answer.best);
    // A line with more responses than `u32::MAX` does not fit into memory.
    let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    Decision::Best { response: number(answer.best), first_alike: number(first) }
}

fn shared(name: &str, names: &mut HashSet<Arc<str>>) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    names.insert(Arc::clone(&name));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_the_same_choice_and_labelers_share_their_name() {
        let answer = |best| Comparison {
            id: "1-7".into(),
            query: "Once".into(),
            responses: ["a", "b", "a"].map(String::from).into(),
            best,
            labeler: "ada".into(),
            ms: Some(9),
            ..Comparison::default()
        };
        let mut names = HashSet::new();
        let lines = [0, 1, 2].map(|best| LogLine::new(&Record::Judged(answer(best)), 0, &mut names));
        let decisions = lines.each_ref().map(|line| line.decision);
        let choice = |response, first_alike| Decision::Best { response, first_alike };
        assert_eq!(decisions, [choice(0, 0), choice(1, 1), choice(2, 0)]);
        assert!(lines.iter().all(|line| line.is_choice() && line.question == lines[0].question));
        assert!(names.len() == 1 && Arc::ptr_eq(&lines[0].labeler, &lines[2].labeler));
        let undecided = LogLine::new(&Record::Undecided(answer(0)), 0, &mut names);
        assert!(undecided.is_answer() && !undecided.is_choice());
    }
}
