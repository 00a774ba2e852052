//! Progress of long tasks, on stderr; no other module of the library writes to stderr.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bar::Bar;
use crate::sanitize::{sanitize_line, sanitize_message};

/// Time between two lines where a bar cannot be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Time without a count after which a line says that the task is still at work: a step of a large model takes minutes.
const STILL_EVERY: Duration = Duration::from_secs(40);

/// The unit of downloads, shown in kB, MB or GB. A total of 0 bytes means an unknown total.
pub(crate) const BYTES: &str = "bytes";

/// The choice to show progress or to be quiet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// A bar on a terminal, a line from time to time elsewhere.
    #[default]
    Shown,
    /// No progress.
    Quiet,
}

impl Mode {
    /// Writes a line to stderr, unless the mode is [`Self::Quiet`].
    pub fn say(self, line: &str) {
        if self == Self::Shown {
            write_line(line);
        }
    }
}

/// The progress of one task.
#[derive(Debug)]
pub struct Progress {
    count: Count,
    started: Instant,
    message: String,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Bar(Bar),
    Lines { last: Instant, watch: Watch },
    Nothing,
}

/// A thread that says from time to time that a task is still at work, while nothing is counted.
#[derive(Debug)]
struct Watch {
    /// Time of the last count, and the text to write.
    seen: Arc<Mutex<(Instant, String)>>,
    /// Sender whose drop ends the thread.
    _alive: Sender<()>,
}

impl Watch {
    fn begin(said: String) -> Self {
        let seen = Arc::new(Mutex::new((Instant::now(), said)));
        let (alive, ended) = channel();
        let watched = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut last_told = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(STILL_EVERY / 4) {
                let (at, said) = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if at.elapsed().min(last_told.elapsed()) >= STILL_EVERY {
                    last_told = Instant::now();
                    write_line(&format!("{said}, still at work after {}", duration(at.elapsed().as_secs_f64())));
                }
            }
        });
        Self { seen, _alive: alive }
    }

    fn saw(&self, said: String) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), said);
    }
}

impl Progress {
    /// Begins a task named `what`, of `total` units such as `updates`.
    ///
    /// The bar on a terminal has no colours, so that `NO_COLOR` changes nothing.
    pub fn new(what: &str, total: u64, unit: &str, mode: Mode) -> Self {
        Self::resumed(what, 0, total, unit, mode)
    }

    /// Begins a task of which `done` units were done before. The rate and the time left come from the units after them.
    pub fn resumed(what: &str, done: u64, total: u64, unit: &str, mode: Mode) -> Self {
        let count = Count { what: sanitize_line(what), unit: unit.into(), done, total, done_before: done };
        let started = Instant::now();
        let display = display(&count, mode, started);
        let progress = Self { count, started, message: String::new(), display };
        match &progress.display {
            Display::Lines { .. } => write_line(&progress.count.to_string()),
            _ => progress.redraw(),
        }
        progress
    }

    /// Counts `units` more as done.
    pub fn advance(&mut self, units: u64) {
        self.reach(self.count.done.saturating_add(units));
    }

    /// Sets the number of units that are done, which falls when people take answers back.
    pub fn reach(&mut self, done: u64) {
        self.count.done = done;
        self.redraw();
        let more_to_come = self.count.done < self.count.total || self.count.total == 0;
        if let Display::Lines { last, watch } = &mut self.display {
            watch.saw(self.count.to_string());
            if last.elapsed() >= LINE_EVERY && more_to_come {
                *last = Instant::now();
                write_line(&self.count.line(self.started.elapsed(), &self.message));
            }
        }
    }

    /// Sets the text at the end of the line, such as `loss 2.31`.
    pub fn message(&mut self, message: impl Into<String>) {
        self.message = sanitize_line(&message.into());
        self.redraw();
    }

    /// Hides the bar while `work` runs, so that `work` may print.
    pub fn suspend<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.display {
            Display::Bar(bar) => bar.suspend(work),
            _ => work(),
        }
    }

    /// Ends the task, and leaves its last count on the screen.
    pub fn finish(self) {
        match &self.display {
            Display::Bar(bar) => bar.finish(),
            Display::Lines { .. } => write_line(&self.count.line(self.started.elapsed(), &self.message)),
            Display::Nothing => {}
        }
    }

    fn redraw(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.show(self.count.done, self.count.status(self.started.elapsed(), &self.message));
        }
    }
}

fn display(count: &Count, mode: Mode, started: Instant) -> Display {
    // A bar leaves something on the terminal even if it is dropped at once.
    if mode == Mode::Quiet {
        return Display::Nothing;
    }
    match Bar::on_terminal(&count.what, count.total) {
        Some(bar) => Display::Bar(bar),
        None => Display::Lines { last: started, watch: Watch::begin(count.to_string()) },
    }
}

