//! The layout of the Hugging Face hub's cache, which all its tools share:
//!
//! ```text
//! models--OWNER--NAME/refs/REVISION            the commit that a branch or tag was at
//! models--OWNER--NAME/blobs/ETAG               contents
//! models--OWNER--NAME/snapshots/COMMIT/FILE    a link to ../../blobs/ETAG
//! .locks/models--OWNER--NAME/ETAG.lock
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::download::with_suffix;
use super::hub_name::{HubName, is_commit};
use crate::error::{Error, Result};
use crate::lm::WeightsIndex;
use crate::lm::files::hugging_face::{CONFIG_FILE, OPTIONAL_FILES, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use crate::platform::files;

/// What older models have instead of `tokenizer.json`.
pub(super) const TOKENIZER_PARTS: [&str; 2] = ["vocab.json", "merges.txt"];

/// The cache's part for one model.
pub(super) struct CachedModel {
    folder: PathBuf,
    locks: PathBuf,
}

impl CachedModel {
    /// `repository` is `OWNER/NAME`, or for models from before owners `NAME`.
    pub(super) fn new(cache: &Path, repository: &str) -> Self {
        let name = format!("models--{}", repository.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Where a content lies; `etag` was checked.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    pub(super) fn partial(&self, etag: &str) -> PathBuf {
        with_suffix(&self.blob(etag), ".incomplete")
    }

    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The snapshot of a revision, if all of its files are there.
    pub(super) fn complete(&self, revision: &str) -> Option<PathBuf> {
        let snapshot = self.snapshot(&self.commit_of(revision)?);
        files_of(&snapshot).is_some().then_some(snapshot)
    }

    /// The commit that a branch, a tag or a commit stood for when it was last fetched.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.reference(revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Notes the commit of a revision.
    pub(super) fn write_reference(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        files::create_folder_of(&path)?;
        files::write_atomically(&path, commit.as_bytes())
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// Shows a content as a file of a commit. Where links are not allowed, as on some Windows
    /// machines, it is a copy.
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

/// The files of a model in a folder, if they are complete, with those that it may lack but has.
pub(super) fn files_of(folder: &Path) -> Option<Vec<PathBuf>> {
    let all = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        paths.iter().all(|path| path.is_file()).then_some(paths)
    };
    let mut found = all(&[CONFIG_FILE])?;
    found.extend(all(&[TOKENIZER_FILE]).or_else(|| all(&TOKENIZER_PARTS))?);
    found.extend(OPTIONAL_FILES.iter().filter_map(|name| all(&[name])).flatten());
    found.extend(all(&[WEIGHTS_FILE]).or_else(|| {
        let path = folder.join(WEIGHTS_INDEX_FILE);
        let index = WeightsIndex::read(&files::read(&path).ok()?, &path).ok()?;
        let mut parts = all(&index.parts().collect::<Vec<_>>())?;
        parts.push(path);
        Some(parts)
    })?);
    Some(found)
}

/// The folder of a model that was fetched before, under its name or an older one.
pub(super) fn find(cache: &Path, name: &HubName) -> Option<PathBuf> {
    let repositories = name.legacy().into_iter().chain([name.repository.as_str()]);
    let mut found: Vec<_> =
        repositories.filter_map(|repository| CachedModel::new(cache, repository).complete(&name.revision)).collect();
    found.pop()
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}
