//! Export of preferences from one format to another, an entry at a time, so that a file may be larger than the memory.

mod source;

use super::inputs::ComparisonsFile;
use crate::data::preferences::to_trl;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::Tokenizer;
use crate::platform::progress::Progress;
use crate::platform::{Mode, OutputFile, files};
use crate::task::LabelEncoder;
use source::Source;

/// Format in which preferences are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSONL of this program.
    Comparisons,
    /// JSONL of prompt, chosen and rejected: the best response with each of the others.
    Trl,
    /// One JSON array of the original's labels (the best of four), in token ids of GPT-2.
    Openai,
}

/// Result of an export.
#[derive(Debug)]
pub struct Exported {
    pub comparisons: usize,
    /// Number of lines or entries in the new file.
    pub entries: usize,
    pub left_out: LeftOut,
    /// Error in the entry after the exported ones, if there is one.
    pub fault: Option<Error>,
}

/// Writes the comparisons before the first bad entry. `tokenizer` is called if a format holds token ids.
///
/// # Errors
/// [`Error::Input`] if there is no good comparison, or the error that stopped the writing.
pub fn export(
    file: ComparisonsFile<'_>,
    format: Format,
    tokenizer: &dyn Fn() -> Result<Tokenizer>,
    out: &OutputFile,
    progress: Mode,
) -> Result<Exported> {
    let mut source = Source::open(file, tokenizer)?;
    let (mut comparisons, mut entries) = (0, 0);
    let mut same_texts = 0;
    match format {
        Format::Openai => {
            comparisons = export_as_original(&source, &tokenizer()?, out, progress)?;
            entries = comparisons;
        }
        _ => out.write_in_pieces(|writer| {
            source.each(|comparison| {
                let lines = if format == Format::Trl { to_trl(comparison) } else { comparison.to_line() };
                let count = lines.lines().count();
                (comparisons, entries) = (comparisons + 1, entries + count);
                same_texts += if format == Format::Trl { comparison.responses.len() - 1 - count } else { 0 };
                writer.write_all(lines.as_bytes()).map_err(|source| files::not_written(out.path(), source, None))
            })
        })?,
    }
    source.left_out.count(Reason::SamePairs, same_texts);
    Ok(Exported { comparisons, entries, left_out: source.left_out, fault: source.fault })
}

/// Writes one JSON array; returns the number of labels in it.
fn export_as_original(source: &Source<'_>, tokenizer: &Tokenizer, out: &OutputFile, progress: Mode) -> Result<usize> {
    let surviving = source.surviving() as u64;
    let mut encoder = LabelEncoder::new(tokenizer, source.path())?;
    let mut number = 0;
    let mut measured = Progress::new("measuring", surviving, "comparisons", progress);
    source.each(|comparison| {
        number += 1;
        measured.advance(1);
        encoder.measure(number, comparison)
    })?;
    measured.finish();
    out.write_in_pieces(|writer| {
        let mut number = 0;
        let mut write =
            |text: &[u8]| writer.write_all(text).map_err(|source| files::not_written(out.path(), source, None));
        let mut written = Progress::new("encoding", surviving, "comparisons", progress);
        source.each(|comparison| {
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