/// Writes a line to stderr. Unlike `eprintln!`, this does not panic when nobody reads stderr, and text from
/// elsewhere cannot control the terminal.
pub(super) fn write_line(line: &str) {
    writeln!(std::io::stderr(), "{}", sanitize_message(line)).ok();
}

/// The state of a task, for its line of text.
#[derive(Debug)]
struct Count {
    what: String,
    unit: String,
    done: u64,
    total: u64,
    done_before: u64,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.amount())
    }
}

impl Count {
    fn line(&self, elapsed: Duration, message: &str) -> String {
        format!("{}: {}", self.what, self.status(elapsed, message))
    }

    fn amount(&self) -> String {
        match (self.unit.as_str(), self.total) {
            (BYTES, 0) => bytes(self.done),
            (BYTES, total) => format!("{} of {}", bytes(self.done), bytes(total)),
            (unit, total) => format!("{}/{total} {unit}", self.done),
        }
    }

    fn status(&self, elapsed: Duration, message: &str) -> String {
        let mut parts = vec![self.amount()];
        let secs = elapsed.as_secs_f64();
        let done_since = self.done.saturating_sub(self.done_before) as f64;
        if done_since > 0.0 && secs > 0.0 {
            let left = self.total.saturating_sub(self.done);
            parts.push(match self.unit.as_str() {
                BYTES => format!("{}/s", bytes((done_since / secs) as u64)),
                _ => rate(done_since / secs),
            });
            parts.push(match left {
                0 => format!("took {}", duration(secs)),
                _ => format!("{} left", duration(left as f64 * secs / done_since)),
            });
        }
        if !message.is_empty() {
            parts.push(message.into());
        }
        parts.join(", ")
    }
}

/// Formats a number of bytes, such as `12.3 MB`, in powers of 1,000 as disks and networks are measured.
fn bytes(count: u64) -> String {
    let scaled = |unit: f64| count as f64 / unit;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", scaled(1e6)),
        _ => format!("{:.2} GB", scaled(1e9)),
    }
}

/// Formats a rate in units per second, or for a slow task in seconds per unit.
fn rate(per_sec: f64) -> String {
    match per_sec {
        100.0.. => format!("{per_sec:.0}/s"),
        1.0.. => format!("{per_sec:.1}/s"),
        _ => format!("{:.1} s each", 1.0 / per_sec),
    }
}

fn duration(secs: f64) -> String {
    let secs = secs.round() as u64;
    let (hours, minutes) = (secs / 3600, secs % 3600 / 60);
    match (hours, minutes) {
        (0, 0) => format!("{secs} s"),
        (0, _) => format!("{minutes} min {:02} s", secs % 60),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(done_before: u64, done: u64, total: u64) -> Count {
        Count { what: "policy".into(), unit: "updates".into(), done, total, done_before }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let line = count(0, 10, 30).line(Duration::from_secs(125), "score 0.31");
        assert_eq!(line, "policy: 10/30 updates, 12.5 s each, 4 min 10 s left, score 0.31");
        let line = count(0, 30, 30).line(Duration::from_secs(3_700), "");
        assert_eq!(line, "policy: 30/30 updates, 123.3 s each, took 1 h 01 min");
    }

    #[test]
    fn what_was_done_before_a_resume_does_not_count_as_fast() {
        let line = count(1_000, 1_020, 1_100).line(Duration::from_secs(10), "");
        assert_eq!(line, "policy: 1020/1100 updates, 2.0/s, 40 s left");
    }

    #[test]
    fn nothing_done_is_no_division_by_zero() {
        assert_eq!(count(0, 0, 0).line(Duration::ZERO, ""), "policy: 0/0 updates");
        assert_eq!(count(5, 5, 9).line(Duration::from_secs(1), ""), "policy: 5/9 updates");
        assert_eq!(count(0, 9, 5).line(Duration::from_secs(3), ""), "policy: 9/5 updates, 3.0/s, took 3 s");
    }

    #[test]
    fn bytes_are_shown_as_people_read_them() {
        let count = |done, total| Count { unit: BYTES.into(), ..count(0, done, total) };
        let line = |done, total| count(done, total).line(Duration::from_secs(10), "");
        assert_eq!(line(12_340_000, 548_105_171), "policy: 12.3 MB of 548.1 MB, 1.2 MB/s, 7 min 14 s left");
        assert_eq!(line(665, 665), "policy: 665 B of 665 B, 66 B/s, took 10 s");
        assert_eq!(line(40_000, 0), "policy: 40.0 kB, 4.0 kB/s, took 10 s");
        assert_eq!(count(0, 6_431_829_964).to_string(), "policy: 0 B of 6.43 GB");
    }

    #[test]
    fn quiet_is_quiet() {
        let mut progress = Progress::new("policy", 2, "updates", Mode::Quiet);
        progress.advance(1);
        progress.message("score 0.31");
        assert!(matches!(progress.display, Display::Nothing));
        assert_eq!(progress.suspend(|| 5), 5);
        progress.finish();
    }
}
