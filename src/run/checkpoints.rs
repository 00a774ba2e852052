//! The checkpoints of a run: folders `step-000120/` that become visible whole or not at all.
//!
//! A checkpoint is written in a hidden folder beside its place, each file synced, the manifest
//! last, and then renamed. So a crash at any instant leaves the older checkpoints as they were,
//! and one that was damaged later is noticed and passed over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::checkpoint::{self, Checkpoint};
use super::files;
use crate::error::{Error, Result};

/// What [`latest`] found.
#[derive(Debug, Default)]
pub struct Latest {
    /// The newest intact checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Why each newer one was passed over, newest first.
    pub rejected: Vec<Error>,
}

/// The newest intact checkpoint in a folder, which need not exist; changes nothing.
pub fn latest(folder: &Path) -> Result<Latest> {
    let mut found = Latest::default();
    for (_, path) in newest_first(folder)? {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => {
                found.checkpoint = Some(checkpoint);
                break;
            }
            Err(error) => found.rejected.push(error),
        }
    }
    Ok(found)
}

/// The checkpoints of a run, for the one process that writes them.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    opened: Instant,
    /// Seconds from then to the last checkpoint: what came after is in none.
    saved_s: AtomicU64,
}

/// No more work than this is lost, but for the step under way.
const LONGEST_UNSAVED_S: u64 = 300;

impl Checkpoints {
    /// Takes `folder`, creating it if need be, and tidies up what a killed process left there.
    ///
    /// [`Self::save`] keeps the `keep` newest checkpoints, at least one. The caller holds the
    /// lock of the run.
    pub fn new(folder: &Path, keep: usize) -> Result<Self> {
        files::create_folder(folder)?;
        for name in names(folder)? {
            if let Some((visible, suffix)) = name.strip_prefix('.').and_then(|rest| rest.split_once('.')) {
                tidy(&folder.join(&name), &folder.join(visible), suffix)?;
            }
        }
        Ok(Self { folder: folder.into(), keep: keep.max(1), opened: Instant::now(), saved_s: AtomicU64::new(0) })
    }

    /// The newest intact checkpoint; warns of newer ones that are damaged.
    pub fn latest(&self) -> Result<Option<Checkpoint>> {
        let Latest { checkpoint, rejected } = latest(&self.folder)?;
        for error in rejected {
            tracing::warn!("passed over a damaged checkpoint: {error}");
        }
        Ok(checkpoint)
    }

    /// Writes the checkpoint of `step` from (name, bytes) pairs, replacing one of the same step,
    /// and returns its folder. Then deletes older ones beyond the number to keep, and later ones:
    /// those belong to work that was given up.
    pub fn save(&self, step: u64, contents: impl IntoIterator<Item = Result<(String, Vec<u8>)>>) -> Result<PathBuf> {
        let path = self.folder.join(step_name(step));
        let staged = self.hidden(step, "tmp");
        let published = checkpoint::write(&staged, step, contents).and_then(|()| self.publish(&staged, &path, step));
        if published.is_err() {
            fs::remove_dir_all(&staged).ok();
        }
        published?;
        self.delete_superseded(step)?;
        self.saved_s.store(self.opened.elapsed().as_secs(), Ordering::Relaxed);
        Ok(path)
    }

    /// Whether there should be a checkpoint of this step: one in `every`, and after five minutes without.
    pub fn is_due(&self, step: u64, every: u64) -> bool {
        let unsaved_s = self.opened.elapsed().as_secs() - self.saved_s.load(Ordering::Relaxed);
        step.is_multiple_of(every) || unsaved_s >= LONGEST_UNSAVED_S
    }

    /// The folder of the newest, intact or not; `None` where there is none.
    pub fn newest(&self) -> Option<PathBuf> {
        newest_first(&self.folder).ok()?.into_iter().next().map(|(_, path)| path)
    }

    /// Takes back the checkpoint of a step, unless there is no other.
    pub fn give_up(&self, step: u64) -> Result<()> {
        let all = newest_first(&self.folder)?;
        if all.len() > 1 {
            all.iter().filter(|(saved, _)| *saved == step).for_each(|(step, path)| self.delete(*step, path));
        }
        Ok(())
    }

    fn publish(&self, staged: &Path, path: &Path, step: u64) -> Result<()> {
        let replaced = self.hidden(step, "old");
        if path.exists() {
            fs::remove_dir_all(&replaced).ok();
            rename(path, &replaced)?;
        }
        if let Err(error) = rename(staged, path) {
            fs::rename(&replaced, path).ok();
            return Err(error);
        }
        files::sync_folder(&self.folder)?;
        fs::remove_dir_all(&replaced).ok();
        Ok(())
    }

    fn delete_superseded(&self, saved: u64) -> Result<()> {
        let all = newest_first(&self.folder)?;
        let (later, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(step, _)| *step > saved);
        for (step, path) in others.into_iter().skip(self.keep).chain(later) {
            self.delete(step, &path);
        }
        Ok(())
    }

    fn delete(&self, step: u64, path: &Path) {
        // Hidden first, so that a kill halfway leaves no visible checkpoint with files missing.
        let hidden = self.hidden(step, "old");
        if let Err(error) = fs::rename(path, &hidden).and_then(|()| fs::remove_dir_all(&hidden)) {
            tracing::warn!("cannot delete the old checkpoint {}: {error}", path.display());
        }
    }

    fn hidden(&self, step: u64, suffix: &str) -> PathBuf {
        self.folder.join(format!(".{}.{suffix}-{}", step_name(step), std::process::id()))
    }
}

/// Puts back a checkpoint whose replacement never came, and deletes any other hidden folder.
fn tidy(hidden: &Path, visible: &Path, suffix: &str) -> Result<()> {
    if suffix.starts_with("old-") && !visible.exists() && Checkpoint::open(hidden).is_ok() {
        return rename(hidden, visible);
    }
    if suffix.starts_with("old-") || suffix.starts_with("tmp-") {
        fs::remove_dir_all(hidden).map_err(|source| Error::file("delete", hidden, source))?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| Error::file("create", to, source))
}

fn step_name(step: u64) -> String {
    format!("step-{step:06}")
}

fn newest_first(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let step = |name: &str| name.strip_prefix("step-").and_then(|digits| digits.parse::<u64>().ok());
    let mut steps: Vec<_> =
        names(folder)?.into_iter().filter_map(|name| Some((step(&name)?, folder.join(name)))).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |source| Error::file("read", folder, source);
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
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

    /// Step and policy of the newest intact checkpoint, and how many were passed over.
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
    fn a_damaged_later_checkpoint_does_not_push_out_a_new_one() {
        let (folder, checkpoints) = saved(1, &[20]);
        fs::remove_file(folder.path().join("step-000020/manifest.json")).unwrap();
        checkpoints.save(15, contents("15")).unwrap();
        assert_eq!(found(&checkpoints), (Some((15, "15".into())), 0));
        assert_eq!(sorted_names(folder.path()), ["step-000015"]);
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
