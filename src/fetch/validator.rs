//! The version of a file on a server that an unfinished download belongs to.

use std::fs;
use std::path::PathBuf;

use ureq::http::header::{ETAG, LAST_MODIFIED};

use super::address::Address;
use super::http::Answer;
use crate::error::Result;
use crate::platform::files;

/// A small file beside the unfinished one, with the address and the server's name of the version.
pub(super) struct Validator(pub(super) PathBuf);

impl Validator {
    /// Returns the version that an answer names. A weak ETag does not count, because it does not promise the
    /// same bytes.
    pub(super) fn validator(answer: &Answer) -> Option<&str> {
        let strong = answer.header(ETAG.as_str()).filter(|etag| !etag.starts_with("W/"));
        strong.or_else(|| answer.header(LAST_MODIFIED.as_str()))
    }

    /// Returns the version that is recorded for this address.
    pub(super) fn read(&self, address: &Address) -> Option<String> {
        let text = fs::read_to_string(&self.0).ok()?;
        let (noted, validator) = text.split_once('\n')?;
        (noted == address.to_string()).then(|| validator.to_string())
    }

    /// Records the version that an answer names. A download without such a name cannot be resumed.
    pub(super) fn write(&self, address: &Address, answer: &Answer) -> Result<()> {
        files::create_folder_of(&self.0)?;
        match Self::validator(answer) {
            Some(validator) => files::write_atomically(&self.0, format!("{address}\n{validator}").as_bytes()),
            None => {
                self.remove();
                Ok(())
            }
        }
    }

    pub(super) fn remove(&self) {
        fs::remove_file(&self.0).ok();
    }
}
