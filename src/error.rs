//! Every way a command can fail, with what went wrong, where, and what to do.
//!
//! An error is made where the facts are known and printed once, in `main`.

use std::path::{Path, PathBuf};

use crate::sanitize::sanitize_path;

/// Result of the library's functions that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, worded for the user.
///
/// The `Display` text says what happened and where, and [`Error::hint`] says what to do. The program exits with
/// [`Error::exit_code`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong request, such as an unknown key or an impossible size.
    #[error("{what}")]
    Usage { what: String, hint: String },

    /// A device that does not exist or stopped answering.
    #[error("{what}")]
    Device { what: String, hint: String },

    /// A file that is not what it should be.
    #[error("{}{}: {what}", sanitize_path(path), line.map(|n| format!(":{n}")).unwrap_or_default())]
    Input { path: PathBuf, line: Option<usize>, what: String, hint: String },

    /// A refusal of the operating system to read or write.
    #[error("cannot {action} {}: {source}", sanitize_path(path))]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// A stop that the user asked for.
    #[error("interrupted{}", checkpoint.as_ref().map(|p| format!("; what is kept is in {}", sanitize_path(p))).unwrap_or_default())]
    Interrupted { checkpoint: Option<PathBuf> },

    /// A failure of the work itself, such as a number that is not finite or a check that does not hold.
    #[error("{what}")]
    Failed { what: String, hint: String },
}

impl Error {
    /// Makes the error for a wrong request.
    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: hint.into() }
    }

    /// Makes the error for a device that cannot be opened or was lost.
    pub fn device(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Device { what: what.into(), hint: hint.into() }
    }

    /// Makes the error for a bad file as a whole.
    pub fn input(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { path: path.into(), line: None, what: what.into(), hint: hint.into() }
    }

    /// Makes the error for a bad line of a file; lines count from 1.
    pub fn line(path: &Path, line: usize, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { path: path.into(), line: Some(line), what: what.into(), hint: hint.into() }
    }

    /// Makes the error for a refusal of the operating system, with the path that it concerns.
    pub fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.into(), source }
    }

    /// Makes the error for work that could not be finished.
    pub fn failed(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), hint: hint.into() }
    }

    /// Adds `kept`, from which the work can be resumed, to an interruption that names no such path; returns
    /// other errors unchanged.
    #[must_use]
    pub fn going_on_from(self, kept: Option<PathBuf>) -> Self {
        match self {
            Self::Interrupted { checkpoint: None } => Self::Interrupted { checkpoint: kept },
            other => other,
        }
    }

    /// Returns what to do about the error; empty when the error's text says it all.
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. }
            | Self::Device { hint, .. }
            | Self::Input { hint, .. }
            | Self::Failed { hint, .. } => hint.clone(),
            Self::File { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => "check the path".into(),
                std::io::ErrorKind::IsADirectory => "name a file in it".into(),
                std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
                    "a file is where a folder is wanted: name another place".into()
                }
                std::io::ErrorKind::PermissionDenied => "check the permissions of the file and its folder".into(),
                std::io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written to".into(),
                std::io::ErrorKind::FileTooLarge => {
                    "raise the limit on the size of files (ulimit -f) and run the same command again; files written \
                     before are intact"
                        .into()
                }
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    "free some disk space and run the same command again; files written before are intact".into()
                }
                _ => String::new(),
            },
            Self::Interrupted { checkpoint: Some(_) } => "run the same command again to resume from there".into(),
            Self::Interrupted { checkpoint: None } => String::new(),
        }
    }

    /// Returns the exit code: 1 failed, 2 wrong usage, 3 device, 4 bad input file, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File { action: "read" | "list", .. } => 4,
            Self::Failed { .. } | Self::File { .. } => 1,
            Self::Usage { .. } => 2,
            Self::Device { .. } => 3,
            Self::Input { .. } => 4,
            Self::Interrupted { .. } => 130,
        }
    }
}
