//! Port and token of a page, kept beside its label log, so that an open page continues when the same command runs
//! again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TOKEN_DIGITS;
use crate::error::Result;
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::files;

#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub version: FormatVersion,
    pub port: u16,
    pub token: String,
}

impl Kept {
    /// Reads the port and token kept beside this log; returns `None` if there is nothing of use.
    pub(super) fn beside(log: &Path) -> Option<Self> {
        let kept: Self = json::from_slice(&files::read(&path(log)).ok()?).ok()?;
        let is_token = kept.token.len() == TOKEN_DIGITS && kept.token.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_token.then_some(kept)
    }

    /// Writes the port and token beside this log, readable on Unix by this user only.
    ///
    /// # Errors
    /// Fails when the operating system refuses.
    pub(super) fn write_beside(&self, log: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(json::not_written)?;
        files::write_privately(&path(log), &json)
    }
}

fn path(log: &Path) -> PathBuf {
    log.with_file_name(format!(".{}.page", log.file_name().unwrap_or_default().to_string_lossy()))
}
