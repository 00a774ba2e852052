//! The checkpoints of a run: folders `step-000120/` that become visible whole or not at all.
//!
//! A checkpoint is written into a hidden folder, each file synced and the manifest last, and the folder is then
//! renamed. A crash at any instant leaves the older checkpoints as they were, and a checkpoint that was damaged
//! later is noticed and passed over. Only intact checkpoints are ever deleted: any other that must make room is
//! set aside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::checkpoint;
use super::checkpoint::Checkpoint;
pub use super::latest::{Latest, latest};
use super::latest::{is_whole, names, newest_first, step_name, step_of};
use super::set_aside::{SET_ASIDE, set_aside};
use crate::error::{Error, Result};
use crate::platform::disk_space;
use crate::platform::fault_point;
use crate::platform::files;

/// The checkpoints of a run, for the one process that writes them.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    opened: Instant,
    /// Seconds from `opened` to the last checkpoint.
    saved_s: AtomicU64,
    /// Steps whose checkpoint this process wrote, or found intact.
    intact: Mutex<BTreeSet<u64>>,
}

/// Longest time without a checkpoint, in seconds: a crash loses at most this work and the step under way.
const LONGEST_UNSAVED_S: u64 = 300;

impl Checkpoints {
    /// Opens `folder`, creating it if need be, and tidies up what a killed process left there.
    ///
    /// [`Self::save`] keeps the `keep` newest checkpoints, at least one. The caller holds the
    /// lock of the run.
    pub fn new(folder: &Path, keep: usize) -> Result<Self> {
        files::create_folder(folder)?;
        let checkpoints = Self {
            folder: folder.into(),
            keep: keep.max(1),
            opened: Instant::now(),
            saved_s: AtomicU64::new(0),
            intact: Mutex::default(),
        };
        for name in names(folder)? {
            let hidden = name.strip_prefix('.').and_then(|rest| rest.split_once('.'));
            if let Some((visible, suffix)) = hidden.filter(|(visible, _)| step_of(visible).is_some()) {
                checkpoints.tidy(&folder.join(&name), &folder.join(visible), suffix)?;
            }
        }
        Ok(checkpoints)
    }

    /// Opens the newest intact checkpoint, and warns of newer ones that are damaged. If none is damaged, the
    /// checkpoints that the newest one supersedes are removed, as in [`Self::save`], because a kill may have
    /// prevented that.
    ///
    /// # Errors
    /// The errors of [`latest`]: `None` means that the run has no checkpoint yet, and never that all are damaged.
    pub fn latest(&self) -> Result<Option<Checkpoint>> {
        let Latest { checkpoint, rejected } = latest(&self.folder)?;
        let path = checkpoint.as_ref().map(Checkpoint::path);
        if let Some(step) = path.and_then(|path| step_of(path.file_name()?.to_str()?)) {
            self.note_intact(step);
            if rejected.is_empty() {
                self.clear_superseded(step)?;
            }
            let aside = self.folder.join(SET_ASIDE);
            for error in rejected {
                tracing::warn!(
                    "resuming from step {step}, because a later checkpoint is damaged; it will be moved to {}: {error}",
                    aside.display()
                );
            }
        }
        Ok(checkpoint)
    }

    /// Writes the checkpoint of `step` from (name, bytes) pairs, replacing one of the same step, and returns
    /// its folder. Then deletes older checkpoints beyond the number to keep, and sets later ones aside, which
    /// do not belong to the work that continues from `step`.
    pub fn save(&self, step: u64, contents: impl IntoIterator<Item = Result<(String, Vec<u8>)>>) -> Result<PathBuf> {
        let path = self.folder.join(step_name(step));
        let staged = self.hidden(step, "tmp");
        let published = checkpoint::write(&staged, step, contents).and_then(|()| self.publish(&staged, &path, step));
        if published.is_err() {
            fs::remove_dir_all(&staged).ok();
        }
        published?;
        self.note_intact(step);
        self.clear_superseded(step)?;
        self.saved_s.store(self.opened.elapsed().as_secs(), Ordering::Relaxed);
        Ok(path)
    }

    /// Makes sure that the checkpoints of the `steps_left` fit on the disk, one in `every` steps and each of
    /// `bytes_of_one`: as many as are kept and one that is being written, less those that exist.
    ///
    /// # Errors
    /// [`Error::Failed`] when the disk has too little room, with the bytes that are missing.
    pub fn check_space(&self, bytes_of_one: u64, steps_left: usize, every: usize) -> Result<()> {
        let missing = (self.keep + 1).saturating_sub(newest_first(&self.folder)?.len()).max(1);
        let to_come = steps_left.div_ceil(every.max(1)).min(missing) as u64;
        let what = format!("the checkpoints to come ({} are kept while the next is written)", self.keep);
        disk_space::demand(&self.folder, bytes_of_one.saturating_mul(to_come), &what)
    }

