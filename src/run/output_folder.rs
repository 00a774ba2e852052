//! The folder of the model that a run writes at its end: checked before the work, and written as a whole after
//! the work.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::directory::RunDirectory;
use super::written_models::{Hashes, is_of_a_model, note, noted};
use crate::error::{Error, Result};
use crate::platform::fault_point;
use crate::platform::{check_folder_of, followed};
use crate::platform::{files, leftovers};

/// The folder of a model, for the one process that writes it: it appears whole, or is replaced as a whole.
#[derive(Debug)]
pub struct OutputFolder {
    /// Path as the user gave it, for messages.
    given: PathBuf,
    /// Path with links followed.
    path: PathBuf,
    /// Folder of the new model until it is complete.
    unfinished: PathBuf,
    /// Folder of the old model while it is replaced.
    replaced: PathBuf,
    lock: (PathBuf, File),
    /// True if every model in the folder is known to be this run's.
    is_own: bool,
}

impl OutputFolder {
    /// Locks the path of a folder for this process, repairs what a killed process left there, and makes sure
    /// that the folder can be written.
    ///
    /// # Errors
    /// [`Error::Usage`] when no folder can be at this path, [`Error::Failed`] when another process has locked
    /// it, [`Error::File`] when the operating system refuses.
    pub fn new(given: &Path) -> Result<Self> {
        let path = path_of_folder(given)?;
        check_folder_of(&path)?;
        refuse_mount_point(&path)?;
        // The names beside the folder hold a hash, because the folder's own name may be as long as file systems allow.
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let id = files::sha256(name).chars().take(16).collect::<String>();
        let beside = |end: &str| files::folder_of(&path).join(format!("{}{id}{end}", leftovers::PREFIX));
        let locked = beside(leftovers::LOCK);
        let lock = leftovers::lock_file(&locked).map_err(|source| Error::file("lock", &locked, source))?;
        let lock = lock.ok_or_else(|| {
            Error::failed(
                format!("another process is at work that will write {}", given.display()),
                "wait until it ends, or choose another --out",
            )
        })?;
        let (unfinished, replaced) = (beside(leftovers::UNFINISHED), beside(".old"));
        let folder = Self { given: given.into(), path, unfinished, replaced, lock: (locked, lock), is_own: false };
        folder.mend()?;
        Ok(folder)
    }

    /// Opens the folder `model` of a stage, into which no other run writes.
    ///
    /// # Errors
    /// The errors of [`Self::new`] and [`Self::check`].
    pub fn of_stage(stage: &RunDirectory) -> Result<Self> {
        let mut folder = Self::new(&stage.path().join("model"))?;
        folder.is_own = true;
        folder.check(stage).map(|()| folder)
    }

    /// Makes sure that nothing is lost if this run writes into the folder: it is missing, empty or has a model
    /// of this run, which the same run may replace after further training.
    ///
    /// # Errors
    /// [`Error::Usage`] when the folder has anything else in it.
    pub fn check(&self, run: &RunDirectory) -> Result<()> {
        // Also where the folder is empty: a damaged note must be an error before the work, and not after it.
        noted(run)?;
        let checkpoints = fs::canonicalize(run.checkpoints()).unwrap_or_else(|_| run.checkpoints());
        if self.path.starts_with(checkpoints) {
            let what = format!("{} is for the checkpoints of the run", self.given.display());
            return Err(Error::usage(what, "choose another --out"));
        }
        // The folder did not exist when `self.path` was made, if this call made it as the folder of the run.
        let canonical = |path: &Path| fs::canonicalize(path).ok();
        if canonical(run.path()).is_some_and(|folder| canonical(&self.path) == Some(folder)) {
            let what = format!("{} is the folder of the run", self.given.display());
            return Err(Error::usage(
                what,
                format!("choose another --out, such as {}", self.given.join("model").display()),
            ));
        }
        if self.may_be_written(run)? {
            return Ok(());
        }
        Err(Error::usage(
            format!("{} is there already", self.given.display()),
            "choose another --out, delete it, or resume the --run that wrote it",
        ))
    }

    /// Writes the files of this run's model, and keeps files of other names that were added to the model that
    /// is replaced.
    ///
    /// # Errors
    /// [`Error::Usage`] when the folder has anything else in it by now, [`Error::File`] when the operating
    /// system refuses. The folder then stays as it was.
    pub fn write(&self, contents: &[(String, Vec<u8>)], run: &RunDirectory) -> Result<()> {
        let hashes: Hashes = contents.iter().map(|(name, bytes)| (name.clone(), files::sha256(bytes))).collect();
        if self.holds(&hashes)? {
            return Ok(());
        }
        if !self.may_be_written(run)? {
            return Err(self.taken(run));
        }
        note(&hashes, run)?;
        fault_point("output noted");
        let written = self.stage(contents, &hashes).and_then(|()| self.publish(run));
        if written.is_err() {
            fs::remove_dir_all(&self.unfinished).ok();
        }
        written
    }

