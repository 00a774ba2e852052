//! Inference on a batch in micro-batches, without gradients.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;

use crate::device::parallel::{ALL_CORES, in_parts};
use crate::error::{Error, Result};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::Progress;

/// Micro-batches of inference: their size, and the interrupt that stops the work between them.
#[derive(Debug)]
pub struct MicroBatches {
    pub rows_at_once: usize,
    pub interrupt: Interrupt,
    progress: Option<Mutex<Progress>>,
    /// True if any request to stop ends the work, not only a request to stop at once.
    end_at_any_wish: bool,
}

impl MicroBatches {
    /// Creates micro-batches of `rows_at_once` rows that nothing interrupts.
    pub fn of(rows_at_once: usize) -> Self {
        Self::until(&Interrupt::new(), rows_at_once)
    }

    /// Creates micro-batches of `rows_at_once` rows that `interrupt` stops.
    pub fn until(interrupt: &Interrupt, rows_at_once: usize) -> Self {
        Self { rows_at_once, interrupt: interrupt.clone(), progress: None, end_at_any_wish: false }
    }

    /// Creates micro-batches that show `progress` and end at any new request to stop. A request made before
    /// this call does not end them: it takes effect after the step that follows.
    pub fn watched(interrupt: &Interrupt, rows_at_once: usize, progress: Progress) -> Self {
        let end_at_any_wish = !interrupt.requested();
        Self { progress: Some(Mutex::new(progress)), end_at_any_wish, ..Self::until(interrupt, rows_at_once) }
    }

    /// Ends the progress, if it is shown.
    pub fn finish(self) {
        if let Some(progress) = self.progress {
            progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
        }
    }

    fn passed(&self, rows: usize) -> Result<()> {
        if let Some(progress) = &self.progress {
            progress.lock().unwrap_or_else(PoisonError::into_inner).advance(rows as u64);
        }
        if self.end_at_any_wish && self.interrupt.requested() {
            Err(Error::Interrupted { checkpoint: None })
        } else {
            Ok(())
        }
    }

    /// Returns the results of `pass` for each micro-batch of `rows` rows, in order.
    ///
    /// # Errors
    /// The first error of `pass`, and [`Error::Interrupted`] when a request to stop ends the work.
    pub fn over<T: Send>(
        &self,
        device: &Device,
        rows: usize,
        pass: impl Fn(Range<usize>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let parts = in_parts(device, rows, ALL_CORES, |part| -> Result<Vec<T>> {
            let mut all = Vec::new();
            for first in part.clone().step_by(self.rows_at_once) {
                self.interrupt.check()?;
                let rows = first..(first + self.rows_at_once).min(part.end);
                all.push(pass(rows.clone())?);
                self.passed(rows.len())?;
            }
            Ok(all)
        });
        let mut all = Vec::new();
        for part in parts {
            all.extend(part?);
        }
        Ok(all)
    }
}
