//! Reading and writing whole files; every error names its path.

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serializer;
use sha2::{Digest, Sha256};

use super::disk_space;
use super::fault_points::fault_point;
use super::foreign::foreign_kind;
use super::leftovers;
use crate::error::{Error, Result};

/// Size limit of input from a pipe or a device, in bytes, because such input may have no end.
const MOST_OF_A_PIPE: u64 = 256 << 20;

/// Reads the bytes of a file; a pipe or a device is an error.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    refuse_pipe_or_device(path)?;
    fs::read(path).map_err(|source| Error::file("read", path, source))
}

/// Reads the bytes of a file of at most `most` bytes; a larger file, a pipe or a device is an error.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    read_start(open(path)?, path, most)
}

fn read_start(file: fs::File, path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    match read.map_err(|source| Error::file("read", path, source))? as u64 > most {
        true => Err(Error::input(path, format!("more than {most} bytes"), "check that it is the right file")),
        false => Ok(bytes),
    }
}

/// Checks whether the path is a pipe or a device, which can be read only once and may have no end.
fn is_pipe_or_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Checks whether this path exists. A refusal of the operating system is an error, because the path may exist.
pub fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|source| Error::file("look for", path, source))
}

/// Opens a file to read in pieces, and more than once.
///
/// # Errors
/// [`Error::Input`] for a pipe or a device, [`Error::File`] when the operating system refuses.
pub fn open(path: &Path) -> Result<fs::File> {
    refuse_pipe_or_device(path)?;
    open_anything(path)
}

/// Refuses a pipe or a device where a file is needed: opening a pipe may block, and a device may have no end.
///
/// # Errors
/// [`Error::Input`] when the path is a pipe or a device; a path that does not exist is accepted.
pub fn refuse_pipe_or_device(path: &Path) -> Result<()> {
    match is_pipe_or_device(path) {
        true => {
            let what = "this is a pipe or a device, and a file is wanted";
            Err(Error::input(path, what, "write what comes out of it to a file, and name that"))
        }
        false => Ok(()),
    }
}

fn open_anything(path: &Path) -> Result<fs::File> {
    fs::File::open(path).map_err(|source| Error::file("read", path, source))
}

/// A file, a pipe or a device to read once; more than 256 MB from a pipe or a device is an error.
pub struct ReadOnce {
    file: fs::File,
    /// Bytes that may still be read; `None` for a file, which has no limit.
    left: Option<u64>,
}

impl Read for ReadOnce {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(read as u64).ok_or_else(|| {
                let most = MOST_OF_A_PIPE >> 20;
                io::Error::other(format!("more than {most} MB come out of it; write them to a file, and name that"))
            })?;
        }
        Ok(read)
    }
}

fn open_once(path: &Path) -> Result<ReadOnce> {
    let left = is_pipe_or_device(path).then_some(MOST_OF_A_PIPE);
    Ok(ReadOnce { file: open_anything(path)?, left })
}

/// Opens a file, a pipe or a device to read once, with a buffer of 64 KiB.
pub fn open_buffered(path: &Path) -> Result<BufReader<ReadOnce>> {
    Ok(BufReader::with_capacity(1 << 16, open_once(path)?))
}

/// Reads the text of a file, a pipe or a device; no more than `most` bytes are read, and more are an error.
pub fn read_short_text(path: &Path, most: u64) -> Result<String> {
    text_of(read_start(open_anything(path)?, path, most)?, path)
}

/// Reads the text of a file. A file of another kind is an error that names the kind, and bytes that are not
/// UTF-8 are an error that names line and offset.
pub fn read_text(path: &Path) -> Result<String> {
    text_of(read(path)?, path)
}

/// Reads the text of a file, or of a pipe or a device that ends within 256 MB.
pub fn read_text_once(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    open_once(path)?.read_to_end(&mut bytes).map_err(|source| Error::file("read", path, source))?;
    text_of(bytes, path)
}

fn text_of(bytes: Vec<u8>, path: &Path) -> Result<String> {
    if let Some((kind, hint)) = foreign_kind(&bytes) {
        return Err(Error::input(path, format!("this is {kind}, not text"), hint));
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        let what = format!("byte {offset} of the file is 0, which no text has");
        return Err(Error::input(path, what, "check that it is a text file, in UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count();
        Error::line(
            path,
            line,
            format!("byte {offset} of the file is not UTF-8"),
            "save the file as UTF-8, or check that it is a text file",
        )
    })
}

/// Serializes a path as text, in which bytes that are not UTF-8 become a replacement character.
///
/// # Errors
/// The errors of the serializer.
pub fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Lists the paths of everything in a folder, in the order of the file system.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|source| Error::file("list", folder, source))
}

/// Reads the text of a file, or of each `.txt` file in a folder, in the order of their names.
pub fn read_texts(path: &Path) -> Result<Vec<String>> {
    if !path.is_dir() {
        return Ok(vec![read_text(path)?]);
    }
    let mut found = list(path)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    // The order of a folder differs between machines; training must not.
    found.sort();
    if found.is_empty() {
        return Err(Error::input(path, "no .txt files in this folder", "name the files, or another folder"));
    }
    found.iter().map(|path| read_text(path)).collect()
}

/// Counts the files of a folder that [`read_texts`] does not read, because they are not `.txt`; hidden ones do
/// not count.
pub fn other_files(path: &Path) -> usize {
    let is_other = |path: &PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        path.is_file() && !is_hidden && path.extension().is_none_or(|extension| extension != "txt")
    };
    list(path).into_iter().flatten().filter(is_other).count()
}

