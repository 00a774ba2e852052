//! The folder of a run: the paths of its files, and the lock that lets one process at a time work in it.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::latest::names;
use super::run_logs::RunLogs;
use super::set_aside::{SET_ASIDE, set_aside};
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::format_version::FormatVersion;
use crate::platform::fault_point;
use crate::platform::{files, leftovers};

/// A run's folder, `runs/NAME`, or the folder of one of its stages.
///
/// The folder is locked until the last clone and the last stage of this value are dropped.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: Arc<File>,
}

impl RunDirectory {
    /// Makes the folder if there is none, locks it for this process, and deletes the temporary files that a
    /// killed process left there.
    ///
    /// # Errors
    /// [`Error::Failed`] when another process works in the folder; [`Error::File`] when the folder cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        files::create_folder(&path)?;
        let lock = lock(&path)?;
        tidy(&path)?;
        Ok(Self { path, _lock: Arc::new(lock) })
    }

    /// Opens a folder inside this one for a stage of the run with files of its own, such as `reward`.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be made.
    pub fn stage(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        files::create_folder(&path)?;
        tidy(&path)?;
        Ok(Self { path, _lock: Arc::clone(&self._lock) })
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the file with the settings that the run was last started with.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Opens the checkpoints and logs of a training run in this folder.
    ///
    /// # Errors
    /// The errors of [`RunLogs::in_folder`].
    pub fn run_logs(&self) -> Result<RunLogs> {
        RunLogs::in_folder(&self.path)
    }

    /// Returns the path of the comparisons that the reward model is trained on.
    pub fn comparisons(&self) -> PathBuf {
        self.path.join("comparisons.jsonl")
    }

    /// Returns the path of the log with the reason of each stop.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Logs why the run stops. A failure to write the log is ignored, because the reason is also printed.
    pub fn note_stop(&self, why: &impl std::fmt::Display) {
        let line = serde_json::json!({ "version": FormatVersion, "at": crate::platform::unix_seconds(), "stopped": why.to_string() });
        // This line must not become part of a line that a crash left incomplete.
        let is_cut = files::read(&self.events()).is_ok_and(|bytes| bytes.last().is_some_and(|&last| last != b'\n'));
        let line = format!("{}{line}\n", if is_cut { "\n" } else { "" });
        if files::refuse_pipe_or_device(&self.events()).is_ok() {
            let file = fs::OpenOptions::new().create(true).append(true).open(self.events());
            file.and_then(|mut file| file.write_all(line.as_bytes())).ok();
        }
    }

    /// Returns the path of the folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Returns the path of the notes of the models that this run wrote, in any folder.
    pub(super) fn outputs(&self) -> PathBuf {
        self.path.join("outputs.jsonl")
    }

    /// Checks whether any work was done here: a comparison judged, a training step saved or logged, or a model written.
    ///
    /// # Errors
    /// [`Error::File`] when the operating system does not say whether a file exists: there may be work.
    pub fn has_work(&self) -> Result<bool> {
        let logs = [self.comparisons(), self.path.join("metrics.jsonl"), self.outputs()];
        Ok(logs.iter().any(|log| holds_something(log))
            || files::exists(&self.comparisons())?
            || self.has_checkpoint()?)
    }

    /// Checks whether this folder or a stage has a checkpoint.
    fn has_checkpoint(&self) -> Result<bool> {
        for stage in Stage::folders() {
            let folder = self.path.join(stage).join("checkpoints");
            if files::exists(&folder)? && !names(&folder)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes sure that a run that wrote a model still has a checkpoint.
    ///
    /// # Errors
    /// [`Error::Input`] when the run wrote a model and has no checkpoint: it would begin anew and replace the model.
    pub fn check_checkpoints(&self) -> Result<()> {
        if !holds_something(&self.outputs()) || self.has_checkpoint()? {
            return Ok(());
        }
        let hint = "put its checkpoints back; or choose another folder with --run, and another --out";
        Err(Error::input(&self.checkpoints(), "this run wrote a model, and its checkpoints are gone", hint))
    }

    /// Deletes the checkpoints in this folder, so that training begins anew. Checkpoints that were set aside
    /// before are kept.
    ///
    /// # Errors
    /// [`Error::File`] when the checkpoints cannot be deleted.
    pub fn forget_work(&self) -> Result<()> {
        let checkpoints = self.checkpoints();
        if !files::exists(&checkpoints)? {
            return Ok(());
        }
        let aside = checkpoints.join(SET_ASIDE);
        if files::exists(&aside)? {
            for checkpoint in files::list(&aside)? {
                set_aside(&checkpoint, &self.path, "it was set aside before")?;
            }
        }
        // All are hidden at once, so that a kill halfway leaves no visible checkpoint with files missing.
        let forgotten = self.path.join(FORGOTTEN);
        fs::rename(&checkpoints, &forgotten).map_err(|source| Error::file("delete", &checkpoints, source))?;
        fault_point("checkpoints forgotten");
        tidy(&self.path)
    }

    /// Returns the path of the page that shows the run.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

fn holds_something(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0)
}

/// Name of the folder with a stage's checkpoints while they are deleted.
const FORGOTTEN: &str = ".preftune-checkpoints.tmp";

/// Deletes what a killed process left in a folder of the run, whose lock this process holds.
fn tidy(folder: &Path) -> Result<()> {
    leftovers::sweep(folder);
    let forgotten = folder.join(FORGOTTEN);
    match files::exists(&forgotten)? {
        true => fs::remove_dir_all(&forgotten).map_err(|source| Error::file("delete", &forgotten, source)),
        false => Ok(()),
    }
}

/// Locks a folder. The operating system releases the lock when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    files::refuse_pipe_or_device(&path)?;
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
        assert!(!run.has_work().unwrap());
        fs::write(folder.path().join("policy/checkpoints/1"), "").unwrap();
        assert!(run.has_work().unwrap());
    }

    #[test]
    fn forgotten_work_is_gone_at_once_and_what_was_set_aside_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(folder.path()).unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("checkpoints/set-aside/step-000009")).unwrap();
        fs::create_dir_all(path("checkpoints/step-000008")).unwrap();
        run.forget_work().unwrap();
        assert!(!run.checkpoints().exists() && path("set-aside/step-000009").exists());
        // A process was killed while it deleted checkpoints.
        fs::create_dir_all(path(".preftune-checkpoints.tmp/step-000007")).unwrap();
        drop(run);
        RunDirectory::open(folder.path()).unwrap();
        assert!(!path(".preftune-checkpoints.tmp").exists());
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next_stop() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(folder.path()).unwrap();
        fs::write(run.events(), "{\"at\": 1, \"stop").unwrap();
        run.note_stop(&"first");
        run.note_stop(&"second");
        let lines = fs::read_to_string(run.events()).unwrap();
        let whole = lines.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
        assert_eq!(whole, 2, "{lines}");
    }

    #[test]
    fn a_stage_keeps_the_run_locked() {
        let folder = tempfile::tempdir().unwrap();
        let reward = RunDirectory::open(folder.path()).unwrap().stage("reward").unwrap();
        assert_eq!(reward.events(), folder.path().join("reward/events.jsonl"));
        assert!(RunDirectory::open(folder.path()).is_err());
    }
}
