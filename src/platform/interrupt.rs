//! Requests to stop, made by signals and by people, and checked by loops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// Time between two checks of an interrupt while another thread or program works.
pub(crate) const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

const AFTER_THIS_STEP: u8 = 1;
const AT_ONCE: u8 = 2;

/// A request to stop that all clones share. Loops look at [`Self::requested`] where they can stop and lose
/// nothing. Sampling, scoring, policy and reward training also call [`Self::check`] before each micro-batch and
/// each sampled token.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// Makes an interrupt that only calls of its methods raise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a stop after the step under way; true if a stop was requested before.
    pub fn request(&self) -> bool {
        self.0.fetch_max(AFTER_THIS_STEP, Ordering::Relaxed) > 0
    }

    /// Requests a stop at once, which discards the step under way.
    pub fn request_at_once(&self) {
        self.0.fetch_max(AT_ONCE, Ordering::Relaxed);
    }

    /// Checks whether a stop was requested.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Checks that no stop at once was requested.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when a stop at once was requested.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            AT_ONCE => Err(Error::Interrupted { checkpoint: None }),
            _ => Ok(()),
        }
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

    #[test]
    fn only_a_request_at_once_gives_the_step_up_and_nothing_takes_it_back() {
        let interrupt = Interrupt::new();
        interrupt.request();
        assert!(interrupt.check().is_ok());
        interrupt.request_at_once();
        assert!(interrupt.request() && interrupt.requested() && interrupt.check().is_err());
    }
}