    /// Checks whether this step needs a checkpoint: one step in `every` does, and any step after five minutes
    /// without a checkpoint.
    pub fn is_due(&self, step: u64, every: u64) -> bool {
        let unsaved_s = self.opened.elapsed().as_secs() - self.saved_s.load(Ordering::Relaxed);
        step.is_multiple_of(every) || unsaved_s >= LONGEST_UNSAVED_S
    }

    /// Returns the folder of the newest checkpoint, intact or not; `None` where there is no checkpoint.
    pub fn newest(&self) -> Option<PathBuf> {
        newest_first(&self.folder).ok()?.into_iter().next().map(|(_, path)| path)
    }

    /// Deletes the checkpoint of a step, unless there is no intact one before it.
    pub fn give_up(&self, step: u64) -> Result<()> {
        let all = newest_first(&self.folder)?;
        if all.iter().any(|(saved, path)| *saved < step && self.is_intact(*saved, path)) {
            all.iter().filter(|(saved, _)| *saved == step).for_each(|(step, path)| self.delete(*step, path));
        }
        Ok(())
    }

    fn publish(&self, staged: &Path, path: &Path, step: u64) -> Result<()> {
        fault_point("checkpoint staged");
        let replaced = self.hidden(step, "old");
        if files::exists(path)? {
            match self.is_intact(step, path) {
                true => rename(path, &replaced)?,
                false => set_aside(path, &self.folder, "it is damaged, and was written anew")?,
            }
            fault_point("checkpoint of the same step moved away");
        }
        if let Err(error) = rename(staged, path) {
            fs::rename(&replaced, path).ok();
            return Err(error);
        }
        fault_point("checkpoint published");
        files::sync_folder(&self.folder)?;
        fault_point("checkpoint synced");
        fs::remove_dir_all(&replaced).ok();
        Ok(())
    }

    fn clear_superseded(&self, saved: u64) -> Result<()> {
        let all = newest_first(&self.folder)?;
        let (later, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(step, _)| *step > saved);
        for (_, path) in later {
            set_aside(
                &path,
                &self.folder,
                &format!("the run resumed from an earlier checkpoint and reached step {saved}"),
            )?;
        }
        for (step, path) in others.into_iter().skip(self.keep) {
            match self.is_intact(step, &path) {
                true => self.delete(step, &path),
                false => set_aside(&path, &self.folder, "it cannot be read back whole")?,
            }
        }
        Ok(())
    }

    fn delete(&self, step: u64, path: &Path) {
        fault_point("checkpoint to be deleted");
        // The folder is hidden first, so that a kill halfway leaves no visible checkpoint with files missing.
        let hidden = self.hidden(step, DELETED);
        let deleted = fs::rename(path, &hidden).and_then(|()| {
            fault_point("checkpoint hidden");
            fs::remove_dir_all(&hidden)
        });
        if let Err(error) = deleted {
            tracing::warn!("cannot delete the old checkpoint {}: {error}", path.display());
        }
        fault_point("checkpoint deleted");
    }

    fn note_intact(&self, step: u64) {
        self.intact.lock().unwrap_or_else(PoisonError::into_inner).insert(step);
    }

    /// Checks whether a checkpoint is intact; one that cannot be read now counts as not intact.
    fn is_intact(&self, step: u64, path: &Path) -> bool {
        let is_known = self.intact.lock().unwrap_or_else(PoisonError::into_inner).contains(&step);
        is_known || Checkpoint::open(path).is_ok()
    }

    fn hidden(&self, step: u64, suffix: &str) -> PathBuf {
        self.folder.join(format!(".{}.{suffix}-{}", step_name(step), std::process::id()))
    }

    /// Deletes a hidden checkpoint that was never finished or was being deleted, and restores one that was
    /// moved away but not replaced.
    fn tidy(&self, hidden: &Path, visible: &Path, suffix: &str) -> Result<()> {
        let delete = || fs::remove_dir_all(hidden).map_err(|source| Error::file("delete", hidden, source));
        match suffix.split_once('-') {
            Some(("tmp" | DELETED, _)) => delete(),
            Some(("old", _)) if is_whole(visible)? => delete(),
            Some(("old", _)) if is_whole(hidden)? && !files::exists(visible)? => rename(hidden, visible),
            // An empty folder was being deleted.
            Some(("old", _)) if fs::remove_dir(hidden).is_ok() => Ok(()),
            Some(("old", _)) => set_aside(hidden, &self.folder, "it is what is left of an earlier checkpoint"),
            _ => Ok(()),
        }
    }
}

