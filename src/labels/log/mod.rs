//! The append-only label log: a judgment that was acknowledged is never lost.

mod index;
mod line;

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::question::Question;
use crate::data::comparisons::{Comparison, Record, parse_record, parse_records, surviving};
use crate::data::without_byte_order_mark;
use crate::error::{Error, Result};
use crate::platform::fault_point;
use crate::platform::files::{folder_of, not_written, sync_folder};
use index::Index;

pub use line::{Decision, LogLine};

/// JSONL file of comparisons, open for one writer. Its texts stay in the file and are read again when needed, so that a
/// long log takes little memory.
///
/// Labelling resumes by skipping the questions that [`LabelLog::lines`] already holds.
#[derive(Debug)]
pub struct LabelLog {
    path: PathBuf,
    file: File,
    length_bytes: u64,
    /// True if the file may still hold refused lines after the first `length_bytes` bytes.
    was_refused: bool,
    index: Index,
}

impl LabelLog {
    /// Opens and reads the log at `path`, or creates it in a folder that exists.
    ///
    /// A last line that was only partly written is moved to `<name>.torn` beside the log; the rest is read.
    ///
    /// # Errors
    /// Fails when another program writes to this log, when a complete line is not a comparison, when `path` is not a
    /// file that can be read again (a pipe, for example), and when the operating system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        // Such a name may stand for the file to which the results are printed.
        if ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|place| path.starts_with(place)) {
            return Err(no_file(path));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| Error::file("open", path, source))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(no_file(path));
        }
        lock(&file, path)?;
        let mut index = Index::default();
        let (length_bytes, last_line) = read_lines(&file, u64::MAX, path, |record, offset| {
            index.add(&record, offset);
            true
        })?;
        let mut log = Self { path: path.into(), file, length_bytes, was_refused: false, index };
        if !last_line.is_empty() {
            log.repair(&last_line)?;
        } else if length_bytes == 0 {
            sync_name(path)?;
        }
        Ok(log)
    }

    /// Returns all lines, oldest first.
    pub fn lines(&self) -> &[LogLine] {
        self.index.lines()
    }

    /// Returns the number of [`Self::choices`].
    pub fn labels(&self) -> usize {
        self.index.labels()
    }

    /// Returns the answers that choose a response and were not taken back, oldest first.
    pub fn choices(&self) -> impl Iterator<Item = &LogLine> + Clone {
        self.index.choices()
    }

    /// Returns the answers of a labeler that were not taken back, the last first.
    pub fn answers_of(&self, labeler: &str) -> impl Iterator<Item = &LogLine> {
        self.index.answers_of(labeler)
    }

    /// Returns the last answer to a question that was not taken back.
    pub fn answer_to(&self, question: &Question) -> Option<&LogLine> {
        self.index.answer_to(question)
    }

    /// Reads the first `lines` lines with their texts, or all lines if there are fewer.
    ///
    /// # Errors
    /// Fails when the file cannot be read again.
    pub fn records(&self, lines: usize) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        if lines > 0 {
            // The file may hold refused lines after `length_bytes` bytes.
            read_lines(&self.file, self.length_bytes, &self.path, |record, _| {
                records.push(record);
                records.len() < lines
            })?;
        }
        Ok(records)
    }

    /// Reads the comparisons that were decided and not taken back, with their texts, oldest first.
    ///
    /// # Errors
    /// The errors of [`Self::records`].
    pub fn comparisons(&self) -> Result<Vec<Comparison>> {
        Ok(surviving(self.records(usize::MAX)?))
    }

    /// Reads the question of an answer, with its texts.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read again; [`Error::Input`] if it no longer holds the question there.
    pub fn question(&self, answer: &LogLine) -> Result<Question> {
        let mut bytes = Vec::new();
        let mut reader = BufReader::new(&self.file);
        let read = reader.seek(SeekFrom::Start(answer.offset)).and_then(|_| reader.read_until(b'\n', &mut bytes));
        read.map_err(|source| Error::file("read", &self.path, source))?;
        let text = text_of(&bytes, if answer.offset == 0 { 1 } else { 2 }, &self.path);
        let record = text.and_then(|text| parse_record(text, 1, &self.path, false)).ok();
        let question = record.as_ref().and_then(Record::answer).map(Question::from);
        question.filter(|question| question.digest() == answer.question).ok_or_else(|| {
            let what = "another program changed it while labels were written to it";
            Error::input(&self.path, what, "label again when nothing else writes to it")
        })
    }

    /// Checks that the file is as this program wrote it, and still lies where it was opened.
    ///
    /// # Errors
    /// [`Error::Failed`] if another program changed, replaced or deleted the file.
    pub fn check(&self) -> Result<()> {
        let failed = |source| Error::file("look at", &self.path, source);
        let metadata = self.file.metadata().map_err(failed)?;
        let is_changed = metadata.len() != self.length_bytes && !self.was_refused;
        if !is_changed && is_at(&metadata, &self.path) {
            return Ok(());
        }
        let what = format!("another program changed, replaced or deleted {} while it was open", self.path.display());
        Err(Error::failed(what, "look at the file, and run the same command again when nothing else writes to it"))
    }

    /// Returns the path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line, which is on the disk when this call returns.
    ///
    /// # Errors
    /// The errors of [`LabelLog::append_many`].
    pub fn append(&mut self, record: Record) -> Result<()> {
        self.append_many(vec![record])
    }

    /// Appends several lines and waits for the disk once.
    ///
    /// # Errors
    /// Fails when a record could not be read back (`best` is out of range, for example) and when the operating system
    /// refuses (the disk is full, for example). The log then holds none of the lines.
    pub fn append_many(&mut self, records: Vec<Record>) -> Result<()> {
        let lines: String = records.iter().map(Record::to_line).collect();
        parse_records(&lines, &self.path).map_err(|error| {
            Error::failed(format!("refused to log a comparison that cannot be read again: {error}"), error.hint())
        })?;
        let mut offset = self.length_bytes;
        self.write(lines.as_bytes())?;
        for (record, line) in records.iter().zip(lines.split_inclusive('\n')) {
            self.index.add(record, offset);
            offset += line.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        self.check()?;
        // Reading moves the position in the file at which it is written.
        let at_end = self.end_file().and_then(|()| self.file.seek(SeekFrom::Start(self.length_bytes)));
        let written = at_end.and_then(|_| self.file.write_all(lines)).and_then(|()| {
            fault_point("labels appended");
            self.file.sync_data()
        });
        if let Err(source) = written {
            // Part of a refused line must not stay in the file, because the next line would be appended to it. If
            // truncating fails as well, it is tried again before the next write.
            self.was_refused = self.truncate().is_err();
            return Err(not_written(&self.path, source, Some(lines.len() as u64)));
        }
        fault_point("labels synced");
        self.was_refused = false;
        self.length_bytes += lines.len() as u64;
        Ok(())
    }

    /// Truncates the file after its last complete line, if it is longer.
    fn end_file(&self) -> std::io::Result<()> {
        match self.file.metadata()?.len() > self.length_bytes {
            true => self.file.set_len(self.length_bytes),
            false => Ok(()),
        }
    }

    /// Truncates the file after its last complete line, and waits for the disk.
    fn truncate(&self) -> std::io::Result<()> {
        self.end_file()?;
        self.file.sync_data()
    }

    /// Keeps a last line that lacks only its newline, and moves any other away.
    fn repair(&mut self, last_line: &[u8]) -> Result<()> {
        let last = std::str::from_utf8(last_line).ok().and_then(|line| parse_records(line, &self.path).ok());
        match last {
            Some(records) if !records.is_empty() => {
                records.iter().for_each(|record| self.index.add(record, self.length_bytes));
                self.length_bytes += last_line.len() as u64;
                self.write(b"\n")
            }
            _ => {
                keep_torn_line(last_line, &self.path)?;
                self.truncate().map_err(|source| Error::file("repair", &self.path, source))
            }
        }
    }
}

