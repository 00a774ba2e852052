//! Signals: Ctrl-C and requests to terminate raise an [`Interrupt`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interrupt::Interrupt;
use super::progress::write_line;
use crate::error::{Error, Result};

/// The exit code of a program that the user interrupted: 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Time after a first signal during which further ones are ignored: `timeout` sends one signal to the program
/// and one to its process group.
const SAME_WISH: Duration = Duration::from_millis(500);

impl Interrupt {
    /// Makes an interrupt that Ctrl-C or a request to terminate raises. A second signal, half a second later or
    /// more, ends the program at once with exit code 130.
    ///
    /// Fails if the process has a handler for these signals already.
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
            write_line("stopping after this step; press Ctrl-C again to stop at once");
        })
        .map_err(|error| Error::failed(format!("cannot watch for Ctrl-C: {error}"), ""))?;
        Ok(interrupt)
    }
}

/// Turns a write beyond the limit on the size of files (`ulimit -f`) into an error. Without this call, a signal
/// would end the program without a message.
#[cfg(unix)]
pub(crate) fn outlive_file_size_limit() {
    // If this fails, the signal keeps its default effect.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::<std::sync::atomic::AtomicBool>::default()).ok();
}

/// Does nothing: only Unix has this signal.
#[cfg(not(unix))]
pub(crate) fn outlive_file_size_limit() {}
