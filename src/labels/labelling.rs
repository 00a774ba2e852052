//! Figure 1, left, up to the labels: draw responses, have a labeler choose, write down the choice.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::questions::Questions;
use crate::data::comparisons::Record;
use crate::device::DeviceMemory;
use crate::error::{Error, Result};
use crate::labels::{Answer, Attribution, LabelLog, Labeler, Question, SharedQueue};
use crate::lm::ROWS_AT_ONCE;
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::platform::unix_seconds;
use crate::training::memory::Memory;

/// Questions drawn and judged at once, at most; what is judged is on disk before the next are drawn.
const AT_ONCE: usize = 32;

/// Questions drawn for a person at once: few, so that the first are soon there.
const FOR_PEOPLE_AT_ONCE: usize = 4;

/// A reward model is not fitted to fewer comparisons.
const FEWEST: usize = 2;

/// Questions that lie ready for each person.
const AHEAD: usize = 12;

/// A labelling run.
pub struct Labelling<'a> {
    pub questions: Questions<'a>,
    /// Comparisons that the log is to hold.
    pub wanted: usize,
    /// Questions that are drawn at once, at most.
    pub at_once: usize,
    /// After so long, people's labels are enough as they are.
    pub label_timeout: Option<Duration>,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// Judgments in which several responses were equally good: one of them was taken at random.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ties {
    pub judged: usize,
    pub tied: usize,
    /// Of those, such in which another response is the same text as the one that was taken.
    pub tied_with_same_text: usize,
}

impl Ties {
    fn count(&mut self, is_tied: bool, chosen: Option<&String>, shown: &[String]) {
        let has_twin = shown.iter().filter(|response| Some(*response) == chosen).count() > 1;
        self.judged += 1;
        self.tied += usize::from(is_tied);
        self.tied_with_same_text += usize::from(is_tied && has_twin);
    }

    /// Says on stderr how many there are, to whoever wants no progress too; nothing where there are none.
    fn say(&self) {
        if self.tied > 0 {
            Mode::Shown.say(&self.to_string());
        }
    }
}

impl fmt::Display for Ties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { judged, tied, tied_with_same_text } = self;
        write!(
            f,
            "ties among the best responses: {tied} of {judged} judgments (in {tied_with_same_text} of them two are the \
             same text); one of the best was taken at random"
        )
    }
}

impl Labelling<'_> {
    /// How many of these questions are drawn at once in `device_memory`, and what it takes to make `wanted`
    /// comparisons of them.
    ///
    /// # Errors
    /// When not even one question fits.
    pub fn at_once_that_fits(
        questions: &Questions<'_>,
        wanted: usize,
        device_memory: DeviceMemory,
    ) -> Result<(usize, Memory)> {
        let most = (ROWS_AT_ONCE / questions.responses_per_query()).clamp(1, AT_ONCE);
        questions.that_fit(most, wanted, device_memory)
    }

    /// Draws and judges until the log holds as many comparisons as are wanted. Responses are shown in random
    /// order, so that of equally good ones none is favoured.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the log, in which every judgment is; or what went wrong.
    pub fn run(&self, labeler: &mut dyn Labeler, log: &mut LabelLog) -> Result<Ties> {
        let mut ties = Ties::default();
        let done = self.judge_until_done(labeler, log, &mut ties);
        // The log does not hold them: what is not said now, nobody learns after an interruption.
        ties.say();
        done.map(|()| ties)
    }

    fn judge_until_done(&self, labeler: &mut dyn Labeler, log: &mut LabelLog, ties: &mut Ties) -> Result<()> {
        let mut numbers = self.questions.open_numbers(log);
        let mut progress = self.begin(log.labels());
        while log.labels() < self.wanted {
            let some = self.at_once.min(self.wanted - log.labels());
            let drawn = self.draw(numbers.by_ref().take(some), log.path())?;
            let (mut judged, mut stopped) = (Vec::new(), Ok(()));
            for question in &drawn {
                match judge(question, labeler, ties) {
                    Ok(record) => judged.push(record),
                    // What was judged before is kept.
                    Err(error) => {
                        stopped = Err(error.going_on_from(Some(log.path().to_path_buf())));
                        break;
                    }
                }
            }
            progress.advance(judged.len() as u64);
            log.append_many(judged)?;
            stopped?;
            if self.interrupt.requested() && log.labels() < self.wanted {
                return Err(Error::Interrupted { checkpoint: Some(log.path().to_path_buf()) });
            }
        }
        progress.finish();
        Ok(())
    }

    /// Keeps people supplied with questions until the log holds as many comparisons as are wanted. They
    /// answer meanwhile, in other threads.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn supply(&self, queue: &SharedQueue) -> Result<()> {
        let (mut numbers, done, path) = queue.with(|queue| {
            let log = queue.log();
            (self.questions.open_numbers(log), log.labels(), log.path().to_path_buf())
        });
        let mut progress = self.begin(done);
        let started = Instant::now();
        let mut was_told = false;
        loop {
            let is_late = self.label_timeout.is_some_and(|label_timeout| started.elapsed() >= label_timeout);
            // Looked at and ended at once: nobody can take a label back in between.
            let (labels, is_done, lacking) = queue.with(|queue| {
                let labels = queue.log().labels();
                let is_done = queue.is_done() || is_late && labels >= FEWEST;
                if is_done {
                    queue.end_round();
                }
                (labels, is_done, queue.lacks(AHEAD))
            });
            progress.reach(labels.min(self.wanted) as u64);
            if is_done {
                progress.finish();
                return Ok(());
            }
            if is_late && !was_told {
                self.progress.say(&format!("waiting for at least {FEWEST} labels: fewer make no reward model"));
                was_told = true;
            }
            if self.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: Some(path) });
            }
            if lacking == 0 {
                queue.wait(Duration::from_millis(200));
            } else {
                let drawn =
                    self.draw(numbers.by_ref().take(lacking.min(FOR_PEOPLE_AT_ONCE).min(self.at_once)), &path)?;
                queue.with(|queue| queue.offer(drawn));
            }
        }
    }

    fn draw(&self, numbers: impl Iterator<Item = usize>, log: &Path) -> Result<Vec<Question>> {
        let drawn = self.questions.draw(&numbers.collect::<Vec<_>>(), &self.interrupt);
        drawn.map_err(|error| error.going_on_from(Some(log.to_path_buf())))
    }

    fn begin(&self, done: usize) -> Progress {
        let (done, wanted) = (done.min(self.wanted) as u64, self.wanted as u64);
        Progress::resumed("labelling", done, wanted, "comparisons", self.progress)
    }
}

/// Shows the responses in random order, and notes which was chosen.
fn judge(question: &Question, labeler: &mut dyn Labeler, ties: &mut Ties) -> Result<Record> {
    let shown = question.shown();
    let judgment = labeler.judge(&question.query, &shown)?;
    ties.count(judgment.tied, shown.get(judgment.best), &shown);
    let attribution = Attribution { labeler: labeler.name().into(), ms: None, at: unix_seconds() };
    question.answered(Answer::Best(judgment.best), attribution)
}
