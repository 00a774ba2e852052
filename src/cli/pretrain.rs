//! `preftune pretrain`: a language model from text.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::data::text_lines::refuse_json;
use crate::data::{LeftOut, Reason};
use crate::error::Result;
use crate::lm::{LanguageModel, Precision};
use crate::models;
use crate::platform::{Interrupt, files};
use crate::run::OutputFolder;
use crate::sanitize::sanitize_path;
use crate::stages::{Pretraining, fingerprint_of_file};
use crate::supervised::{HeldOut, Texts, Trained};

/// Train a language model on text, with its tokenizer
///
/// The header and footer of Project Gutenberg files are removed. The last part of each text is held out and
/// never trained on. Run the same command again to resume after an interruption.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune pretrain books/ --out models/mine
  preftune pretrain books/ --out models/mine --set pretrain.steps=500 --set pretrain.layers=2
  preftune pretrain more/ --model models/mine --out models/more --run runs/more")]
pub(super) struct Arguments {
    /// Text files, or folders of .txt files
    #[arg(required = true)]
    texts: Vec<PathBuf>,
    /// Output folder of the model, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A model to train further; a new model if not given
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Store weights as f16, at half the size
    #[arg(long)]
    half: bool,
}

#[derive(Serialize)]
struct Outcome {
    parameters: usize,
    #[serde(flatten)]
    held_out: Option<HeldOut>,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let out = OutputFolder::new(&arguments.out)?;
    let opened = common.open_device()?;
    let mut documents = Vec::new();
    for path in &arguments.texts {
        let texts = files::read_texts(path)?;
        texts.iter().try_for_each(|text| refuse_json(text, path))?;
        documents.extend(texts);
    }
    let texts = (1..).zip(&arguments.texts).map(|(number, path)| fingerprint_of_file(&format!("text {number}"), path));
    let model = arguments.model.iter().map(|model| models::fingerprint(model));
    let directory = common.run_directory("pretrain", &settings, texts.chain(model).collect::<Result<Vec<_>>>()?)?;
    out.check(&directory)?;
    let mut texts = Texts::new(documents.iter().map(String::as_str), settings.pretrain.held_out_fraction);
    let others =
        arguments.texts.iter().filter(|path| path.is_dir()).map(|path| files::other_files(path)).sum::<usize>();
    texts.left_out.count(Reason::OtherFiles, others);
    texts.left_out.say("texts");
    let start = arguments.model.as_ref().map(|model| models::open(model, &opened.device)).transpose()?;
    let pretraining = Pretraining {
        settings: &settings.pretrain,
        texts: &texts,
        start,
        device: &opened,
        seed: common.seed,
        directory: &directory,
        interrupt: &Interrupt::install()?,
        progress: common.progress(),
    };
    let Trained { model, held_out } = pretraining.run()?;
    let precision = if arguments.half { Precision::F16 } else { Precision::F32 };
    out.write(&model.to_files(precision)?, &directory)?;
    print(&model, held_out, texts.left_out, &arguments.out, common)
}

fn print(
    model: &LanguageModel,
    held_out: Option<HeldOut>,
    left_out: LeftOut,
    out: &Path,
    common: &Common,
) -> Result<()> {
    let outcome = Outcome { parameters: model.parameters(), held_out, left_out, out: out.to_path_buf() };
    let measured = held_out.map_or("nothing was held out".into(), |held_out| {
        format!(
            "held out {} tokens, {} bytes: loss {:.4} nats, perplexity {:.1} a token, {:.3} bits per byte",
            held_out.tokens, held_out.bytes, held_out.loss, held_out.perplexity, held_out.bits_per_byte,
        )
    });
    let text = format!("{} parameters; {measured}\nmodel written to {}", outcome.parameters, sanitize_path(out));
    common.print(&outcome, &text)
}
