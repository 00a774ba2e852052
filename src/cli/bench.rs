//! `preftune bench`: how fast each kind of work goes here.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::Common;
use super::common::load_model;
use crate::bench::{Work, measure, named_shape, random_model};
use crate::error::Result;

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Measure generation, scoring, training and a whole update
///
/// The work is that of one PPO update: generate, score twice, four training passes. Weights do not
/// matter for speed; `tiny` and `gpt2-124m` have random ones.
#[derive(Args)]
#[command(after_help = "Example:
  preftune bench --model tiny --batch 64 --device flex --json")]
pub struct Arguments {
    /// `tiny`, `gpt2-124m`, or a folder in Hugging Face layout
    #[arg(long, value_name = "MODEL", default_value = "tiny")]
    model: String,
    /// Rows
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one())]
    batch: usize,
    /// Tokens a query
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one())]
    query: usize,
    /// Tokens a response
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = at_least_one())]
    response: usize,
    /// Rows in one backward pass; all if 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    microbatch: usize,
    /// Times each is measured, after one that does not count; medians are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
    reps: usize,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let opened = common.open_device()?;
    let (config, transformer) = match named_shape(&arguments.model) {
        Some(shape) => random_model(shape, arguments.query + arguments.response, &opened.device)?,
        None => {
            let model = load_model(&arguments.model, &opened.device)?;
            (model.config, model.transformer)
        }
    };
    let work = Work {
        batch: arguments.batch,
        query: arguments.query,
        response: arguments.response,
        micro_batch: if arguments.microbatch == 0 { arguments.batch } else { arguments.microbatch },
        repetitions: arguments.reps,
    };
    let speed = measure(&config, transformer, &work, &arguments.model, &opened.name, common.progress())?;
    let text = format!(
        "{} on {}, batch {}, query {}, response {}\n\
         generate  {:>10.1} tokens/s\nscore     {:>10.1} tokens/s\ntrain     {:>10.1} tokens/s\nupdate    {:>10.3} s",
        speed.model,
        speed.device,
        work.batch,
        work.query,
        work.response,
        speed.generate_tokens_per_s,
        speed.score_tokens_per_s,
        speed.train_tokens_per_s,
        speed.update_s,
    );
    common.print(&speed, &text)
}
