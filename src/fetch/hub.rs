//! Models from the Hugging Face hub, or from a server that answers like it.

use std::path::PathBuf;

use ureq::http::header::{CONTENT_LENGTH, ETAG};

use super::checksum::Checksum;
use super::download::Download;
use super::fetch_error::FetchError;
use super::http::Answer;
use super::hub_cache::{CachedModel, TOKENIZER_PARTS, files_of, find};
use super::hub_name::{HubName, is_commit, is_part};
use super::lock::Lock;
use super::retry::{ATTEMPTS, retried};
use super::{Fetched, FetchedFile, Fetcher};
use crate::error::{Error, Result};
use crate::lm::WeightsIndex;
use crate::lm::files::hugging_face::{CONFIG_FILE, OPTIONAL_FILES, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use crate::platform;

/// Facts about a file, from the hub's headers.
struct Remote {
    commit: String,
    /// Name of the content, often a hash of it.
    etag: String,
    bytes: Option<u64>,
}

type Outcome<T> = std::result::Result<T, FetchError>;

impl Fetcher {
    /// Downloads a model's files into the hub's cache. Files that are already there are not requested again.
    /// If the hub cannot be reached, the cached files are used.
    pub(super) fn fetch_model(&self, target: &str, name: &HubName) -> Result<Fetched> {
        let cached = find(&self.folders.hub, name);
        if (self.places.offline || is_commit(&name.revision))
            && let Some(folder) = cached
        {
            return from_cache(target, folder);
        }
        if self.places.offline {
            return Err(self.is_offline(&name.to_string(), &self.folders.hub));
        }
        let attempts = if cached.is_some() { 1 } else { ATTEMPTS };
        match retried(&self.client, attempts, || self.ask(name, &name.revision, CONFIG_FILE)) {
            Ok(config) => self.fetch_files(target, name, &config),
            Err(FetchError::Passing { what, .. }) if let Some(folder) = cached => {
                tracing::warn!("{what}; the cached files are used");
                from_cache(target, folder)
            }
            Err(trouble) => Err(self.refused(trouble, name, CONFIG_FILE)),
        }
    }

    fn fetch_files(&self, target: &str, name: &HubName, config: &Remote) -> Result<Fetched> {
        let model = CachedModel::new(&self.folders.hub, &name.repository);
        let at_commit = |file: &str| retried(&self.client, ATTEMPTS, || self.ask(name, &config.commit, file));
        let bring = |file: &str| {
            let remote = at_commit(file).map_err(|trouble| self.refused(trouble, name, file))?;
            self.bring(&model, name, file, &remote)
        };
        let bring_if_there = |file: &str| match at_commit(file) {
            Ok(remote) => self.bring(&model, name, file, &remote).map(Some),
            Err(FetchError::Refused { status: 404, .. }) => Ok(None),
            Err(trouble) => Err(self.refused(trouble, name, file)),
        };
        let mut files = vec![self.bring(&model, name, CONFIG_FILE, config)?];
        match bring_if_there(TOKENIZER_FILE)? {
            Some(tokenizer) => files.push(tokenizer),
            None => {
                for part in TOKENIZER_PARTS {
                    files.push(bring(part)?);
                }
            }
        }
        for file in OPTIONAL_FILES {
            files.extend(bring_if_there(file)?);
        }
        match at_commit(WEIGHTS_FILE) {
            Ok(remote) => files.push(self.bring(&model, name, WEIGHTS_FILE, &remote)?),
            Err(missing @ FetchError::Refused { status: 404, .. }) => {
                let index = bring_if_there(WEIGHTS_INDEX_FILE)?;
                let index = index.ok_or_else(|| self.refused(missing, name, WEIGHTS_FILE))?;
                for part in WeightsIndex::read(&platform::files::read(&index.path)?, &index.path)?.shards() {
                    files.push(bring(part)?);
                }
                files.push(index);
            }
            Err(trouble) => return Err(self.refused(trouble, name, WEIGHTS_FILE)),
        }
        // The reference is written last, so that a revision never stands for a snapshot that lacks files.
        model.write_reference(&name.revision, &config.commit)?;
        Ok(Fetched::new(target, model.snapshot(&config.commit), Some(config.commit.clone()), files))
    }

    /// Requests the hub's facts about a file at a revision.
    fn ask(&self, name: &HubName, revision: &str, file: &str) -> Outcome<Remote> {
        let address = self.places.endpoint.below(&path_of(name, revision, file))?;
        let answer = self.client.head(&address)?;
        let remote = remote(&answer, &address.to_string())?;
        match is_commit(revision) && remote.commit != revision {
            true => Err(hostile(&address.to_string(), "X-Repo-Commit", Some(&remote.commit))),
            false => Ok(remote),
        }
    }

    /// Downloads a content into the cache, unless it is there, and shows it as a file of the commit.
    fn bring(&self, model: &CachedModel, name: &HubName, file: &str, remote: &Remote) -> Result<FetchedFile> {
        let blob = model.blob(&remote.etag);
        let is_there = || {
            blob.metadata().is_ok_and(|found| found.is_file() && remote.bytes.is_none_or(|bytes| bytes == found.len()))
        };
        let mut from_cache = true;
        if !is_there() {
            let lock = Lock::wait(&model.lock(&remote.etag), &self.client.interrupt);
            let _lock = lock.map_err(|trouble| self.refused(trouble, name, file))?;
            if !is_there() {
                from_cache = false;
                self.download(model, name, file, remote)?;
            }
        }
        let path = model.show(&remote.commit, file, &remote.etag)?;
        FetchedFile::at(path, from_cache)
    }

    fn download(&self, model: &CachedModel, name: &HubName, file: &str, remote: &Remote) -> Result<()> {
        let address = self.places.endpoint.below(&path_of(name, &remote.commit, file))?;
        let partial = model.partial(&remote.etag);
        let download = Download {
            title: &format!("{} {file}", name.repository),
            address: &address,
            partial: &partial,
            bytes: remote.bytes,
            note: None,
            progress: self.progress,
        };
        download.run(&self.client).map_err(|trouble| self.refused(trouble, name, file))?;
        if let Some(checksum) = Checksum::of_etag(&remote.etag)
            && let Some(complaint) = checksum.complaint(&partial)?
        {
            download.discard();
            return Err(Error::failed(
                format!("{address}: {complaint}; the file is not kept"),
                "run the same command again; if it fails again, something between here and the server alters files",
            ));
        }
        download.place(&model.blob(&remote.etag))
    }

    fn refused(&self, trouble: FetchError, name: &HubName, file: &str) -> Error {
        let endpoint = &self.places.endpoint;
        trouble.into_error("HF_ENDPOINT", |status| match status {
            401 | 403 => format!(
                "check the name; if {name} is private or gated, ask for access on {endpoint}/{} and set HF_TOKEN",
                name.repository
            ),
            404 if file == CONFIG_FILE => format!("check the name and the revision of {name} on {endpoint}"),
            404 => format!("{name} has no {file}: this program reads models in safetensors format only"),
            _ => format!("see whether {endpoint} answers in a browser"),
        })
    }
}

fn from_cache(target: &str, folder: PathBuf) -> Result<Fetched> {
    let paths = files_of(&folder).unwrap_or_default();
    let files = paths.into_iter().map(|path| FetchedFile::at(path, true)).collect::<Result<_>>()?;
    let commit = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Fetched::new(target, folder, commit, files))
}

