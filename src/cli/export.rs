//! `preftune export`: preferences in another format.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Common;
use super::common::{fetched_file, load_tokenizer};
use crate::data::comparisons::Comparison;
use crate::data::openai::{self, Labels};
use crate::data::preferences::{Preferences, to_trl};
use crate::error::{Error, Result};
use crate::lm::{comparisons_to_labels, count_changed_as_text, labels_to_comparisons, original_labels};
use crate::run::{OutputFile, files};

/// Write preferences for another program, or other programs' as comparisons
///
/// Reads comparisons of this program, TRL's preference types, Anthropic HH, Label Studio's pairwise
/// tasks and the original's best-of-4 labels; `train-reward` reads all of these itself. Before a bad
/// entry, what is good is written.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune export comparisons.jsonl --format trl --out pairs.jsonl
  preftune export comparisons.jsonl --format openai --model gpt2 --out labels.json
  preftune export hh-rlhf.jsonl --format comparisons --out comparisons.jsonl")]
pub struct Arguments {
    /// Preferences, as JSONL or a JSON array
    #[arg(value_name = "PREFERENCES")]
    preferences: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Whose tokens the original's labels are, GPT-2's or one with the same tokenizer
    #[arg(long, value_name = "MODEL", default_value = "gpt2")]
    model: PathBuf,
    /// Where it goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// JSONL of this program
    Comparisons,
    /// JSONL of prompt, chosen and rejected: the best with each of the others
    Trl,
    /// One JSON array of the best of four, in token ids of GPT-2
    Openai,
}

#[derive(Serialize)]
struct Outcome {
    comparisons: usize,
    /// Lines or entries of the file.
    entries: usize,
    /// Entries that were left out: in them nobody chose, or both responses are the same.
    undecided: usize,
    /// Judgments in token ids that are other tokens as text.
    changed_as_text: usize,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let path = fetched_file(&arguments.preferences)?;
    let out = OutputFile::new(&arguments.out)?;
    let (Preferences { comparisons, undecided, fault }, changed_as_text) = read(&path, &arguments.model)?;
    if comparisons.is_empty() {
        return Err(fault.unwrap_or_else(|| Error::input(&path, "no comparisons", "give a file that has some")));
    }
    let (entries, contents) = written(&comparisons, &arguments, &path)?;
    out.write(contents.as_bytes())?;
    let what = match arguments.format {
        Format::Trl => format!("{entries} pairs of {} comparisons", comparisons.len()),
        _ => format!("{entries} comparisons"),
    };
    let left_out = match undecided {
        0 => String::new(),
        count => format!("; {count} entries in which nobody chose, or both responses are the same, left out"),
    };
    let changed = match changed_as_text {
        0 => String::new(),
        count => format!("; {count} comparisons are other tokens as text than in the file"),
    };
    let text = format!("{what} written to {}{left_out}{changed}", arguments.out.display());
    let comparisons = comparisons.len();
    common.print(&Outcome { comparisons, entries, undecided, changed_as_text, out: arguments.out }, &text)?;
    fault.map_or(Ok(()), Err)
}

/// How many entries there are, and the file.
fn written(comparisons: &[Comparison], arguments: &Arguments, path: &Path) -> Result<(usize, String)> {
    let lines: String = match arguments.format {
        Format::Comparisons => comparisons.iter().map(Comparison::to_line).collect(),
        Format::Trl => comparisons.iter().map(to_trl).collect(),
        Format::Openai => {
            let tokenizer = load_tokenizer(&arguments.model)?;
            let labels = comparisons_to_labels(comparisons, path, &tokenizer)?;
            return Ok((labels.len(), openai::to_json(&labels)));
        }
    };
    Ok((lines.lines().count(), lines))
}

/// With how many judgments are other tokens as text.
fn read(path: &Path, model: &Path) -> Result<(Preferences, usize)> {
    let text = files::read_text(path)?;
    if openai::is_original(&text) {
        let tokenizer = load_tokenizer(model)?;
        let Labels { labels, fault } = original_labels(&text, path, &tokenizer)?;
        let changed = count_changed_as_text(&labels, &tokenizer)?;
        let comparisons = labels_to_comparisons(&labels, path, &tokenizer)?;
        return Ok((Preferences { comparisons, undecided: 0, fault }, changed));
    }
    Ok((Preferences::read(&text, path), 0))
}
