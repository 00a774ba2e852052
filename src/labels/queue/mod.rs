//! The queue of questions for several labelers; every answer is durable.
//!
//! Questions are drawn ahead of time and put into the queue; any number of labelers take them, each under a name,
//! at a terminal or on a web page.

mod repeats;
mod shared;
mod standing;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::log::{Decision, LabelLog, LogLine};
use super::question::{Answer, Attribution, Question, QuestionDigest};

use crate::data::comparisons::{Record, Undone};
use crate::error::{Error, Result};
use crate::platform::interrupt::Interrupt;

pub use shared::SharedQueue;
pub use standing::Standing;

/// A page that waits asks more often.
const STILL_ASKS: Duration = Duration::from_secs(2);

/// How labelling goes.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Answers that choose, until labelling is done.
    pub wanted: usize,
    /// Share of the questions that were asked before.
    pub repeated: f64,
    pub seed: u64,
}

/// What a labeler does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextTask {
    Answer(Question),
    /// Until questions are drawn.
    Wait,
    /// Until the model has learned from the labels that there are: another round follows.
    Later,
    /// There are as many labels as are wanted; the policy is trained with them.
    Training,
    /// The run stopped before its end.
    Stopped,
    /// Nothing more is asked.
    Done,
}

/// Questions, the labelers in front of them, and the log behind.
#[derive(Debug)]
pub struct LabelQueue {
    plan: QueueSettings,
    log: LabelLog,
    waiting: VecDeque<Question>,
    labelers: BTreeMap<String, LabelerState>,
    /// Of the last questions, the ids: no others come.
    last: Option<HashSet<String>>,
    /// What labelers hear when there are as many labels as are wanted.
    then: NextTask,
    /// True if answers can no longer be taken back.
    closed: bool,
    stop_switch: Option<Interrupt>,
    stopped_by: Option<String>,
    stopped: bool,
}

/// The state of one labeler.
#[derive(Debug, Default)]
struct LabelerState {
    before: Option<Question>,
    skipped: HashSet<QuestionDigest>,
    /// When it was asked last what is next, and whether the answer was that nothing is.
    asked: Option<(Instant, bool)>,
}

impl LabelQueue {
    /// An empty queue.
    pub fn new(log: LabelLog, plan: QueueSettings) -> Self {
        Self {
            plan,
            log,
            waiting: VecDeque::new(),
            labelers: BTreeMap::new(),
            last: None,
            then: NextTask::Done,
            closed: false,
            stop_switch: None,
            stopped_by: None,
            stopped: false,
        }
    }

    /// Begins a round, at whose end there are `wanted` labels in all: what was drawn before is from an
    /// older policy and goes away.
    pub fn begin_round(&mut self, wanted: usize, another_round: bool) {
        self.plan.wanted = wanted;
        self.then = if another_round { NextTask::Later } else { NextTask::Training };
        self.waiting.clear();
        self.labelers.values_mut().for_each(|place| place.before = None);
    }

    /// Ends the round with the labels that there are.
    pub fn end_round(&mut self) {
        self.plan.wanted = self.labels();
    }

    /// Lets nobody take an answer back any more.
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

