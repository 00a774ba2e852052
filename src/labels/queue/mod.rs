//! Queue of questions for several labelers; every answer is on the disk when it is acknowledged.
//!
//! Questions are made in advance and put into the queue. Any number of labelers take them, each under a name, at a
//! terminal or on a web page.

mod fixed_set;
mod labelers;
mod open_ended;
mod progress;
mod repeats;
mod shared;
mod supply;

use std::time::{Duration, Instant};

use super::log::{Decision, LabelLog, LogLine};
use super::question::{Answer, Attribution, Question};
use crate::data::comparisons::{Record, Undone};
use crate::error::{Error, Result};
use crate::platform::interrupt::Interrupt;

use fixed_set::FixedSet;
use labelers::Labelers;
use open_ended::OpenEnded;
use supply::Supply;

pub use progress::LabelProgress;
pub use shared::SharedQueue;

/// Time without a request after which a labeler counts as gone; a page that waits asks more often.
const STILL_ASKS: Duration = Duration::from_secs(2);

/// Settings of a label queue.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Number of choices of a response after which labelling is done.
    pub wanted: usize,
    /// Share of the questions that are repeated.
    pub repeated: f64,
    pub seed: u64,
}

/// Next task of a labeler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextTask {
    Answer(Question),
    /// Wait until the next questions are made.
    Wait,
    /// Wait for another round, while the model learns from the labels so far.
    Later,
    /// End of the questions: there are as many labels as are wanted, and the policy is trained with them.
    Training,
    /// The run stopped before its end.
    Stopped,
    /// End of all questions.
    Done,
}

/// Questions, the labelers who answer them, and the log of the answers.
#[derive(Debug)]
pub struct LabelQueue {
    log: LabelLog,
    supply: Supply,
    labelers: Labelers,
    /// Task of the labelers once there are as many labels as are wanted.
    then: NextTask,
    /// True if answers can no longer be taken back.
    closed: bool,
    stop_switch: Option<Interrupt>,
    stopped_by: Option<String>,
    stopped: bool,
}

impl LabelQueue {
    /// Creates an empty queue, for which questions are made until there are enough labels.
    pub fn new(log: LabelLog, settings: QueueSettings) -> Self {
        Self {
            log,
            supply: Supply::OpenEnded(OpenEnded::new(settings)),
            labelers: Labelers::new(),
            then: NextTask::Done,
            closed: false,
            stop_switch: None,
            stopped_by: None,
            stopped: false,
        }
    }

    /// Creates a queue for a fixed set of questions; labelers wait until [`Self::set_questions`] adds them.
    pub fn of_fixed_set(log: LabelLog) -> Self {
        let nothing = QueueSettings { wanted: 0, repeated: 0.0, seed: 0 };
        let mut queue = Self::new(log, nothing);
        queue.set_questions(&[]);
        queue
    }

    /// Begins a round that ends with `wanted` labels in all. Questions from before are dropped, because an older policy
    /// wrote their responses.
    pub fn begin_round(&mut self, wanted: usize, another_round: bool) {
        if let Supply::OpenEnded(open) = &mut self.supply {
            open.settings.wanted = wanted;
            open.waiting.clear();
        }
        self.then = if another_round { NextTask::Later } else { NextTask::Training };
        self.labelers.values_mut().for_each(|place| place.before = None);
    }

    /// Ends the round with the labels that there are.
    pub fn end_round(&mut self) {
        self.supply.end(&self.log, &self.labelers);
    }

    /// Ends the round and refuses to take answers back from now on.
    pub fn close(&mut self) {
        self.end_round();
        self.closed = true;
    }

    /// Ends all rounds.
    pub fn finish(&mut self) {
        self.close();
        self.then = NextTask::Done;
        self.stop_switch = None;
    }

