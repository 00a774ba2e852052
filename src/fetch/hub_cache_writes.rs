//! Writes into the hub's cache, by the rules of its own tools.

use std::fs;
use std::path::{Path, PathBuf};

use super::download::with_suffix;
use super::hub_cache::CachedModel;
use super::hub_name::is_commit;
use crate::error::{Error, Result};
use crate::platform::files;

impl CachedModel {
    /// Returns the path of the content named `etag`, which must have been checked.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    pub(super) fn partial(&self, etag: &str) -> PathBuf {
        with_suffix(&self.blob(etag), ".incomplete")
    }

    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks().join(format!("{etag}.lock"))
    }

    fn locks(&self) -> PathBuf {
        let (cache, name) =
            (self.folder.parent().unwrap_or(Path::new("")), self.folder.file_name().unwrap_or_default());
        cache.join(".locks").join(name)
    }

    /// Records the commit of a revision.
    pub(super) fn write_reference(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        files::create_folder_of(&path)?;
        files::write_atomically(&path, commit.as_bytes())
    }

    /// Links a content into the snapshot of a commit as `file`. Where links are not allowed, as on some
    /// Windows machines, the content is copied.
    pub(super) fn show(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        let target = Path::new("..").join("..").join("blobs").join(etag);
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(path);
        }
        files::create_folder_of(&path)?;
        let new = with_suffix(&path, &format!(".{}.tmp", std::process::id()));
        let made = link(&target, &new).or_else(|_| fs::copy(self.blob(etag), &new).map(drop));
        made.and_then(|()| fs::rename(&new, &path)).map_err(|source| {
            fs::remove_file(&new).ok();
            Error::file("write", &path, source)
        })?;
        files::sync_folder(&self.snapshot(commit))?;
        Ok(path)
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}
