//! The folder `set-aside`, for checkpoints that must make room but may still be of use.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::platform::fault_point;
use crate::platform::files;

/// Name of the folder, beside the checkpoints of a run.
pub(super) const SET_ASIDE: &str = "set-aside";

/// Moves a checkpoint into the folder `set-aside` in `folder`, under its own name or its name with a number,
/// and warns with the reason `why`.
///
/// # Errors
/// [`Error::File`] when the checkpoint cannot be moved.
pub(super) fn set_aside(checkpoint: &Path, folder: &Path, why: &str) -> Result<()> {
    let aside = folder.join(SET_ASIDE);
    files::create_folder(&aside)?;
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('.');
    let mut to = aside.join(name);
    let mut copies = 1;
    while files::exists(&to)? {
        copies += 1;
        to = aside.join(format!("{name}-{copies}"));
    }
    fs::rename(checkpoint, &to).map_err(|source| Error::file("move aside", checkpoint, source))?;
    fault_point("checkpoint set aside");
    files::sync_folder(&aside)?;
    tracing::warn!("{} was not deleted, but moved to {}: {why}", checkpoint.display(), to.display());
    Ok(())
}
