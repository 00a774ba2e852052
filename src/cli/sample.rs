//! `preftune sample`: continue queries.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::Common;
use super::common::{to_json, write_to_stdout};
use crate::data::LeftOut;
use crate::error::Result;
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::Interrupt;
use crate::sanitize::{sanitize, sanitize_json};
use crate::stages::read_queries;
use crate::stages::{Continuations, Part};
use crate::task::Task;

/// Continue queries with a model
#[derive(Args)]
#[command(after_help = "Examples:
  preftune sample --query \"The old captain set down his glass.\" -n 4
  preftune sample --model runs/demo-seed-1/policy/model --queries datasets/openings.txt --json")]
pub(super) struct Arguments {
    /// Model: `storyteller`, a folder in Hugging Face layout, or a model that was fetched
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    model: PathBuf,
    /// A text to continue; may be repeated
    #[arg(long, value_name = "TEXT", conflicts_with = "queries")]
    query: Vec<String>,
    /// Queries, in a format that `train-policy` reads; without --query and --queries, the story openings for training
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Responses to each query
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    responses: u32,
    /// Print responses whole, not truncated
    #[arg(long)]
    whole: bool,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings_for(&arguments.model, None, &[])?;
    let opened = common.open_device()?;
    let model = models::open(&arguments.model, &opened.device)?;
    let task = Task::new(&settings.task, &model)?;
    let mut left_out = LeftOut::default();
    let queries = match arguments.query.is_empty() {
        true => read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?
            .texts(&model.tokenizer, &mut left_out)?,
        false => arguments.query,
    };
    let continuations = Continuations {
        model: &model,
        task: &task,
        queries: &queries,
        responses: arguments.responses as usize,
        seed: common.seed,
        interrupt: Interrupt::install()?,
        progress: common.progress(),
    };
    let (rows, memory) = continuations.rows_that_fit(opened.device_memory)?;
    tracing::info!("memory: about {}; {rows} responses at a time", memory.describe());
    // In a chat, a response is a message of its own and does not continue the query.
    let between = if task.chat { "\n" } else { "" };
    let mut line_is_open = false;
    let drawn = continuations.sample(rows, |part| {
        let decode = |response: &Vec<u32>| match arguments.whole {
            true => task.decode_whole_response(&model, response),
            false => task.decode_response(&model, response),
        };
        let responses = part.responses.iter().map(decode).collect::<Result<Vec<_>>>()?;
        line_is_open = common.json && !part.is_last;
        if part.is_first {
            left_out.add(&part.left_out);
        }
        let text = if common.json { json(&part, &responses)? } else { lines(&part, between, &responses) };
        write_to_stdout(text.as_bytes())
    });
    if line_is_open && drawn.is_err() {
        // The object is completed, so that what was printed stays readable.
        write_to_stdout(b"]}\n").ok();
    }
    left_out.say("queries");
    drawn
}

/// Formats responses as text, one per line, each after its query and the text `between`.
fn lines(part: &Part<'_>, between: &str, responses: &[String]) -> String {
    responses.iter().map(|response| one_line(&format!("{}{between}{response}", part.query)) + "\n").collect()
}

/// Formats a part of the JSON object of a query, because the object is never whole in memory.
fn json(part: &Part<'_>, responses: &[String]) -> Result<String> {
    let texts: Vec<String> = responses.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
    let left_out = match part.left_out.is_empty() {
        true => String::new(),
        false => format!(",\"left_out\":{}", to_json(&part.left_out)?),
    };
    let begin = match part.is_first {
        true => format!("{{\"query\":{}{left_out},\"responses\":[", Value::from(part.query)),
        false => ",".into(),
    };
    Ok(sanitize_json(&format!("{begin}{}{}", texts.join(","), if part.is_last { "]}\n" } else { "" })))
}

/// Replaces line breaks by a sign, so that one response is one line.
pub(super) fn one_line(text: &str) -> String {
    sanitize(text).replace("\n\n", " ⏎ ").replace('\n', " ⏎ ")
}
