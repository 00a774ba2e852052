//! Files that exist only while a process works. Each is locked during that time, so that the files of a killed
//! process can be recognized and deleted.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// Prefix of the names of temporary files, lock files and unfinished folders.
pub(crate) const PREFIX: &str = ".preftune-";

/// Suffix of the name of an unfinished file or folder.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Suffix of the name of a lock file.
pub(crate) const LOCK: &str = ".lock";

/// Number of attempts to lock a new file, which another process may delete before it is locked.
const ATTEMPTS: usize = 10;

/// Makes a locked temporary file in this folder; no other user can read a private one.
pub(crate) fn temporary_file(folder: &Path, private: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(UNFINISHED);
    // Temporary files are private by default; a file that is not has the usual permissions.
    #[cfg(unix)]
    if !private {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = private;
    for _ in 0..ATTEMPTS {
        let file = builder.tempfile_in(folder).map_err(without_temporary_name)?;
        if hold(file.as_file(), file.path())? {
            return Ok(file);
        }
    }
    Err(io::Error::other("other processes delete its temporary file"))
}

/// Returns the error of the operating system alone: the name of a temporary file says nothing to the user.
fn without_temporary_name(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|error| error.source()?.downcast_ref::<io::Error>());
    inner.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// Opens and locks the file at this path, creating it if need be; `None` where another process has locked the file.
pub(crate) fn lock_file(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        if hold(&file, path)? {
            return Ok(Some(file));
        }
        if path.try_exists()? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Locks a file that was just created or opened; false where another process has locked or deleted it before.
fn hold(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => path.try_exists(),
        Err(TryLockError::WouldBlock) => Ok(false),
        // A file system without locks, on which nothing is deleted either.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Deletes the files that killed processes left in this folder. The files of a running process are locked, and
/// stay, and so do files that cannot be deleted.
pub(crate) fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && (name.ends_with(UNFINISHED) || name.ends_with(LOCK)) {
            delete_if_unlocked(&entry.path());
        }
    }
}

fn delete_if_unlocked(path: &Path) {
    // The lock is held until the file is deleted, so that a process that opened it meanwhile sees that it is gone.
    let locked = File::options().write(true).open(path).is_ok_and(|file| {
        let is_mine = file.try_lock().is_ok();
        if is_mine {
            fs::remove_file(path).ok();
        }
        is_mine
    });
    if locked {
        tracing::info!("deleted {}, which a process that was killed had left", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unlocked_files_of_this_program_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [".preftune-a.tmp", ".preftune-b.lock", ".a1b2c3.tmp", ".preftune-notes", "preftune-c.tmp"] {
            fs::write(path(name), "left").unwrap();
        }
        fs::create_dir(path(".preftune-d.tmp")).unwrap();
        let being_written = temporary_file(folder.path(), false).unwrap();
        let lock = lock_file(&path(".preftune-e.lock")).unwrap().unwrap();
        sweep(folder.path());
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let being_written = being_written.path().file_name().unwrap().to_str().unwrap().to_string();
        let mut expected =
            vec![".a1b2c3.tmp", ".preftune-d.tmp", ".preftune-e.lock", ".preftune-notes", "preftune-c.tmp"];
        expected.push(&being_written);
        expected.sort_unstable();
        assert_eq!(left, expected);
        assert!(lock_file(&path(".preftune-e.lock")).unwrap().is_none(), "locked twice");
        drop(lock);
        assert!(lock_file(&path(".preftune-e.lock")).unwrap().is_some());
    }
}
