//! Queue that several threads share: those that take answers, and the one that makes questions.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::LabelQueue;

/// A [`LabelQueue`] behind a lock.
#[derive(Debug)]
pub struct SharedQueue {
    queue: Mutex<LabelQueue>,
    touched: Condvar,
}

impl SharedQueue {
    pub fn new(queue: LabelQueue) -> Self {
        Self { queue: Mutex::new(queue), touched: Condvar::new() }
    }

    /// Runs `work` on the queue while no other thread uses it.
    pub fn with<T>(&self, work: impl FnOnce(&mut LabelQueue) -> T) -> T {
        // A thread that panicked left the queue as it was before or after an answer, because each answer is one write.
        let result = work(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        self.touched.notify_all();
        result
    }

    /// Waits until another thread has used the queue, or until `at_most` has passed.
    pub fn wait(&self, at_most: Duration) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.touched.wait_timeout(queue, at_most));
    }

    /// Returns the queue without its lock.
    pub fn into_inner(self) -> LabelQueue {
        self.queue.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
