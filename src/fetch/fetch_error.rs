//! Errors of requests and downloads, told apart by what to do next.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::error::Error;

/// An error of a request or of a download.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The user's wish to stop.
    Interrupted,
    /// An error that another attempt may not meet: a lost connection, an overloaded server.
    Passing { what: String, retry_after: Option<Duration> },
    /// An answer that refuses the request.
    Refused { status: u16, what: String },
    /// An error that every further attempt would meet.
    Final(Error),
}

impl FetchError {
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self::Passing { what: what.into(), retry_after: None }
    }

    /// Returns the error that the user sees. `mirror` is the variable that names another server, and `hint` gives the
    /// hint for a refusal with this status.
    pub(super) fn into_error(self, mirror: &str, hint: impl FnOnce(u16) -> String) -> Error {
        match self {
            Self::Interrupted => Error::Interrupted { checkpoint: None },
            Self::Passing { what, .. } => Error::failed(
                what,
                format!(
                    "check the connection, or name a mirror in {mirror} or a proxy in HTTPS_PROXY, and run the same \
                     command again to resume"
                ),
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

/// Returns a status with its name, such as `404 Not Found`.
pub(super) fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default()).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_a_lost_connection_names_the_variable_of_that_server() {
        let error = FetchError::passing("no connection").into_error("PREFTUNE_GUTENBERG", |_| String::new());
        assert!(error.hint().contains("name a mirror in PREFTUNE_GUTENBERG or"), "{}", error.hint());
    }
}
