//! Models in Hugging Face layout: written and read, and refused with a reason.

use std::path::{Path, PathBuf};

use preftune::lm::Responses;
use preftune::lm::files::hugging_face::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, load_transformer};
use preftune::lm::files::tensor_file::write_safetensors;
use preftune::lm::network::parameters;
use preftune::lm::{
    LanguageModel, MicroBatches, ModelFiles, Precision, TensorFile, TokenBatch, TokenizerFiles, Transformer, Weights,
};
use preftune::policy::response_log_probs;
use preftune::{Error, Result};

use crate::numerics::devices;
use crate::support::tiny;

type Files = Vec<(String, Vec<u8>)>;

fn written(precision: Precision) -> Files {
    tiny::language_model(1, &devices::ndarray()).to_files(precision).unwrap()
}

fn load(files: &Files) -> Result<LanguageModel> {
    let file = |name: &str| files.iter().find(|(known, _)| known == name).unwrap().1.as_slice();
    let folder = PathBuf::from("some/model");
    let weights = Weights::of_one(TensorFile::from_bytes(file(WEIGHTS_FILE), &folder.join(WEIGHTS_FILE))?)?;
    let tokenizer = TokenizerFiles::json(file(TOKENIZER_FILE));
    LanguageModel::load(ModelFiles::new(folder, file(CONFIG_FILE), weights, tokenizer), &devices::ndarray())
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let rows = tiny::rows(model.config(), &[5, 11, 2], 4);
    let config = model.config();
    let batch = TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.positions).unwrap();
    let hidden = model.transformer.hidden(batch.tokens(&devices::ndarray())).flatten(0, 1);
    preftune::device::read_floats(model.transformer.logits(hidden)).unwrap()
}

/// Replaces the contents of one file.
fn with(mut files: Files, name: &str, bytes: Vec<u8>) -> Files {
    files.iter_mut().find(|(known, _)| known == name).unwrap().1 = bytes;
    files
}

fn assert_refused(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert_eq!(error.exit_code(), 4);
    assert!(!error.hint().is_empty());
}

#[test]
fn a_written_model_reads_back_with_the_same_logits() {
    let model = tiny::language_model(1, &devices::ndarray());
    let read = load(&written(Precision::F32)).unwrap();
    assert_eq!(read.config(), model.config());
    assert_eq!(logits(&read), logits(&model));
    assert_eq!(read.tokenizer.encode("the old sea").unwrap(), model.tokenizer.encode("the old sea").unwrap());
}

#[test]
fn a_file_of_half_precision_loads_and_is_half_the_size() {
    let whole = tiny::language_model(1, &devices::ndarray());
    let half = load(&written(Precision::F16)).unwrap();
    let difference = tiny::largest_difference(&logits(&half), &logits(&whole));
    assert!(difference > 0.0 && difference < 0.02, "{difference}");
    let size = |files: &Files| files.iter().find(|(name, _)| name == WEIGHTS_FILE).unwrap().1.len();
    assert!(size(&written(Precision::F16)) < size(&written(Precision::F32)) * 11 / 20);
}

#[test]
fn names_without_the_prefix_load_too() {
    let model = tiny::language_model(1, &devices::ndarray());
    let mut weights = parameters::read(&model.transformer).unwrap();
    weights.iter_mut().for_each(|weight| weight.name = weight.name.replace("transformer.", ""));
    let bytes = write_safetensors(&weights, Precision::F32).unwrap();
    assert_eq!(logits(&load(&with(written(Precision::F32), WEIGHTS_FILE, bytes)).unwrap()), logits(&model));
}

#[test]
fn weights_that_are_cut_short_are_refused_wherever_the_cut_is() {
    let files = written(Precision::F32);
    let whole = files.iter().find(|(name, _)| name == WEIGHTS_FILE).unwrap().1.clone();
    for length in [0, 4, 9, 500, whole.len() / 2, whole.len() - 1] {
        let cut = with(files.clone(), WEIGHTS_FILE, whole[..length].to_vec());
        let error = load(&cut).unwrap_err();
        assert_refused(&error, &["some/model/model.safetensors", &format!("{length} bytes")]);
    }
}

#[test]
fn a_config_that_contradicts_the_weights_is_refused_with_the_tensor_and_both_shapes() {
    let model = tiny::language_model(1, &devices::ndarray());
    let mut config = model.config().clone();
    config.positions = 50;
    let error = load(&with(written(Precision::F32), CONFIG_FILE, config.to_json(None).into())).unwrap_err();
    assert_refused(&error, &["some/model/model.safetensors", "transformer.wpe.weight", "[40, 20]", "[50, 20]"]);
}

