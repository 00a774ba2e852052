//! People at a desk as one labeler: all questions lie there until they have answered the last.

use std::time::Duration;

use super::question::{Asked, Question};
use super::shared_desk::SharedDesk;
use super::{Desk, Judgment, Labeler};
use crate::data::comparisons::Record;
use crate::error::{Error, Result};
use crate::run::interrupt::Interrupt;
use crate::run::progress::{Mode, Progress};

/// Whoever sits at the desk, each with a question of their own. What was answered before is not asked
/// again.
#[derive(Debug)]
pub struct People<'a> {
    desk: &'a SharedDesk,
    interrupt: Interrupt,
    progress: Mode,
}

impl<'a> People<'a> {
    /// The people at this desk, until the flag is raised.
    pub fn at(desk: &'a SharedDesk, interrupt: Interrupt, progress: Mode) -> Self {
        Self { desk, interrupt, progress }
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

    /// Answers may be taken back until the last is given.
    fn judge_all(&mut self, asked: &[Asked]) -> Result<Vec<Judgment>> {
        let questions: Vec<Question> =
            asked.iter().enumerate().map(|(number, asked)| question(number, asked)).collect();
        let answered = |desk: &Desk| questions.iter().filter(|question| answer(desk, question).is_some()).count();
        let done = self.desk.with(|desk| {
            let open = questions.iter().filter(|question| answer(desk, question).is_none());
            let open: Vec<Question> = open.cloned().collect();
            desk.offer_last(open);
            answered(desk) as u64
        });
        let mut progress = Progress::resumed("judging", done, questions.len() as u64, "pairs", self.progress);
        loop {
            let count = self.desk.with(|desk| answered(desk));
            progress.reach(count as u64);
            if count == questions.len() {
                progress.finish();
                return Ok(self.desk.with(|desk| questions.iter().filter_map(|one| answer(desk, one)).collect()));
            }
            if self.interrupt.requested() {
                let checkpoint = self.desk.with(|desk| desk.log().path().to_path_buf());
                return Err(Error::Interrupted { checkpoint: Some(checkpoint) });
            }
            self.desk.wait(Duration::from_millis(200));
        }
    }
}

/// In the order in which it is to be shown.
fn question(number: usize, (query, responses): &Asked) -> Question {
    Question {
        id: format!("pair-{number}"),
        query: query.clone(),
        responses: responses.clone(),
        order: (0..responses.len()).collect(),
        policy: String::new(),
    }
}

/// What the log says of a question. "Cannot tell" is a tie.
fn answer(desk: &Desk, question: &Question) -> Option<Judgment> {
    match desk.log().answer_to(question)? {
        Record::Judged(answer) => Some(Judgment { best: answer.best, tied: false }),
        _ => Some(Judgment { best: 0, tied: true }),
    }
}
