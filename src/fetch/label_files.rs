//! The files of labels that the original was trained on.

use std::path::{Path, PathBuf};

/// A file of labels on the original's server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) file: &'static str,
    pub(super) mirrored: bool,
}

pub(super) const TASKS: [Task; 4] = [
    Task { name: "sentiment", file: "offline_5k.json", mirrored: true },
    Task { name: "descriptiveness", file: "offline_5k.json", mirrored: true },
    Task { name: "tldr", file: "online_45k.json", mirrored: false },
    Task { name: "cnndm", file: "online_45k.json", mirrored: true },
];

impl Task {
    /// Reads `labels/TASK`.
    pub(super) fn parse(text: &str) -> Option<&'static Self> {
        let name = text.strip_prefix("labels/")?;
        TASKS.iter().find(|task| task.name == name)
    }

    pub(super) fn place(&self, own_cache: &Path) -> PathBuf {
        own_cache.join("labels").join(self.name).join(self.file)
    }
}
