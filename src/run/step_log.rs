//! Append-only logs of a run: one JSON object a line, each with the `step` it belongs to and the version of
//! the format.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::{FormatVersion, Versioned};
use crate::json;
use crate::platform::fault_point;
use crate::platform::files;

/// A log open for appending, such as `samples.jsonl`.
#[derive(Debug)]
pub struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens a log, creating it if need be.
    ///
    /// A run that resumes after `resume_step` repeats the later steps, so their lines are dropped. With `None`
    /// all lines stay. A last line that a crash left incomplete is dropped. Any other line that is not a JSON
    /// object with a `step` is an error.
    pub fn open(path: &Path, resume_step: Option<u64>) -> Result<Self> {
        files::refuse_pipe_or_device(path)?;
        if files::exists(path)? {
            drop_repeated_lines(path, resume_step)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| Error::file("write", path, source))?;
        Ok(Self { path: path.into(), file })
    }

    /// Appends one row: a struct or map with a `step` field.
    pub fn append(&mut self, row: &impl Serialize) -> Result<()> {
        let failed = |source| files::not_written(&self.path, source, None);
        let mut line = serde_json::to_vec(&Versioned::new(row)).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // A single write, so that a reader beside the run sees whole lines.
        self.file.write_all(&line).map_err(failed)?;
        fault_point("row appended");
        Ok(())
    }

    /// Makes all rows durable. Call this before saving the checkpoint that depends on them.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| Error::file("write", &self.path, source))
    }
}

/// Reads all rows of a log, without a last line that is incomplete.
pub(crate) fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = files::read(path)?;
    parse(path, &bytes).map(|rows| rows.into_iter().map(|(_, row)| row).collect())
}

#[derive(Deserialize)]
struct Step {
    #[serde(default, rename = "version")]
    _version: FormatVersion,
    step: u64,
}

fn drop_repeated_lines(path: &Path, resume_step: Option<u64>) -> Result<()> {
    let bytes = files::read(path)?;
    let mut kept = Vec::with_capacity(bytes.len());
    for (line, row) in parse::<Step>(path, &bytes)? {
        if resume_step.is_none_or(|last| row.step <= last) {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    if kept == bytes { Ok(()) } else { files::write_atomically(path, &kept) }
}

/// Splits a log into its lines, each with the row read from it.
fn parse<'a, T: DeserializeOwned>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(&'a [u8], T)>> {
    let mut rows = Vec::new();
    let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let is_text = std::str::from_utf8(line).is_ok();
        match json::from_slice::<Step>(line).and_then(|_| json::from_slice(line)) {
            Ok(row) => rows.push((line, row)),
            // After the last newline there is nothing, or a line that a crash left incomplete, which is no JSON.
            Err(error) if lines.peek().is_none() && !(is_text && error.is_data()) => {}
            Err(error) => {
                let (what, hint) = match format_version::fault_of(line) {
                    Some(fault) => (fault, format_version::NEWER_HINT),
                    None => {
                        let hint = "delete this line, or move the file away to start a new one";
                        (format!("this is not a line of this log: {error}"), hint)
                    }
                };
                return Err(Error::line(path, index + 1, what, hint));
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        step: u64,
        query: String,
    }

    fn sample(step: u64) -> Sample {
        Sample { step, query: format!("two\nlines {step}") }
    }

    fn log_with(steps: &[u64]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.jsonl");
        let mut log = StepLog::open(&path, None).unwrap();
        steps.iter().for_each(|&step| log.append(&sample(step)).unwrap());
        log.sync().unwrap();
        (folder, path)
    }

    fn steps(path: &Path) -> Vec<u64> {
        read_rows::<Sample>(path).unwrap().into_iter().map(|sample| sample.step).collect()
    }

    #[test]
    fn rows_are_read_back() {
        let (_folder, path) = log_with(&[1, 2]);
        assert_eq!(read_rows::<Sample>(&path).unwrap(), [sample(1), sample(2)]);
    }

    #[test]
    fn a_resumed_run_repeats_no_step() {
        let (_folder, path) = log_with(&[1, 2, 2, 3]);
        StepLog::open(&path, Some(2)).unwrap().append(&sample(3)).unwrap();
        assert_eq!(steps(&path), [1, 2, 2, 3]);
        StepLog::open(&path, None).unwrap().append(&sample(4)).unwrap();
        assert_eq!(steps(&path), [1, 2, 2, 3, 4]);
    }

    #[test]
    fn a_line_cut_off_at_any_byte_is_dropped() {
        let (_folder, path) = log_with(&[1, 2]);
        let whole = files::read(&path).unwrap();
        let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for length in first..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let rows = steps(&path);
            // If only its newline is missing, the second line is still complete.
            assert_eq!(rows, if length == whole.len() - 1 { vec![1, 2] } else { vec![1] });
            StepLog::open(&path, None).unwrap().append(&sample(3)).unwrap();
            assert_eq!(steps(&path), [rows, vec![3]].concat());
        }
    }

    #[test]
    fn lines_without_a_version_are_read_and_those_of_a_newer_one_refused() {
        let (_folder, path) = log_with(&[2]);
        let line = files::read_text(&path).unwrap();
        assert!(line.starts_with(r#"{"version":1,"step":2,"#), "{line}");
        std::fs::write(&path, line.replace(r#""version":1,"#, "") + &line).unwrap();
        StepLog::open(&path, None).unwrap();
        assert_eq!(steps(&path), [2, 2]);
        std::fs::write(&path, line.replace(r#""version":1,"#, r#""version":2,"#)).unwrap();
        let error = StepLog::open(&path, None).unwrap_err();
        assert!(error.to_string().contains("written by a newer preftune") && error.exit_code() == 4, "{error}");
    }

    #[test]
    fn a_bad_line_in_the_middle_is_an_error_that_names_it() {
        let (_folder, path) = log_with(&[1]);
        for bad in ["{\"step\": ", "[]", "{\"query\": \"no step\"}", ""] {
            std::fs::write(&path, format!("{{\"step\": 1}}\n{bad}\n{{\"step\": 2}}\n")).unwrap();
            let error = StepLog::open(&path, None).unwrap_err();
            assert!(error.to_string().contains("samples.jsonl:2: this is not a line"), "{error}");
        }
    }
}
