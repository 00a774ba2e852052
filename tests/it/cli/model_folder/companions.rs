//! Files beside a model, which are copied to every model that is made of it.

use std::fs;
use std::path::Path;

use preftune::lm::FileContent;
use preftune::lm::files::hugging_face::{CONFIG_FILE, TOKENIZER_FILE};
use preftune::lm::{LanguageModel, ModelConfig, Precision, Tokenizer};
use preftune::policy::Policy;
use preftune::reward::RewardModel;
use serde_json::{Map, Value, json};

use super::{Folder, file, model};
use crate::numerics::devices;
use crate::support::tiny;

#[test]
fn companions_and_tokenizer_files_are_carried_over_as_they_came() {
    let folder = Folder::new();
    let tokenizer = fs::read(folder.path().join(TOKENIZER_FILE)).unwrap();
    let tokenizer = [tokenizer.as_slice(), b"\n\n"].concat();
    let companions = [
        ("generation_config.json", "{\"eos_token_id\": 299}\n"),
        ("tokenizer_config.json", "{ \"model_max_length\": 40 }"),
        ("special_tokens_map.json", "{}\n"),
    ];
    folder.write(TOKENIZER_FILE, &tokenizer);
    for (name, text) in companions {
        folder.write(name, text);
    }
    let files = folder.written();
    companions.iter().for_each(|(name, text)| assert_eq!(file(&files, name), text.as_bytes(), "{name}"));
    assert_eq!(file(&files, TOKENIZER_FILE), tokenizer);
    assert_eq!(files.len(), 6, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());

    // A reward model and a policy made of this model keep the files, too.
    let model = folder.load().unwrap();
    let head = || tiny::head(model.config(), 2, &devices::ndarray());
    let reward_model = RewardModel::new(model.transformer.clone(), head()).to_files(&model).unwrap();
    let policy = Policy { transformer: model.transformer.clone(), value_head: head() }.to_files(&model).unwrap();
    for files in [reward_model, policy] {
        companions.iter().for_each(|(name, text)| assert_eq!(file(&files, name), text.as_bytes(), "{name}"));
        assert_eq!(files.len(), 7);
    }
}

/// Returns a vocabulary in GPT-2's two files, in which the end of text comes last.
fn two_files() -> [(&'static str, Vec<u8>); 2] {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/characters");
    ["vocab.json", "merges.txt"].map(|name| (name, fs::read(fixtures.join(name)).unwrap()))
}

#[test]
fn a_tokenizer_of_two_files_is_written_as_two_files() {
    let [(_, vocabulary), (_, merges)] = two_files();
    let vocab_size = serde_json::from_slice::<Map<String, Value>>(&vocabulary).unwrap().len();
    let paths = [Path::new("vocab.json"), Path::new("merges.txt")];
    let tokenizer = Tokenizer::from_vocabulary_and_merges(
        FileContent { bytes: &vocabulary, path: paths[0] },
        FileContent { bytes: &merges, path: paths[1] },
    )
    .unwrap();
    let config = ModelConfig { vocab_size, ..model().config().clone() };
    let transformer = tiny::transformer(&config, 1, &devices::ndarray());
    let files = LanguageModel { transformer, tokenizer, origin: None }.to_files(Precision::F32).unwrap();

    // A new model states the ids of its own vocabulary in `config.json`.
    let stated: Value = serde_json::from_slice(file(&files, CONFIG_FILE)).unwrap();
    assert_eq!((&stated["bos_token_id"], &stated["eos_token_id"]), (&json!(vocab_size - 1), &json!(vocab_size - 1)));

    let folder = Folder(tempfile::tempdir().unwrap());
    for (name, bytes) in files.iter().filter(|(name, _)| name != TOKENIZER_FILE) {
        folder.write(name, bytes);
    }
    for (name, bytes) in two_files() {
        folder.write(name, bytes);
    }
    let again = folder.written();
    two_files().iter().for_each(|(name, bytes)| assert_eq!(file(&again, name), bytes, "{name}"));
    assert!(!again.iter().any(|(name, _)| name == TOKENIZER_FILE));
}

#[test]
fn a_new_model_states_the_end_of_text_of_its_own_vocabulary() {
    let files = model().to_files(Precision::F32).unwrap();
    let config: Value = serde_json::from_slice(file(&files, CONFIG_FILE)).unwrap();
    assert_eq!((&config["bos_token_id"], &config["eos_token_id"]), (&json!(0), &json!(0)));
}

#[test]
fn an_end_token_that_the_model_does_not_have_is_refused() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let llama = tiny::language_model_of(tiny::llama(), 1, &devices::ndarray());
    for (name, bytes) in llama.to_files(Precision::F32).unwrap() {
        folder.write(&name, bytes);
    }
    for ids in ["null", "-1", "[]", "2", "[2, 3]"] {
        folder.write("generation_config.json", format!("{{\"eos_token_id\": {ids}}}"));
        folder.load().unwrap();
    }
    for ids in ["\"x\"", "-2", "1.5", "true", "{}", "[2, \"x\"]", "99999999"] {
        folder.write("generation_config.json", format!("{{\"eos_token_id\": {ids}}}"));
        let error = folder.load().unwrap_err();
        assert!(error.exit_code() == 4 && error.to_string().contains("eos_token_id"), "{ids}: {error}");
    }
}
