//! The append-only label log: a judgment that was acknowledged is never lost.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::question::Question;
use crate::data::comparisons::{Comparison, Record, parse_records, standing};
use crate::error::{Error, Result};
use crate::run::fault_point;
use crate::run::files::sync_folder;

/// A JSONL file of comparisons, open for one writer.
///
/// Labelling resumes by leaving out what [`LabelLog::records`] already holds.
#[derive(Debug)]
pub struct LabelLog {
    path: PathBuf,
    file: File,
    length_bytes: u64,
    records: Vec<Record>,
    comparisons: Vec<Comparison>,
}

impl LabelLog {
    /// Opens the log at `path`, or creates it in a folder that exists, and reads it.
    ///
    /// A last line that was cut off while being written is moved to `<name>.torn` beside
    /// the log; the rest is read.
    ///
    /// # Errors
    /// When another program writes to this log, when a complete line is no comparison, or
    /// when the operating system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(|source| Error::file("open", path, source))?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| Error::file("read", path, source))?;

        let mut log = Self { path: path.into(), file, length_bytes: 0, records: Vec::new(), comparisons: Vec::new() };
        let complete_bytes = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let (complete, last_line) = bytes.split_at_checked(complete_bytes).unwrap_or((&bytes, &[]));
        log.records = parse_records(text_of(complete, path)?, path)?;
        log.length_bytes = complete.len() as u64;
        if bytes.is_empty() {
            sync_name(path)?;
        } else if !last_line.is_empty() {
            log.repair(last_line)?;
        }
        log.comparisons = standing(log.records.clone());
        Ok(log)
    }

    /// What was decided and not taken back, oldest first.
    pub fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// Every line of the log: what was there and what was appended, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The answers of a labeler that were not taken back, the last first.
    pub fn answers_of(&self, labeler: &str) -> impl Iterator<Item = &Record> {
        let mut taken_back: Vec<&str> = Vec::new();
        self.records.iter().rev().filter(move |record| match record {
            Record::Undone(undone) if undone.labeler == labeler => {
                taken_back.push(&undone.undo);
                false
            }
            Record::Judged(answer) | Record::Undecided(answer) if answer.labeler == labeler => {
                let place = taken_back.iter().position(|id| *id == answer.id);
                place.map(|place| taken_back.swap_remove(place)).is_none()
            }
            _ => false,
        })
    }

    /// The last answer to a question that was not taken back.
    pub fn answer_to(&self, question: &Question) -> Option<&Record> {
        let mut taken_back: Vec<&str> = Vec::new();
        self.records.iter().rev().find(|record| match record {
            Record::Undone(undone) if undone.undo == question.id => {
                taken_back.push(&undone.labeler);
                false
            }
            Record::Judged(answer) | Record::Undecided(answer) if answer.id == question.id => {
                let by_them = |labeler: &&str| labeler.is_empty() || *labeler == answer.labeler;
                let undone = taken_back.iter().position(by_them);
                let stands = undone.map(|place| taken_back.swap_remove(place)).is_none();
                stands && answer.query == question.query && answer.responses == question.responses
            }
            _ => false,
        })
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line; when this returns, it is on the disk.
    ///
    /// # Errors
    /// As [`LabelLog::append_many`].
    pub fn append(&mut self, record: Record) -> Result<()> {
        self.append_many(vec![record])
    }

    /// Writes several lines and waits for the disk once.
    ///
    /// # Errors
    /// When a comparison could not be read back (`best` out of range, say) or the operating
    /// system refuses, as on a full disk. Then none of them is in the log.
    pub fn append_many(&mut self, records: Vec<Record>) -> Result<()> {
        let lines: String = records.iter().map(Record::to_line).collect();
        parse_records(&lines, &self.path).map_err(|error| {
            Error::failed(format!("refused to log a comparison that cannot be read again: {error}"), error.hint())
        })?;
        self.write(lines.as_bytes())?;
        for record in records {
            self.records.push(record.clone());
            record.count_among(&mut self.comparisons);
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        let written = self.file.write_all(lines).and_then(|()| {
            fault_point("labels appended");
            self.file.sync_data()
        });
        if let Err(source) = written {
            // Half a line must not stay: the next one would be glued to it. If even this
            // fails, the next opening finds a torn last line and moves it away.
            self.truncate().ok();
            return Err(Error::file("write", &self.path, source));
        }
        fault_point("labels synced");
        self.length_bytes += lines.len() as u64;
        Ok(())
    }

    /// Ends the file after its last complete line.
    fn truncate(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length_bytes)?;
        self.file.seek(SeekFrom::Start(self.length_bytes))?;
        self.file.sync_data()
    }

    /// Keeps a last line that lacks nothing but its newline, and moves any other away.
    fn repair(&mut self, last_line: &[u8]) -> Result<()> {
        let last = std::str::from_utf8(last_line).ok().and_then(|line| parse_records(line, &self.path).ok());
        match last {
            Some(records) if !records.is_empty() => {
                self.length_bytes += last_line.len() as u64;
                self.records.extend(records);
                self.write(b"\n")
            }
            _ => {
                keep_torn_line(last_line, &self.path)?;
                self.truncate().map_err(|source| Error::file("repair", &self.path, source))
            }
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::failed(
            format!("another program is writing labels to {}", path.display()),
            "wait until it ends, or write to another file; several people open the same page",
        )),
        Err(TryLockError::Error(source)) => Err(Error::file("lock", path, source)),
    }
}

