//! Input files of the stages, by their path or by the name under which they were fetched, and their fingerprints in a
//! run folder.

use std::path::{Path, PathBuf};

use super::with_reasons;
use crate::data::entries::Entries;
use crate::data::queries::openings;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::fetch;
use crate::labels::read_instructions;
use crate::lm::LanguageModel;
use crate::lm::files::hugging_face;
use crate::platform::files;
use crate::reward::{TokenComparison, token_comparisons};
use crate::run::Input;
use crate::task::{Queries, Task};

/// Returns the path of a file that is given by its path or, for label files, by the name under which it was fetched.
///
/// # Errors
/// [`Error::Input`] for the name of labels that were not fetched.
pub fn fetched_file(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path.into());
    }
    let name = path.to_string_lossy();
    match fetch::cached_labels(&name)? {
        None if name.starts_with("labels/") => {
            Err(Error::input(path, "no such file, nor was it fetched", format!("run `preftune fetch {name}`")))
        }
        fetched => Ok(fetched.unwrap_or_else(|| path.into())),
    }
}

/// Reads the queries of a file or of a folder of books; without a path, returns the story openings for training.
///
/// # Errors
/// The errors of [`Queries::from_file`] and [`Queries::from_books`].
pub fn read_queries(
    path: Option<&Path>,
    model: &LanguageModel,
    task: &Task,
    left_out: &mut LeftOut,
) -> Result<Queries> {
    match path {
        None => Ok(Queries::Text(openings()?.train)),
        Some(folder) if folder.is_dir() => {
            left_out.count(Reason::OtherFiles, files::other_files(folder));
            Queries::from_books(&files::read_texts(folder)?, model, task, left_out)
        }
        Some(path) => {
            let path = fetched_file(path)?;
            Queries::from_file(&files::read_text_once(&path)?, &path, &model.tokenizer, left_out)
        }
    }
}

/// A file of comparisons in any known format.
#[derive(Debug, Clone, Copy)]
pub struct ComparisonsFile<'a> {
    pub path: &'a Path,
    /// The question whose answers count, in tasks of Label Studio that ask several.
    pub question: Option<&'a str>,
}

/// Reads the comparisons of a file, `least` of them or more.
///
/// # Errors
/// [`Error::Input`] if there are fewer, and the errors of [`token_comparisons`].
pub fn read_comparisons(
    file: ComparisonsFile<'_>,
    model: &LanguageModel,
    task: &Task,
    least: usize,
    left_out: &mut LeftOut,
) -> Result<Vec<TokenComparison>> {
    let path = fetched_file(file.path)?;
    let entries = Entries::new(files::open_buffered(&path)?, &path);
    let comparisons = token_comparisons(entries, file.question, model, task, left_out)?;
    match comparisons.len() {
        enough if enough >= least => Ok(comparisons),
        count => {
            let what = with_reasons(format!("{count} comparisons; at least {least} are needed"), left_out);
            let hint = match left_out.number(Reason::SameTokens) {
                0 => "make some with `preftune label`",
                _ => {
                    "raise task.response_length_tokens and task.query_length_tokens with --set, as far as the model reads"
                }
            };
            Err(Error::input(&path, what, hint))
        }
    }
}

/// Returns the fingerprint of a file, or of the texts of a folder, for a run folder.
///
/// # Errors
/// Fails when the file cannot be read, or can be read only once.
pub fn fingerprint_of_file(role: &str, path: &Path) -> Result<Input> {
    Ok(Input::new(role, path.display(), files::digest(&fetched_file(path)?, hugging_face::counted_in_0_1)?))
}

/// Returns the fingerprint of a file, or `None` if no path is given.
///
/// # Errors
/// The errors of [`fingerprint_of_file`].
pub fn fingerprint_if_given(role: &str, path: Option<&PathBuf>) -> Result<Option<Input>> {
    path.map(|path| fingerprint_of_file(role, path)).transpose()
}

/// Returns the fingerprint of the question that is chosen in a file of comparisons with several.
pub fn fingerprint_of_question(question: Option<&str>) -> Option<Input> {
    question.map(|question| Input::named("question", question))
}

/// Returns the fingerprint of the labeler: its kind, and people's instructions.
///
/// # Errors
/// The errors of [`read_instructions`].
pub fn fingerprint_of_labeler(instructions: Option<&PathBuf>) -> Result<Input> {
    instructions.map_or(Ok(Input::named("labeler", "a classifier chooses")), |name| {
        let sha256 = files::sha256(read_instructions(name)?.as_bytes());
        Ok(Input::new("labeler", "people choose by instructions", sha256))
    })
}