/// Mark in the name of a checkpoint that is being deleted.
const DELETED: &str = "deleted";

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| Error::file("create", to, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> [Result<(String, Vec<u8>)>; 2] {
        [Ok(("policy".into(), text.into())), Ok(("state".into(), b"{}".to_vec()))]
    }

    fn saved(keep: usize, steps: &[u64]) -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), keep).unwrap();
        for &step in steps {
            checkpoints.save(step, contents(&step.to_string())).unwrap();
        }
        (folder, checkpoints)
    }

    fn sorted_names(folder: &Path) -> Vec<String> {
        let mut names = names(folder).unwrap();
        names.sort();
        names
    }

    /// Returns step and policy of the newest intact checkpoint, and the number of those that were passed over.
    fn found(checkpoints: &Checkpoints) -> (Option<(u64, String)>, usize) {
        let Latest { checkpoint, rejected } = latest(&checkpoints.folder).unwrap();
        let policy = |checkpoint: &Checkpoint| String::from_utf8(checkpoint.read("policy").unwrap()).unwrap();
        (checkpoint.map(|checkpoint| (checkpoint.step(), policy(&checkpoint))), rejected.len())
    }

    #[test]
    fn the_newest_are_kept() {
        let (folder, checkpoints) = saved(2, &[10, 999_999, 1_000_000]);
        assert_eq!(sorted_names(folder.path()), ["step-1000000", "step-999999"]);
        assert_eq!(found(&checkpoints), (Some((1_000_000, "1000000".into())), 0));
    }

    #[test]
    fn an_empty_or_missing_folder_has_none() {
        let (folder, checkpoints) = saved(2, &[]);
        assert_eq!(found(&checkpoints), (None, 0));
        assert!(latest(&folder.path().join("missing")).unwrap().checkpoint.is_none());
    }

    #[test]
    fn a_truncated_file_falls_back_to_the_checkpoint_before() {
        let (folder, checkpoints) = saved(2, &[10, 20]);
        fs::write(folder.path().join("step-000020/policy"), "2").unwrap();
        assert_eq!(found(&checkpoints), (Some((10, "10".into())), 1));
    }

    #[test]
    fn damaged_checkpoints_are_no_beginning() {
        let (folder, checkpoints) = saved(2, &[10, 20]);
        let manifest = |step: u64| folder.path().join(step_name(step)).join("manifest.json");
        [10, 20].iter().for_each(|&step| fs::write(manifest(step), "{\"step\": ").unwrap());
        let error = Checkpoints::new(folder.path(), 2).unwrap().latest().unwrap_err();
        assert_eq!(error.exit_code(), 4);
        let named = |step: &str| error.to_string().contains(&format!("{step}/manifest.json: not a manifest"));
        assert!(named("step-000010") && named("step-000020"), "{error}");
        // Both stay in place until the next checkpoint is saved.
        assert_eq!(sorted_names(folder.path()), ["step-000010", "step-000020"]);
        checkpoints.save(5, contents("5")).unwrap();
        assert_eq!(sorted_names(folder.path()), ["set-aside", "step-000005"]);
        let aside = folder.path().join("set-aside");
        assert_eq!(sorted_names(&aside), ["step-000010", "step-000020"]);
        assert_eq!(fs::read_to_string(aside.join("step-000020/policy")).unwrap(), "20");
    }

    /// Uses a link that leads to itself, which is an error for root, too.
    #[cfg(unix)]
    #[test]
    fn a_checkpoint_that_cannot_be_read_now_is_not_damaged() {
        let (folder, checkpoints) = saved(2, &[10, 20]);
        let manifest = folder.path().join("step-000020/manifest.json");
        fs::remove_file(&manifest).unwrap();
        std::os::unix::fs::symlink("manifest.json", &manifest).unwrap();
        let error = checkpoints.latest().unwrap_err();
        assert!(error.exit_code() == 1 && error.to_string().contains("step-000020/manifest.json"), "{error}");
        assert_eq!(sorted_names(folder.path()), ["step-000010", "step-000020"]);
        // The same holds for a hidden checkpoint that was moved away but not replaced.
        fs::rename(folder.path().join("step-000020"), folder.path().join(".step-000020.old-1")).unwrap();
        assert_eq!(Checkpoints::new(folder.path(), 2).unwrap_err().exit_code(), 1);
        assert_eq!(sorted_names(folder.path()), [".step-000020.old-1", "step-000010"]);
    }

    #[test]
    fn a_damaged_checkpoint_is_set_aside_when_its_step_is_written_again_or_it_is_old() {
        let (folder, _) = saved(2, &[10, 20]);
        fs::write(folder.path().join("step-000020/policy"), "cut").unwrap();
        let checkpoints = Checkpoints::new(folder.path(), 1).unwrap();
        assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 10);
        checkpoints.save(20, contents("20")).unwrap();
        assert_eq!(sorted_names(folder.path()), ["set-aside", "step-000020"]);
        fs::write(folder.path().join("step-000020/policy"), "cut again").unwrap();
        let later = Checkpoints::new(folder.path(), 1).unwrap();
        later.save(30, contents("30")).unwrap();
        assert_eq!(sorted_names(&folder.path().join("set-aside")), ["step-000020", "step-000020-2"]);
        assert_eq!(found(&later), (Some((30, "30".into())), 0));
    }

    #[test]
    fn superseded_checkpoints_that_a_kill_left_go_at_the_next_start() {
        let (folder, _) = saved(3, &[10, 20, 30]);
        let checkpoints = Checkpoints::new(folder.path(), 2).unwrap();
        assert_eq!(sorted_names(folder.path()).len(), 3);
        checkpoints.latest().unwrap();
        assert_eq!(sorted_names(folder.path()), ["step-000020", "step-000030"]);
    }

    #[test]
    fn the_last_intact_checkpoint_is_not_given_up() {
        let (folder, checkpoints) = saved(2, &[10, 20]);
        fs::write(folder.path().join("step-000010/policy"), "cut").unwrap();
        Checkpoints::new(folder.path(), 2).unwrap().give_up(20).unwrap();
        assert_eq!(found(&checkpoints), (Some((20, "20".into())), 0));
        fs::write(folder.path().join("step-000010/policy"), "10").unwrap();
        checkpoints.give_up(20).unwrap();
        assert_eq!(found(&checkpoints), (Some((10, "10".into())), 0));
    }

    #[test]
    fn a_damaged_later_checkpoint_does_not_push_out_a_new_one() {
        let (folder, checkpoints) = saved(1, &[20]);
        fs::remove_file(folder.path().join("step-000020/manifest.json")).unwrap();
        checkpoints.save(15, contents("15")).unwrap();
        assert_eq!(found(&checkpoints), (Some((15, "15".into())), 0));
        assert_eq!(sorted_names(folder.path()), ["set-aside", "step-000015"]);
        assert_eq!(sorted_names(&folder.path().join("set-aside")), ["step-000020"]);
    }

    #[test]
    fn the_same_step_is_replaced() {
        let (folder, checkpoints) = saved(2, &[10]);
        checkpoints.save(10, contents("better")).unwrap();
        assert_eq!(found(&checkpoints), (Some((10, "better".into())), 0));
        assert_eq!(sorted_names(folder.path()), ["step-000010"]);
    }

    #[test]
    fn one_in_so_many_steps_is_due_and_any_after_five_minutes_without() {
        let (_folder, mut checkpoints) = saved(2, &[]);
        assert!(checkpoints.is_due(20, 10) && !checkpoints.is_due(21, 10));
        checkpoints.opened -= std::time::Duration::from_secs(LONGEST_UNSAVED_S);
        assert!(checkpoints.is_due(21, 10));
        checkpoints.save(21, contents("21")).unwrap();
        assert!(!checkpoints.is_due(22, 10));
    }

    #[test]
    fn a_failing_save_leaves_the_old_checkpoint_and_nothing_hidden() {
        let (folder, checkpoints) = saved(2, &[10]);
        // No file system takes a name of 400 bytes, so this fails after two files were written.
        let too_much = || contents("new").into_iter().chain([Ok(("long".repeat(100), Vec::new()))]);
        assert!(checkpoints.save(10, too_much()).is_err());
        assert!(checkpoints.save(20, too_much()).is_err());
        assert_eq!(found(&checkpoints), (Some((10, "10".into())), 0));
        assert_eq!(sorted_names(folder.path()), ["step-000010"]);
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Checkpoints::new(&file, 2).is_err());
        let checkpoints = Checkpoints { folder: file.join("checkpoints"), ..saved(2, &[]).1 };
        assert!(checkpoints.save(1, contents("1")).unwrap_err().to_string().contains("checkpoints"));
    }

    #[test]
    fn what_a_killed_process_left_is_tidied_up() {
        let (folder, _) = saved(2, &[10, 20]);
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path(".step-000030.tmp-1")).unwrap();
        fs::write(path(".step-000030.tmp-1/policy"), "half").unwrap();
        // Killed between moving the old step 20 away and moving the new one in.
        fs::rename(path("step-000020"), path(".step-000020.old-1")).unwrap();
        // Killed while deleting step 5.
        fs::create_dir(path(".step-000005.old-1")).unwrap();
        let checkpoints = Checkpoints::new(folder.path(), 2).unwrap();
        assert_eq!(sorted_names(folder.path()), ["step-000010", "step-000020"]);
        assert_eq!(found(&checkpoints), (Some((20, "20".into())), 0));
    }
}
