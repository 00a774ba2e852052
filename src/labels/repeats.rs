//! Which questions are asked a second time, for how far labelers agree with themselves and each other.

use std::collections::{HashMap, HashSet};

use super::log::LabelLog;
use super::question::{Asked, Question};
use crate::data::comparisons::Record;
use crate::run::random::{Stream, below, generator, shuffled, uniform};

/// A labeler does not see a question again before this many others.
const APART: usize = 5;

/// For a `share` of the questions, one that was answered: by another labeler, or by this one a while ago,
/// and in another order. No labeler answers one more than twice.
pub(super) fn draw(log: &LabelLog, labeler: &str, skipped: &HashSet<Asked>, share: f64, seed: u64) -> Option<Question> {
    let number = log.records().len() as u64;
    let drawn = uniform(seed, Stream::Labels, 2, number, 1);
    if drawn.first().is_none_or(|&drawn| f64::from(drawn) >= share) {
        return None;
    }
    let own = log.answers_of(labeler).filter_map(Record::answer);
    let own: Vec<Asked> = own.map(|answer| Question::from(answer).asked()).collect();
    let mut times: HashMap<&Asked, usize> = HashMap::new();
    own.iter().for_each(|question| *times.entry(question).or_default() += 1);
    let recent = own.get(..APART).unwrap_or(&own);
    let may_come = |question: &Question| {
        let question = question.asked();
        let is_new = times.get(&question).is_none_or(|&times| times < 2);
        is_new && !recent.contains(&question) && !skipped.contains(&question)
    };
    let candidates: Vec<Question> = log.comparisons().iter().map(Question::from).filter(may_come).collect();
    let mut rng = generator(seed, Stream::Labels, 3, number);
    let question = candidates.get(below(candidates.len(), &mut rng))?.clone();
    let order = shuffled(question.responses.len(), &mut rng);
    Some(Question { id: format!("{}-again-{number}", question.id), order, ..question })
}
