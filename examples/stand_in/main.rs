//! Stand-ins for the original's model and labels, which cannot always be had: a GPT-2 of the real shape and
//! vocabulary size with random weights, and a label file in the original's format, made from your own text.
//! They serve to try a preset's speed, memory and files; a random model learns nothing of interest.
//!
//! ```text
//! cargo run --release --example stand_in -- books/ --shape gpt2-124m --out stand-in
//! preftune train-reward stand-in/labels.json --preset openai/descriptiveness --model stand-in/model --out reward
//! ```

mod gpt2_tokenizer;
mod labels;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use preftune::bench::{named_shape, random_model};
use preftune::data::openai::PickBest;
use preftune::device;
use preftune::lm::FileContent;
use preftune::lm::files::hugging_face::{MERGES_FILE, TOKENIZER_FILE, VOCABULARY_FILE};
use preftune::lm::{LanguageModel, ModelConfig, Precision, Tokenizer};
use preftune::platform::files;
use preftune::supervised::Texts;
use preftune::{Error, Result};

#[derive(Parser)]
struct Arguments {
    /// A text file, or a folder of .txt files
    text: PathBuf,
    /// Shape of the model: gpt2-124m, or tiny
    #[arg(long, default_value = "gpt2-124m")]
    shape: String,
    /// Number of comparisons in the label file
    #[arg(long, default_value_t = 5000)]
    rows: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Output folder of model/ and labels.json
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let unknown = || Error::usage(format!("no shape {}", arguments.shape), "there are gpt2-124m and tiny");
    let named = named_shape(&arguments.shape).ok_or_else(unknown)?;
    let shape = ModelConfig { vocab_size: gpt2_tokenizer::VOCABULARY, ..named };
    let documents = files::read_texts(&arguments.text)?;
    let texts = Texts::new(documents.iter().map(String::as_str), 0.0).train;
    let (vocabulary, merges) = gpt2_tokenizer::train(&texts)?;
    let [vocabulary_path, merges_path] =
        [VOCABULARY_FILE, MERGES_FILE].map(|name| arguments.out.join("model").join(name));
    let tokenizer = Tokenizer::from_vocabulary_and_merges(
        FileContent { bytes: vocabulary.as_bytes(), path: &vocabulary_path },
        FileContent { bytes: merges.as_bytes(), path: &merges_path },
    )?;
    let labels = labels::generate(&texts, &tokenizer, arguments.rows, arguments.seed)?;
    let transformer = random_model(&shape, &device::host())?;
    let model = LanguageModel { transformer, tokenizer, origin: None };
    files::create_folder(&arguments.out.join("model"))?;
    for (name, bytes) in model.to_files(Precision::F32)? {
        if name != TOKENIZER_FILE {
            files::write_atomically(&arguments.out.join("model").join(name), &bytes)?;
        }
    }
    files::write_atomically(&vocabulary_path, vocabulary.as_bytes())?;
    files::write_atomically(&merges_path, merges.as_bytes())?;
    let path = arguments.out.join("labels.json");
    let json = format!("[{}]", labels.iter().map(PickBest::to_json).collect::<Vec<_>>().join(","));
    files::write_atomically(&path, json.as_bytes())?;
    println!("{}\n{}", arguments.out.join("model").display(), path.display());
    Ok(())
}
