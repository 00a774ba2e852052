//! Repeated questions, by which the agreement of labelers with themselves and with each other is measured.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::labels::log::{LabelLog, LogLine};
use crate::labels::question::{Question, QuestionDigest};
use crate::random::{Stream, below, generator, shuffled, uniform};

/// Smallest number of other questions between two showings of a question to the same labeler.
const APART: usize = 5;

/// Returns a question to repeat, for a `share` of the questions: another labeler answered it, or this one a while ago,
/// and its responses are shown in another order. No labeler answers a question more than twice.
///
/// # Errors
/// Fails when the log cannot be read again.
pub(super) fn draw(
    log: &LabelLog,
    labeler: &str,
    skipped: &HashSet<QuestionDigest>,
    share: f64,
    seed: u64,
) -> Result<Option<Question>> {
    let number = log.lines().len() as u64;
    let drawn = uniform(seed, Stream::Labels, 2, number, 1);
    if drawn.first().is_none_or(|&drawn| f64::from(drawn) >= share) {
        return Ok(None);
    }
    let own: Vec<QuestionDigest> = log.answers_of(labeler).map(|answer| answer.question).collect();
    let mut times: HashMap<QuestionDigest, usize> = HashMap::new();
    own.iter().for_each(|question| *times.entry(*question).or_default() += 1);
    let recent = own.get(..APART).unwrap_or(&own);
    let may_come = |answer: &&LogLine| {
        let question = answer.question;
        let is_new = times.get(&question).is_none_or(|&times| times < 2);
        is_new && !recent.contains(&question) && !skipped.contains(&question)
    };
    let candidates: Vec<&LogLine> = log.choices().filter(may_come).collect();
    let mut rng = generator(seed, Stream::Labels, 3, number);
    let Some(answer) = candidates.get(below(candidates.len(), &mut rng)) else { return Ok(None) };
    let question = log.question(answer)?;
    let order = shuffled(question.responses.len(), &mut rng);
    Ok(Some(Question { id: format!("{}-again-{number}", question.id), order, ..question }))
}