    /// Writes the new folder, with the files of the old one that are kept.
    fn stage(&self, contents: &[(String, Vec<u8>)], hashes: &Hashes) -> Result<()> {
        files::create_folder(&self.unfinished)?;
        for (name, bytes) in contents {
            files::write_atomically(&self.unfinished.join(name), bytes)?;
        }
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default();
            if !hashes.contains_key(&*name.to_string_lossy()) && !is_of_a_model(&path) {
                let to = self.unfinished.join(name);
                let kept = fs::hard_link(&path, &to).or_else(|_| fs::copy(&path, &to).map(drop));
                kept.map_err(|source| Error::file("keep", &path, source))?;
            }
        }
        if let Ok(metadata) = fs::metadata(&self.path) {
            fs::set_permissions(&self.unfinished, metadata.permissions()).ok();
        }
        files::sync_folder(&self.unfinished)?;
        fault_point("output staged");
        Ok(())
    }

    /// Puts the new folder into the place of the old one.
    fn publish(&self, run: &RunDirectory) -> Result<()> {
        // This call removes an empty folder only.
        fs::remove_dir(&self.path).ok();
        let replaces = files::exists(&self.path)?;
        if replaces {
            let moved = fs::rename(&self.path, &self.replaced);
            moved.map_err(|source| Error::file("replace", &self.path, source))?;
            fault_point("old output moved away");
        }
        if let Err(source) = fs::rename(&self.unfinished, &self.path) {
            fs::rename(&self.replaced, &self.path).ok();
            let is_taken = !replaces && files::exists(&self.path)?;
            return Err(if is_taken { self.taken(run) } else { Error::file("write", &self.path, source) });
        }
        fault_point("output published");
        files::sync_folder(files::folder_of(&self.path))?;
        fs::remove_dir_all(&self.replaced).ok();
        fault_point("old output deleted");
        Ok(())
    }

    fn taken(&self, run: &RunDirectory) -> Error {
        Error::usage(
            format!("{} was created meanwhile, and not by this run", self.given.display()),
            format!(
                "the trained model is in {}: run the same command with another --out to write it",
                run.path().display()
            ),
        )
    }

    fn may_be_written(&self, run: &RunDirectory) -> Result<bool> {
        let entries = self.entries()?;
        let has_only_files = entries.iter().all(|path| path.is_file());
        if self.is_own {
            return Ok(has_only_files);
        }
        let notes = run.outputs();
        if !files::exists(&notes)? {
            // A run that was begun before there were such notes: a model in the folder counts as the run's own.
            if run.has_work()? {
                let has_model = entries.iter().any(|path| is_of_a_model(path));
                return Ok(entries.is_empty() || (has_only_files && has_model));
            }
            files::write_atomically(&notes, b"")?;
        }
        if entries.is_empty() || !has_only_files {
            return Ok(has_only_files);
        }
        noted(run)?.iter().try_fold(false, |is_own, model| -> Result<bool> { Ok(is_own || self.holds(model)?) })
    }

    /// Checks whether this model is in the folder, whatever else is there.
    fn holds(&self, model: &Hashes) -> Result<bool> {
        for (name, hash) in model {
            let path = self.path.join(name);
            if !path.is_file() || files::digest(&path, |_| true)? != *hash {
                return Ok(false);
            }
        }
        Ok(!model.is_empty())
    }

    /// Lists everything in the folder; empty where there is no folder.
    fn entries(&self) -> Result<Vec<PathBuf>> {
        if files::exists(&self.path)? { files::list(&self.path) } else { Ok(Vec::new()) }
    }

    /// Deletes a new folder that was never finished, and restores an old one that was moved away but not replaced.
    fn mend(&self) -> Result<()> {
        let delete = |folder: &Path| match files::exists(folder)? {
            true => fs::remove_dir_all(folder).map_err(|source| Error::file("delete", folder, source)),
            false => Ok(()),
        };
        delete(&self.unfinished)?;
        if files::exists(&self.replaced)? && self.entries()?.is_empty() {
            fs::remove_dir(&self.path).ok();
            let back = fs::rename(&self.replaced, &self.path);
            return back.map_err(|source| Error::file("restore", &self.path, source));
        }
        delete(&self.replaced)
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // The file is deleted while it is locked, so that another process finds it locked or missing.
        fs::remove_file(&self.lock.0).ok();
    }
}

/// Returns the path, with links followed, of a folder that exists or can be made.
fn path_of_folder(path: &Path) -> Result<PathBuf> {
    let path = followed(path)?;
    if path.is_dir() {
        return fs::canonicalize(&path).map_err(|source| Error::file("open", &path, source));
    }
    match files::exists(&path)? {
        true => Err(Error::usage(
            format!("{} is there already, and is no folder", path.display()),
            "choose another --out, or delete it",
        )),
        false => Ok(path),
    }
}

