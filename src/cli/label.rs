//! `preftune label`: comparisons, from queries and a labeler.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{QueriesFrom, Session, load_labeler, load_model};
use crate::data::comparisons::Comparison;
use crate::error::{Error, Result};
use crate::labels::{LabelLog, Labeler};
use crate::lm::{LanguageModel, STORYTELLER, Sampling, Task};
use crate::reward::{Collection, collect};
use crate::run::random::{Stream, below, generator, shuffled};
use crate::run::{Interrupt, Progress, files};

/// Comparisons drawn and judged at once; what is judged is on disk before the next are drawn.
const AT_ONCE: usize = 32;

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
    /// A file of queries: one a line, or JSONL; without it, the story openings that ship
    #[arg(long, value_name = "FILE")]
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
    let model = load_model(&arguments.model, &common.open_device()?.device)?;
    let mut labeler = load_labeler(arguments.classifier.as_deref())?;
    let queries = QueriesFrom::file_or_openings(arguments.queries.as_deref()).read()?;
    let out = match arguments.out {
        Some(path) => path,
        None => common.run_directory("label", &settings, std::slice::from_ref(&arguments.model))?.comparisons(),
    };
    let session = Session { model: &model, settings: &settings, interrupt: &Interrupt::install()?, common };
    let comparisons = write_comparisons(&session, &arguments.model, &queries, &mut labeler, &out)?;
    let text = format!("{comparisons} comparisons in {}", out.display());
    common.print(&Outcome { comparisons, out }, &text)
}

/// Draws and judges until the file holds as many comparisons as the settings ask for.
pub fn write_comparisons(
    session: &Session<'_>,
    model_name: &str,
    queries: &[String],
    labeler: &mut dyn Labeler,
    out: &Path,
) -> Result<usize> {
    let Session { model, settings, interrupt, common } = *session;
    if let Some(folder) = out.parent() {
        files::create_folder(folder)?;
    }
    let mut log = LabelLog::open(out)?;
    let task = Task::new(&settings.task, model)?;
    let sampling = Sampling { responses_per_query: settings.labels.responses_per_query, ..task.sampling };
    let tokens = queries.iter().map(|query| task.encode_query(model, query)).collect::<Result<Vec<_>>>()?;
    let total = settings.labels.comparisons;
    let done = log.comparisons().len().min(total);
    let mut progress = Progress::resumed("labelling", done as u64, total as u64, "comparisons", common.progress());
    while log.comparisons().len() < total {
        let first = log.comparisons().len();
        let picked: Vec<usize> = (first..total.min(first + AT_ONCE))
            .map(|number| below(queries.len(), &mut generator(common.seed, Stream::Queries, 1 << 32, number as u64)))
            .collect();
        let collected = collect(model, &tokens, &picked, &sampling, &task.truncation, common.seed, first)?;
        let judged = collected.iter().enumerate().map(|(offset, collection)| {
            let query = queries.get(collection.query).map_or("", String::as_str);
            let number = first + offset;
            let comparison = judge(model, &task, query, collection, labeler, (common.seed, number))?;
            Ok(Comparison { policy: model_name.into(), ..comparison })
        });
        log.append_many(&judged.collect::<Result<Vec<_>>>()?)?;
        progress.advance(picked.len() as u64);
        if interrupt.requested() {
            return Err(Error::Interrupted { checkpoint: Some(out.to_path_buf()) });
        }
    }
    progress.finish();
    Ok(log.comparisons().len())
}

fn judge(
    model: &LanguageModel,
    task: &Task,
    query: &str,
    collection: &Collection,
    labeler: &mut dyn Labeler,
    (seed, number): (u64, usize),
) -> Result<Comparison> {
    let decode = |response: &Vec<u32>| task.decode_response(model, response);
    let responses = collection.responses.iter().map(decode).collect::<Result<Vec<_>>>()?;
    let order = shuffled(responses.len(), &mut generator(seed, Stream::Labels, 1, number as u64));
    let shown: Vec<String> = order.iter().filter_map(|&index| responses.get(index)).cloned().collect();
    let judgment = labeler.judge(query, &shown)?;
    Ok(Comparison {
        id: format!("{seed}-{number}"),
        query: query.into(),
        best: order.get(judgment.best).copied().unwrap_or(0),
        responses,
        labeler: labeler.name().into(),
        ms: Some(0),
        at: SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()),
        policy: String::new(),
        order,
    })
}