fn path_of(name: &HubName, revision: &str, file: &str) -> String {
    format!("{}/resolve/{}/{file}", name.repository, revision.replace('/', "%2F"))
}

/// Reads the hub's headers, and checks the ones that become parts of paths.
fn remote(answer: &Answer, address: &str) -> Outcome<Remote> {
    let header = |name: &str| answer.header(name).map(str::trim).filter(|value| !value.is_empty());
    let commit = header("x-repo-commit");
    let etag = header("x-linked-etag").or_else(|| header(ETAG.as_str()));
    let bytes = match header("x-linked-size") {
        // The Content-Length of a redirect is that of its own body.
        None if answer.status == 200 => header(CONTENT_LENGTH.as_str()),
        size => size,
    };
    Ok(Remote {
        commit: commit
            .filter(|commit| is_commit(commit))
            .ok_or_else(|| hostile(address, "X-Repo-Commit", commit))?
            .into(),
        etag: etag
            .map(|etag| etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"'))
            .filter(|etag| is_part(etag))
            .ok_or_else(|| hostile(address, "ETag", etag))?
            .into(),
        bytes: bytes.and_then(|bytes| bytes.parse().ok()),
    })
}

fn hostile(address: &str, header: &str, found: Option<&str>) -> FetchError {
    let what = match found {
        Some(found) => format!("{address}: the server sent {header} {found:?}, which no hub sends here"),
        None => format!("{address}: the server sent no {header}, as a Hugging Face hub does"),
    };
    Error::failed(what, "check HF_ENDPOINT, and whether something between here and the hub alters answers").into()
}
