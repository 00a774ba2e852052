//! A lock file, so that one process fetches a file while others wait for it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::fetch_error::FetchError;
use super::waiting::sleep;
use crate::error::Error;
use crate::platform::{Interrupt, files};

const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A lock that is held until it is dropped. The file stays, like that of the hub's own tools.
pub(super) struct Lock(#[expect(dead_code, reason = "holding the file is the use")] File);

impl Lock {
    /// Waits until no other process has the lock, and takes it.
    ///
    /// # Errors
    /// [`FetchError::Final`] for a file that cannot be locked, [`FetchError::Interrupted`] when the user asks
    /// to stop.
    pub(super) fn wait(path: &Path, interrupt: &Interrupt) -> Result<Self, FetchError> {
        files::create_folder_of(path)?;
        let failed = |error| Error::file("lock", path, error);
        let file = File::options().create(true).write(true).truncate(false).open(path).map_err(failed)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(failed(error).into()),
                Err(TryLockError::WouldBlock) if !told => {
                    tracing::warn!("waiting for another process that fetches the same: {} is locked", path.display());
                    told = true;
                }
                Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN, interrupt)?,
            }
        }
    }
}
