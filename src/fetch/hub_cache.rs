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

use super::hub_name::{HubName, is_commit};
use crate::lm::WeightsIndex;
use crate::lm::files::hugging_face::{CONFIG_FILE, OPTIONAL_FILES, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use crate::platform::files;

/// The files that older models have instead of `tokenizer.json`.
pub(super) const TOKENIZER_PARTS: [&str; 2] = ["vocab.json", "merges.txt"];

/// The folder of one model in the cache.
pub(super) struct CachedModel {
    pub(super) folder: PathBuf,
}

impl CachedModel {
    /// Returns the folder of `repository`, which is `OWNER/NAME`, or `NAME` for models older than the hub's
    /// owners.
    pub(super) fn new(cache: &Path, repository: &str) -> Self {
        Self { folder: cache.join(format!("models--{}", repository.replace('/', "--"))) }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Returns the snapshot of a revision, if all of its files are there.
    pub(super) fn complete(&self, revision: &str) -> Option<PathBuf> {
        let snapshot = self.snapshot(&self.commit_of(revision)?);
        files_of(&snapshot).is_some().then_some(snapshot)
    }

    /// Returns the commit that a branch, a tag or a commit stood for when it was last fetched.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.reference(revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }
}

/// Returns the paths of a model's files in a folder, the optional ones among them, or `None` if a required
/// one is missing.
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
        let mut parts = all(&index.shards().collect::<Vec<_>>())?;
        parts.push(path);
        Some(parts)
    })?);
    Some(found)
}

/// Finds the folder of a model that was fetched before, under its present name or its older one.
pub(super) fn find(cache: &Path, name: &HubName) -> Option<PathBuf> {
    let repositories = name.legacy().into_iter().chain([name.repository.as_str()]);
    let mut found: Vec<_> =
        repositories.filter_map(|repository| CachedModel::new(cache, repository).complete(&name.revision)).collect();
    found.pop()
}
