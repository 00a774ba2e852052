//! `preftune train-labeler`: the simulated labeler's classifier.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::error::Result;
use crate::labels::classifier::{LabeledSentences, train_with_held_out};
use crate::run::{OutputFile, Progress, files};

/// Train the classifier by which the simulated labeler judges
///
/// A random tenth of the sentences is held out and never trained on; the accuracy on it is
/// printed.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune train-labeler --positive pos.txt --negative neg.txt --out classifier.json
  preftune label --simulated --classifier classifier.json --out comparisons.jsonl")]
pub struct Arguments {
    /// Sentences that a labeler should like, one a line
    #[arg(long, value_name = "FILE")]
    positive: PathBuf,
    /// Sentences that it should not, one a line
    #[arg(long, value_name = "FILE")]
    negative: PathBuf,
    /// Where the sentences come from, kept in the classifier
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
    /// Where the classifier goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    held_out_accuracy: f64,
    low: f64,
    high: f64,
    held_out_examples: usize,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let out = OutputFile::new(&arguments.out)?;
    let (positive, negative) = (files::read_text(&arguments.positive)?, files::read_text(&arguments.negative)?);
    let (positive, negative): (Vec<&str>, Vec<&str>) = (positive.lines().collect(), negative.lines().collect());
    let sentences = LabeledSentences { source: &arguments.source, positive: &positive, negative: &negative };
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
        arguments.out.display(),
    );
    let outcome = Outcome {
        held_out_accuracy: held_out.accuracy,
        low: held_out.low,
        high: held_out.high,
        held_out_examples: held_out.examples,
        out: arguments.out,
    };
    common.print(&outcome, &text)
}
