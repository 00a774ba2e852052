//! The hash of a file's content, which the hub sends as the file's ETag.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A hash that a file should have, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the bytes, for large files.
    Sha256(String),
    /// SHA-1 of the bytes as a git blob, for files in the repository itself.
    GitBlob(String),
}

impl Checksum {
    /// Reads an ETag, or returns `None` if it is no hash, as from other servers.
    pub(super) fn of_etag(etag: &str) -> Option<Self> {
        let hash = etag.to_ascii_lowercase();
        let is_hash = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match hash.len() {
            64 if is_hash => Some(Self::Sha256(hash)),
            40 if is_hash => Some(Self::GitBlob(hash)),
            _ => None,
        }
    }

    /// Says what is wrong with the file, or returns `None` if it has this hash.
    pub(super) fn complaint(&self, path: &Path) -> Result<Option<String>> {
        let (kind, expected, found) = match self {
            Self::Sha256(expected) => ("SHA-256", expected, hashed(Sha256::new(), path)?),
            Self::GitBlob(expected) => {
                let failed = |source| Error::file("read", path, source);
                let bytes = std::fs::metadata(path).map_err(failed)?.len();
                let hasher = Sha1::new_with_prefix(format!("blob {bytes}\0"));
                ("git blob SHA-1", expected, hashed(hasher, path)?)
            }
        };
        Ok((found != *expected).then(|| format!("its {kind} should be {expected} and is {found}")))
    }
}

fn hashed(mut hasher: impl Digest, path: &Path) -> Result<String> {
    let failed = |source| Error::file("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected hashes are the output of `sha256sum` and `git hash-object`.
    #[test]
    fn both_kinds_are_those_of_the_usual_tools() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        let complaint = |etag: &str| Checksum::of_etag(etag).unwrap().complaint(&path).unwrap();
        assert_eq!(complaint("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"), None);
        assert_eq!(complaint("ce013625030ba8dba906f756967f9e9ca394464a"), None);
        assert_eq!(complaint("CE013625030BA8DBA906F756967F9E9CA394464A"), None);
        std::fs::write(&path, "hallo\n").unwrap();
        assert!(complaint("ce013625030ba8dba906f756967f9e9ca394464a").unwrap().contains("ce0136"));
    }

    #[test]
    fn other_etags_are_no_hashes() {
        for etag in ["", "0x8DC", "ce013625030ba8dba906f756967f9e9ca394464", &"g".repeat(40)] {
            assert_eq!(Checksum::of_etag(etag), None, "{etag}");
        }
    }
}
