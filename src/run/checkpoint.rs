//! One checkpoint: a folder of named files, and a manifest with the size and hash of each.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::fault_point;
use crate::platform::files;

const MANIFEST: &str = "manifest.json";

/// Contents of `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    #[serde(default)]
    version: FormatVersion,
    step: u64,
    files: BTreeMap<String, Fingerprint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    bytes: u64,
    sha256: String,
}

impl Fingerprint {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: files::sha256(bytes) }
    }
}

/// A checkpoint whose files were all found intact.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
}

impl Checkpoint {
    /// Opens the checkpoint in the folder `path` and verifies size and hash of every file.
    ///
    /// # Errors
    /// [`Error::Input`] when the checkpoint is damaged: a file is missing, or is not what was written.
    /// [`Error::Failed`] when the operating system refuses to read a file, or a newer version wrote the
    /// checkpoint: it may be intact.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest_path = path.join(MANIFEST);
        let json = read(&manifest_path)?;
        if let Some(fault) = format_version::fault_of(&json) {
            let what = format!("{}: {fault}", manifest_path.display());
            return Err(Error::failed(what, format_version::NEWER_HINT));
        }
        let manifest =
            json::from_slice(&json).map_err(|error| damaged(&manifest_path, format!("not a manifest: {error}")))?;
        let checkpoint = Self { path: path.into(), manifest };
        for name in checkpoint.manifest.files.keys() {
            checkpoint.read(name)?;
        }
        Ok(checkpoint)
    }

    /// Returns the step after which the checkpoint was written.
    pub fn step(&self) -> u64 {
        self.manifest.step
    }

    /// Returns the folder of the checkpoint.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks whether the checkpoint has a file of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.manifest.files.contains_key(name)
    }

    /// Reads one file, and verifies its size and hash.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let listed = self.manifest.files.get(name).filter(|_| is_plain(name));
        let expected = listed.ok_or_else(|| damaged(&path, "not a file of this checkpoint"))?;
        let bytes = read(&path)?;
        let actual = Fingerprint::of(&bytes);
        if actual.bytes != expected.bytes {
            return Err(damaged(&path, format!("{} bytes instead of {}", actual.bytes, expected.bytes)));
        }
        if actual != *expected {
            return Err(damaged(&path, "changed since it was written (another SHA-256)"));
        }
        Ok(bytes)
    }
}

/// Writes the files and then the manifest of a checkpoint into the new folder `path`, all synced.
pub(super) fn write(
    path: &Path,
    step: u64,
    contents: impl IntoIterator<Item = Result<(String, Vec<u8>)>>,
) -> Result<()> {
    files::create_folder(path)?;
    let mut manifest = Manifest { version: FormatVersion, step, files: BTreeMap::new() };
    for file in contents {
        let (name, bytes) = file?;
        let earlier = manifest.files.insert(name.clone(), Fingerprint::of(&bytes));
        if earlier.is_some() || !is_plain(&name) || name == MANIFEST {
            return Err(Error::failed(format!("{name:?} cannot name a file of a checkpoint"), "use another name"));
        }
        files::write_atomically(&path.join(&name), &bytes)?;
    }
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Error::file("write", &path.join(MANIFEST), error.into()))?;
    fault_point("manifest not written");
    files::write_atomically(&path.join(MANIFEST), &text)
}

/// Checks that a name cannot lead out of the checkpoint's folder.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name) && !name.contains(['/', '\\', ':'])
}

/// Reads a file that a checkpoint must have.
fn read(path: &Path) -> Result<Vec<u8>> {
    files::refuse_pipe_or_device(path)?;
    std::fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => damaged(path, "missing"),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => damaged(path, format!("{source}")),
        _ => Error::failed(
            format!("cannot read {}: {source}; the checkpoint may be intact, so nothing was changed", path.display()),
            "make it readable again and run the same command again; or move this checkpoint out of the folder, to \
             resume from an earlier one",
        ),
    })
}

fn damaged(path: &Path, what: impl Into<String>) -> Error {
    Error::input(path, what, "restore this checkpoint from a copy, or move it out of the folder")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let contents = [("policy".into(), b"abc".to_vec()), ("state".into(), Vec::new())];
        write(folder.path(), 7, contents.map(Ok)).unwrap();
        folder
    }

    #[test]
    fn files_are_read_back() {
        let folder = written();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!((checkpoint.step(), checkpoint.path()), (7, folder.path()));
        assert_eq!(checkpoint.read("policy").unwrap(), b"abc");
        assert_eq!(checkpoint.read("state").unwrap(), b"");
        assert!(checkpoint.contains("state") && !checkpoint.contains("value"));
        assert!(checkpoint.read("value").is_err());
    }

    #[test]
    fn any_damage_is_noticed() {
        for damage in [
            |path: &Path| fs::write(path.join("policy"), "ab").unwrap(),
            |path: &Path| fs::write(path.join("policy"), "abd").unwrap(),
            |path: &Path| fs::remove_file(path.join("state")).unwrap(),
            |path: &Path| fs::remove_file(path.join(MANIFEST)).unwrap(),
            |path: &Path| fs::write(path.join(MANIFEST), "{\"step\": 7").unwrap(),
        ] {
            let folder = written();
            damage(folder.path());
            assert!(Checkpoint::open(folder.path()).is_err());
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "a/", "../a", "/a", "a\\b", "c:a", MANIFEST] {
            let path = folder.path().join("checkpoint");
            assert!(write(&path, 1, [Ok((name.into(), Vec::new()))]).is_err(), "{name:?}");
        }
        let folder = written();
        let manifest = fs::read_to_string(folder.path().join(MANIFEST)).unwrap().replace("policy", "../policy");
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        assert!(Checkpoint::open(folder.path()).unwrap_err().to_string().contains("not a file of this checkpoint"));
    }

    #[test]
    fn hashes_are_those_of_sha256() {
        // From FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc"), Fingerprint { bytes: 3, sha256: abc.into() });
    }
}
