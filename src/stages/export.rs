//! Preferences from one format to another, an entry at a time, so that a file may be larger than the memory.

use std::collections::HashSet;
use std::path::Path;

use super::with_reasons;
use crate::data::comparisons::Comparison;
use crate::data::entries::Entries;
use crate::data::openai::{Labels, is_original};
use crate::data::preferences::{Preference, PreferenceReader, Preferences, to_trl};
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::{LabelEncoder, Tokenizer, count_changed_as_text, labels_to_comparisons, original_labels};
use crate::run::progress::Progress;
use crate::run::{Mode, OutputFile, files};

/// What preferences are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSONL of this program.
    Comparisons,
    /// JSONL of prompt, chosen and rejected: the best with each of the others.
    Trl,
    /// One JSON array of the best of four, in token ids of GPT-2.
    Openai,
}

/// What was written.
#[derive(Debug)]
pub struct Exported {
    pub comparisons: usize,
    /// Lines or entries of the new file.
    pub entries: usize,
    pub left_out: LeftOut,
    /// What is wrong with the entry after these, if anything.
    pub fault: Option<Error>,
}

/// Writes what is good before the first bad entry. Of tasks of Label Studio, the answers to `question`;
/// `tokenizer` is asked for where a format holds token ids.
///
/// # Errors
/// [`Error::Input`] where nothing is good, or what went wrong with writing.
pub fn export(
    (path, question): (&Path, Option<&str>),
    format: Format,
    tokenizer: &dyn Fn() -> Result<Tokenizer>,
    out: &OutputFile,
    progress: Mode,
) -> Result<Exported> {
    let mut source = Source::open(path, question, tokenizer)?;
    let (mut comparisons, mut entries) = (0, 0);
    let mut same_texts = 0;
    match format {
        Format::Openai => {
            comparisons = export_as_original(&source, question, &tokenizer()?, out, progress)?;
            entries = comparisons;
        }
        _ => out.write_in_pieces(|writer| {
            source.each(question, |comparison| {
                let lines = if format == Format::Trl { to_trl(comparison) } else { comparison.to_line() };
                let count = lines.lines().count();
                (comparisons, entries) = (comparisons + 1, entries + count);
                same_texts += if format == Format::Trl { comparison.responses.len() - 1 - count } else { 0 };
                writer.write_all(lines.as_bytes()).map_err(|source| Error::file("write", out.path(), source))
            })
        })?,
    }
    source.left_out.count(Reason::SamePairs, same_texts);
    Ok(Exported { comparisons, entries, left_out: source.left_out, fault: source.fault })
}

/// Writes one JSON array; how many labels are in it.
fn export_as_original(
    source: &Source<'_>,
    question: Option<&str>,
    tokenizer: &Tokenizer,
    out: &OutputFile,
    progress: Mode,
) -> Result<usize> {
    let standing = (source.count - source.taken_back.len()) as u64;
    let mut encoder = LabelEncoder::new(tokenizer, source.path)?;
    let mut number = 0;
    let mut measured = Progress::new("measuring", standing, "comparisons", progress);
    source.each(question, |comparison| {
        number += 1;
        measured.advance(1);
        encoder.measure(number, comparison)
    })?;
    measured.finish();
    out.write_in_pieces(|writer| {
        let mut number = 0;
        let mut write = |text: &[u8]| writer.write_all(text).map_err(|source| Error::file("write", out.path(), source));
        let mut written = Progress::new("encoding", standing, "comparisons", progress);
        source.each(question, |comparison| {
            write(if number == 0 { b"[" } else { b"," })?;
            number += 1;
            written.advance(1);
            write(encoder.encode(number, comparison)?.to_json().as_bytes())
        })?;
        write(b"]")?;
        written.finish();
        Ok(number)
    })
}

/// A file that was looked through once, and has a good comparison.
struct Source<'a> {
    path: &'a Path,
    /// Its comparisons, if it cannot be read twice.
    in_memory: Option<Vec<Comparison>>,
    /// Of a file that can, how many there are, and which of them were taken back later.
    count: usize,
    taken_back: HashSet<usize>,
    left_out: LeftOut,
    fault: Option<Error>,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path, question: Option<&str>, tokenizer: &dyn Fn() -> Result<Tokenizer>) -> Result<Self> {
        let mut entries = Entries::new(files::open_buffered(path)?, path);
        let source = if is_original(&mut entries) {
            let tokenizer = tokenizer()?;
            let Labels { labels, fault } = original_labels(entries, &tokenizer)?;
            let comparisons = labels_to_comparisons(&labels, path, &tokenizer)?;
            let mut left_out = LeftOut::default();
            left_out.count(Reason::ChangedAsText, count_changed_as_text(&labels, &tokenizer)?);
            Self::in_memory(path, Preferences { comparisons, left_out, fault })
        } else if path.is_file() {
            Self::looked_through(path, PreferenceReader::new(entries, question))
        } else {
            Self::in_memory(path, Preferences::read(PreferenceReader::new(entries, question)))
        };
        match source.count - source.taken_back.len() {
            0 => Err(source.fault.unwrap_or_else(|| {
                let what = with_reasons("no comparisons".into(), &source.left_out);
                Error::input(path, what, "give a file that has some")
            })),
            _ => Ok(source),
        }
    }

    fn in_memory(path: &'a Path, Preferences { comparisons, left_out, fault }: Preferences) -> Self {
        let count = comparisons.len();
        Self { path, in_memory: Some(comparisons), count, taken_back: HashSet::new(), left_out, fault }
    }

    fn looked_through(path: &'a Path, mut reader: PreferenceReader<impl std::io::BufRead>) -> Self {
        let (mut count, mut taken_back, mut fault) = (0, HashSet::new(), None);
        for preference in reader.by_ref() {
            match preference {
                Ok(Preference::Chosen(_)) => count += 1,
                Ok(Preference::TakenBack(number)) => taken_back.extend([number]),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        Self { path, in_memory: None, count, taken_back, left_out: reader.left_out().clone(), fault }
    }

    /// Does the work for each comparison that stands.
    fn each(&self, question: Option<&str>, mut work: impl FnMut(&Comparison) -> Result<()>) -> Result<()> {
        if let Some(comparisons) = &self.in_memory {
            return comparisons.iter().try_for_each(work);
        }
        let entries = Entries::new(files::open_buffered(self.path)?, self.path);
        let mut number = 0;
        for preference in PreferenceReader::new(entries, question) {
            if number == self.count {
                break;
            }
            if let Preference::Chosen(comparison) = preference? {
                if !self.taken_back.contains(&number) {
                    work(&comparison)?;
                }
                number += 1;
            }
        }
        Ok(())
    }
}
