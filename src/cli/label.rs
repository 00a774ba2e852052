//! `preftune label`: comparisons, from queries and a labeler.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{Session, load_labeler, load_model, read_queries, remembered, remembered_model};
use crate::device::Opened;
use crate::error::Result;
use crate::labels::{LabelLog, Labeler};
use crate::lm::{STORYTELLER, Task};
use crate::reward::Labelling;
use crate::run::{Interrupt, files};

/// Have a labeler choose the best of several responses
///
/// The labels go to an append-only file of comparisons. Run the same command again to go on where
/// it stopped.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune label --simulated --out comparisons.jsonl
  preftune label --simulated --model models/mine --queries queries.txt --out comparisons.jsonl")]
pub struct Arguments {
    /// Let the sentiment classifier that ships with the program choose
    #[arg(long, required = true)]
    pub simulated: bool,
    /// The model whose responses are compared
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    pub model: String,
    /// Queries, as `train-policy` takes them; without it, the story openings that ship
    #[arg(long, value_name = "PATH")]
    pub queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE")]
    pub classifier: Option<PathBuf>,
    /// Where the comparisons go; comparisons.jsonl in the run folder if not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    comparisons: usize,
    out: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let Opened { device, room, .. } = common.open_device()?;
    let model = load_model(&arguments.model, &device)?;
    let mut labeler = load_labeler(arguments.classifier.as_deref())?;
    let queries = read_queries(arguments.queries.as_deref(), &model, &Task::new(&settings.task, &model)?)?
        .texts(&model.tokenizer)?;
    let out = match arguments.out {
        Some(path) => path,
        None => {
            let inputs = [
                remembered_model(&arguments.model)?,
                remembered(arguments.queries.as_deref())?,
                remembered(arguments.classifier.as_deref())?,
            ];
            common.run_directory("label", &settings, &inputs)?.comparisons()
        }
    };
    let session = Session { model: &model, settings: &settings, interrupt: &Interrupt::install()?, common, room };
    let comparisons = write_comparisons(&session, &arguments.model, &queries, &mut labeler, &out)?;
    let text = format!("{comparisons} comparisons in {}", out.display());
    common.print(&Outcome { comparisons, out }, &text)
}

/// Adds comparisons to the file until it holds as many as the settings ask for; how many it holds.
pub fn write_comparisons(
    session: &Session<'_>,
    model_name: &str,
    queries: &[String],
    labeler: &mut dyn Labeler,
    out: &Path,
) -> Result<usize> {
    let Session { model, settings, interrupt, common, .. } = *session;
    files::create_folder_of(out)?;
    let mut log = LabelLog::open(out)?;
    let labelling = Labelling {
        settings: &settings.labels,
        policy: model,
        policy_name: model_name,
        task: Task::new(&settings.task, model)?,
        queries,
        seed: common.seed,
        interrupt: interrupt.clone(),
        progress: common.progress(),
    };
    labelling.run(labeler, &mut log)?;
    Ok(log.comparisons().len())
}
