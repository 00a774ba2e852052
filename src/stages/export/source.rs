//! Source of preferences: a file that is read twice, so that it need not be in memory.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use crate::data::comparisons::Comparison;
use crate::data::entries::Entries;
use crate::data::openai::{LabelReader, is_original};
use crate::data::preferences::{Preference, PreferenceReader};
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::Tokenizer;
use crate::platform::files;
use crate::stages::inputs::ComparisonsFile;
use crate::stages::with_reasons;
use crate::task::{is_changed_as_text, label_to_comparison, original_labels};

/// File that was read once and has a good comparison.
pub(super) struct Source<'a> {
    path: &'a Path,
    question: Option<&'a str>,
    /// The tokenizer, for a file of the original.
    tokenizer: Option<Tokenizer>,
    /// Comparisons of a file that cannot be read twice.
    in_memory: Option<Vec<Comparison>>,
    /// Number of comparisons before the first bad entry; `taken_back` are those of them that were taken back later.
    count: usize,
    taken_back: HashSet<usize>,
    pub(super) left_out: LeftOut,
    /// Error in the entry after the good ones, if there is one.
    pub(super) fault: Option<Error>,
}

impl<'a> Source<'a> {
    /// Reads a file once; `tokenizer` is called if the file holds token ids.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no good comparison, and the errors of `tokenizer`.
    pub(super) fn open(file: ComparisonsFile<'a>, tokenizer: &dyn Fn() -> Result<Tokenizer>) -> Result<Self> {
        let ComparisonsFile { path, question } = file;
        let mut entries = Entries::new(files::open_buffered(path)?, path);
        let tokenizer = if is_original(&mut entries) { Some(tokenizer()?) } else { None };
        let mut reader = Reader::new(entries, path, question, tokenizer.as_ref())?;
        let (mut count, mut taken_back, mut fault) = (0, HashSet::new(), None);
        let mut in_memory = (!path.is_file()).then(Vec::new);
        for preference in reader.by_ref() {
            match preference {
                Ok(Preference::Chosen(comparison)) => {
                    count += 1;
                    in_memory.iter_mut().for_each(|all| all.push(comparison.clone()));
                }
                Ok(Preference::TakenBack(number)) => taken_back.extend([number]),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        let left_out = reader.into_left_out();
        if count == taken_back.len() {
            return Err(fault.unwrap_or_else(|| {
                let what = with_reasons("no comparisons".into(), &left_out);
                Error::input(path, what, "give a file that has some")
            }));
        }
        Ok(Self { path, question, tokenizer, in_memory, count, taken_back, left_out, fault })
    }

    fn changed(&self) -> Error {
        Error::input(self.path, "it was changed while it was read", "export again when nothing else writes to it")
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// Returns the number of comparisons that were not taken back.
    pub(super) fn surviving(&self) -> usize {
        self.count - self.taken_back.len()
    }

    /// Calls `work` with each comparison that was not taken back.
    ///
    /// # Errors
    /// Fails when the file cannot be read again, and with the errors of `work`.
    pub(super) fn each(&self, mut work: impl FnMut(&Comparison) -> Result<()>) -> Result<()> {
        let stands = |number: &usize| !self.taken_back.contains(number);
        if let Some(comparisons) = &self.in_memory {
            return (0..).zip(comparisons).filter(|(number, _)| stands(number)).try_for_each(|(_, one)| work(one));
        }
        let entries = Entries::new(files::open_buffered(self.path)?, self.path);
        let reader = Reader::new(entries, self.path, self.question, self.tokenizer.as_ref())?.not_counting();
        let chosen = reader.filter_map(|preference| match preference {
            Ok(Preference::Chosen(comparison)) => Some(Ok(comparison)),
            Ok(Preference::TakenBack(_)) => None,
            Err(error) => Some(Err(error)),
        });
        let mut read = 0;
        for (number, comparison) in (0..self.count).zip(chosen) {
            let comparison = comparison.map_err(|_| self.changed())?;
            read += 1;
            if stands(&number) {
                work(&comparison)?;
            }
        }
        if read == self.count { Ok(()) } else { Err(self.changed()) }
    }
}

/// Reader of a file, one entry after the other.
enum Reader<'a, R> {
    Preferences(Box<PreferenceReader<R>>),
    Original(Box<OriginalReader<'a, R>>),
}

/// Reader of the original's labels as comparisons.
struct OriginalReader<'a, R> {
    labels: LabelReader<R>,
    number: usize,
    path: &'a Path,
    tokenizer: &'a Tokenizer,
    /// Number of labels that are other tokens as text; `None` if they are not counted.
    changed: Option<usize>,
}

impl<'a, R: BufRead> Reader<'a, R> {
    fn new(
        entries: Entries<R>,
        path: &'a Path,
        question: Option<&str>,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Result<Self> {
        Ok(match tokenizer {
            None => Self::Preferences(Box::new(PreferenceReader::new(entries, question))),
            Some(tokenizer) => {
                let labels = original_labels(entries, tokenizer)?;
                Self::Original(Box::new(OriginalReader { labels, number: 0, path, tokenizer, changed: Some(0) }))
            }
        })
    }

    fn not_counting(mut self) -> Self {
        if let Self::Original(reader) = &mut self {
            reader.changed = None;
        }
        self
    }

    fn into_left_out(self) -> LeftOut {
        match self {
            Self::Preferences(reader) => reader.left_out().clone(),
            Self::Original(reader) => {
                let mut left_out = LeftOut::default();
                left_out.count(Reason::ChangedAsText, reader.changed.unwrap_or_default());
                left_out
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<'_, R> {
    type Item = Result<Preference>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Preferences(reader) => reader.next(),
            Self::Original(reader) => reader.next().map(|comparison| comparison.map(Preference::Chosen)),
        }
    }
}

impl<R: BufRead> Iterator for OriginalReader<'_, R> {
    type Item = Result<Comparison>;

    fn next(&mut self) -> Option<Self::Item> {
        let label = self.labels.next()?;
        self.number += 1;
        Some(label.and_then(|label| {
            if let Some(changed) = &mut self.changed {
                *changed += usize::from(is_changed_as_text(&label, self.tokenizer)?);
            }
            label_to_comparison(&label, self.number, self.path, self.tokenizer)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_loses_lines_between_its_two_readings_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let line = |query| format!("{{\"query\":\"{query}\",\"responses\":[\"a\",\"b\"],\"best\":0}}\n");
        std::fs::write(&path, line("One.") + &line("Two.")).unwrap();
        let source = Source::open(ComparisonsFile { path: &path, question: None }, &|| {
            Err(Error::usage("no tokenizer is needed", ""))
        })
        .unwrap();
        let mut read = 0;
        let mut each = || {
            source.each(|_| {
                read += 1;
                Ok(())
            })
        };
        each().unwrap();
        for shorter in [line("One."), line("One.") + &line("Two.")[..9]] {
            std::fs::write(&path, shorter).unwrap();
            let error = each().unwrap_err();
            assert!(error.to_string().ends_with("it was changed while it was read"), "{error}");
        }
    }
}
