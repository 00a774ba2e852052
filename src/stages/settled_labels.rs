//! Labels of a reward model in a run in rounds, noted when its training begins, so that the training resumes with the
//! same labels.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::files;

/// File with the number of lines of the log that a reward model is trained on.
const LINES_OF_LABELS: &str = "lines-of-labels.json";

/// File with the same number as text, from before there were format versions.
const LINES_OF_LABELS_OF_0_1: &str = "lines-of-labels.txt";

const DELETE: &str = "delete this file to train on all labels that there are now";

/// Contents of [`LINES_OF_LABELS`].
#[derive(Serialize, Deserialize)]
pub(super) struct LinesOfLabels {
    #[serde(default)]
    version: FormatVersion,
    lines: usize,
}

impl LinesOfLabels {
    /// Writes the number of lines.
    ///
    /// # Errors
    /// Fails when the operating system refuses.
    pub(super) fn write(lines: usize, fit: &Path) -> Result<()> {
        let json = serde_json::to_vec(&Self { version: FormatVersion, lines }).map_err(json::not_written)?;
        files::write_atomically(&fit.join(LINES_OF_LABELS), &json)
    }

    /// Reads the number of lines for the reward model in this folder.
    ///
    /// # Errors
    /// [`Error::Input`] when the file does not hold the number.
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

/// Checks whether the training in this folder has begun, so that its labels stay what they are, even if somebody takes
/// one back.
///
/// # Errors
/// Fails when the operating system refuses to tell.
pub(super) fn are_labels_settled(fit: &Path) -> Result<bool> {
    let is_noted = files::exists(&fit.join(LINES_OF_LABELS))? || files::exists(&fit.join(LINES_OF_LABELS_OF_0_1))?;
    Ok(is_noted && files::exists(&fit.join("checkpoints"))?)
}
