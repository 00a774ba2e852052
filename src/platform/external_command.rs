//! A program in any language that answers each line of JSON with a line of JSON.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::interrupt::{BETWEEN_CHECKS, Interrupt};
use crate::error::{Error, Result};
use crate::json;

/// Longest answer in bytes: a program that writes no line feed must not fill the memory.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Time in which a program must end once its input or output is closed, before it is killed.
const TIME_TO_END: Duration = Duration::from_secs(1);

/// Number of answers at the start after which the program waits for a surplus line, and for how long. A program that
/// writes more than one line for a question does so from the start.
const ANSWERS_CHECKED: usize = 3;
const TIME_FOR_SURPLUS: Duration = Duration::from_millis(50);

/// A question to the program: one line of JSON.
#[derive(Debug, Serialize)]
struct Asked<'a> {
    query: &'a str,
    responses: &'a [String],
}

/// Report of the thread that writes to the program or of the one that reads from it.
enum Event {
    Answer(io::Result<String>),
    /// The program reads no more, or writes no more.
    Closed,
}

/// A running program that reads lines such as `{"query": "…", "responses": ["…", "…"]}` and writes one line for
/// each, in the same order. The program ends when its input ends, and at the latest when this value is dropped.
pub struct ExternalCommand {
    command: String,
    child: Child,
    questions: Option<Sender<String>>,
    events: Receiver<Event>,
    timeout: Duration,
    interrupt: Interrupt,
    asked: usize,
    answered: usize,
    /// True if the program is known to read or write no more.
    closed: bool,
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
        let (questions, to_write) = channel();
        // One line is read ahead, so that a program that never stops writing waits.
        let (sender, events) = sync_channel(1);
        let input = child.stdin.take().ok_or_else(|| failed(&"it has no input"))?;
        let output = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let of_writer = sender.clone();
        // The threads end when this value is dropped and the program has ended.
        std::thread::spawn(move || write_questions(input, &to_write, &of_writer));
        std::thread::spawn(move || read_answers(output, &sender));
        Ok(Self {
            command: command.into(),
            child,
            questions: Some(questions),
            events,
            timeout,
            interrupt,
            asked: 0,
            answered: 0,
            closed: false,
        })
    }

    /// Asks one question and returns the answer.
    ///
    /// # Errors
    /// [`Error::Failed`] when the program ends, answers something other than JSON, writes a line that was not asked
    /// for, or is silent for too long; [`Error::Interrupted`] when a stop is requested meanwhile.
    pub fn ask(&mut self, query: &str, responses: &[String]) -> Result<Value> {
        let asked = serde_json::to_string(&Asked { query, responses });
        let line = asked.map_err(json::not_written)? + "\n";
        self.refuse_surplus(self.events.try_recv().ok())?;
        if self.closed {
            return Err(self.ended());
        }
        // If the thread that writes has ended, it has reported why.
        self.questions.as_ref().map(|questions| questions.send(line));
        self.asked += 1;
        let answer = self.wait()?;
        self.answered += 1;
        if self.answered <= ANSWERS_CHECKED {
            self.refuse_surplus(self.events.recv_timeout(TIME_FOR_SURPLUS).ok())?;
        }
        json::from_slice(answer.as_bytes()).map_err(|_| self.wrong(&answer, "one line of JSON"))
    }

    /// Checks that the program reported no line while it had no question. Until this error, its answers may have
    /// belonged to other questions.
    fn refuse_surplus(&mut self, event: Option<Event>) -> Result<()> {
        let answer = match event {
            None => return Ok(()),
            Some(Event::Closed) => {
                self.closed = true;
                return Ok(());
            }
            Some(Event::Answer(answer)) => answer,
        };
        let line = answer.unwrap_or_else(|error| error.to_string());
        Err(Error::failed(
            format!(
                "the command {:?} wrote a line that belongs to no question: {line} (questions asked: {})",
                self.command, self.asked
            ),
            "it must write one line for each question, and nothing else; its answers until now may belong to other \
             questions",
        ))
    }

    /// Makes the error for an answer that has the wrong form.
    pub fn wrong(&self, answer: &dyn std::fmt::Display, expected: &str) -> Error {
        Error::failed(
            format!("the command {:?} answered question {} with {answer}", self.command, self.asked),
            format!("it must answer each question with {expected}, on a line of its own"),
        )
    }

    fn wait(&mut self) -> Result<String> {
        let asked = Instant::now();
        loop {
            match self.events.recv_timeout(BETWEEN_CHECKS.min(self.timeout)) {
                Ok(Event::Answer(Ok(answer))) => return Ok(answer),
                Ok(Event::Answer(Err(error))) => return Err(self.wrong(&error, "one line of JSON in UTF-8")),
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
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

    /// Makes the error for a program that no longer reads or writes.
    fn ended(&mut self) -> Error {
        let how = match self.wait_for_end() {
            Some(Ok(status)) => format!("ended after {} answers ({status})", self.answered),
            Some(Err(error)) => format!("ended after {} answers ({error})", self.answered),
            None => format!("closed its input or its output after {} answers", self.answered),
        };
        Error::failed(
            format!("the command {:?} {how}", self.command),
            "let it read questions until its input ends; its own messages are above",
        )
    }

    /// Returns how the program ended, or `None` if it runs on.
    fn wait_for_end(&mut self) -> Option<io::Result<std::process::ExitStatus>> {
        let closed = Instant::now();
        while closed.elapsed() < TIME_TO_END {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) => return Some(Ok(status)),
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

impl Drop for ExternalCommand {
    fn drop(&mut self) {
        // A program that reads to the end of its input ends by itself; any other is killed.
        drop(self.questions.take());
        if self.wait_for_end().is_none() {
            kill(&mut self.child);
            self.child.wait().ok();
        }
        if let Ok(Event::Answer(Ok(line))) = self.events.recv_timeout(TIME_FOR_SURPLUS)
            && !self.interrupt.requested()
        {
            tracing::warn!(
                "the command {:?} wrote a line after its last answer: {line}; its answers may belong to other questions",
                self.command
            );
        }
    }
}

/// Writes each question to the program, until there are no more or the program reads no more.
fn write_questions(mut input: ChildStdin, questions: &Receiver<String>, events: &SyncSender<Event>) {
    for question in questions {
        if input.write_all(question.as_bytes()).and_then(|()| input.flush()).is_err() {
            events.send(Event::Closed).ok();
            return;
        }
    }
}

/// Reports each line that the program writes, until its output ends, a line cannot be read, or nobody listens.
fn read_answers(output: ChildStdout, events: &SyncSender<Event>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = match output.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut line) {
            Ok(0) => {
                events.send(Event::Closed).ok();
                return;
            }
            Ok(bytes) if bytes as u64 == LONGEST_ANSWER && line.last() != Some(&b'\n') => {
                let what = format!("more than {LONGEST_ANSWER} bytes without a line feed");
                Err(io::Error::new(ErrorKind::InvalidData, what))
            }
            Ok(_) => {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
                String::from_utf8(text).map_err(|_| io::Error::new(ErrorKind::InvalidData, "bytes that are not UTF-8"))
            }
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if events.send(Event::Answer(read)).is_err() || is_last {
            return;
        }
    }
}

/// Ends the program with all processes that it started.
#[cfg(unix)]
fn kill(child: &mut Child) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    match i32::try_from(child.id()) {
        Ok(group) => killpg(Pid::from_raw(group), Signal::SIGKILL).ok(),
        Err(_) => child.kill().ok(),
    };
}

#[cfg(not(unix))]
fn kill(child: &mut Child) {
    child.kill().ok();
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
            ("read line; echo 1; exit 3", 10.0, "ended after 1 answers (exit status: 3)"),
            ("kill -9 $$", 10.0, "ended after 0 answers (signal: 9"),
            ("no-such-program", 10.0, "ended after 0 answers (exit status: 127)"),
            ("read line; echo 1; read line; echo one", 10.0, "answered question 2 with one"),
            ("sleep 60", 0.3, "was silent for 0.3 s"),
            ("exec 0<&-; exec 1>&-; sleep 60", 10.0, "closed its input or its output after 0 answers"),
            ("printf '\\377\\n'; cat", 10.0, "answered question 1 with bytes that are not UTF-8"),
            ("tr '\\0' 1 </dev/zero", 10.0, "answered question 1 with more than 1048576 bytes without a line feed"),
            ("while read line; do echo 1; echo 2; done", 10.0, "belongs to no question: 2 (questions asked: 1)"),
            ("echo ready; while read line; do echo 1; done", 10.0, "belongs to no question: 1 (questions asked: 1)"),
            ("yes", 10.0, "belongs to no question: y"),
        ] {
            let mut program = start(command, seconds);
            let error = (0..2).find_map(|_| program.ask("q", &[]).err()).unwrap();
            assert!(error.to_string().contains(&format!("{command:?}")), "{error}");
            assert!(error.to_string().contains(says) && !error.hint().is_empty(), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn a_question_that_nobody_reads_is_waited_for_no_longer_than_an_answer() {
        let mut silent = start("sleep 60", 0.3);
        let asked = Instant::now();
        let error = silent.ask(&"long ".repeat(100_000), &[]).unwrap_err();
        assert!(error.to_string().contains("was silent for 0.3 s"), "{error}");
        drop(silent);
        assert!(asked.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_programs_that_a_command_started_end_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive");
        let mut shell = start(&format!("(while sleep 0.1; do date >> {}; done) & wait", file.display()), 0.5);
        shell.ask("q", &[]).unwrap_err();
        drop(shell);
        let length = || std::fs::metadata(&file).unwrap().len();
        let then = length();
        std::thread::sleep(Duration::from_millis(500));
        assert!(then > 0 && length() == then);
    }

    #[test]
    fn an_interruption_does_not_wait_for_an_answer() {
        let interrupt = Interrupt::new();
        let mut silent = ExternalCommand::start("sleep 60", Duration::from_secs(60), interrupt.clone()).unwrap();
        interrupt.request();
        assert!(matches!(silent.ask("q", &[]), Err(Error::Interrupted { .. })));
    }
}
