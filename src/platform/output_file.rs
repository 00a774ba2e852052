//! A file that a command writes at its end: checked before the work, and written whole after the work.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{files, leftovers};
use crate::error::{Error, Result};

/// A file that does not exist yet, or one of the program's own, which is replaced.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    is_own: bool,
}

impl OutputFile {
    /// Makes sure that a file can be written at this path, in a folder that is made if need be.
    ///
    /// # Errors
    /// [`Error::Usage`] when the path exists, [`Error::File`] when the operating system refuses.
    pub fn new(path: &Path) -> Result<Self> {
        let path = path_of_file(path)?;
        refuse_existing(&path)?;
        check_folder_of(&path)?;
        Ok(Self { path, is_own: false })
    }

    /// Makes sure that a file can be written at this path, like [`Self::new`], but accepts an existing file if
    /// the path is `own`.
    ///
    /// # Errors
    /// The errors of [`Self::new`].
    pub fn new_or_own(path: &Path, own: &Path) -> Result<Self> {
        let is_own =
            path == own || fs::canonicalize(path).ok().is_some_and(|path| fs::canonicalize(own).ok() == Some(path));
        if !is_own {
            return Self::new(path);
        }
        let path = path_of_file(path)?;
        check_folder_of(&path)?;
        Ok(Self { path, is_own })
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// The errors of [`Self::new`].
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        if !self.is_own {
            refuse_existing(&self.path)?;
        }
        files::write_atomically(&self.path, bytes)
    }

    /// Writes the file in pieces, as `work` makes them; nothing is left of the file if `work` fails.
    ///
    /// # Errors
    /// The errors of [`Self::new`] and of `work`.
    pub fn write_in_pieces<T>(&self, work: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
        if !self.is_own {
            refuse_existing(&self.path)?;
        }
        files::write_in_pieces(&self.path, work)
    }

    /// Returns the path of the file, with links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes sure that a file at this path can be written or added to, in a folder that is made if need be.
///
/// # Errors
/// [`Error::Usage`] when the path is a folder, [`Error::File`] when the operating system refuses.
pub fn check_file(path: &Path) -> Result<()> {
    let path = path_of_file(path)?;
    match files::exists(&path)? {
        true => File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map(drop)
            .map_err(|source| Error::file("write", &path, source)),
        false => check_folder_of(&path),
    }
}

fn refuse_existing(path: &Path) -> Result<()> {
    match files::exists(path)? {
        true => Err(Error::usage(format!("{} is there already", path.display()), "choose another name, or delete it")),
        false => Ok(()),
    }
}

fn path_of_file(path: &Path) -> Result<PathBuf> {
    let path = followed(path)?;
    match path.is_dir() {
        true => Err(Error::usage(format!("{} is a folder, and a file is wanted", path.display()), "name a file in it")),
        false => Ok(path),
    }
}

/// Largest number of links that are followed one after another; a longer chain counts as endless.
const MOST_LINKS: usize = 40;

/// Follows links, so that a write does not replace them, to a path that need not exist.
pub(crate) fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = files::folder_of(&path).join(target),
            Err(_) if path.file_name().is_some() || path.is_dir() => return Ok(path),
            Err(_) => return Err(Error::usage(format!("{:?} names nothing", path.display()), "give a name")),
        }
    }
    Err(Error::usage(format!("{} is a link that leads to itself", path.display()), "choose another path"))
}

/// Makes the folder of a path, deletes what killed processes left in it, and tries to write in it.
pub(crate) fn check_folder_of(path: &Path) -> Result<()> {
    files::create_folder_of(path)?;
    let folder = files::folder_of(path);
    leftovers::sweep(folder);
    leftovers::temporary_file(folder, false).map(drop).map_err(|source| Error::file("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_or_comes_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/pairs.jsonl");
        let file = OutputFile::new(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert_eq!(file.write(b"other").unwrap_err().exit_code(), 2);
        assert_eq!(OutputFile::new(&path).unwrap_err().exit_code(), 2);
        assert_eq!(files::read_text(&path).unwrap(), "mine");
        let own = OutputFile::new_or_own(&folder.path().join("new/../new/pairs.jsonl"), &path).unwrap();
        own.write(b"anew").unwrap();
        assert_eq!(files::read_text(&path).unwrap(), "anew");
    }

    #[test]
    fn what_cannot_be_written_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (path, exit_code) in [("", 2), (".", 2), ("file/pairs", 1), ("file/more/pairs", 1)] {
            let path = if path.is_empty() { PathBuf::new() } else { folder.path().join(path) };
            assert_eq!(OutputFile::new(&path).unwrap_err().exit_code(), exit_code, "{}", path.display());
            assert_eq!(check_file(&path).unwrap_err().exit_code(), exit_code, "{}", path.display());
        }
        let long = folder.path().join("n".repeat(300));
        assert_eq!(OutputFile::new(&long).unwrap_err().exit_code(), 1);
        check_file(&folder.path().join("file")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("target", path("link")).unwrap();
        OutputFile::new(&path("link")).unwrap().write(b"text").unwrap();
        assert!(path("link").is_symlink());
        assert_eq!(files::read_text(&path("target")).unwrap(), "text");
        std::os::unix::fs::symlink("round", path("round")).unwrap();
        assert_eq!(OutputFile::new(&path("round")).unwrap_err().exit_code(), 2);
    }
}
