//! The comparisons of a file that still count, where later lines take earlier ones back.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::data::comparisons::{Comparison, Undone};
use crate::data::left_out::{LeftOut, Reason};

/// The answers that still count, by the hashes of their ids, so that a long file takes little memory.
#[derive(Debug, Default)]
pub(super) struct Surviving {
    answers: HashMap<u64, Vec<Answer>>,
    /// Number of comparisons so far, whether they still count or not.
    comparisons: usize,
}

#[derive(Debug)]
struct Answer {
    labeler: u64,
    /// Number of the answer's comparison; `None` where nobody could tell the best response.
    number: Option<usize>,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Surviving {
    pub(super) fn judged(&mut self, comparison: &Comparison, left_out: &mut LeftOut) {
        let answers = self.answers.entry(hash(&comparison.id)).or_default();
        let labeler = hash(&comparison.labeler);
        // Comparisons without an id are not the same one.
        let is_repeated = !comparison.id.is_empty()
            && answers.iter().any(|answer| answer.labeler == labeler && answer.number.is_some());
        left_out.count(Reason::RepeatedIds, usize::from(is_repeated));
        answers.push(Answer { labeler, number: Some(self.comparisons) });
        self.comparisons += 1;
    }

    pub(super) fn undecided(&mut self, answer: &Comparison, left_out: &mut LeftOut) {
        left_out.count(Reason::Undecided, 1);
        let answers = self.answers.entry(hash(&answer.id)).or_default();
        answers.push(Answer { labeler: hash(&answer.labeler), number: None });
    }

    /// Takes back the last answer with this id, and by this labeler if one is named. Returns the number of its
    /// comparison, if it chose a response.
    pub(super) fn undone(&mut self, undone: &Undone, left_out: &mut LeftOut) -> Option<usize> {
        let labeler = (!undone.labeler.is_empty()).then(|| hash(&undone.labeler));
        let answers = self.answers.get_mut(&hash(&undone.undo));
        let taken_back = answers.and_then(|answers| {
            let place = answers.iter().rposition(|answer| labeler.is_none_or(|labeler| answer.labeler == labeler))?;
            let answer = answers.remove(place);
            let is_like = |other: &Answer| other.labeler == answer.labeler && other.number.is_some();
            let was_repeated = !undone.undo.is_empty() && answer.number.is_some() && answers.iter().any(is_like);
            if was_repeated {
                left_out.uncount(Reason::RepeatedIds);
            }
            Some(answer)
        });
        match &taken_back {
            None => left_out.count(Reason::NothingToTakeBack, 1),
            Some(Answer { number: None, .. }) => left_out.uncount(Reason::Undecided),
            Some(_) => left_out.count(Reason::TakenBack, 1),
        }
        taken_back?.number
    }
}