/// Refuses a folder at which a file system is mounted, because such a folder cannot be renamed.
#[cfg(unix)]
fn refuse_mount_point(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    let is_mounted = path.is_dir() && device(path).ok() != device(files::folder_of(path)).ok();
    match is_mounted || path.parent().is_none() {
        true => Err(Error::usage(
            format!("{} is a file system of its own, and a model replaces its folder as a whole", path.display()),
            format!("name a folder in it, such as {}", path.join("model").display()),
        )),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn refuse_mount_point(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(weights: &str) -> Vec<(String, Vec<u8>)> {
        [("config.json", "{}"), ("model.safetensors", weights), ("heads.safetensors", weights)]
            .map(|(name, text)| (name.into(), text.into()))
            .into()
    }

    /// Makes a run without work, and a path beside its folder.
    fn run_and_place() -> (tempfile::TempDir, RunDirectory, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(folder.path().join("run")).unwrap();
        let out = folder.path().join("out");
        (folder, run, out)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = files::list(folder)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().into())
            .collect();
        names.sort();
        names
    }

    fn weights(out: &Path) -> [String; 2] {
        ["model.safetensors", "heads.safetensors"].map(|name| files::read_text(&out.join(name)).unwrap())
    }

    #[test]
    fn a_longer_run_replaces_its_model_and_keeps_files_that_were_added() {
        let (folder, run, path) = run_and_place();
        fs::create_dir(&path).unwrap();
        let out = OutputFolder::new(&path).unwrap();
        out.check(&run).unwrap();
        out.write(&model("1"), &run).unwrap();
        drop(out);
        fs::write(path.join("README.md"), "my model").unwrap();
        let out = OutputFolder::new(&path).unwrap();
        out.check(&run).unwrap();
        out.write(&model("2"), &run).unwrap();
        drop(out);
        assert_eq!(weights(&path), ["2", "2"]);
        assert_eq!(names(&path), ["README.md", "config.json", "heads.safetensors", "model.safetensors"]);
        assert_eq!(names(folder.path()), ["out", "run"]);
    }

    #[test]
    fn what_a_run_did_not_write_is_not_replaced() {
        let (_folder, run, path) = run_and_place();
        let out = OutputFolder::new(&path).unwrap();
        out.check(&run).unwrap();
        // Meanwhile another run writes its model there.
        fs::create_dir(&path).unwrap();
        model("other").iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
        let error = out.write(&model("1"), &run).unwrap_err();
        assert!(error.exit_code() == 2 && error.hint().contains(&run.path().display().to_string()), "{error}");
        assert_eq!(weights(&path), ["other", "other"]);
        assert!(out.check(&run).is_err());
        // The run's own model, but with folders in it, or changed by somebody.
        model("1").iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
        out.write(&model("1"), &run).unwrap();
        note(&model("1").into_iter().map(|(name, bytes)| (name, files::sha256(&bytes))).collect(), &run).unwrap();
        out.check(&run).unwrap();
        fs::create_dir(path.join("notes")).unwrap();
        assert!(out.check(&run).is_err());
        fs::remove_dir(path.join("notes")).unwrap();
        fs::write(path.join("config.json"), "{\"changed\": true}").unwrap();
        assert_eq!(out.check(&run).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_run_from_before_models_were_noted_writes_where_it_did() {
        let (_folder, run, path) = run_and_place();
        fs::create_dir_all(run.checkpoints().join("step-000001")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("thesis.txt"), "mine").unwrap();
        let out = OutputFolder::new(&path).unwrap();
        assert_eq!(out.check(&run).unwrap_err().exit_code(), 2);
        model("1").iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
        out.check(&run).unwrap();
        out.write(&model("2"), &run).unwrap();
        assert_eq!(weights(&path), ["2", "2"]);
        assert_eq!(files::read_text(&path.join("thesis.txt")).unwrap(), "mine");
    }

    #[test]
    fn a_kill_between_the_old_folder_and_the_new_one_is_mended() {
        let (folder, run, path) = run_and_place();
        let out = OutputFolder::new(&path).unwrap();
        out.check(&run).unwrap();
        out.write(&model("1"), &run).unwrap();
        let (unfinished, replaced) = (out.unfinished.clone(), out.replaced.clone());
        drop(out);
        fs::rename(&path, &replaced).unwrap();
        fs::create_dir(&unfinished).unwrap();
        let out = OutputFolder::new(&path).unwrap();
        assert_eq!(weights(&path), ["1", "1"]);
        drop(out);
        assert_eq!(names(folder.path()), ["out", "run"]);
    }

    #[test]
    fn one_process_at_a_time_writes_a_folder() {
        let (_folder, _run, path) = run_and_place();
        let first = OutputFolder::new(&path).unwrap();
        let error = OutputFolder::new(&path).unwrap_err();
        assert!(error.exit_code() == 1 && error.to_string().contains("another process"), "{error}");
        drop(first);
        assert!(OutputFolder::new(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let (folder, run, path) = run_and_place();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for weights_of in ["1", "2"] {
            // At first the target of the link does not exist.
            let out = OutputFolder::new(&link).unwrap();
            out.check(&run).unwrap();
            out.write(&model(weights_of), &run).unwrap();
            assert_eq!(weights(&path), [weights_of, weights_of]);
        }
        assert!(link.is_symlink());
    }
}
