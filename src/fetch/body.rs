//! The body of an answer, which the thread of its request reads.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender};

use super::address::Address;
use super::fetch_error::FetchError;
use super::waiting::wait;
use crate::platform::Interrupt;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Largest number of chunks that wait for the disk.
pub(super) const CHUNKS_AHEAD: usize = 4;

/// Bytes of a body, empty at its end, or the error that ended it early.
pub(super) type Chunk = std::io::Result<Vec<u8>>;

/// Sends what `reader` gives, until it ends or fails, or until nobody receives.
pub(super) fn pump(mut reader: impl Read, chunks: &SyncSender<Chunk>) {
    loop {
        let mut bytes = vec![0; CHUNK_BYTES];
        let chunk = reader.read(&mut bytes).map(|length| {
            bytes.truncate(length);
            bytes
        });
        let last = chunk.as_ref().map_or(true, Vec::is_empty);
        if chunks.send(chunk).is_err() || last {
            return;
        }
    }
}

/// The bytes of a body that are still to come.
pub(super) struct Body {
    chunks: Receiver<Chunk>,
    interrupt: Interrupt,
    source: String,
}

impl Body {
    pub(super) fn new(chunks: Receiver<Chunk>, interrupt: Interrupt, source: &Address) -> Self {
        Self { chunks, interrupt, source: source.to_string() }
    }

    /// Returns the next bytes, or `None` at the end.
    ///
    /// # Errors
    /// [`FetchError::Passing`] for a lost or silent connection, [`FetchError::Interrupted`] when the user
    /// asks to stop.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, FetchError> {
        match wait(&self.chunks, &self.interrupt)? {
            Some(Ok(bytes)) if bytes.is_empty() => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(error)) => Err(FetchError::passing(format!("{}: the connection was lost: {error}", self.source))),
            None => Err(FetchError::passing(format!("{}: the connection was lost", self.source))),
        }
    }
}