/// Writes a file so that after a crash it holds either its old bytes or the new ones, whole.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, false)
}

/// Writes a file in pieces. The file appears when it is complete, and nothing is left of it if `work` fails.
pub fn write_in_pieces<T>(path: &Path, work: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let failed = |source| not_written(path, source, None);
    let mut file = leftovers::temporary_file(folder_of(path), false).map_err(failed)?;
    // Written through the inner file, because errors of the temporary file would name its own path.
    let mut writer = BufWriter::new(file.as_file_mut());
    let done = work(&mut writer)?;
    let flushed = writer.flush();
    drop(writer);
    flushed.and_then(|()| publish(file, path)).map_err(failed)?;
    sync_folder(folder_of(path))?;
    Ok(done)
}

/// Writes a file as [`write_atomically`] does; on Unix no other user of this computer can read the file.
pub fn write_privately(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, true)
}

fn write(path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    write_temporary(path, bytes, private).map_err(|source| not_written(path, source, Some(bytes.len() as u64)))?;
    sync_folder(folder_of(path))
}

/// Writes through a temporary file; a failure leaves nothing on the disk.
fn write_temporary(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    fault_point("nothing written");
    let mut file = leftovers::temporary_file(folder_of(path), private)?;
    fault_point("temporary file created");
    // Written through the inner file, because errors of the temporary file would name its own path.
    file.as_file_mut().write_all(bytes)?;
    fault_point("bytes written");
    publish(file, path)
}

/// Makes a temporary file durable, and gives it its final name.
fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    fault_point("bytes synced");
    file.persist(path).map_err(|error| error.error)?;
    fault_point("file renamed");
    Ok(())
}

/// Makes the error for a file that could not be written; for a full disk the error names the needed bytes, if
/// they are known.
pub fn not_written(path: &Path, source: io::Error, needed: Option<u64>) -> Error {
    Error::file("write", path, disk_space::with_numbers(source, folder_of(path), needed))
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of a file, which may be larger than the memory.
fn sha256_of_file(path: &Path) -> Result<String> {
    let (mut file, mut digest, mut piece) = (open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(count) => digest.update(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::file("read", path, source)),
        }
    }
}

/// Returns the SHA-256 of a file, or of the files in a folder (not in folders inside it) whose name is
/// `wanted`, in hexadecimal.
pub fn digest(path: &Path, wanted: fn(&str) -> bool) -> Result<String> {
    if !path.is_dir() {
        return sha256_of_file(path);
    }
    let mut found = list(path)?;
    found.retain(|path| path.is_file() && path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())));
    found.sort();
    let digests: String = found.iter().map(|path| digest(path, wanted)).collect::<Result<_>>()?;
    Ok(sha256(digests.as_bytes()))
}

/// Creates a folder and those above it; an existing folder is accepted.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::file("create", path, source))
}

/// Creates the folder that a file is to lie in.
pub fn create_folder_of(path: &Path) -> Result<()> {
    create_folder(folder_of(path))
}

/// Makes the names in a folder durable: files that were created, renamed or deleted there stay so after a crash.
#[cfg(unix)]
pub fn sync_folder(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| Error::file("sync", path, source))
}

/// Does nothing: Windows cannot open a folder to sync it, and its file systems log such changes themselves.
#[cfg(not(unix))]
pub fn sync_folder(_path: &Path) -> Result<()> {
    Ok(())
}

/// Returns the folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(read_text(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["config.toml"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind_and_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write_atomically(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(write_atomically(&path.join("no/such"), b"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_a_written_file_as_far_as_the_umask_lets_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
        write_privately(&ours, b"").unwrap();
        assert_eq!(mode(&ours) & 0o777, 0o600);
    }

    #[test]
    fn text_that_is_not_utf8_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin-1.txt");
        fs::write(&path, b"one\ntwo caf\xe9").unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(error.to_string().ends_with("latin-1.txt:2: byte 11 of the file is not UTF-8"), "{error}");
        assert_eq!(error.exit_code(), 4);
    }

    #[test]
    fn of_a_text_that_is_too_long_no_more_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_short_text(&path, 5).unwrap(), "12345");
        let error = read_short_text(&path, 4).unwrap_err();
        assert_eq!((error.to_string().ends_with("more than 4 bytes"), error.exit_code()), (true, 4));
        assert!(!cfg!(target_os = "linux") || read_short_text(Path::new("/dev/zero"), 1 << 20).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_end_is_not_read_to_it_and_pipes_are_read_once() {
        let zeros = Path::new("/dev/zero");
        let error = read_text_once(zeros).unwrap_err();
        assert!(error.to_string().contains("more than 256 MB come out of it"), "{error}");
        for refused in [
            read(zeros).map(drop),
            open(zeros).map(drop),
            read_at_most(zeros, 9).map(drop),
            digest(zeros, |_| true).map(drop),
        ] {
            let error = refused.unwrap_err();
            assert!(error.to_string().contains("/dev/zero: this is a pipe or a device"), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
        assert_eq!(read_text_once(Path::new("/dev/null")).unwrap(), "");
    }

    #[test]
    fn a_missing_file_is_a_bad_input() {
        assert_eq!(read(Path::new("no/such/file")).unwrap_err().exit_code(), 4);
    }
}
