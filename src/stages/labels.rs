//! Figure 1, left, up to the labels.

use std::path::Path;

use super::Session;
use crate::error::Result;
use crate::labels::{LabelLog, Labeler};
use crate::labels::{Labelling, Questions, Ties};
use crate::platform::{Mode, files};
use crate::task::Task;

/// Adds comparisons to the file until it holds as many as the settings ask for. They will know the model
/// as `name`. The file, and the ties among the best of what was judged.
///
/// # Errors
/// As [`Labelling::run`] and [`LabelLog::open`].
pub fn label(
    session: &Session<'_>,
    name: &str,
    queries: &[String],
    labeler: &mut dyn Labeler,
    out: &Path,
) -> Result<(LabelLog, Ties)> {
    let mut log = open_log(out)?;
    let ties = labelling(session, name, queries, session.progress)?.run(labeler, &mut log)?;
    Ok((log, ties))
}

/// The log at this path, in a folder that is made if need be.
///
/// # Errors
/// As [`LabelLog::open`].
pub fn open_log(out: &Path) -> Result<LabelLog> {
    files::create_folder_of(out)?;
    LabelLog::open(out)
}

/// A run of the labels that the settings ask for.
///
/// # Errors
/// For a query the model cannot read, and when it does not fit into memory.
pub fn labelling<'a>(
    session: &Session<'a>,
    name: &'a str,
    queries: &'a [String],
    progress: Mode,
) -> Result<Labelling<'a>> {
    let Session { model, settings, interrupt, seed, device_memory, .. } = *session;
    let task = Task::new(&settings.task, model)?;
    let questions = Questions::new((model, name), task, queries, settings.labels.responses_per_query, seed)?;
    let wanted = settings.labels.comparisons;
    let (at_once, memory) = Labelling::at_once_that_fits(&questions, wanted, device_memory)?;
    progress.say(&format!("memory: about {}; {at_once} questions at a time", memory.describe()));
    Ok(Labelling { questions, wanted, at_once, label_timeout: None, interrupt: interrupt.clone(), progress })
}
