//! Labelling at a terminal, with one key for each answer.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use console::{Key, Term};

use super::question::{Answer, Attribution, Question};
use super::queue::SharedQueue;
use super::queue::{LabelProgress, NextTask};
use crate::error::{Error, Result};
use crate::platform::unix_seconds;
use crate::sanitize::sanitize;

/// Help line that lists the keys.
const KEYS: &str = "1-9 choose, 0 cannot tell, s skip, u undo, i instructions, q quit";

/// Source of the keys.
pub(crate) enum Keys {
    /// Terminal that is read key by key.
    Terminal(Term),
    /// Pipe of which each character is a key and whose end quits.
    Pipe(Box<dyn BufRead>),
}

impl Keys {
    /// Returns the keys of standard input: key by key if stdin and stderr are terminals, otherwise from a pipe.
    pub(crate) fn of_standard_input() -> Self {
        match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            true => Self::Terminal(Term::stderr()),
            false => Self::Pipe(Box::new(std::io::stdin().lock())),
        }
    }

    /// Reads the next key; returns `None` at the end of the input.
    fn next(&mut self) -> Result<Option<char>> {
        let key = match self {
            Self::Terminal(terminal) => terminal.read_key().map(|key| match key {
                Key::Char(key) => Some(key),
                Key::Backspace => Some('u'),
                Key::Escape => None,
                _ => Some('?'),
            }),
            Self::Pipe(pipe) => {
                let mut byte = [0];
                pipe.read(&mut byte).map(|read| (read > 0).then(|| char::from(byte[0])))
            }
        };
        match key {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                Err(Error::Interrupted { checkpoint: None })
            }
            key => key.map_err(|error| Error::failed(format!("cannot read keys: {error}"), "")),
        }
    }
}

/// A person at a terminal.
pub(crate) struct TerminalLabeler<'a> {
    pub name: &'a str,
    pub instructions: &'a str,
    pub queue: &'a SharedQueue,
    pub keys: Keys,
    /// Output to which questions are written.
    pub screen: &'a mut dyn Write,
}

impl TerminalLabeler<'_> {
    /// Asks until there are as many labels as are wanted, the person quits, or `gone` returns true because nobody makes
    /// questions any more.
    ///
    /// # Errors
    /// Fails when the log cannot be written or keys cannot be read.
    pub(crate) fn run(mut self, gone: impl Fn() -> bool) -> Result<()> {
        self.write(&format!("{}\n\n{KEYS}\n", sanitize(self.instructions.trim())));
        loop {
            match self.queue.with(|queue| queue.next(self.name))? {
                NextTask::Done | NextTask::Training | NextTask::Stopped => return Ok(()),
                NextTask::Wait | NextTask::Later if gone() => return Ok(()),
                NextTask::Wait | NextTask::Later => self.queue.wait(Duration::from_millis(200)),
                NextTask::Answer(question) => {
                    if !self.ask(&question)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Shows a question and reads keys until it is answered or skipped; returns false to quit.
    fn ask(&mut self, question: &Question) -> Result<bool> {
        let shown_at = Instant::now();
        self.show(question);
        loop {
            let log = || self.queue.with(|queue| queue.log().path().to_path_buf());
            let key = self.keys.next().map_err(|error| error.going_on_from(Some(log())))?;
            let Some(key) = key else { return Ok(false) };
            let (name, id) = (self.name, question.id.as_str());
            let answer = match key.to_ascii_lowercase() {
                'q' => return Ok(false),
                'i' => {
                    self.write(&format!("\n{}\n\n{KEYS}\n", sanitize(self.instructions.trim())));
                    self.show(question);
                    continue;
                }
                's' => {
                    self.queue.with(|queue| queue.skip(name, id))?;
                    return Ok(true);
                }
                'u' => match self.queue.with(|queue| queue.undo(name, unix_seconds())) {
                    Err(nothing @ Error::Usage { .. }) => {
                        self.write(&format!("{nothing}\n"));
                        continue;
                    }
                    undone => return undone.map(|()| true),
                },
                '0' => Answer::CannotTell,
                key => match key.to_digit(10).map(|digit| digit as usize) {
                    Some(number) if number <= question.order.len() => Answer::Best(number - 1),
                    _ if key.is_whitespace() => continue,
                    _ => {
                        self.write(&format!("{KEYS}; here 1-{} choose\n> ", question.order.len()));
                        continue;
                    }
                },
            };
            let attribution = Attribution {
                labeler: name.into(),
                ms: u64::try_from(shown_at.elapsed().as_millis()).ok(),
                at: unix_seconds(),
            };
            self.queue.with(|queue| queue.answer(id, answer, attribution))?;
            self.write(&format!("{key}\n"));
            return Ok(true);
        }
    }

    fn show(&mut self, question: &Question) {
        let progress = self.queue.with(|queue| queue.progress(self.name));
        let mut text = format!("\n{}\n\n  {}\n\n", describe(&progress), indented(&question.query));
        for (number, response) in (1..).zip(question.shown()) {
            text.push_str(&format!("{number} {}\n", indented(response.trim())));
        }
        text.push_str("> ");
        self.write(&text);
    }

    /// Writes text and ignores errors: a terminal that is gone is noticed when its keys are read.
    fn write(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).and_then(|()| self.screen.flush()).ok();
    }
}

fn indented(text: &str) -> String {
    sanitize(text).replace('\n', "\n  ")
}

/// Describes the progress of labelling in one line.
fn describe(progress: &LabelProgress) -> String {
    let LabelProgress { unit, labels, wanted, yours, .. } = progress;
    let mut line = format!("{labels} of {wanted} {unit}, {yours} yours");
    if let Some(seconds) = progress.seconds_a_label {
        line.push_str(&format!(", {seconds:.1} s each"));
    }
    let agreements = [("with yourself", progress.agreement_with_self), ("among all", progress.agreement_of_all)];
    for (whose, agreement) in agreements {
        if let Some(rate) = agreement.rate() {
            line.push_str(&format!(", agreement {whose} {:.0}% of {}", 100.0 * rate, agreement.pairs));
        }
    }
    line
}
