//! What can go wrong on the way, told apart by what to do next.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::error::Error;

/// Why an exchange with a server did not end well.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The user asked to stop.
    Interrupted,
    /// It may go well the next time: a lost connection, an overloaded server.
    Passing { what: String, retry_after: Option<Duration> },
    /// The server understood and said no.
    Refused { status: u16, what: String },
    /// Trying again would not help.
    Final(Error),
}

impl FetchError {
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self::Passing { what: what.into(), retry_after: None }
    }

    /// For the person at the keyboard; `hint` says what a refusal with this status means here.
    pub(super) fn into_error(self, hint: impl FnOnce(u16) -> String) -> Error {
        match self {
            Self::Interrupted => Error::Interrupted { checkpoint: None },
            Self::Passing { what, .. } => Error::failed(
                what,
                "check the connection, or name a mirror in HF_ENDPOINT or a proxy in HTTPS_PROXY, and run the same command again; it goes on with what is there already",
            ),
            Self::Refused { status, what } => Error::failed(what, hint(status)),
            Self::Final(error) => error,
        }
    }
}

impl From<Error> for FetchError {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Such as `404 Not Found`.
pub(super) fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default()).trim_end().to_string()
}
