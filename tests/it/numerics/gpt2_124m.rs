//! GPT-2 in the real size: the file and the logits of `transformers`
//! (`tests/fixtures/transformers/gpt2_124m.py`).

use std::path::Path;

use preftune::lm::Responses;
use preftune::lm::files::hugging_face::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::replace;
use preftune::lm::{
    LanguageModel, MicroBatches, ModelConfig, ModelFiles, Precision, TensorFile, TokenBatch, TokenizerFiles,
    Transformer, Weights,
};
use preftune::policy::response_log_probs;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::numerics::devices;
use crate::support::tiny;

const TOKENS: usize = 128;

#[derive(serde::Deserialize)]
struct Answer {
    log_probs: Vec<f32>,
    /// Logits after every 16th token, for every 3,141st token of the vocabulary.
    logits: Vec<Vec<f32>>,
    sha256: String,
}

/// Returns the numbers of tensor `number`, in [−1/2, 1/2), computed without rounding.
fn uniform(number: u32, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u32).map(move |index| {
        let mut x = index.wrapping_add(number.wrapping_mul(0x9E37_79B9));
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35), (16, 1)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        (x >> 8) as f32 / 16_777_216.0 - 0.5
    })
}

fn model_by_formula() -> Transformer {
    let zeros = Transformer::zeros(&ModelConfig::gpt2_124m(), &devices::flex());
    let mut names: Vec<String> = parameters::read(&zeros).unwrap().into_iter().map(|weight| weight.name).collect();
    names.sort();
    let filled = replace(zeros, |name, shape| {
        let number = names.iter().position(|known| known == name).unwrap() as u32;
        let values = uniform(number, shape.iter().product());
        let scale = |value: f32| match shape {
            [_, _] => value / 8.0,
            _ if name.contains(".ln_") && name.ends_with("weight") => 1.0 + value / 4.0,
            _ => value / 16.0,
        };
        Ok(values.map(scale).collect())
    });
    filled.unwrap()
}

/// Returns the SHA-256 over name, shape and values of each tensor of a safetensors file, sorted by name.
fn fingerprint(file: &[u8]) -> String {
    let mut tensors = SafeTensors::deserialize(file).unwrap().tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut digest = Sha256::new();
    for (name, tensor) in tensors {
        assert_eq!(tensor.dtype(), Dtype::F32);
        digest.update(format!("{name} {:?}\n", tensor.shape()));
        digest.update(tensor.data());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn gpt2_of_124m_is_written_as_transformers_writes_it_and_has_its_logits() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers");
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    let theirs: Answer = serde_json::from_slice(&read("gpt2_124m.json")).unwrap();

    let tokenizer = tiny::language_model(1, &devices::flex()).tokenizer;
    let files =
        LanguageModel { transformer: model_by_formula(), tokenizer, origin: None }.to_files(Precision::F32).unwrap();
    let file = |name: &str| files.iter().find(|(known, _)| known == name).unwrap().1.as_slice();
    assert_eq!(fingerprint(file(WEIGHTS_FILE)), theirs.sha256);

    let model = LanguageModel::load(
        ModelFiles::new(
            "gpt2".into(),
            file(CONFIG_FILE),
            Weights::of_one(TensorFile::from_bytes(file(WEIGHTS_FILE), Path::new(WEIGHTS_FILE)).unwrap()).unwrap(),
            TokenizerFiles::json(file(TOKENIZER_FILE)),
        ),
        &devices::flex(),
    )
    .unwrap();
    let vocabulary = model.config().vocab_size;
    let ids: Vec<u32> = (0..TOKENS as u32).map(|position| (position * position * 37 + 11) % 50_257).collect();

    let (queries, responses) = ([ids[..1].to_vec()], [ids[1..].to_vec()]);
    let log_probs =
        response_log_probs(&model.transformer, Responses::new(&queries, &responses), 1.0, &MicroBatches::of(1))
            .unwrap();
    let difference = tiny::largest_difference(&log_probs[0], &theirs.log_probs);
    assert!(difference < 1e-4, "log-probabilities: {difference}");

    let batch = TokenBatch::new(&[ids], model.config().pad_token(), vocabulary, model.config().positions).unwrap();
    let hidden = model.transformer.hidden(batch.tokens(&devices::flex())).flatten(0, 1);
    let logits = preftune::device::read_floats(model.transformer.logits(hidden)).unwrap();
    let shown = logits.chunks(vocabulary).step_by(TOKENS / 8).flat_map(|row| row.iter().step_by(vocabulary / 16));
    let shown: Vec<f32> = shown.copied().collect();
    let difference = tiny::largest_difference(&shown, &theirs.logits.concat());
    assert!(difference < 1e-4, "logits: {difference}");
}
