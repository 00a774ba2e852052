//! Part of the results of `demo` and `demo --table` that is about the call itself.

use std::path::PathBuf;

use serde::Serialize;

use crate::labels::Ties;
use crate::platform::files;
use crate::sanitize::sanitize_path;

/// Part of the object that `--json` prints.
#[derive(Serialize)]
pub(super) struct ExperimentCall {
    /// Ties among the labels that this call made.
    pub label_ties: Ties,
    /// Duration of this call.
    pub seconds: f64,
    /// True if an earlier call did a part of the work.
    pub resumed: bool,
    pub device: String,
    pub seed: u64,
    #[serde(serialize_with = "files::serialize_path")]
    pub report: PathBuf,
}

impl ExperimentCall {
    /// Describes how long the call took, and on which device.
    pub(super) fn describe_time(&self) -> String {
        let part = if self.resumed { ", in this call" } else { "" };
        format!("{:.0} s on {}{part}", self.seconds, self.device)
    }

    /// Returns the path of the report as a terminal may show it.
    pub(super) fn report(&self) -> String {
        sanitize_path(&self.report)
    }
}
