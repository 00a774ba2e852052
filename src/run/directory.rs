//! The folder of a run: where each file lies, and the lock that keeps two processes apart.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files;
use super::journal::Journal;
use crate::error::{Error, Result};
use crate::format_version::FormatVersion;

/// A run's folder, `runs/NAME`, or the folder of one of its stages.
///
/// It is locked until the last clone and the last stage of it are dropped.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl RunDirectory {
    /// Makes the folder if there is none, and locks it for this process.
    ///
    /// # Errors
    /// [`Error::Failed`] when another process works in it; [`Error::File`] when it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        files::create_folder(&path)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: Arc::new(lock) })
    }

    /// A folder inside this one for a part of the run that keeps files of its own, such as `reward`.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be made.
    pub fn stage(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        files::create_folder(&path)?;
        Ok(Self { path, _lock: Arc::clone(&self._lock) })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings that the run was started with.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What a training run writes here.
    ///
    /// # Errors
    /// As [`Journal::in_folder`].
    pub fn journal(&self) -> Result<Journal> {
        Journal::in_folder(&self.path)
    }

    /// The judgments that the reward model learns from.
    pub fn comparisons(&self) -> PathBuf {
        self.path.join("comparisons.jsonl")
    }

    /// Why the run stopped, each time.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Notes why the run stops. Where that cannot be written, the error is still printed.
    pub fn note_stop(&self, why: &impl std::fmt::Display) {
        let line =
            serde_json::json!({ "version": FormatVersion, "at": super::unix_seconds(), "stopped": why.to_string() });
        let file = fs::OpenOptions::new().create(true).append(true).open(self.events());
        file.and_then(|mut file| writeln!(file, "{line}")).ok();
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Whether anything was done here: a judgment made, or a step of training kept.
    pub fn has_work(&self) -> bool {
        let stages = ["", "reward", "policy", "sft"].map(|stage| self.path.join(stage).join("checkpoints"));
        let kept = |folder: &PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        self.comparisons().exists() || stages.iter().any(kept)
    }

    /// Forgets what was trained here, so that it is done anew.
    ///
    /// # Errors
    /// [`Error::File`] when that cannot be deleted.
    pub fn forget_work(&self) -> Result<()> {
        let checkpoints = self.checkpoints();
        let deleted = if checkpoints.exists() { fs::remove_dir_all(&checkpoints) } else { Ok(()) };
        deleted.map_err(|source| Error::file("delete", &checkpoints, source))
    }

    /// The page that shows the run.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

/// The operating system lets go of the lock when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::file("write", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::failed(
            format!("another process is working in {}", folder.display()),
            "wait until it ends, or choose another folder with --run",
        )),
        Err(TryLockError::Error(error)) => Err(Error::file("lock", &path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_use_is_refused_by_name_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/demo");
        let run = RunDirectory::open(&path).unwrap();
        let refused = RunDirectory::open(&path).unwrap_err();
        assert_eq!(refused.to_string(), format!("another process is working in {}", path.display()));
        drop(run);
        assert!(RunDirectory::open(&path).is_ok());
    }

    #[test]
    fn a_run_has_work_once_a_stage_of_it_kept_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("policy/checkpoints")).unwrap();
        assert!(!run.has_work());
        fs::write(folder.path().join("policy/checkpoints/1"), "").unwrap();
        assert!(run.has_work());
    }

    #[test]
    fn a_stage_keeps_the_run_locked() {
        let folder = tempfile::tempdir().unwrap();
        let reward = RunDirectory::open(folder.path()).unwrap().stage("reward").unwrap();
        assert_eq!(reward.events(), folder.path().join("reward/events.jsonl"));
        assert!(RunDirectory::open(folder.path()).is_err());
    }
}
