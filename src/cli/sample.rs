//! `preftune sample`: continue queries.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use super::common::{load_model, read_queries};
use crate::data::LeftOut;
use crate::error::Result;
use crate::lm::{STORYTELLER, Sampling, Task, sample};
use crate::run::random::{Stream, uniform};
use crate::run::{Interrupt, Mode, Progress};
use crate::visible::visible;

/// So many responses are drawn before they are printed.
const RESPONSES_AT_ONCE: usize = 64;

/// Continue queries with a model
#[derive(Args)]
#[command(after_help = "Examples:
  preftune sample --query \"The old captain set down his glass.\" -n 4
  preftune sample --model runs/demo-seed-1/policy/model --queries datasets/openings.txt --json")]
pub struct Arguments {
    /// `storyteller`, a folder in Hugging Face layout, or a model that was fetched
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: String,
    /// A text to continue; may be repeated
    #[arg(long, value_name = "TEXT", conflicts_with = "queries")]
    query: Vec<String>,
    /// Queries, as `train-policy` takes them; with neither, the story openings for training
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Responses a query
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    responses: u32,
    /// Print responses whole, not only up to where they are cut
    #[arg(long)]
    whole: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    query: &'a str,
    responses: Vec<String>,
    /// Of this query.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    left_out: LeftOut,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let model = load_model(&arguments.model, &common.open_device()?.device)?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let queries = match arguments.query.is_empty() {
        true => read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?.texts(&model.tokenizer)?,
        false => arguments.query,
    };
    let sampling = Sampling { responses_per_query: arguments.responses as usize, ..task.sampling };
    let queries_at_once = (RESPONSES_AT_ONCE / sampling.responses_per_query).max(1);
    let mode = if queries.len() > queries_at_once { common.progress() } else { Mode::Quiet };
    let mut progress = Progress::new("sampling", queries.len() as u64, "queries", mode);
    for (part, queries) in queries.chunks(queries_at_once).enumerate() {
        let mut cuts = vec![LeftOut::default(); queries.len()];
        let context = |(query, cut): (&String, &mut LeftOut)| Ok(task.context(&task.encode_query(&model, query, cut)?));
        let contexts = queries.iter().zip(&mut cuts).map(context).collect::<Result<Vec<_>>>()?;
        cuts.iter().for_each(|cut| left_out.add(cut));
        let first_row = part * queries_at_once * sampling.responses_per_query;
        let numbers =
            |row: usize| uniform(common.seed, Stream::Sampling, 0, (first_row + row) as u64, sampling.response_length);
        let drawn = sample(&model.transformer, &model.config, None, &contexts, &sampling, numbers, &Interrupt::new())?;
        let drawn = drawn.responses.chunks(sampling.responses_per_query);
        for ((query, left_out), responses) in queries.iter().zip(cuts).zip(drawn) {
            let decode = |response: &Vec<u32>| match arguments.whole {
                true => model.tokenizer.decode(response),
                false => task.decode_response(&model, response),
            };
            let responses = responses.iter().map(decode).collect::<Result<Vec<_>>>()?;
            let text: Vec<String> = responses.iter().map(|response| one_line(&format!("{query}{response}"))).collect();
            progress.suspend(|| common.print(&Row { query, responses, left_out }, &text.join("\n")))?;
        }
        progress.advance(queries.len() as u64);
    }
    progress.finish();
    left_out.say("queries");
    Ok(())
}

/// Line breaks as a sign, so that one response is one line.
pub fn one_line(text: &str) -> String {
    visible(text).replace("\n\n", " ⏎ ").replace('\n', " ⏎ ")
}
