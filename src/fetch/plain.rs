//! Files of servers other than the hub: one address, an optional mirror, and a check of the content.

use std::path::{Path, PathBuf};

use super::address::Address;
use super::download::{Download, with_suffix};
use super::fetch_error::FetchError;
use super::lock::Lock;
use super::validator::Validator;
use super::{FetchedFile, Fetcher};
use crate::error::{Error, Result};

/// Check of a file's content. The error names `address`, because a bad file is not kept.
pub(super) type Check = fn(file: &Path, address: &Path) -> Result<()>;

/// A file to fetch.
pub(super) struct PlainFile<'a> {
    pub(super) title: &'a str,
    pub(super) destination: PathBuf,
    pub(super) address: Address,
    /// Environment variable that names another server than that of `address`.
    pub(super) variable: &'a str,
    /// Address to try when the first fails.
    pub(super) mirror: Option<Address>,
    pub(super) check: Check,
    /// Hint for a refusal, by its status.
    pub(super) hint: &'a dyn Fn(u16) -> String,
}

impl Fetcher {
    /// Fetches the file, unless it is already there.
    pub(super) fn fetch_plain(&self, file: &PlainFile<'_>) -> Result<FetchedFile> {
        if file.destination.is_file() {
            return FetchedFile::at(file.destination.clone(), true);
        }
        if self.places.offline {
            return Err(self.is_offline(file.title, &file.destination));
        }
        let name = file.destination.strip_prefix(&self.folders.own).unwrap_or(&file.destination);
        let lock = with_suffix(&self.folders.own.join(".locks").join(name), ".lock");
        let _lock = Lock::wait(&lock, &self.client.interrupt)
            .map_err(|trouble| trouble.into_error(file.variable, file.hint))?;
        if file.destination.is_file() {
            return FetchedFile::at(file.destination.clone(), true);
        }
        self.bring_plain(file)?;
        FetchedFile::at(file.destination.clone(), false)
    }

    fn bring_plain(&self, file: &PlainFile<'_>) -> Result<()> {
        let first = match self.download_plain(file, &file.address) {
            Ok(()) => return Ok(()),
            Err(trouble @ (FetchError::Interrupted | FetchError::Final(_))) => {
                return Err(trouble.into_error(file.variable, file.hint));
            }
            Err(trouble) => trouble.into_error(file.variable, file.hint),
        };
        let Some(mirror) = &file.mirror else { return Err(first) };
        tracing::warn!("{first}; trying the mirror {mirror}");
        self.download_plain(file, mirror).map_err(|trouble| match trouble {
            FetchError::Interrupted | FetchError::Final(_) => trouble.into_error(file.variable, file.hint),
            trouble => {
                let second = trouble.into_error(file.variable, file.hint);
                Error::failed(format!("{first}; and the mirror: {second}"), second.hint())
            }
        })
    }

    fn download_plain(&self, file: &PlainFile<'_>, address: &Address) -> std::result::Result<(), FetchError> {
        let partial = with_suffix(&file.destination, ".incomplete");
        let download = Download {
            title: file.title,
            address,
            partial: &partial,
            bytes: None,
            note: Some(Validator(with_suffix(&partial, ".version"))),
            progress: self.progress,
        };
        download.run(&self.client)?;
        (file.check)(&partial, Path::new(&address.to_string())).inspect_err(|_| download.discard())?;
        Ok(download.place(&file.destination)?)
    }
}
