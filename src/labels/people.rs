//! People at a desk as one labeler: each question waits until one of them has answered it.

use std::time::Duration;

use super::question::Question;
use super::shared_desk::SharedDesk;
use super::{Judgment, Labeler};
use crate::data::comparisons::Record;
use crate::error::{Error, Result};
use crate::run::interrupt::Interrupt;

/// Whoever sits at the desk. What they answered before, in the same order, is not asked again.
#[derive(Debug)]
pub struct People<'a> {
    desk: &'a SharedDesk,
    interrupt: Interrupt,
    asked: usize,
}

impl<'a> People<'a> {
    /// The people at this desk, until the flag is raised.
    pub fn at(desk: &'a SharedDesk, interrupt: Interrupt) -> Self {
        Self { desk, interrupt, asked: 0 }
    }

    /// What the log says of this question. "Cannot tell" is a tie.
    fn answer(&self, question: &Question) -> Option<Judgment> {
        self.desk.with(|desk| match desk.log().answer_to(question)? {
            Record::Judged(answer) => Some(Judgment { best: answer.best, tied: false }),
            _ => Some(Judgment { best: 0, tied: true }),
        })
    }
}

impl Labeler for People<'_> {
    fn name(&self) -> &str {
        "people"
    }

    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment> {
        let question = Question {
            id: format!("pair-{}", self.asked),
            query: query.into(),
            responses: responses.to_vec(),
            order: (0..responses.len()).collect(),
            policy: String::new(),
        };
        self.asked += 1;
        let mut is_offered = false;
        loop {
            if let Some(judgment) = self.answer(&question) {
                return Ok(judgment);
            }
            if self.interrupt.requested() {
                let checkpoint = self.desk.with(|desk| desk.log().path().to_path_buf());
                return Err(Error::Interrupted { checkpoint: Some(checkpoint) });
            }
            if !is_offered {
                self.desk.with(|desk| desk.offer([question.clone()]));
                is_offered = true;
            }
            self.desk.wait(Duration::from_millis(200));
        }
    }
}
