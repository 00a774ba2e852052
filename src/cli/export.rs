//! `preftune export`: preferences in another format.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Common;
use crate::data::{LeftOut, Reason};
use crate::error::Result;
use crate::models;
use crate::platform::{OutputFile, files};
use crate::sanitize::sanitize_path;
use crate::stages;
use crate::stages::ComparisonsFile;
use crate::stages::{Exported, export, fetched_file};

/// Convert preferences to another program's format, or to comparisons of this program
///
/// Reads comparisons of this program, TRL's preference types, Anthropic HH, Label Studio's pairwise tasks and the
/// best-of-4 labels of the original (OpenAI's published code for the paper); `train-reward` reads all of these itself. If
/// an entry is bad, the entries before it are written.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune export comparisons.jsonl --format trl --out pairs.jsonl
  preftune export comparisons.jsonl --format openai --model gpt2 --out labels.json
  preftune export hh-rlhf.jsonl --format comparisons --out comparisons.jsonl")]
pub(super) struct Arguments {
    /// Preferences, as JSONL or a JSON array
    #[arg(value_name = "PREFERENCES")]
    preferences: PathBuf,
    /// The question whose answers count, where Label Studio's tasks have several pairwise questions
    #[arg(long, value_name = "NAME")]
    question: Option<String>,
    /// Output format
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// The model whose token ids `openai` writes: GPT-2 or one with the same tokenizer
    #[arg(long, value_name = "MODEL", default_value = "gpt2")]
    model: PathBuf,
    /// Output file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Comparisons of this program, as JSONL
    Comparisons,
    /// Pairs of TRL, as JSONL of prompt, chosen and rejected: the best response with each of the others
    Trl,
    /// Labels of the original, as one JSON array of the best of four, in token ids of GPT-2
    Openai,
}

impl From<Format> for stages::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Comparisons => Self::Comparisons,
            Format::Trl => Self::Trl,
            Format::Openai => Self::Openai,
        }
    }
}

#[derive(Serialize)]
struct Outcome {
    comparisons: usize,
    /// Number of lines or entries that were written.
    entries: usize,
    /// Number of entries that were left out because nobody chose or because both responses are the same.
    undecided: usize,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let path = fetched_file(&arguments.preferences)?;
    let out = OutputFile::new(&arguments.out)?;
    let from = ComparisonsFile { path: &path, question: arguments.question.as_deref() };
    let format = arguments.format.into();
    let exported = export(from, format, &|| models::open_tokenizer(&arguments.model), &out, common.progress())?;
    let Exported { comparisons, entries, left_out, fault } = exported;
    let what = match format {
        stages::Format::Trl => format!("{entries} pairs of {comparisons} comparisons"),
        _ => format!("{entries} comparisons"),
    };
    let text = format!("{what} written to {}", sanitize_path(&arguments.out));
    let undecided = left_out.number(Reason::Undecided) + left_out.number(Reason::SameResponses);
    left_out.say(&path.display().to_string());
    common.print(&Outcome { comparisons, entries, undecided, left_out, out: arguments.out }, &text)?;
    fault.map_or(Ok(()), Err)
}
