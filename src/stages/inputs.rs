//! The files that stages read, by their path or by the name under which they were fetched, and how a run folder
//! remembers them.

use std::path::{Path, PathBuf};

use super::with_reasons;
use crate::data::entries::Entries;
use crate::data::queries::openings;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::fetch;
use crate::lm::LanguageModel;
use crate::lm::files::hugging_face;
use crate::platform::files;
use crate::reward::{TokenComparison, token_comparisons};
use crate::run::Input;
use crate::task::{Queries, Task};

/// A file by its path, or label files by the name under which they were fetched.
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

/// Queries of a file or of a folder of books; with neither, the story openings for training.
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

/// The comparisons of a file, in any format that is known: `least` of them or more. Of tasks of Label Studio, the
/// answers to `question`.
///
/// # Errors
/// [`Error::Input`] where there are fewer, and as [`token_comparisons`].
pub fn read_comparisons(
    (path, question): (&Path, Option<&str>),
    model: &LanguageModel,
    task: &Task,
    least: usize,
    left_out: &mut LeftOut,
) -> Result<Vec<TokenComparison>> {
    let path = fetched_file(path)?;
    let entries = Entries::new(files::open_buffered(&path)?, &path);
    let comparisons = token_comparisons(entries, question, model, task, left_out)?;
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

/// A file, or the texts of a folder, as a run folder remembers it.
///
/// # Errors
/// When it cannot be read, or only once.
pub fn fingerprint_of_file(role: &str, path: &Path) -> Result<Input> {
    Ok(Input::new(role, path.display(), files::digest(&fetched_file(path)?, hugging_face::counted_in_0_1)?))
}

/// The same where there may be none.
///
/// # Errors
/// The errors of [`fingerprint_of_file`].
pub fn fingerprint_if_given(role: &str, path: Option<&PathBuf>) -> Result<Option<Input>> {
    path.map(|path| fingerprint_of_file(role, path)).transpose()
}

/// The question of a file of comparisons that has several, as a run folder remembers it.
pub fn fingerprint_of_question(question: Option<&str>) -> Option<Input> {
    question.map(|question| Input::named("question", question))
}