    /// Tells everybody that the run stopped before its end.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.stop_switch = None;
    }

    /// Lets every labeler stop the run that this flag stops.
    pub fn attach_stop_switch(&mut self, run: Interrupt) {
        self.stop_switch = Some(run);
    }

    /// Stops the run at once, if there is one.
    pub fn stop_run(&mut self, labeler: &str) {
        if let Some(run) = &self.stop_switch {
            run.request_at_once();
            self.stopped_by.get_or_insert_with(|| labeler.into());
            self.stop();
        }
    }

    /// Who stopped the run.
    pub fn stopped_by(&self) -> Option<&str> {
        self.stopped_by.as_deref()
    }

    /// What was answered.
    pub fn log(&self) -> &LabelLog {
        &self.log
    }

    /// The log, when everybody has left.
    pub fn into_log(self) -> LabelLog {
        self.log
    }

    /// Whether there are as many labels as are wanted.
    pub fn is_done(&self) -> bool {
        let are_drawn = self.last.as_ref().is_none_or(|last| !last.is_empty());
        are_drawn && self.labels() >= self.plan.wanted
    }

    /// Answers that count: those that choose, and of questions that were the last ones all.
    fn labels(&self) -> usize {
        if self.last.is_none() {
            return self.log.labels();
        }
        let before = self.labelers.values().filter_map(|place| place.before.as_ref());
        let open: HashSet<&str> = self.waiting.iter().chain(before).map(|question| question.id.as_str()).collect();
        self.plan.wanted.saturating_sub(open.len())
    }

    /// Questions to be drawn, so that every labeler has `ahead` to come: no more than labels are wanted.
    pub fn lacks(&self, ahead: usize) -> usize {
        let open =
            |place: &LabelerState| self.waiting.iter().filter(|one| !place.skipped.contains(&one.digest())).count();
        let fewest = self.labelers.values().map(open).min().unwrap_or(self.waiting.len());
        let skipped = self.waiting.len() - fewest;
        let left = self.plan.wanted.saturating_sub(self.log.labels()) + skipped;
        (ahead * self.labelers.len().max(1)).min(left).saturating_sub(fewest)
    }

    /// Adds questions.
    pub fn offer(&mut self, questions: impl IntoIterator<Item = Question>) {
        self.waiting.extend(questions);
    }

    /// Adds the last questions, which differ in their ids: each is asked until somebody has
    /// answered it, whoever took it before or skipped it. What the log has an answer to is not asked. With
    /// none, labelers wait until they are drawn.
    pub fn offer_last(&mut self, questions: &[Question]) {
        self.plan.wanted = questions.len();
        self.last = Some(questions.iter().map(|question| question.id.clone()).collect());
        self.waiting = questions.iter().filter(|question| self.log.answer_to(question).is_none()).cloned().collect();
        self.labelers.values_mut().for_each(|place| place.before = None);
    }

    /// The question before this labeler: the same one until it is answered or skipped.
    ///
    /// # Errors
    /// When the log cannot be read again for a question that is repeated.
    pub fn next(&mut self, labeler: &str) -> Result<NextTask> {
        let next = self.find_next(labeler)?;
        let is_the_end = matches!(next, NextTask::Stopped | NextTask::Done);
        self.labelers.entry(labeler.into()).or_default().asked = Some((Instant::now(), is_the_end));
        Ok(next)
    }

    /// Whether those who still ask know that nothing more comes.
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
        let question = self.to_repeat(labeler)?.or_else(|| self.take_from_waiting(labeler));
        let question = question.or_else(|| self.last.is_some().then(|| self.take_what_is_left(labeler)).flatten());
        let Some(question) = question else { return Ok(NextTask::Wait) };
        self.labelers.entry(labeler.into()).or_default().before = Some(question.clone());
        Ok(NextTask::Answer(question))
    }

    /// Takes an answer; when this returns, it is on the disk. The same answer that comes twice counts once.
    ///
    /// # Errors
    /// When this question is not before this labeler, and as [`LabelLog::append`].
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
        if self.last.is_some() {
            self.labelers.values_mut().for_each(|place| drop(place.before.take_if(|before| before.id == id)));
            self.waiting.retain(|waiting| waiting.id != id);
        }
        Ok(())
    }

    /// Leaves a question to others.
    ///
    /// # Errors
    /// When this question is not before this labeler.
    pub fn skip(&mut self, labeler: &str, id: &str) -> Result<()> {
        let question = self.before(labeler, id).ok_or_else(|| self.not_before(labeler, id))?;
        self.clear(labeler);
        self.labelers.entry(labeler.into()).or_default().skipped.insert(question.digest());
        if self.last.is_some() || !self.was_asked(&question) {
            self.waiting.push_back(question);
        }
        Ok(())
    }

    /// Takes this labeler's last answer back and puts its question before them again.
    ///
    /// # Errors
    /// [`Error::Usage`] if they have not answered anything, and as [`LabelLog::append`].
    pub fn undo(&mut self, labeler: &str, at: Option<u64>) -> Result<()> {
        if self.closed {
            return Err(Error::usage("the last answer was given, and what was answered holds", "close the page"));
        }
        let is_asked = |answer: &&LogLine| self.last.as_ref().is_none_or(|last| last.contains(&*answer.id));
        let last = self.log.answers_of(labeler).find(is_asked);
        let last = last.ok_or_else(|| Error::usage("there is nothing to take back", "answer a question first"))?;
        let last = self.log.question(last)?;
        self.log.append(Record::Undone(Undone { undo: last.id.clone(), labeler: labeler.into(), at }))?;
        if let Some(put_off) = self.labelers.entry(labeler.into()).or_default().before.replace(last)
            && (self.last.is_some() || !self.was_asked(&put_off))
        {
            self.waiting.push_front(put_off);
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

    fn take_from_waiting(&mut self, labeler: &str) -> Option<Question> {
        let skipped = &self.labelers.get(labeler)?.skipped;
        let place = self.waiting.iter().position(|question| !skipped.contains(&question.digest()))?;
        self.waiting.remove(place)
    }

    /// One that this labeler skipped, or that another has before them and may have left: of these, one that
    /// the fewest have.
    fn take_what_is_left(&mut self, labeler: &str) -> Option<Question> {
        let others = self.labelers.iter().filter(|(name, _)| *name != labeler);
        let before: Vec<&Question> = others.filter_map(|(_, place)| place.before.as_ref()).collect();
        let holders = |question: &&&Question| before.iter().filter(|other| other.id == question.id).count();
        let left = before.iter().min_by_key(holders).map(|question| (*question).clone());
        self.waiting.pop_front().or(left)
    }

    fn not_before(&self, labeler: &str, id: &str) -> Error {
        let others = self.labelers.keys().filter(|other| *other != labeler);
        let what = match others.into_iter().any(|other| self.log.answers_of(other).any(|answer| *answer.id == *id)) {
            true => "somebody else has answered that question meanwhile",
            false => "that question is no longer before you",
        };
        Error::usage(what, "ask for the next question")
    }

    /// Now and then, one that was answered before.
    fn to_repeat(&self, labeler: &str) -> Result<Option<Question>> {
        let QueueSettings { repeated, seed, .. } = self.plan;
        match self.labelers.get(labeler) {
            Some(place) => repeats::draw(&self.log, labeler, &place.skipped, repeated, seed),
            None => Ok(None),
        }
    }

    /// Whether a question was answered before, so that it is one that is asked again.
    fn was_asked(&self, question: &Question) -> bool {
        let digest = question.digest();
        self.log.choices().any(|choice| choice.question == digest)
    }
}

/// True if the log has this answer to the question.
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
