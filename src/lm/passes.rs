//! A batch that goes through a model in several passes, for numbers without gradients.

use std::ops::Range;

use burn::tensor::Device;

use crate::error::Result;
use crate::parallel::{ALL_CORES, in_parts};
use crate::run::interrupt::Interrupt;

/// So many rows at once, until somebody stops it at once.
#[derive(Debug, Clone)]
pub struct Passes {
    pub rows_at_once: usize,
    pub interrupt: Interrupt,
}

impl Passes {
    /// Passes that nobody stops.
    pub fn of(rows_at_once: usize) -> Self {
        Self::until(&Interrupt::new(), rows_at_once)
    }

    /// Passes that this stops.
    pub fn until(interrupt: &Interrupt, rows_at_once: usize) -> Self {
        Self { rows_at_once, interrupt: interrupt.clone() }
    }

    /// What `pass` gives for each part of `rows` rows, in order.
    ///
    /// # Errors
    /// The first of `pass`, and as [`Interrupt::check`].
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
                all.push(pass(first..(first + self.rows_at_once).min(part.end))?);
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
