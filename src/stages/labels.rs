//! Labelling stage (Figure 1, left).

use std::path::Path;

use super::Session;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::labels::{LabelLog, Labeler, QueueSettings};
use crate::labels::{Labelling, Questions, Ties};
use crate::platform::{Mode, files};
use crate::task::Task;

/// Adds comparisons to the file until it holds as many as the settings ask for. The comparisons record the model as
/// `name`. Returns the log, and the ties among the judgments.
///
/// # Errors
/// The errors of [`Labelling::run`] and [`LabelLog::open`].
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

/// Opens the log at this path, and creates its folder if need be.
///
/// # Errors
/// The errors of [`LabelLog::open`].
pub fn open_log(out: &Path) -> Result<LabelLog> {
    files::create_folder_of(out)?;
    LabelLog::open(out)
}

/// Creates a labelling run for the labels that the settings ask for.
///
/// # Errors
/// Fails for a query that the model cannot read, and when the run does not fit into memory.
pub fn labelling<'a>(
    session: &Session<'a>,
    name: &'a str,
    queries: &'a [String],
    progress: Mode,
) -> Result<Labelling<'a>> {
    let Session { model, settings, interrupt, seed, device_memory, .. } = *session;
    let task = Task::new(&settings.task, model)?;
    let questions = Questions::new(model, name, task, queries, settings.labels.responses_per_query, seed)?;
    let wanted = settings.labels.comparisons;
    let (at_once, memory) = Labelling::at_once_that_fits(&questions, wanted, device_memory)?;
    progress.say(&format!("memory: about {}; {at_once} questions at a time", memory.describe()));
    Ok(Labelling { questions, wanted, at_once, label_timeout: None, interrupt: interrupt.clone(), progress })
}

/// Returns the settings of the queue from which people answer.
pub fn queue_settings(session: &Session<'_>) -> QueueSettings {
    let labels = &session.settings.labels;
    QueueSettings { wanted: labels.comparisons, repeated: labels.repeated_fraction, seed: session.seed }
}

/// Checks that there is a key for each response of a question.
///
/// # Errors
/// [`Error::Usage`] for more responses than there are keys.
pub fn check_keys(settings: &Config) -> Result<()> {
    match settings.labels.responses_per_query {
        0..=9 => Ok(()),
        count => Err(Error::usage(
            format!("labels.responses_per_query is {count}, but people can choose among 9 responses at most"),
            "set labels.responses_per_query to 9 or less",
        )),
    }
}
