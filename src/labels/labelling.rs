//! Labelling (Figure 1, left): samples responses, has a labeler choose the best, and logs the choice.

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

/// Largest number of questions made and judged together; their judgments are on disk before the next are made.
const AT_ONCE: usize = 32;

/// Number of questions made together for a person: few, so that the first appear soon.
const FOR_PEOPLE_AT_ONCE: usize = 4;

/// Smallest number of comparisons that a reward model is trained on.
const FEWEST: usize = 2;

/// Number of questions ready in advance for each person.
const AHEAD: usize = 12;

/// A labelling run.
pub struct Labelling<'a> {
    pub questions: Questions<'a>,
    /// Number of comparisons that the log holds at the end of the run.
    pub wanted: usize,
    /// Largest number of questions made together.
    pub at_once: usize,
    /// Time after which a run with people ends, even with fewer labels than `wanted`.
    pub label_timeout: Option<Duration>,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// Number of judgments, and of ties, in which several responses were equally good and one was taken at random.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ties {
    pub judged: usize,
    pub tied: usize,
    /// Number of ties in which another response has the same text as the one that was taken.
    pub tied_with_same_text: usize,
}

impl Ties {
    fn count(&mut self, is_tied: bool, chosen: Option<&String>, shown: &[String]) {
        let has_twin = shown.iter().filter(|response| Some(*response) == chosen).count() > 1;
        self.judged += 1;
        self.tied += usize::from(is_tied);
        self.tied_with_same_text += usize::from(is_tied && has_twin);
    }

    /// Prints the number of ties to stderr, even if progress is not shown; prints nothing if there are none.
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
            "ties among the best responses: {tied} of {judged} labels (in {tied_with_same_text} of them two are the \
             same text); one of the tied responses was chosen at random"
        )
    }
}

impl Labelling<'_> {
    /// Returns how many questions fit into `device_memory` together, and the memory that `wanted` comparisons take.
    ///
    /// # Errors
    /// Fails when not even one question fits.
    pub fn at_once_that_fits(
        questions: &Questions<'_>,
        wanted: usize,
        device_memory: DeviceMemory,
    ) -> Result<(usize, Memory)> {
        let most = (ROWS_AT_ONCE / questions.responses_per_query()).clamp(1, AT_ONCE);
        questions.that_fit(most, wanted, device_memory)
    }

    /// Makes and judges questions until the log holds as many comparisons as are wanted. The responses are shown in
    /// random order, so that none of several equally good ones is favoured.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the path of the log, which holds every judgment so far, or any other error that
    /// stops the run.
    pub fn run(&self, labeler: &mut dyn Labeler, log: &mut LabelLog) -> Result<Ties> {
        let mut ties = Ties::default();
        let done = self.judge_until_done(labeler, log, &mut ties);
        // The log does not record ties, so they are printed even if the run was interrupted.
        ties.say();
        done.map(|()| ties)
    }

    fn judge_until_done(&self, labeler: &mut dyn Labeler, log: &mut LabelLog, ties: &mut Ties) -> Result<()> {
        let mut numbers = self.questions.open_numbers(log);
        let mut progress = self.begin(log.labels());
        while log.labels() < self.wanted {
            let some = self.at_once.min(self.wanted - log.labels());
            let drawn = self.sample(numbers.by_ref().take(some), log.path())?;
            let (mut judged, mut stopped) = (Vec::new(), Ok(()));
            for question in &drawn {
                match judge(question, labeler, ties) {
                    Ok(record) => judged.push(record),
                    // The judgments before the error are kept.
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

    /// Supplies people, who answer in other threads, with questions until the log holds as many comparisons as are
    /// wanted.
    ///
    /// # Errors
    /// The errors of [`Self::run`].
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
            // One lock for checking and ending the round: nobody can take a label back in between.
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
                self.progress.say(&format!("waiting for at least {FEWEST} labels, which a reward model needs"));
                was_told = true;
            }
            if self.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: Some(path) });
            }
            if lacking == 0 {
                queue.wait(Duration::from_millis(200));
            } else {
                let drawn =
                    self.sample(numbers.by_ref().take(lacking.min(FOR_PEOPLE_AT_ONCE).min(self.at_once)), &path)?;
                queue.with(|queue| queue.offer(drawn));
            }
        }
    }

    fn sample(&self, numbers: impl Iterator<Item = usize>, log: &Path) -> Result<Vec<Question>> {
        let drawn = self.questions.sample(&numbers.collect::<Vec<_>>(), &self.interrupt);
        drawn.map_err(|error| error.going_on_from(Some(log.to_path_buf())))
    }

    fn begin(&self, done: usize) -> Progress {
        let (done, wanted) = (done.min(self.wanted) as u64, self.wanted as u64);
        Progress::resumed("labelling", done, wanted, "comparisons", self.progress)
    }
}

/// Shows the responses in random order, and returns the record of the labeler's choice.
fn judge(question: &Question, labeler: &mut dyn Labeler, ties: &mut Ties) -> Result<Record> {
    let shown = question.shown();
    let judgment = labeler.judge(&question.query, &shown)?;
    ties.count(judgment.tied, shown.get(judgment.best), &shown);
    let attribution = Attribution { labeler: labeler.name().into(), ms: None, at: unix_seconds() };
    question.answered(Answer::Best(judgment.best), attribution)
}
