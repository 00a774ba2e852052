//! The wish to stop: a flag that signals raise and loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::progress::write_line;
use crate::error::{Error, Result};

/// The exit code of a program that the user interrupted: 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// A flag that all its clones share; a loop looks at it where it can stop and lose nothing.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that only [`Self::request`] raises.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that Ctrl-C raises, or a request to terminate; a second one ends the program at
    /// once with exit code 130.
    ///
    /// Fails if the process has such a handler already.
    pub fn install() -> Result<Self> {
        let interrupt = Self::new();
        let raised = interrupt.clone();
        ctrlc::set_handler(move || {
            if raised.request() {
                std::process::exit(INTERRUPTED);
            }
            write_line("stopping after this step; once more stops at once");
        })
        .map_err(|error| Error::failed(format!("cannot watch for Ctrl-C: {error}"), ""))?;
        Ok(interrupt)
    }

    /// Raises the flag; true if it was raised before.
    pub fn request(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether the flag is raised.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

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
}
