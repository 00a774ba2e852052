//! The wish to stop: raised by signals and by people, looked at by loops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::progress::write_line;
use crate::error::{Error, Result};

/// The exit code of a program that the user interrupted: 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Signals that come so soon after the first are the same wish: `timeout` sends one to the program and one to
/// its group.
const SAME_WISH: Duration = Duration::from_millis(500);

const AFTER_THIS_STEP: u8 = 1;
const AT_ONCE: u8 = 2;

/// A wish that all its clones share, and how strong it is. Loops look at [`Self::requested`] where they can
/// stop and lose nothing; sampling, scoring, policy and reward learning also [`Self::check`] before each pass
/// through a model.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// One that only its requests raise.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that Ctrl-C raises, or a request to terminate; a second one, half a second later or more, ends
    /// the program at once with exit code 130.
    ///
    /// Fails if the process has such a handler already.
    pub fn install() -> Result<Self> {
        let interrupt = Self::new();
        let raised = interrupt.clone();
        let mut first: Option<Instant> = None;
        ctrlc::set_handler(move || {
            if first.is_some_and(|first| first.elapsed() < SAME_WISH) {
                return;
            }
            if raised.request() {
                write_line("stopped at once; what was kept before is intact");
                std::process::exit(INTERRUPTED);
            }
            first = Some(Instant::now());
            write_line("stopping after this step; once more stops at once");
        })
        .map_err(|error| Error::failed(format!("cannot watch for Ctrl-C: {error}"), ""))?;
        Ok(interrupt)
    }

    /// Asks for a stop after the step under way; true if a stop was asked for before.
    pub fn request(&self) -> bool {
        self.0.fetch_max(AFTER_THIS_STEP, Ordering::Relaxed) > 0
    }

    /// Asks for a stop that gives the step under way up.
    pub fn request_at_once(&self) {
        self.0.fetch_max(AT_ONCE, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Goes on, unless the step under way is to be given up.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            AT_ONCE => Err(Error::Interrupted { checkpoint: None }),
            _ => Ok(()),
        }
    }
}

/// From here on, a file that would grow beyond the limit on the size of files (`ulimit -f`) is an error of
/// whoever writes it. Without this, the signal that comes first would end the program without a word.
#[cfg(unix)]
pub fn outlive_file_size_limit() {
    // Where that fails, it is as it was without.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::<std::sync::atomic::AtomicBool>::default()).ok();
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub fn outlive_file_size_limit() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_every_clone_and_the_second_is_known_as_such() {
        let interrupt = Interrupt::new();
        let seen_by_loop = interrupt.clone();
        assert!(!seen_by_loop.requested());
        assert!(!interrupt.request());
        assert!(seen_by_loop.requested());
        assert!(interrupt.request());
    }

    #[test]
    fn only_a_request_at_once_gives_the_step_up_and_nothing_takes_it_back() {
        let interrupt = Interrupt::new();
        interrupt.request();
        assert!(interrupt.check().is_ok());
        interrupt.request_at_once();
        assert!(interrupt.request() && interrupt.requested() && interrupt.check().is_err());
    }
}
