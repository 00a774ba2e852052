//! People as one labeler: all questions are in the queue until the last is answered.

use std::collections::HashSet;
use std::time::Duration;

use super::log::Decision;
use super::question::{Asked, Question};
use super::queue::SharedQueue;
use super::{Judgment, LabelQueue, Labeler};
use crate::error::{Error, Result};
use crate::platform::files;
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};

/// Labeler made of all people who answer from one queue, each a different question. A question that was answered
/// before, by anybody and in any order of its responses, is not asked again.
#[derive(Debug)]
pub struct People<'a> {
    queue: &'a SharedQueue,
    /// Instructions that people follow: an answer counts only for the instructions under which it was given.
    instructions: &'a str,
    interrupt: Interrupt,
    progress: Mode,
}

impl<'a> People<'a> {
    /// Creates the labeler of all people who answer from `queue`; it stops when `interrupt` is raised.
    pub fn at(queue: &'a SharedQueue, instructions: &'a str, interrupt: Interrupt, progress: Mode) -> Self {
        Self { queue, instructions, interrupt, progress }
    }
}

impl Labeler for People<'_> {
    fn name(&self) -> &str {
        "people"
    }

    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment> {
        let judgments = self.judge_all(&[(query.into(), responses.to_vec())])?;
        judgments.first().copied().ok_or_else(|| Error::failed("nobody answered", ""))
    }

    fn wants_all_at_once(&self) -> bool {
        true
    }

    /// Waits until the last question is answered; until then, people may take answers back.
    fn judge_all(&mut self, asked: &[Asked]) -> Result<Vec<Judgment>> {
        let all: Vec<Question> = asked.iter().map(|asked| question(asked, self.instructions)).collect();
        let mut seen = HashSet::new();
        let different: Vec<Question> = all.iter().filter(|question| seen.insert(&question.id)).cloned().collect();
        let wanted = different.len();
        self.queue.with(|queue| queue.set_questions(&different));
        let count = |queue: &LabelQueue| different.iter().filter(|question| answer(queue, question).is_some()).count();
        let mut progress = Progress::resumed(
            "judging",
            self.queue.with(|queue| count(queue)) as u64,
            wanted as u64,
            "pairs",
            self.progress,
        );
        loop {
            // One lock for counting, collecting and closing: nobody can take an answer back in between.
            let (done, judgments) = self.queue.with(|queue| {
                let judgments: Option<Vec<Judgment>> = all.iter().map(|question| answer(queue, question)).collect();
                if judgments.is_some() {
                    queue.finish();
                }
                (count(queue), judgments)
            });
            progress.reach(done as u64);
            if let Some(judgments) = judgments {
                progress.finish();
                return Ok(judgments);
            }
            if self.interrupt.requested() {
                let checkpoint = self.queue.with(|queue| queue.log().path().to_path_buf());
                return Err(Error::Interrupted { checkpoint: Some(checkpoint) });
            }
            self.queue.wait(Duration::from_millis(200));
        }
    }
}

/// Returns the question with the responses shown in the order given. Its id is a digest of what it asks, so that its
/// answer is found again whatever else is asked.
fn question((query, responses): &Asked, instructions: &str) -> Question {
    let mut by_text: Vec<usize> = (0..responses.len()).collect();
    by_text.sort_by_key(|&index| responses.get(index));
    let sorted: Vec<String> = by_text.iter().filter_map(|&index| responses.get(index)).cloned().collect();
    let place_of = |index: usize| by_text.iter().position(|&other| other == index);
    let digest = files::sha256([instructions, query, &sorted.join("\0")].join("\0").as_bytes());
    Question {
        id: format!("pair-{}", digest.get(..16).unwrap_or_default()),
        query: query.clone(),
        order: (0..responses.len()).filter_map(place_of).collect(),
        responses: sorted,
        policy: String::new(),
    }
}

/// Returns the log's answer to a question, by the place at which the response is shown; "cannot tell" is a tie.
fn answer(queue: &LabelQueue, question: &Question) -> Option<Judgment> {
    match queue.log().answer_to(question)?.decision {
        Decision::Best { response, .. } => {
            let best = question.order.iter().position(|&index| index == response as usize)?;
            Some(Judgment { best, tied: false })
        }
        _ => Some(Judgment { best: 0, tied: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_what_it_asks_and_not_by_the_order() {
        let asked = |responses: [&str; 2]| ("Query.".to_string(), responses.map(String::from).to_vec());
        let question = |asked: &Asked| question(asked, "Choose.");
        let (one, other) = (question(&asked([" b.", " a."])), question(&asked([" a.", " b."])));
        assert_eq!((&one.id, &one.responses), (&other.id, &other.responses));
        assert_eq!(
            (one.shown(), other.shown()),
            (vec![" b.".to_string(), " a.".into()], vec![" a.".to_string(), " b.".into()])
        );
        assert_ne!(one.id, question(&asked([" b.", " c."])).id);
        assert_ne!(one.id, super::question(&asked([" b.", " a."]), "Choose another.").id);
    }
}
