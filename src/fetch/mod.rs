//! Models, labels and books from public servers, kept where other programs find them too.
//!
//! Every file is fetched once, goes on where it was cut, is checked (length, hash or content), and
//! becomes visible whole or not at all.

mod address;
mod body;
mod books;
mod checksum;
mod connection;
mod download;
mod endpoints;
mod fetch_error;
mod http;
mod hub;
mod hub_cache;
mod hub_name;
mod labels;
mod lock;
mod plain;
mod retry;
mod targets;
mod validator;
mod waiting;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::platform::{Interrupt, Mode, files};
use endpoints::{Endpoints, Folders, PROCESS};
use http::Client;
use hub_name::HubName;
use targets::Kind;
pub use targets::Target;

/// What brings files here.
pub struct Fetcher {
    client: Client,
    places: Endpoints,
    folders: Folders,
    progress: Mode,
}

/// What was asked for, and where it is.
#[derive(Debug, Serialize)]
pub struct Fetched {
    pub target: String,
    /// The file, or the folder of the files.
    #[serde(serialize_with = "files::serialize_path")]
    pub path: PathBuf,
    /// The commit, of a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Of all files together.
    pub bytes: u64,
    /// Whether nothing had to be downloaded.
    pub from_cache: bool,
    pub files: Vec<FetchedFile>,
}

/// One file of what was asked for.
#[derive(Debug, Serialize)]
pub struct FetchedFile {
    #[serde(serialize_with = "files::serialize_path")]
    pub path: PathBuf,
    pub bytes: u64,
    pub from_cache: bool,
}

impl Fetcher {
    /// Reads the environment.
    ///
    /// # Errors
    /// Variables that make no sense; a token that would be sent in the clear.
    pub fn new(interrupt: Interrupt, progress: Mode) -> Result<Self> {
        let places = PROCESS.places()?;
        Ok(Self { client: Client::new(&places, interrupt)?, folders: PROCESS.folders()?, places, progress })
    }

    /// Brings a target here, unless it is.
    ///
    /// # Errors
    /// What the network, the server or the disk refused; [`Error::Interrupted`] with the unfinished
    /// file, on which the next call goes on.
    pub fn fetch(&self, target: &Target) -> Result<Fetched> {
        match &target.kind {
            Kind::Model(name) => self.fetch_model(&target.name, name),
            Kind::Labels(task) => self.fetch_labels(&target.name, task),
            Kind::Novels => self.fetch_novels(),
            Kind::Book(number) => self.fetch_book(*number),
        }
    }

    fn is_offline(&self, what: &str, place: &Path) -> Error {
        Error::failed(
            format!("{what} is not in {}, and HF_HUB_OFFLINE forbids to fetch it", place.display()),
            "unset HF_HUB_OFFLINE, or copy the files from a machine that has them",
        )
    }
}

impl Fetched {
    fn new(target: &str, path: PathBuf, revision: Option<String>, files: Vec<FetchedFile>) -> Self {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let from_cache = files.iter().all(|file| file.from_cache);
        Self { target: target.into(), path, revision, bytes, from_cache, files }
    }
}

impl FetchedFile {
    fn at(path: PathBuf, from_cache: bool) -> Result<Self> {
        let bytes = std::fs::metadata(&path).map_err(|source| Error::file("read", &path, source))?.len();
        Ok(Self { path, bytes, from_cache })
    }
}

/// Whether `fetch` would look for a model of this name.
pub fn names_a_model(name: &str) -> bool {
    HubName::parse(name).is_some()
}

/// The folder of a model that was fetched before, by this program or another; `None` if it was not,
/// not whole, or if this is no name of the hub's. Asks nobody.
pub fn cached_model(name: &str) -> Result<Option<PathBuf>> {
    let Some(name) = HubName::parse(name) else { return Ok(None) };
    Ok(hub_cache::find(&PROCESS.folders()?.hub, &name))
}

/// The file of labels that were fetched before, by a name such as `labels/sentiment`. Asks nobody.
pub fn cached_labels(name: &str) -> Result<Option<PathBuf>> {
    let Some(task) = labels::Task::parse(name) else { return Ok(None) };
    Ok(Some(task.place(&PROCESS.folders()?.own)).filter(|path| path.is_file()))
}
