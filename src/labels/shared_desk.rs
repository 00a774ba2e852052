//! A desk that several threads sit at: those who answer, and the one that draws questions.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::desk::Desk;

/// A [`Desk`] behind a lock.
#[derive(Debug)]
pub struct SharedDesk {
    desk: Mutex<Desk>,
    touched: Condvar,
}

impl SharedDesk {
    pub fn new(desk: Desk) -> Self {
        Self { desk: Mutex::new(desk), touched: Condvar::new() }
    }

    /// Does `work` while nobody else is at the desk.
    pub fn with<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        // A panic elsewhere leaves the desk as it was before or after an answer: each is one write.
        let result = work(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner));
        self.touched.notify_all();
        result
    }

    /// Returns when somebody was at the desk, or after a while.
    pub fn wait(&self, at_most: Duration) {
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.touched.wait_timeout(desk, at_most));
    }

    /// Ends the sharing.
    pub fn into_inner(self) -> Desk {
        self.desk.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
