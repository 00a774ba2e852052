//! A program in any language that answers each line of JSON with a line of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::interrupt::Interrupt;
use crate::error::{Error, Result};
use crate::json;

/// Time between two checks for an interruption while waiting for an answer.
const LOOK: Duration = Duration::from_millis(100);

/// A question to the program: one line of JSON.
#[derive(Debug, Serialize)]
struct Asked<'a> {
    query: &'a str,
    responses: &'a [String],
}

/// A running program that reads lines such as `{"query": "…", "responses": ["…", "…"]}` and writes one line for
/// each, in the same order. The program ends when its input ends, and at the latest when this value is dropped.
pub struct ExternalCommand {
    command: String,
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<std::io::Result<String>>,
    timeout: Duration,
    interrupt: Interrupt,
    answered: usize,
}

impl ExternalCommand {
    /// Starts the command with the shell of the system. `timeout` is the longest time for one answer.
    ///
    /// # Errors
    /// [`Error::Failed`] when no process can be started.
    pub fn start(command: &str, timeout: Duration, interrupt: Interrupt) -> Result<Self> {
        let mut shell = shell(command);
        let spawned = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let failed = |error: &dyn std::fmt::Display| {
            Error::failed(format!("cannot start the command {command:?}: {error}"), "check that it runs by itself")
        };
        let mut child = spawned.map_err(|error| failed(&error))?;
        let (sender, answers) = channel();
        let output = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        std::thread::spawn(move || {
            // The thread ends when the receiver was dropped.
            BufReader::new(output).lines().try_for_each(|line| sender.send(line))
        });
        let input = child.stdin.take();
        Ok(Self { command: command.into(), child, input, answers, timeout, interrupt, answered: 0 })
    }

    /// Asks one question and returns the answer.
    ///
    /// # Errors
    /// [`Error::Failed`] when the program ends, answers something other than JSON, or is silent for too long;
    /// [`Error::Interrupted`] when a stop is requested meanwhile.
    pub fn ask(&mut self, query: &str, responses: &[String]) -> Result<Value> {
        let asked = serde_json::to_string(&Asked { query, responses });
        let line = asked.map_err(json::not_written)? + "\n";
        let written = self.input.as_mut().map(|input| input.write_all(line.as_bytes()).and_then(|()| input.flush()));
        if !matches!(written, Some(Ok(()))) {
            return Err(self.ended());
        }
        let answer = self.wait()?;
        self.answered += 1;
        json::from_slice(answer.as_bytes()).map_err(|_| self.wrong(&answer, "one line of JSON"))
    }

    /// Makes the error for an answer that has the wrong form.
    pub fn wrong(&self, answer: &dyn std::fmt::Display, expected: &str) -> Error {
        Error::failed(
            format!("the command {:?} answered question {} with {answer}", self.command, self.answered),
            format!("it must answer each question with {expected}, on a line of its own"),
        )
    }

    fn wait(&mut self) -> Result<String> {
        let asked = Instant::now();
        loop {
            match self.answers.recv_timeout(LOOK.min(self.timeout)) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(self.wrong(&error, "one line of JSON in UTF-8")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) if self.interrupt.requested() => {
                    return Err(Error::Interrupted { checkpoint: None });
                }
                Err(RecvTimeoutError::Timeout) if asked.elapsed() < self.timeout => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::failed(
                        format!("the command {:?} was silent for {} s", self.command, self.timeout.as_secs_f64()),
                        "let it write each answer at once (flush its output), or raise --command-timeout",
                    ));
                }
            }
        }
    }

    fn ended(&mut self) -> Error {
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Error::failed(
            format!("the command {:?} ended after {} answers ({how})", self.command, self.answered),
            "let it read questions until its input ends; its own messages are above",
        )
    }
}

impl Drop for ExternalCommand {
    fn drop(&mut self) {
        // A program that reads to the end of its input ends by itself; any other is killed.
        drop(self.input.take());
        let closed = Instant::now();
        while closed.elapsed() < Duration::from_secs(1) {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Makes the command of a shell in a process group of its own, so that Ctrl-C reaches this program alone.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn start(command: &str, seconds: f64) -> ExternalCommand {
        ExternalCommand::start(command, Duration::from_secs_f64(seconds), Interrupt::new()).unwrap()
    }

    #[test]
    fn each_question_is_answered_by_a_line() {
        let mut echo = start("cat", 10.0);
        for number in 0..3 {
            let query = format!("“{number}”\n");
            let answer = echo.ask(&query, &["a".into(), "b".into()]).unwrap();
            assert_eq!(answer, serde_json::json!({ "query": query, "responses": ["a", "b"] }));
        }
    }

    #[test]
    fn a_crash_a_wrong_answer_and_silence_are_errors_that_name_the_command() {
        for (command, seconds, says) in [
            ("read line; echo 1; read line; exit 3", 10.0, "ended after 1 answers (exit status: 3)"),
            ("kill -9 $$", 10.0, "ended after 0 answers (signal: 9"),
            ("no-such-program", 10.0, "ended after 0 answers (exit status: 127)"),
            ("read line; echo 1; read line; echo one", 10.0, "answered question 2 with one"),
            ("sleep 60", 0.3, "was silent for 0.3 s"),
        ] {
            let mut program = start(command, seconds);
            let error = (0..2).find_map(|_| program.ask("q", &[]).err()).unwrap();
            assert!(error.to_string().contains(&format!("{command:?}")), "{error}");
            assert!(error.to_string().contains(says) && !error.hint().is_empty(), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn an_interruption_does_not_wait_for_an_answer() {
        let interrupt = Interrupt::new();
        let mut silent = ExternalCommand::start("sleep 60", Duration::from_secs(60), interrupt.clone()).unwrap();
        interrupt.request();
        assert!(matches!(silent.ask("q", &[]), Err(Error::Interrupted { .. })));
    }
}
