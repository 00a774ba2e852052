//! Which labels a fit of a run in rounds learns from: noted when it begins, so that it goes on with the same.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version::{self, FormatVersion};
use crate::run::files;

/// Holds how many lines of the log a fit reads.
const LINES_OF_LABELS: &str = "lines-of-labels.json";

/// The same as preftune 0.1.0 wrote it: a number.
const LINES_OF_LABELS_OF_0_1: &str = "lines-of-labels.txt";

/// What [`LINES_OF_LABELS`] holds.
#[derive(Serialize, Deserialize)]
pub(super) struct LinesOfLabels {
    #[serde(default)]
    version: FormatVersion,
    lines: usize,
}

impl LinesOfLabels {
    /// Notes how many lines there are.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(super) fn write(lines: usize, fit: &Path) -> Result<()> {
        let json = serde_json::to_vec(&Self { version: FormatVersion, lines })
            .map_err(|error| Error::failed(format!("no JSON: {error}"), ""))?;
        files::write_atomically(&fit.join(LINES_OF_LABELS), &json)
    }

    /// How many lines the fit in this folder reads.
    ///
    /// # Errors
    /// [`Error::Input`] when it cannot be told.
    pub(super) fn read(fit: &Path) -> Result<usize> {
        let path = fit.join(LINES_OF_LABELS);
        if !path.exists() {
            let path = fit.join(LINES_OF_LABELS_OF_0_1);
            return files::read_text(&path)?.trim().parse().map_err(|_| Self::unreadable(&path, "not a number"));
        }
        let json = files::read(&path)?;
        if let Some(fault) = format_version::fault_of(&json) {
            return Err(Error::input(&path, fault, format_version::NEWER_HINT));
        }
        let read: Self = serde_json::from_slice(&json).map_err(|error| Self::unreadable(&path, &error.to_string()))?;
        Ok(read.lines)
    }

    fn unreadable(path: &Path, what: &str) -> Error {
        Error::input(path, what, "delete it, so that the labels that there are now count")
    }
}

/// Whether the fit in this folder has begun, so that its labels are what they are, even if somebody takes one
/// back.
pub(super) fn are_labels_settled(fit: &Path) -> bool {
    let is_noted = [LINES_OF_LABELS, LINES_OF_LABELS_OF_0_1].iter().any(|file| fit.join(file).exists());
    is_noted && fit.join("checkpoints").exists()
}
