//! Downloads of targets, and the result that tells where their files are.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::endpoints::Endpoints;
use super::folders::{Folders, PROCESS};
use super::http::Client;
use super::targets::{Kind, Target};
use crate::error::{Error, Result};
use crate::platform::{Interrupt, Mode, files};

/// A downloader of models, labels and books.
pub struct Fetcher {
    pub(super) client: Client,
    pub(super) places: Endpoints,
    pub(super) folders: Folders,
    pub(super) progress: Mode,
}

/// A fetched target, and the place of its files.
#[derive(Debug, Serialize)]
pub struct Fetched {
    pub target: String,
    /// Path of the file, or of the folder if there are several files.
    #[serde(serialize_with = "files::serialize_path")]
    pub path: PathBuf,
    /// Commit of a model, `None` for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Total size of all files.
    pub bytes: u64,
    /// True if nothing had to be downloaded.
    pub from_cache: bool,
    pub files: Vec<FetchedFile>,
}

/// One file of a target.
#[derive(Debug, Serialize)]
pub struct FetchedFile {
    #[serde(serialize_with = "files::serialize_path")]
    pub path: PathBuf,
    pub bytes: u64,
    pub from_cache: bool,
}

impl Fetcher {
    /// Reads the environment variables that name servers, folders and credentials.
    ///
    /// # Errors
    /// [`Error::Usage`] for a variable with an invalid value, or for a token that would be sent unencrypted.
    pub fn new(interrupt: Interrupt, progress: Mode) -> Result<Self> {
        let places = PROCESS.places()?;
        Ok(Self { client: Client::new(&places, interrupt)?, folders: PROCESS.folders()?, places, progress })
    }

    /// Fetches a target, unless it is already there.
    ///
    /// # Errors
    /// Fails when the network, the server or the disk fails. [`Error::Interrupted`] names the unfinished
    /// file, which the next call resumes.
    pub fn fetch(&self, target: &Target) -> Result<Fetched> {
        match &target.kind {
            Kind::Model(name) => self.fetch_model(&target.name, name),
            Kind::Labels(task) => self.fetch_labels(&target.name, task),
            Kind::Novels => self.fetch_novels(),
            Kind::Book(number) => self.fetch_book(*number),
        }
    }

    pub(super) fn is_offline(&self, what: &str, place: &Path) -> Error {
        Error::failed(
            format!("{what} is not in {}, and HF_HUB_OFFLINE forbids to fetch it", place.display()),
            "unset HF_HUB_OFFLINE, or copy the files from a machine that has them",
        )
    }
}

impl Fetched {
    pub(super) fn new(target: &str, path: PathBuf, revision: Option<String>, files: Vec<FetchedFile>) -> Self {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let from_cache = files.iter().all(|file| file.from_cache);
        Self { target: target.into(), path, revision, bytes, from_cache, files }
    }
}

impl FetchedFile {
    pub(super) fn at(path: PathBuf, from_cache: bool) -> Result<Self> {
        let bytes = std::fs::metadata(&path).map_err(|source| Error::file("read", &path, source))?.len();
        Ok(Self { path, bytes, from_cache })
    }
}
