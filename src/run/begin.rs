//! The start of a run in its folder, new or resumed.

use std::path::PathBuf;

use super::directory::RunDirectory;
use super::work::{FILE_OF_0_1, Work};
use crate::config::Config;
use crate::device::parallel;
use crate::error::{Error, Result};
use crate::platform::files;
use crate::platform::progress::Mode;

/// Settings that a run keeps to its end, each with what would go wrong otherwise.
const FIXED_SETTINGS: [(&str, &str); 6] = [
    ("held_out_fraction", "data that was trained on would become held-out data"),
    ("reward.train_comparisons", "data that was trained on would become held-out data"),
    ("train.rounds", "the finished rounds used the first value"),
    ("train.labels", "the finished rounds used the first value"),
    ("train.first_share", "the finished rounds used the first value"),
    ("policy.lora", "the LoRA adapters that are there were trained with the first value"),
];

/// Opens the folder of a run, new or resumed, checks that the work is what the run was begun for, and writes
/// work and settings into the folder. `fixed_settings` lists further settings that the run keeps to its end, each with
/// what would go wrong otherwise.
///
/// After this call, work on a CPU is split into as many parts as when the run was begun.
///
/// # Errors
/// [`Error::Usage`] that names the input, the seed or the setting that has changed since the run was begun, and
/// the errors of [`RunDirectory::open`] and [`RunDirectory::check_checkpoints`].
pub fn begin(
    path: PathBuf,
    work: Work,
    settings: &Config,
    fixed_settings: &[(&str, &str)],
    progress: Mode,
) -> Result<RunDirectory> {
    let directory = RunDirectory::open(path)?;
    let work = match directory.has_work()? {
        true => {
            directory.check_checkpoints()?;
            work.going_on_in(directory.path(), progress)?
        }
        false => {
            // Another command may have left this file before it did any work.
            std::fs::remove_file(directory.path().join(FILE_OF_0_1)).ok();
            match work.clone().going_on_in(directory.path(), Mode::Quiet) {
                Err(Error::Usage { .. }) => work,
                going_on => going_on?,
            }
        }
    };
    compare_settings(&directory, settings, fixed_settings, progress)?;
    work.write(directory.path())?;
    files::write_atomically(&directory.config(), settings.to_toml()?.as_bytes())?;
    parallel::set_most_parts(work.parts);
    Ok(directory)
}

/// Splits work on a CPU into as many parts as when the run in this folder was begun, if that number is known:
/// evaluations of the run are then the same on any number of cores.
///
/// # Errors
/// The errors of [`Work::of_run`].
#[cfg(feature = "cli")]
pub(crate) fn go_on_in_parts_of(directory: &RunDirectory) -> Result<()> {
    if let Some(work) = Work::of_run(directory.path())? {
        parallel::set_most_parts(work.parts);
    }
    Ok(())
}

/// Compares the settings with those of the run so far. A run may be resumed with other settings, for example to
/// train longer; finished steps are not repeated. A run that was refused before any work has no settings yet.
fn compare_settings(
    directory: &RunDirectory,
    settings: &Config,
    fixed_settings: &[(&str, &str)],
    progress: Mode,
) -> Result<()> {
    let path = directory.config();
    if !files::exists(&path)? || !directory.has_work()? {
        return Ok(());
    }
    let before = Config::of_run(&path, &files::read_text(&path)?)?;
    let mut differences = before.differences(settings)?;
    // An adaptive KL coefficient resumes from its last value.
    differences.retain(|change| !(settings.policy.kl.adaptive && change.starts_with("policy.kl.coefficient")));
    for (setting, why) in FIXED_SETTINGS.iter().chain(fixed_settings) {
        if let Some(difference) = differences.iter().find(|difference| difference.contains(*setting)) {
            return Err(Error::usage(
                format!("{difference}: {why}"),
                format!("{} was begun with the first value; choose another folder with --run", path.display()),
            ));
        }
    }
    if !differences.is_empty() {
        progress.say(&format!(
            "{} was begun with other settings; the remaining work uses: {}",
            directory.path().display(),
            differences.join(", ")
        ));
    }
    Ok(())
}
