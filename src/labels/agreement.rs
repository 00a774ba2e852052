//! Agreement of labelers with themselves and with each other on questions that were asked more than once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::log::{Decision, LogLine};

/// Number of pairs of answers to the same question, and of those with the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    pub pairs: usize,
    pub same: usize,
}

impl Agreement {
    /// Returns the share of pairs with the same answer, or `None` if there is no pair.
    pub fn rate(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.same as f64 / self.pairs as f64)
    }

    fn count(&mut self, same: bool) {
        self.pairs += 1;
        self.same += usize::from(same);
    }
}

/// Agreement of each labeler with themselves, and of all with each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Agreements {
    pub with_self: BTreeMap<String, Agreement>,
    pub with_others: Agreement,
}

impl Agreements {
    /// Compares every pair of choices among the same responses to one query.
    pub fn of<'a>(choices: impl IntoIterator<Item = &'a LogLine>) -> Self {
        let mut choices: Vec<&LogLine> = choices.into_iter().collect();
        choices.sort_by_key(|choice| choice.question);
        let mut agreements = Self::default();
        for of_one_question in choices.chunk_by(|one, other| one.question == other.question) {
            for (number, one) in of_one_question.iter().enumerate() {
                for other in of_one_question.iter().skip(number + 1) {
                    agreements.count(one, other);
                }
            }
        }
        agreements
    }

    fn count(&mut self, one: &LogLine, other: &LogLine) {
        // Two responses may have the same text: the first of them stands for both.
        let text = |choice: &LogLine| match choice.decision {
            Decision::Best { first_alike, .. } => Some(first_alike),
            Decision::CannotTell | Decision::TakenBack => None,
        };
        let same = text(one) == text(other);
        match one.labeler == other.labeler {
            true => self.with_self.entry(one.labeler.to_string()).or_default().count(same),
            false => self.with_others.count(same),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::comparisons::{Comparison, Record};
    use crate::labels::LabelLog;

    fn answer(query: &str, labeler: &str, best: usize) -> Comparison {
        let responses = vec!["a".into(), "b".into(), "c".into()];
        Comparison { query: query.into(), responses, labeler: labeler.into(), best, ..Comparison::default() }
    }

    fn agreements(answers: &[Comparison]) -> Agreements {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LabelLog::open(&folder.path().join("labels.jsonl")).unwrap();
        log.append_many(answers.iter().cloned().map(Record::Judged).collect()).unwrap();
        Agreements::of(log.choices())
    }

    #[test]
    fn every_pair_of_answers_to_a_question_counts_once() {
        let answers = [
            answer("q", "ada", 0),
            answer("q", "ada", 0),
            answer("q", "bob", 1),
            answer("r", "ada", 2),
            answer("r", "bob", 2),
            answer("s", "bob", 1),
        ];
        let of_all = agreements(&answers);
        assert_eq!(of_all.with_self, [("ada".to_string(), Agreement { pairs: 1, same: 1 })].into());
        assert_eq!(of_all.with_others, Agreement { pairs: 3, same: 1 });
        assert_eq!(of_all.with_others.rate(), Some(1.0 / 3.0));
        assert_eq!(agreements(&answers[5..]).with_others.rate(), None);
    }

    #[test]
    fn whoever_chooses_the_same_text_at_another_place_agrees() {
        let of_twins = |labeler, best| Comparison {
            responses: vec!["a".into(), "a".into(), "b".into()],
            ..answer("q", labeler, best)
        };
        let of_all = agreements(&[of_twins("ada", 0), of_twins("bob", 1), of_twins("cyd", 2)]);
        assert_eq!(of_all.with_others, Agreement { pairs: 3, same: 1 });
    }
}