fn text_of<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to());
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        Error::line(path, line, "not UTF-8 text", "correct the line or delete it")
    })
}

/// Adds the line to `<name>.torn`, after those of earlier accidents.
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

/// Makes the name of a new file last: its contents alone do not survive a power cut.
fn sync_name(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::comparisons::{Undone, parse_comparisons};

    fn comparison(id: &str) -> Comparison {
        let line = format!(r#"{{"id":"{id}","query":"Once","responses":["upon a time","“twice”"],"best":1}}"#);
        parse_comparisons(&line, Path::new("")).unwrap().remove(0)
    }

    fn ids(log: &LabelLog) -> Vec<&str> {
        log.comparisons().iter().map(|comparison| comparison.id.as_str()).collect()
    }

    #[test]
    fn labelling_resumes_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let mut log = LabelLog::open(&path).unwrap();
        assert!(log.comparisons().is_empty());
        log.append(Record::Judged(comparison("a"))).unwrap();
        drop(log);

        let mut log = LabelLog::open(&path).unwrap();
        log.append_many(["b", "c"].map(|id| Record::Judged(comparison(id))).into()).unwrap();
        assert_eq!(ids(&log), ["a", "b", "c"]);
        drop(log);
        assert_eq!(ids(&LabelLog::open(&path).unwrap()), ["a", "b", "c"]);
        let expected: String = ["a", "b", "c"].map(|id| comparison(id).to_line()).concat();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn what_is_taken_back_no_longer_counts_and_stays_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let mut log = LabelLog::open(&path).unwrap();
        log.append_many(["a", "b"].map(|id| Record::Judged(comparison(id))).into()).unwrap();
        log.append(Record::Undone(Undone { undo: "a".into(), labeler: String::new(), at: None })).unwrap();
        log.append(Record::Undecided(comparison("c"))).unwrap();
        assert_eq!((ids(&log), log.records().len()), (vec!["b"], 4));
        drop(log);
        let log = LabelLog::open(&path).unwrap();
        assert_eq!((ids(&log), log.records().len()), (vec!["b"], 4));
    }

    /// The program may be killed after any byte of a line.
    #[test]
    fn a_line_torn_anywhere_is_moved_away_and_the_rest_loads() {
        let (whole, torn) = (comparison("a").to_line(), comparison("b").to_line());
        for written in 1..torn.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("labels.jsonl");
            let cut = &torn.as_bytes()[..written];
            std::fs::write(&path, [whole.as_bytes(), cut].concat()).unwrap();
            let mut log = LabelLog::open(&path).unwrap();
            log.append(Record::Judged(comparison("c"))).unwrap();
            let moved = std::fs::read(folder.path().join("labels.jsonl.torn"));
            if written == torn.len() - 1 {
                assert_eq!(ids(&log), ["a", "b", "c"], "only the newline is missing");
                assert!(moved.is_err());
            } else {
                assert_eq!(ids(&log), ["a", "c"]);
                assert_eq!(moved.unwrap(), [cut, b"\n"].concat());
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(parse_comparisons(&text, &path).unwrap(), log.comparisons());
        }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let first = LabelLog::open(&path).unwrap();
        let refusal = LabelLog::open(&path).unwrap_err();
        assert!(refusal.to_string().contains("another program"), "{refusal}");
        drop(first);
        LabelLog::open(&path).unwrap();
    }

    #[test]
    fn a_comparison_that_cannot_be_read_again_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let mut log = LabelLog::open(&path).unwrap();
        let best_out_of_range = Comparison { best: 2, ..comparison("b") };
        assert!(log.append_many([comparison("a"), best_out_of_range].map(Record::Judged).into()).is_err());
        assert!(log.comparisons().is_empty());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_complete_bad_line_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        for bad in [&b"{\"query\":"[..], b"\xff\xfe"] {
            let whole = comparison("a").to_line();
            std::fs::write(&path, [whole.as_bytes(), bad, b"\n"].concat()).unwrap();
            let error = LabelLog::open(&path).unwrap_err();
            assert!(error.to_string().contains("labels.jsonl:2: "), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let mut log = LabelLog { path, file, length_bytes: 0, records: Vec::new(), comparisons: Vec::new() };
        let error = log.append(Record::Judged(comparison("a"))).unwrap_err();
        assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
        assert!(log.comparisons().is_empty());
    }
}
