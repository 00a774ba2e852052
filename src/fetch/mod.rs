//! Models, labels and books from public servers, kept where other programs find them too.
//!
//! Every file is fetched once, resumed after an interruption, checked (length, hash or content), and visible
//! only when complete.

#[cfg(feature = "fetch")]
mod address;
#[cfg(feature = "fetch")]
mod body;
#[cfg(feature = "fetch")]
mod books;
#[cfg(feature = "fetch")]
mod checksum;
#[cfg(feature = "fetch")]
mod connection;
#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod endpoints;
#[cfg(feature = "fetch")]
mod fetch_error;
#[cfg(feature = "fetch")]
mod fetcher;
mod folders;
#[cfg(feature = "fetch")]
mod http;
#[cfg(feature = "fetch")]
mod hub;
mod hub_cache;
#[cfg(feature = "fetch")]
mod hub_cache_writes;
mod hub_name;
mod label_files;
#[cfg(feature = "fetch")]
mod labels;
#[cfg(feature = "fetch")]
mod lock;
#[cfg(feature = "fetch")]
mod plain;
#[cfg(feature = "fetch")]
mod retry;
#[cfg(feature = "fetch")]
mod targets;
#[cfg(feature = "fetch")]
mod validator;
#[cfg(feature = "fetch")]
mod waiting;

use std::path::PathBuf;

use crate::error::Result;
use folders::PROCESS;
use hub_name::HubName;

#[cfg(feature = "fetch")]
pub use fetcher::{Fetched, FetchedFile, Fetcher};
#[cfg(feature = "fetch")]
pub use targets::Target;

/// Checks whether `preftune fetch` takes this name for that of a model.
pub fn names_a_model(name: &str) -> bool {
    HubName::parse(name).is_some()
}

/// Returns the folder of a model that this program or another fetched before. `None` if the model is not in
/// the cache or not complete, or if `name` is no name of the hub's. No server is asked.
pub fn cached_model(name: &str) -> Result<Option<PathBuf>> {
    let Some(name) = HubName::parse(name) else { return Ok(None) };
    Ok(hub_cache::find(&PROCESS.folders()?.hub, &name))
}

/// Returns the file of labels that were fetched before, by a name such as `labels/sentiment`. No server is
/// asked.
pub fn cached_labels(name: &str) -> Result<Option<PathBuf>> {
    let Some(task) = label_files::Task::parse(name) else { return Ok(None) };
    Ok(Some(task.place(&PROCESS.folders()?.own)).filter(|path| path.is_file()))
}
