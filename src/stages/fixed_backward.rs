//! Micro-batches of a stage, kept in its folder.
//!
//! Sums are rounded micro-batch by micro-batch. A stage that resumes while less or more memory is free must keep its
//! micro-batches, so that its results are the same to the last bit.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::{Mode, files};
use crate::run::RunDirectory;
use crate::training::Backward;

const FILE: &str = "passes.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct MicroBatches {
    #[serde(default)]
    version: FormatVersion,
    /// Micro-batch size in the settings; if it changes, the micro-batches are chosen anew.
    wanted_micro_batch_size: usize,
    gradient_checkpointing: bool,
    micro_batch_size: usize,
    parts: usize,
}

/// Returns the micro-batches with which the stage of this folder was begun. If there are none that fit with these
/// settings, returns `fit`, which is kept from here on.
///
/// # Errors
/// Fails when the kept file cannot be read, and when the operating system refuses.
pub fn fixed_backward(
    progress: Mode,
    directory: &RunDirectory,
    wanted_micro_batch_size: usize,
    fit: Backward,
) -> Result<Backward> {
    let path = directory.path().join(FILE);
    let Backward { micro_batch_size, parts, gradient_checkpointing } = fit;
    let chosen = MicroBatches {
        version: FormatVersion,
        wanted_micro_batch_size,
        gradient_checkpointing,
        micro_batch_size,
        parts,
    };
    let hint = "delete it, so that a micro-batch size is chosen for the free memory";
    let kept: Option<MicroBatches> = match files::exists(&path)? {
        true => Some(format_version::read(&files::read(&path)?, &path, hint)?),
        false => None,
    };
    let same_settings = |kept: &MicroBatches| {
        kept.wanted_micro_batch_size == wanted_micro_batch_size && kept.gradient_checkpointing == gradient_checkpointing
    };
    match kept.filter(same_settings) {
        Some(kept) if (1..=micro_batch_size).contains(&kept.micro_batch_size) && (1..=parts).contains(&kept.parts) => {
            return Ok(Backward { micro_batch_size: kept.micro_batch_size, parts: kept.parts, ..fit });
        }
        Some(_) => progress.say(
            "this run was begun with more free memory, or on another device: it continues with other micro-batches, so \
             the last digits of its results may differ",
        ),
        None => {}
    }
    let json = serde_json::to_vec(&chosen).map_err(json::not_written)?;
    files::write_atomically(&path, &json)?;
    Ok(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_goes_on_in_the_passes_in_which_it_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let directory = RunDirectory::open(folder.path()).unwrap();
        let fit = |micro_batch_size, parts| Backward { micro_batch_size, parts, gradient_checkpointing: false };
        let fixed = |wanted, fit| fixed_backward(Mode::Quiet, &directory, wanted, fit).unwrap();
        assert_eq!(fixed(64, fit(16, 2)), fit(16, 2));
        // More memory is free now.
        assert_eq!(fixed(64, fit(64, 4)), fit(16, 2));
        // Less memory is free: the smaller size holds from here on.
        assert_eq!(fixed(64, fit(8, 2)), fit(8, 2));
        assert_eq!(fixed(64, fit(16, 2)), fit(8, 2));
        // Other settings.
        assert_eq!(fixed(4, fit(4, 2)), fit(4, 2));
        let checkpointed = Backward { gradient_checkpointing: true, ..fit(4, 4) };
        assert_eq!(fixed(4, checkpointed), checkpointed);
    }
}
