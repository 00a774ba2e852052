//! `preftune train-labeler`: the simulated labeler's classifier.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::data::text_lines::text_lines;
use crate::data::{LeftOut, Reason};
use crate::device::host_memory;
use crate::error::Result;
use crate::labels::classifier::{LabeledSentences, memory_that_fits, train_with_held_out};
use crate::platform::{OutputFile, Progress, files};
use crate::sanitize::sanitize_path;

/// Train the classifier by which the simulated labeler judges
///
/// A random tenth of the sentences is held out and never trained on; the accuracy on this tenth is printed. The
/// classifier that ships with the program was trained on more than two files, by another method (models/README.md).
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train-labeler --positive pos.txt --negative neg.txt --out classifier.json
  preftune label --simulated --classifier classifier.json --out comparisons.jsonl")]
pub(super) struct Arguments {
    /// Sentences that a labeler should like, one per line
    #[arg(long, value_name = "FILE")]
    positive: PathBuf,
    /// Sentences that a labeler should not like, one per line
    #[arg(long, value_name = "FILE")]
    negative: PathBuf,
    /// Source of the sentences, recorded in the classifier
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
    /// Output file of the classifier
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    held_out_accuracy: f64,
    low: f64,
    high: f64,
    held_out_examples: usize,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let out = OutputFile::new(&arguments.out)?;
    let size = |path: &Path| Ok(files::open(path)?.metadata().map_or(0, |file| file.len()));
    let bytes = size(&arguments.positive)?.saturating_add(size(&arguments.negative)?);
    let memory = memory_that_fits(bytes, host_memory())?;
    common.say(&format!("memory: about {}", memory.describe()));
    let (positive, negative) = (files::read_text(&arguments.positive)?, files::read_text(&arguments.negative)?);
    let mut left_out = LeftOut::default();
    let positive = sentences(&positive, &arguments.positive, &mut left_out)?;
    let negative = sentences(&negative, &arguments.negative, &mut left_out)?;
    let sentences = LabeledSentences { source: &arguments.source, positive: &positive, negative: &negative };
    left_out.count(Reason::SentencesOfBothKinds, sentences.of_both_kinds());
    left_out.say("sentences");
    let mut progress: Option<Progress> = None;
    let mut seen = 0;
    let (classifier, held_out) = train_with_held_out(sentences, 0.1, common.seed, |done, total| {
        let bar =
            progress.get_or_insert_with(|| Progress::new("classifier", total as u64, "passes", common.progress()));
        bar.advance((done - seen) as u64);
        seen = done;
    })?;
    out.write(classifier.to_json()?.as_bytes())?;
    let text = format!(
        "held-out accuracy {:.1}% (95% interval {:.1} to {:.1}) on {} sentences never trained on\n\
         classifier written to {}",
        100.0 * held_out.accuracy,
        100.0 * held_out.low,
        100.0 * held_out.high,
        held_out.examples,
        sanitize_path(&arguments.out),
    );
    let outcome = Outcome {
        held_out_accuracy: held_out.accuracy,
        low: held_out.low,
        high: held_out.high,
        held_out_examples: held_out.examples,
        left_out,
        out: arguments.out,
    };
    common.print(&outcome, &text)
}

fn sentences<'a>(text: &'a str, path: &Path, left_out: &mut LeftOut) -> Result<Vec<&'a str>> {
    Ok(text_lines(text, path, left_out)?.into_iter().map(|(_, sentence)| sentence).collect())
}
