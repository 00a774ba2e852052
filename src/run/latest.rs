//! The search for the checkpoint from which a run is resumed. Nothing is changed here.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::platform::files;

/// Result of [`latest`].
#[derive(Debug, Default)]
pub struct Latest {
    /// The newest intact checkpoint; `None` where there is no checkpoint at all.
    pub checkpoint: Option<Checkpoint>,
    /// Faults of the newer checkpoints that were passed over, newest first.
    pub rejected: Vec<Error>,
}

/// Finds the newest intact checkpoint in a folder, which need not exist, and changes nothing.
///
/// # Errors
/// [`Error::Input`] when there are checkpoints and all are damaged. [`Error::Failed`] when a checkpoint that is
/// newer than any intact one cannot be read: resuming from an older one could lose work.
pub fn latest(folder: &Path) -> Result<Latest> {
    let mut rejected = Vec::new();
    for (_, path) in newest_first(folder)? {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Latest { checkpoint: Some(checkpoint), rejected }),
            Err(damage @ Error::Input { .. }) => rejected.push(damage),
            Err(error) => return Err(error),
        }
    }
    if rejected.is_empty() { Ok(Latest::default()) } else { Err(all_are_damaged(folder, &rejected)) }
}

fn all_are_damaged(folder: &Path, rejected: &[Error]) -> Error {
    let reasons: Vec<String> = rejected.iter().map(Error::to_string).collect();
    let what = match reasons.len() {
        1 => "its one checkpoint is damaged".to_string(),
        count => format!("all of its {count} checkpoints are damaged"),
    };
    Error::input(
        folder,
        format!("{what}, and nothing was changed: {}", reasons.join("; ")),
        "restore a checkpoint from a copy; or move this folder away, and the same command begins anew",
    )
}

/// Checks whether a checkpoint is intact: false for a damaged or missing one.
pub(super) fn is_whole(checkpoint: &Path) -> Result<bool> {
    match Checkpoint::open(checkpoint) {
        Ok(_) => Ok(true),
        Err(Error::Input { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn step_name(step: u64) -> String {
    format!("step-{step:06}")
}

pub(super) fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

pub(super) fn newest_first(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    if !files::exists(folder)? {
        return Ok(Vec::new());
    }
    let mut steps: Vec<_> =
        names(folder)?.into_iter().filter_map(|name| Some((step_of(&name)?, folder.join(name)))).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let paths = files::list(folder).map_err(|error| match error {
        // The action `list` would mean a bad input file (exit code 4), but nobody gave this folder as an input.
        Error::File { source, .. } => Error::file("look into", folder, source),
        other => other,
    })?;
    Ok(paths.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_string())).collect())
}
