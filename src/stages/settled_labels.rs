//! Which labels a fit of a run in rounds learns from: noted when it begins, so that it goes on with the same.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::platform::files;

/// Holds how many lines of the log a fit reads.
const LINES_OF_LABELS: &str = "lines-of-labels.json";

/// The same as preftune 0.1.0 wrote it: a number.
const LINES_OF_LABELS_OF_0_1: &str = "lines-of-labels.txt";

const DELETE: &str = "delete it, so that the labels that there are now count";

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
        if !files::exists(&path)? {
            let path = fit.join(LINES_OF_LABELS_OF_0_1);
            return files::read_text(&path)?.trim().parse().map_err(|_| Error::input(&path, "not a number", DELETE));
        }
        let read: Self = format_version::read(&files::read(&path)?, &path, DELETE)?;
        Ok(read.lines)
    }
}

/// Whether the fit in this folder has begun, so that its labels are what they are, even if somebody takes one
/// back.
///
/// # Errors
/// When the operating system does not say.
pub(super) fn are_labels_settled(fit: &Path) -> Result<bool> {
    let is_noted = files::exists(&fit.join(LINES_OF_LABELS))? || files::exists(&fit.join(LINES_OF_LABELS_OF_0_1))?;
    Ok(is_noted && files::exists(&fit.join("checkpoints"))?)
}
