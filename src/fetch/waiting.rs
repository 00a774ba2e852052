//! Waits that an interruption ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::fetch_error::FetchError;
use crate::platform::interrupt::Interrupt;

/// Time between two checks whether the user asked to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Waits for the next message; returns `None` if there will be none.
pub(super) fn wait<T>(receiver: &Receiver<T>, interrupt: &Interrupt) -> std::result::Result<Option<T>, FetchError> {
    loop {
        if interrupt.requested() {
            return Err(FetchError::Interrupted);
        }
        match receiver.recv_timeout(GLANCE) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Sleeps, unless the user asks to stop.
pub(super) fn sleep(length: Duration, interrupt: &Interrupt) -> std::result::Result<(), FetchError> {
    let began = std::time::Instant::now();
    while let Some(left) = length.checked_sub(began.elapsed()) {
        if interrupt.requested() {
            return Err(FetchError::Interrupted);
        }
        std::thread::sleep(left.min(GLANCE));
    }
    Ok(())
}
