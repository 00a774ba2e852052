//! One file from a server to the disk: resumed after an interruption, checked, and shown under its name only
//! when complete.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::HeaderName;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};

use super::address::Address;
use super::fetch_error::FetchError;
use super::http::{Answer, Client};
use super::retry::{ATTEMPTS, Retries};
use super::validator::Validator;
use crate::error::{Error, Result};
use crate::platform::{Mode, Progress, files, progress};

/// A file to download.
pub(super) struct Download<'a> {
    /// Name of the file in the progress display.
    pub(super) title: &'a str,
    pub(super) address: &'a Address,
    /// Path of the unfinished file.
    pub(super) partial: &'a Path,
    /// Length of the file, if it is known before the download.
    pub(super) bytes: Option<u64>,
    /// Record of the file's version on the server, which tells whether the unfinished file belongs to that
    /// version. `None` if the name of the unfinished file tells it.
    pub(super) note: Option<Validator>,
    pub(super) progress: Mode,
}

impl Download<'_> {
    /// Downloads the whole file to [`Self::partial`]. Bytes that are already there are not requested again.
    ///
    /// # Errors
    /// The errors of [`FetchError`]. The bytes that have arrived stay, for the next call.
    pub(super) fn run(&self, client: &Client) -> std::result::Result<(), FetchError> {
        let mut retries = Retries::new(client, ATTEMPTS);
        let mut furthest = self.bytes_there();
        loop {
            match self.transfer(client) {
                Ok(()) => return Ok(()),
                Err(FetchError::Interrupted) if self.partial.exists() => {
                    return Err(Error::Interrupted { checkpoint: Some(self.partial.into()) }.into());
                }
                Err(trouble) => {
                    let there = self.bytes_there();
                    retries.pause(trouble, there > furthest)?;
                    furthest = furthest.max(there);
                }
            }
        }
    }

    fn bytes_there(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |found| found.len())
    }

    fn transfer(&self, client: &Client) -> std::result::Result<(), FetchError> {
        let validator = self.note.as_ref().map(|note| note.read(self.address));
        let mut have = match validator {
            Some(None) => 0,
            _ => self.bytes_there(),
        };
        if self.bytes == Some(have) && self.partial.exists() {
            return Ok(());
        }
        if self.bytes.is_some_and(|bytes| have > bytes) {
            have = 0;
        }
        let validator = validator.flatten();
        let answer = match client.get(self.address, &range(have, validator.as_deref())) {
            Err(FetchError::Refused { status: 416, .. }) if have > 0 => return Err(self.start_over("ends earlier")),
            answer => answer?,
        };
        let (start, total) = self.extent(&answer, have, validator.as_deref())?;
        self.store(answer, start, total)
    }

    /// Returns the position of the answer's bytes in the file, and the length of the file.
    fn extent(
        &self,
        answer: &Answer,
        have: u64,
        validator: Option<&str>,
    ) -> std::result::Result<(u64, Option<u64>), FetchError> {
        let (start, total) = if answer.status == 206 {
            match answer.header(CONTENT_RANGE.as_str()).and_then(parse_content_range) {
                Some((start, total)) if start == have => (start, total),
                _ => return Err(self.start_over("sent another part than was asked for")),
            }
        } else {
            let length = answer.header(CONTENT_LENGTH.as_str()).and_then(|length| length.trim().parse().ok());
            (0, length)
        };
        // Some servers ignore If-Range and send the rest of another file.
        if start > 0
            && validator.is_some_and(|validator| Validator::validator(answer).is_some_and(|now| now != validator))
        {
            return Err(self.start_over("has another file now"));
        }
        match (self.bytes, total) {
            (Some(expected), Some(found)) if expected != found => Err(self.wrong_length(expected, found)),
            (expected, found) => Ok((start, expected.or(found))),
        }
    }

    /// Writes the answer's bytes behind the first `start` ones.
    fn store(&self, mut answer: Answer, start: u64, total: Option<u64>) -> std::result::Result<(), FetchError> {
        let failed = |source| Error::file("write", self.partial, source);
        files::create_folder_of(self.partial)?;
        // The file is not opened to append, because Windows would not let such a file be shortened.
        let mut file = File::options().create(true).write(true).truncate(false).open(self.partial).map_err(failed)?;
        file.set_len(start).and_then(|()| file.seek(SeekFrom::Start(start))).map_err(failed)?;
        if let Some(note) = self.note.as_ref().filter(|_| start == 0) {
            note.write(self.address, &answer)?;
        }
        let mut progress = Progress::resumed(self.title, start, total.unwrap_or(0), progress::BYTES, self.progress);
        let mut have = start;
        while let Some(bytes) = answer.body.next()? {
            have += bytes.len() as u64;
            if let Some(expected) = total.filter(|&expected| have > expected) {
                self.discard();
                return Err(self.wrong_length(expected, have));
            }
            file.write_all(&bytes).map_err(failed)?;
            progress.advance(bytes.len() as u64);
        }
        if let Some(expected) = total.filter(|&expected| have < expected) {
            let what = format!("{}: the connection was cut after {have} of {expected} bytes", self.address);
            return Err(FetchError::passing(what));
        }
        file.sync_all().map_err(failed)?;
        progress.finish();
        Ok(())
    }

    /// Removes the unfinished file, so that the next attempt begins anew, and returns the error for this
    /// attempt.
    fn start_over(&self, why: &str) -> FetchError {
        self.discard();
        FetchError::passing(format!("{}: the server {why}", self.address))
    }

    fn wrong_length(&self, expected: u64, found: u64) -> FetchError {
        let what = format!("{}: should have {expected} bytes, but the server sends {found}", self.address);
        Error::failed(what, "try again later; something between here and the server may be altering answers").into()
    }

    /// Removes the unfinished file and the record of its version.
    pub(super) fn discard(&self) {
        fs::remove_file(self.partial).ok();
        if let Some(note) = &self.note {
            note.remove();
        }
    }

    /// Moves the finished file to `destination`.
    pub(super) fn place(&self, destination: &Path) -> Result<()> {
        fs::rename(self.partial, destination).map_err(|source| Error::file("write", destination, source))?;
        if let Some(note) = &self.note {
            note.remove();
        }
        files::sync_folder(destination.parent().unwrap_or(Path::new(".")))
    }
}

/// Returns the path with `suffix` after its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn range(have: u64, validator: Option<&str>) -> Vec<(HeaderName, String)> {
    if have == 0 {
        return vec![];
    }
    let mut headers = vec![(RANGE, format!("bytes={have}-"))];
    headers.extend(validator.map(|validator| (IF_RANGE, validator.to_string())));
    headers
}

/// Reads start and total from a header such as `bytes 5-9/10`, in which the total may be `*`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (part, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = part.split_once('-')?.0.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_as_servers_write_them() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(parse_content_range("bytes */10"), None);
        assert_eq!(parse_content_range("5-9/10"), None);
    }
}