fn no_file(path: &Path) -> Error {
    let what = format!("{} is a pipe or a device, and labels are kept in a file", path.display());
    Error::usage(what, "name a file")
}

/// Checks whether the file with this metadata lies at `path`.
#[cfg(unix)]
fn is_at(metadata: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()))
}

/// Returns true, because a locked file stays where it is on systems other than Unix.
#[cfg(not(unix))]
fn is_at(_metadata: &Metadata, _path: &Path) -> bool {
    true
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::failed(
            format!("another program is writing labels to {}", path.display()),
            "wait until it ends, or write to another file; to label with several people, let all of them open the page \
             of the first command",
        )),
        Err(TryLockError::Error(source)) => Err(Error::file("lock", path, source)),
    }
}

/// Calls `work` with each record in the first `length_bytes` bytes and the number of bytes before its line, until
/// `work` returns false. Returns the number of bytes in the complete lines that were read, and the bytes after the last
/// complete line.
fn read_lines(
    mut file: &File,
    length_bytes: u64,
    path: &Path,
    mut work: impl FnMut(Record, u64) -> bool,
) -> Result<(u64, Vec<u8>)> {
    let failed = |source| Error::file("read", path, source);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 16, file.take(length_bytes));
    let (mut offset, mut number, mut line) = (0, 1, Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(failed)?;
        if !line.ends_with(b"\n") {
            return Ok((offset, line));
        }
        let text = text_of(&line, number, path)?;
        let goes_on = text.trim().is_empty() || work(parse_record(text, number, path, false)?, offset);
        offset += line.len() as u64;
        number += 1;
        if !goes_on {
            return Ok((offset, Vec::new()));
        }
    }
}

/// Returns the text of a line without its end, and without a byte order mark in the first line.
fn text_of<'a>(line: &'a [u8], number: usize, path: &Path) -> Result<&'a str> {
    let text = std::str::from_utf8(line)
        .map_err(|_| Error::line(path, number, "not UTF-8 text", "correct the line or delete it"))?;
    let text = text.lines().next().unwrap_or_default();
    Ok(if number == 1 { without_byte_order_mark(text) } else { text })
}

/// Appends the line to `<name>.torn`, after earlier torn lines.
fn keep_torn_line(line: &[u8], log_path: &Path) -> Result<()> {
    let mut path = OsString::from(log_path);
    path.push(".torn");
    let path = PathBuf::from(path);
    let kept = OpenOptions::new().append(true).create(true).open(&path).and_then(|mut torn| {
        torn.write_all(&[line, b"\n"].concat())?;
        torn.sync_all()
    });
    kept.map_err(|source| Error::file("write", &path, source))?;
    sync_name(&path)
}

/// Syncs the folder of a new file; otherwise a power failure may lose the file's name.
fn sync_name(path: &Path) -> Result<()> {
    sync_folder(folder_of(path))
}

#[cfg(test)]
mod tests;