    /// Tells all labelers that the run stopped before its end.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.stop_switch = None;
    }

    /// Lets every labeler stop the run, by its interrupt flag `run`.
    pub fn attach_stop_switch(&mut self, run: Interrupt) {
        self.stop_switch = Some(run);
    }

    /// Stops the run at once, if there is one, and records the labeler who stopped it.
    pub fn stop_run(&mut self, labeler: &str) {
        if let Some(run) = &self.stop_switch {
            run.request_at_once();
            self.stopped_by.get_or_insert_with(|| labeler.into());
            self.stop();
        }
    }

    /// Returns the name of the labeler who stopped the run.
    pub fn stopped_by(&self) -> Option<&str> {
        self.stopped_by.as_deref()
    }

    /// Returns the log of the answers.
    pub fn log(&self) -> &LabelLog {
        &self.log
    }

    /// Returns the log and ends the queue.
    pub fn into_log(self) -> LabelLog {
        self.log
    }

    /// Checks whether there are as many labels as are wanted.
    pub fn is_done(&self) -> bool {
        self.supply.is_done(&self.log, &self.labelers)
    }

    /// Returns the number of questions to make so that every labeler has `ahead` questions ready; no more than the
    /// labels still wanted, and 0 for a fixed set.
    pub fn lacks(&self, ahead: usize) -> usize {
        match &self.supply {
            Supply::OpenEnded(open) => open.lacks(ahead, &self.log, &self.labelers),
            Supply::FixedSet(_) => 0,
        }
    }

    /// Adds questions to the queue, but not to a fixed set.
    pub fn offer(&mut self, questions: impl IntoIterator<Item = Question>) {
        if let Supply::OpenEnded(open) = &mut self.supply {
            open.waiting.extend(questions);
        }
    }

    /// Makes these questions, whose ids differ, the fixed set of the queue. Each is asked until somebody has answered
    /// it; a question with an answer in the log is not asked. If there are none, labelers wait.
    pub fn set_questions(&mut self, questions: &[Question]) {
        self.supply = Supply::FixedSet(FixedSet::new(questions, &self.log));
        self.labelers.values_mut().for_each(|state| state.before = None);
    }

    /// Returns the labeler's next task; a question stays the same until it is answered or skipped.
    ///
    /// # Errors
    /// Fails when the log cannot be read again for a repeated question.
    pub fn next(&mut self, labeler: &str) -> Result<NextTask> {
        let next = self.find_next(labeler)?;
        let is_the_end = matches!(next, NextTask::Stopped | NextTask::Done);
        self.labelers.entry(labeler.into()).or_default().asked = Some((Instant::now(), is_the_end));
        Ok(next)
    }

    /// Checks whether all labelers who still ask know that no more questions follow.
    pub fn has_told_everybody(&self) -> bool {
        let asked = self.labelers.values().filter_map(|place| place.asked);
        asked.filter(|(at, _)| at.elapsed() < STILL_ASKS).all(|(_, was_told)| was_told)
    }

    fn find_next(&mut self, labeler: &str) -> Result<NextTask> {
        if self.stopped {
            return Ok(NextTask::Stopped);
        }
        let place = self.labelers.entry(labeler.into()).or_default();
        if let Some(question) = &place.before {
            return Ok(NextTask::Answer(question.clone()));
        }
        if self.is_done() {
            return Ok(self.then.clone());
        }
        let Some(question) = self.supply.take(labeler, &self.log, &self.labelers)? else { return Ok(NextTask::Wait) };
        self.labelers.entry(labeler.into()).or_default().before = Some(question.clone());
        Ok(NextTask::Answer(question))
    }

    /// Records an answer, which is on the disk when this call returns. The same answer that comes twice counts once.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is not the labeler's current question, and the errors of [`LabelLog::append`].
    pub fn answer(&mut self, id: &str, answer: Answer, attribution: Attribution) -> Result<()> {
        let labeler = attribution.labeler.clone();
        let Some(question) = self.before(&labeler, id) else {
            let last = self.log.answers_of(&labeler).next().filter(|last| *last.id == *id);
            let is_there = match last {
                Some(last) => is_same_answer(last, &self.log.question(last)?, answer),
                None => false,
            };
            return if is_there { Ok(()) } else { Err(self.not_before(&labeler, id)) };
        };
        self.log.append(question.answered(answer, attribution)?)?;
        self.clear(&labeler);
        self.supply.note_answer(id, &mut self.labelers);
        Ok(())
    }

    /// Leaves a question to other labelers.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is not the labeler's current question.
    pub fn skip(&mut self, labeler: &str, id: &str) -> Result<()> {
        let question = self.before(labeler, id).ok_or_else(|| self.not_before(labeler, id))?;
        self.clear(labeler);
        self.labelers.entry(labeler.into()).or_default().skipped.insert(question.digest());
        self.supply.put_back(question, &self.log);
        Ok(())
    }

    /// Takes the labeler's last answer back and asks its question again.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is nothing to take back or the queue is closed, and the errors of
    /// [`LabelLog::append`].
    pub fn undo(&mut self, labeler: &str, at: Option<u64>) -> Result<()> {
        if self.closed {
            return Err(Error::usage(
                "labelling is complete, and answers can no longer be taken back",
                "close the page",
            ));
        }
        let last = self.log.answers_of(labeler).find(|answer| self.supply.asks(answer));
        let last = last.ok_or_else(|| Error::usage("there is nothing to take back", "answer a question first"))?;
        let last = self.log.question(last)?;
        self.log.append(Record::Undone(Undone { undo: last.id.clone(), labeler: labeler.into(), at }))?;
        if let Some(put_off) = self.labelers.entry(labeler.into()).or_default().before.replace(last) {
            self.supply.put_back_first(put_off, &self.log);
        }
        Ok(())
    }

    fn before(&self, labeler: &str, id: &str) -> Option<Question> {
        let question = self.labelers.get(labeler)?.before.as_ref()?;
        (question.id == id).then(|| question.clone())
    }

    fn clear(&mut self, labeler: &str) {
        self.labelers.entry(labeler.into()).or_default().before = None;
    }

    fn not_before(&self, labeler: &str, id: &str) -> Error {
        let others = self.labelers.keys().filter(|other| *other != labeler);
        let what = match others.into_iter().any(|other| self.log.answers_of(other).any(|answer| *answer.id == *id)) {
            true => "somebody else has answered that question meanwhile",
            false => "that question is no longer your current one",
        };
        Error::usage(what, "ask for the next question")
    }
}

/// Checks whether a line of the log is this answer to the question.
fn is_same_answer(line: &LogLine, question: &Question, answer: Answer) -> bool {
    match (line.decision, answer) {
        (Decision::Best { response, .. }, Answer::Best(place)) => {
            question.order.get(place).is_some_and(|&index| index == response as usize)
        }
        (Decision::CannotTell, Answer::CannotTell) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
