//! `preftune bench`: the speed of sampling, scoring, training and a whole update.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::Common;
use crate::bench::{
    Growth, RequestCounts, Speed, Work, grow, measure, memory_that_fits, named_shape, random_model, shape_for,
};
use crate::device::Requests;
use crate::error::{Error, Result};
use crate::lm::ModelConfig;
use crate::models;

/// Parses a number of rows, or of repetitions.
fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=65_536)
}

fn tokens() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_048_576)
}

/// Measure sampling, scoring, training and a whole update
///
/// The work is that of one PPO update: sampling, two scorings and four training passes. Weights do not
/// matter for speed: those of `tiny`, `gpt2-124m` and `smollm2-135m` are random. On a GPU, kernel dispatches and
/// read-backs are counted, too.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune bench --model tiny --batch 64 --device flex --json
  preftune bench --model tiny --growth --device flex")]
pub(super) struct Arguments {
    /// Model: `tiny`, `gpt2-124m`, `smollm2-135m`, or a folder in Hugging Face layout
    #[arg(long, value_name = "MODEL", default_value = "tiny")]
    model: PathBuf,
    /// Sequences in a batch
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = rows())]
    batch: usize,
    /// Tokens in a query
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = tokens())]
    query: usize,
    /// Tokens in a response
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = tokens())]
    response: usize,
    /// Sequences in a micro-batch; 0 for the whole batch
    #[arg(long, value_name = "N", default_value_t = 0)]
    microbatch: usize,
    /// Repetitions of each measurement after a warm-up; the median is printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = rows())]
    reps: usize,
    /// Also measure with each size halved, doubled and quadrupled, and print the floating-point operations of
    /// an update beside its time: batch, response, query, and the layers and width of a model with random weights
    #[arg(long)]
    growth: bool,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let opened = common.open_device()?;
    let work = Work {
        batch: arguments.batch,
        query: arguments.query,
        response: arguments.response,
        micro_batch: if arguments.microbatch == 0 { usize::MAX } else { arguments.microbatch },
        repetitions: arguments.reps,
    };
    let name = arguments.model.to_string_lossy();
    let shape = named_shape(&name);
    if arguments.growth {
        let shape = shape.ok_or_else(|| {
            Error::usage(
                format!("--growth needs a model whose size can be changed, not {name}"),
                "use --model tiny, gpt2-124m or smollm2-135m",
            )
        })?;
        // Each row is printed once it is measured, because the last takes the most time and memory.
        let mut heading = Some(GROWTH_HEADING);
        return grow(&shape, &work, &name, &opened, common.progress(), |row| {
            let heading = heading.take().map_or(String::new(), |heading| format!("{heading}\n"));
            common.print(row, &(heading + &growth_row(row)))
        });
    }
    let say_what_it_takes = |config: &ModelConfig| -> Result<()> {
        let memory = memory_that_fits(config, &work, &opened)?;
        common.say(&format!("memory: about {}", memory.describe()));
        Ok(())
    };
    let transformer = match shape {
        Some(shape) => {
            let config = shape_for(shape, &work);
            say_what_it_takes(&config)?;
            random_model(&config, &opened.device)?
        }
        None => {
            let model = models::open(&arguments.model, &opened.device).map_err(|error| match error {
                Error::Input { path, line, what, hint } => {
                    let hint =
                        format!("{hint}; or use `tiny`, `gpt2-124m` or `smollm2-135m`, whose weights are random");
                    Error::Input { path, line, what, hint }
                }
                other => other,
            })?;
            say_what_it_takes(model.config())?;
            model.transformer
        }
    };
    let speed = measure(transformer, &work, &name, &opened.name, common.progress())?;
    common.print(&speed, &text(&speed))
}

fn text(speed: &Speed) -> String {
    let mut text = format!(
        "{} on {}, batch {}, query {}, response {}\n\
         generate  {:>10.1} tokens/s\nscore     {:>10.1} tokens/s\ntrain     {:>10.1} tokens/s\nupdate    {:>10.3} s",
        speed.model,
        speed.device,
        speed.batch,
        speed.query,
        speed.response,
        speed.generate_tokens_per_s,
        speed.score_tokens_per_s,
        speed.train_tokens_per_s,
        speed.update_s,
    );
    if let Some(counts) = &speed.requests {
        text += &requests(counts);
    }
    text
}

fn requests(counts: &RequestCounts) -> String {
    let line = |what: &str, requests: &Requests| {
        format!("\n{what:<14}{:>6} dispatches {:>3} read-backs", requests.dispatches, requests.readbacks)
    };
    let decoding_step = counts.decoding_step.map_or(String::new(), |requests| line("decoding step", &requests));
    decoding_step
        + &line("scored batch", &counts.scored_batch)
        + &line("training step", &counts.training_step)
        + &line("update", &counts.update)
}

const GROWTH_HEADING: &str =
    "varied    batch  query  response  layers  width   update, s   TFLOP  s/TFLOP  decoding step, ms";

fn growth_row(row: &Growth) -> String {
    let decoding = row.speed.decoding_step_s.map_or(String::new(), |seconds| format!("{:.2}", seconds * 1e3));
    format!(
        "{:<9}{:>6}{:>7}{:>10}{:>8}{:>7}{:>12.3}{:>8.3}{:>9.2}{decoding:>19}",
        row.varied,
        row.speed.batch,
        row.speed.query,
        row.speed.response,
        row.layers,
        row.width,
        row.speed.update_s,
        row.update_tflop,
        row.update_s_per_tflop,
    )
}
