//! `preftune fetch`: models, labels and books from public servers.

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::error::{Error, Result};
use crate::fetch::{Fetched, Fetcher, Target};
use crate::platform::Interrupt;

/// Download models, the original's labels, or books
///
/// The original is OpenAI's published code for the paper. Models go to the Hugging Face hub's cache, where other programs
/// find them; labels and books go to ~/.cache/preftune. Files that are there already are not downloaded again, an
/// interrupted download is resumed, and every file is checked. One line is printed for each target: its folder or file.
///
/// The name of a fetched model can be given to --model of every command.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune fetch gpt2
  preftune sample --model gpt2 --query \"The old captain set down his glass.\"
  preftune sample --model \"$(preftune fetch distilgpt2)\" --query \"A door.\"
  preftune fetch someone/model@v1.0 labels/sentiment
  preftune pretrain \"$(preftune fetch books)\" --out models/novels
  preftune fetch books 84 36 --json

Environment: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE,
HF_HUB_DOWNLOAD_TIMEOUT, as the hub's own tools know them; XDG_CACHE_HOME, PREFTUNE_HOME,
PREFTUNE_LABELS, PREFTUNE_GUTENBERG, PREFTUNE_RETRY_SECS, SSL_CERT_FILE, HTTPS_PROXY,
ALL_PROXY, NO_PROXY: see `preftune guide fetching`")]
pub(super) struct Arguments {
    /// Targets: gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2, smollm2-135m, smollm2-360m, llama-3.2-1b,
    /// qwen2.5-0.5b, qwen3-0.6b or OWNER/NAME[@REVISION] of the hub;
    /// labels/sentiment, labels/descriptiveness, labels/tldr or labels/cnndm; books [NUMBER...] of Project
    /// Gutenberg
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

#[derive(Serialize)]
struct Outcome {
    fetched: Vec<Fetched>,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let targets = Target::parse_all(&arguments.targets)?;
    let fetcher = Fetcher::new(Interrupt::install()?, common.progress())?;
    let mut fetched = Vec::new();
    let mut failure = None;
    for target in &targets {
        match fetcher.fetch(target) {
            Ok(there) => fetched.push(there),
            Err(interrupted @ Error::Interrupted { .. }) => return Err(interrupted),
            // The other targets do not depend on this one. Of several errors, the last is returned and
            // printed at the end.
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    common.say(&format!("error: {earlier}"));
                }
            }
        }
    }
    if let Some(failure) = failure {
        fetched.iter().for_each(|target| common.say(&format!("fetched: {}", target.path.display())));
        return Err(failure);
    }
    let outcome = Outcome { fetched };
    common.print_paths(&outcome, &outcome.fetched.iter().map(|target| target.path.as_path()).collect::<Vec<_>>())
}