#[test]
fn weights_with_more_layers_than_the_config_are_refused() {
    let model = tiny::language_model(1, &devices::ndarray());
    let config = preftune::lm::ModelConfig { layers: model.config().layers - 1, ..model.config().clone() };
    let error = load(&with(written(Precision::F32), CONFIG_FILE, config.to_json(None).into())).unwrap_err();
    assert_refused(&error, &["some/model/model.safetensors", "more layers than the 1 of config.json"]);
}

#[test]
fn a_tensor_that_is_not_there_is_named() {
    let model = tiny::language_model(1, &devices::ndarray());
    let mut weights = parameters::read(&model.transformer).unwrap();
    weights.retain(|weight| weight.name != "transformer.h.1.mlp.c_fc.weight");
    let bytes = write_safetensors(&weights, Precision::F32).unwrap();
    let error = load(&with(written(Precision::F32), WEIGHTS_FILE, bytes)).unwrap_err();
    assert_refused(&error, &["some/model/model.safetensors", "transformer.h.1.mlp.c_fc.weight"]);
}

#[test]
fn a_config_of_another_kind_of_model_is_refused() {
    for (config, reason) in
        [("{", "not a model configuration"), (r#"{"model_type": "gemma3"}"#, "it must be one of \"gpt2\"")]
    {
        let error = load(&with(written(Precision::F32), CONFIG_FILE, config.into())).unwrap_err();
        assert_refused(&error, &["some/model/config.json", reason]);
    }
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let mut model = tiny::language_model(1, &devices::ndarray());
    let fewer = preftune::lm::ModelConfig { vocab_size: model.tokenizer.vocab_size() - 1, ..model.config().clone() };
    model.transformer = tiny::transformer(&fewer, 1, &devices::ndarray());
    let error = load(&model.to_files(Precision::F32).unwrap()).unwrap_err();
    assert_refused(&error, &["some/model/tokenizer.json", "tokens"]);
}

#[test]
fn loading_changes_no_weight() {
    let config = tiny::config();
    let model = tiny::transformer(&config, 1, &devices::flex());
    let bytes = write_safetensors(&parameters::read(&model).unwrap(), Precision::F32).unwrap();
    let mut weights = Weights::of_one(TensorFile::from_bytes(&bytes, Path::new("m")).unwrap()).unwrap();
    let read: Transformer = load_transformer(&config, &mut weights, &devices::flex()).unwrap();
    for (a, b) in parameters::read(&model).unwrap().iter().zip(parameters::read(&read).unwrap()) {
        assert_eq!((&a.name, &a.values), (&b.name, &b.values));
    }
}

#[derive(serde::Deserialize)]
struct Reference {
    text: String,
    exported: Judged,
    storyteller: Judged,
}

/// Tokens and log-probabilities that `transformers` finds for a text with one model.
#[derive(serde::Deserialize)]
struct Judged {
    ids: Vec<u32>,
    log_probs: Vec<f64>,
}

/// The test covers both directions: a model that `transformers` wrote, and a model that this crate wrote and
/// `transformers` read (`tests/fixtures/transformers/log_probs.py`).
#[test]
fn transformers_finds_the_same_tokens_and_log_probabilities() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = root.join("tests/fixtures/transformers");
    let reference: Reference =
        serde_json::from_slice(&std::fs::read(fixtures.join("log_probs.json")).unwrap()).unwrap();
    let models =
        [(fixtures.join("exported"), reference.exported), (root.join("models/storyteller"), reference.storyteller)];
    for (folder, theirs) in models {
        let names = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE];
        let files = names.map(|name| (name.to_string(), std::fs::read(folder.join(name)).unwrap()));
        let model = load(&files.to_vec()).unwrap();
        let ids = model.tokenizer.encode(&reference.text).unwrap();
        assert_eq!(ids, theirs.ids, "{}", folder.display());
        assert_eq!(model.tokenizer.decode(&ids).unwrap(), reference.text);
        let (first, rest) = ids.split_at(1);
        let (queries, responses) = ([first.to_vec()], [rest.to_vec()]);
        let ours =
            response_log_probs(&model.transformer, Responses::new(&queries, &responses), 1.0, &MicroBatches::of(1))
                .unwrap();
        assert!(tiny::largest_difference(&ours[0], &theirs.log_probs) < 1e-4, "{}", folder.display());
    }
}
