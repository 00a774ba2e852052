//! The original's label files from end to end, on a model with a tokenizer like GPT-2's.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use preftune::data::LeftOut;
use preftune::data::comparisons::Comparison;
use preftune::data::entries::Entries;
use preftune::data::openai::{LabelReader, PADDING, PickBest, without_padding};
use preftune::lm::FileContent;
use preftune::lm::files::hugging_face::{MERGES_FILE, TOKENIZER_FILE, VOCABULARY_FILE};
use preftune::lm::network::parameters;
use preftune::lm::{LanguageModel, ModelConfig, Precision, Tokenizer, Transformer};
use preftune::task::{LabelEncoder, Queries, Task, label_to_comparison, original_labels};
use proptest::prelude::*;

use crate::numerics::devices;

#[path = "../../../examples/stand_in/gpt2_tokenizer.rs"]
mod gpt2_tokenizer;
#[path = "../../../examples/stand_in/labels.rs"]
mod labels;

const COUNT: usize = 120;

/// Writes `model/`, with `vocab.json` and `merges.txt`, and `labels.json`.
fn stand_in(folder: &Path) -> (LanguageModel, Vec<PickBest>) {
    let texts = [include_str!("../../../datasets/openings.txt").to_string()];
    let (vocabulary, merges) = gpt2_tokenizer::train(&texts).unwrap();
    let paths = [VOCABULARY_FILE, MERGES_FILE].map(|name| folder.join("model").join(name));
    let vocabulary_file = FileContent { bytes: vocabulary.as_bytes(), path: &paths[0] };
    let merges_file = FileContent { bytes: merges.as_bytes(), path: &paths[1] };
    let tokenizer = Tokenizer::from_vocabulary_and_merges(vocabulary_file, merges_file).unwrap();
    let vocab_size = gpt2_tokenizer::VOCABULARY;
    let config = ModelConfig { vocab_size, positions: 96, layers: 1, ..ModelConfig::gpt2(8, 1) };
    let empty = Transformer::zeros(&config, &devices::ndarray());
    let transformer = parameters::draw(empty, 1, 1).unwrap();
    let model = LanguageModel { transformer, tokenizer, origin: None };
    fs::create_dir(folder.join("model")).unwrap();
    for (name, bytes) in model.to_files(Precision::F16).unwrap() {
        if name != TOKENIZER_FILE {
            fs::write(folder.join("model").join(name), bytes).unwrap();
        }
    }
    fs::write(&paths[0], vocabulary).unwrap();
    fs::write(&paths[1], merges).unwrap();
    let labels = labels::generate(&texts, &model.tokenizer, COUNT, 1).unwrap();
    fs::write(folder.join("labels.json"), serde_json::to_string(&labels).unwrap()).unwrap();
    (model, labels)
}

fn preftune(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_preftune"))
        .args(["--quiet", "--device", "ndarray", "--json"])
        .args(arguments.split(' '))
        .env("PREFTUNE_HOME", folder.join("home"))
        .current_dir(folder)
        .output()
        .unwrap()
}

fn printed(folder: &Path, arguments: &str) -> serde_json::Value {
    let output = preftune(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_label_file_of_the_original_trains_a_reward_model_and_gives_the_queries_of_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, labels) = stand_in(folder);
    let trained = 96;
    let seen: std::collections::HashSet<&Vec<u32>> = labels[..trained].iter().map(|label| &label.query).collect();
    let unseen = labels[trained..].iter().filter(|label| !seen.contains(&label.query)).count();
    assert!(unseen > 0 && seen.len() < trained, "some queries come twice, and some only after the first 96");

    let size = "--set reward.train_comparisons=96 --set reward.batch_size=16 --set reward.normalize_samples=8";
    let model = "--preset openai/descriptiveness --model model";
    // The file has the path that `fetch labels/descriptiveness` gives it.
    fs::create_dir_all(folder.join("home/labels/descriptiveness")).unwrap();
    fs::copy(folder.join("labels.json"), folder.join("home/labels/descriptiveness/offline_5k.json")).unwrap();
    let fit =
        printed(folder, &format!("train-reward labels/descriptiveness {model} {size} --run reward --out reward/model"));
    assert_eq!((fit["comparisons"].as_u64(), fit["held_out_comparisons"].as_u64()), (Some(96), Some(unseen as u64)));

    let size = "--set policy.updates=1 --set policy.batch_size=4 --set policy.epochs=1";
    let from = "--queries labels.json --reward reward/model --run policy --out policy/model";
    printed(folder, &format!("train-policy {model} {size} {from}"));
    let sample = fs::read_to_string(folder.join("policy/samples.jsonl")).unwrap();
    let sample: serde_json::Value = serde_json::from_str(sample.lines().next().unwrap()).unwrap();
    assert!(sample["query"].as_str().unwrap().ends_with('.'), "{sample}");
}

#[test]
fn labels_of_another_tokenizer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path());
    let output = preftune(folder.path(), "train-reward labels.json --out reward");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4));
    assert!(text.contains("labels.json: this file holds token ids of GPT-2"), "{text}");
}

/// A period is token 13 and a line end is token 198 in every byte-level BPE that begins with the bytes.
#[test]
fn a_tokenizer_is_gpt2s_by_its_size_and_its_merged_tokens() {
    let path = Path::new("labels.json");
    let both_ways = |tokenizer: &Tokenizer| {
        let read = original_labels(Entries::new("[]".as_bytes(), path), tokenizer).map(drop);
        let written = LabelEncoder::new(tokenizer, path).map(drop);
        [read, written].map(|result| {
            let error = result.unwrap_err();
            assert_eq!(error.exit_code(), 4);
            error.to_string()
        })
    };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/characters");
    let read = |name: &str| fs::read(fixture.join(name)).unwrap();
    let from = |vocabulary: &[u8], merges: &[u8]| {
        let of = |bytes| FileContent { bytes, path };
        Tokenizer::from_vocabulary_and_merges(of(vocabulary), of(merges)).unwrap()
    };
    let of_bytes = from(&read("vocab.json"), &read("merges.txt"));
    assert_eq!((of_bytes.token("."), of_bytes.token("\n")), (Some(13), Some(198)));
    for what in both_ways(&of_bytes) {
        assert!(what.ends_with("another tokenizer: it has 1201 tokens, GPT-2's 50257"), "{what}");
    }

    let texts = [include_str!("../../../datasets/openings.txt").to_string()];
    let (vocabulary, merges) = gpt2_tokenizer::train(&texts).unwrap();
    let swapped = vocabulary.replace("\"Ġthe\":262", "\"Ġthe\":290").replace("\"Ġand\":290", "\"Ġand\":262");
    for what in both_ways(&from(swapped.as_bytes(), merges.as_bytes())) {
        assert!(what.ends_with("in it \" the\" is 290, in GPT-2's 262"), "{what}");
    }
    assert!(
        original_labels(Entries::new("[]".as_bytes(), path), &from(vocabulary.as_bytes(), merges.as_bytes())).is_ok()
    );
}

#[test]
fn a_folder_of_books_gives_passages_from_after_a_period_to_a_period() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = stand_in(folder.path());
    let settings = preftune::config::preset("openai/sentiment").unwrap().config().unwrap();
    let task = Task::new(&settings.task, &model).unwrap();
    let book = include_str!("../../../datasets/openings.txt").to_string();
    let queries = Queries::from_books(std::slice::from_ref(&book), &model, &task, &mut LeftOut::default()).unwrap();
    let queries = queries.tokens(&model, &task, &mut LeftOut::default()).unwrap();
    assert!(queries.len() > 50);
    for query in &queries {
        let text = model.tokenizer.decode(query).unwrap();
        assert!(query.len() <= 64 && query.last() == Some(&13), "{text}");
        assert!(book.contains(&format!(".{text}")), "{text}");
    }
    assert!(Queries::from_books(&["No period".into()], &model, &task, &mut LeftOut::default()).is_err());
}

#[test]
fn generated_labels_have_the_originals_form() {
    let folder = tempfile::tempdir().unwrap();
    let (LanguageModel { tokenizer, .. }, labels) = stand_in(folder.path());
    assert_eq!((tokenizer.token("."), tokenizer.token("\n")), (Some(13), Some(198)));
    for label in &labels {
        assert_eq!(label.query.len(), 64);
        assert_eq!(without_padding(&label.query).last(), Some(&13));
        for sample in label.samples() {
            assert_eq!(sample.len(), 24);
            let end = sample.iter().skip(16).position(|&id| id == 13).map(|index| 16 + index + 1);
            assert!(end.is_none_or(|end| sample[end..].iter().all(|&id| id == PADDING)), "{sample:?}");
        }
    }
}

/// Text that is converted to tokens and back stays the same, so that comparisons survive the original's
/// format.
#[test]
fn comparisons_come_back_from_label_files_as_they_went() {
    let folder = tempfile::tempdir().unwrap();
    let (LanguageModel { tokenizer, .. }, _) = stand_in(folder.path());
    let path = Path::new("labels.json");
    let comparison =
        ("[^\\s].{0,30}", prop::array::uniform4(".{1,30}"), 0..4usize).prop_map(|(query, responses, best)| {
            Comparison { query, responses: responses.into(), best, ..Comparison::default() }
        });
    let run = |comparisons: Vec<Comparison>| {
        let mut encoder = LabelEncoder::new(&tokenizer, path).unwrap();
        let numbered = || (1..).zip(&comparisons);
        numbered().for_each(|(number, one)| encoder.measure(number, one).unwrap());
        let labels: Vec<String> =
            numbered().map(|(number, one)| encoder.encode(number, one).unwrap().to_json()).collect();
        let text = format!("[{}]", labels.join(","));
        let read = (1..).zip(LabelReader::new(Entries::new(text.as_bytes(), path)));
        let mut back: Vec<Comparison> = read
            .map(|(number, label)| label_to_comparison(&label.unwrap(), number, path, &tokenizer).unwrap())
            .collect();
        prop_assert_eq!(&back[0].id, "labels.json:1");
        back.iter_mut().for_each(|comparison| comparison.id.clear());
        prop_assert_eq!(back, comparisons);
        Ok(())
    };
    let mut runner = proptest::test_runner::TestRunner::default();
    runner.run(&prop::collection::vec(comparison, 1..4), run).unwrap();
}

/// The judgments hold "t", "h" and "e" as separate tokens, which a model may sample, and the first byte of a
/// character.
#[test]
fn judgments_that_are_other_tokens_as_text_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (_, labels) = stand_in(folder.path());
    let label = |sample: &[u32]| PickBest {
        query: vec![13, 198, PADDING],
        sample0: sample.into(),
        sample1: vec![13],
        sample2: vec![262],
        sample3: vec![464],
        ..labels[0].clone()
    };
    let labels = [label(&[13, 198, PADDING]), label(&[83, 71, 68]), label(&[127])];
    fs::write(folder.path().join("three.json"), serde_json::to_string(&labels).unwrap()).unwrap();
    let outcome = printed(folder.path(), "export three.json --format comparisons --model model --out c.jsonl");
    assert_eq!((&outcome["comparisons"], &outcome["left_out"]["changed_as_text"]), (&3.into(), &2.into()));
}

#[test]
fn labels_are_exported_and_come_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, labels) = stand_in(folder);
    let export = |from: &str, format: &str, to: &str| {
        printed(folder, &format!("export {from} --format {format} --model model --out {to}"))["comparisons"].as_u64()
    };
    assert_eq!(export("labels.json", "comparisons", "c.jsonl"), Some(COUNT as u64));
    assert_eq!(export("c.jsonl", "openai", "again.json"), Some(COUNT as u64));
    assert_eq!(export("again.json", "comparisons", "c2.jsonl"), Some(COUNT as u64));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("c2.jsonl"), read("c.jsonl").replace("\"labels.json:", "\"again.json:"));
    assert_eq!(export("c.jsonl", "trl", "pairs.jsonl"), Some(COUNT as u64));
    assert_eq!(read("pairs.jsonl").lines().count(), 3 * labels.len());
    let again = preftune(folder, "export pairs.jsonl --format comparisons --model model --out c.jsonl");
    assert_eq!(again.status.code(), Some(2), "labels are not written over");
    // A reward model can be trained on the pairs, too.
    let size = "--set reward.normalize_samples=8 --model model --run reward --out reward/model";
    let fit = printed(folder, &format!("train-reward pairs.jsonl --preset details/sentiment {size}"));
    assert_eq!(fit["chance"].as_f64(), Some(0.5));

    let output = preftune(folder, "sample --model reward/model");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(4) && text.contains("this is a reward model"), "{text}");
}

#[test]
fn what_comes_before_a_bad_line_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = "{\"prompt\": \"a\", \"chosen\": \" b\", \"rejected\": \" c\"}\n";
    fs::write(folder.join("pairs.jsonl"), format!("{good}{good}{{\"prompt\": \"a\"}}\n{good}")).unwrap();
    let output = preftune(folder, "export pairs.jsonl --format comparisons --out c.jsonl");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("pairs.jsonl:3: missing field `chosen`"), "{text}");
    assert_eq!(fs::read_to_string(folder.join("c.jsonl")).unwrap().lines().count(), 2);
    let output = preftune(folder, "export c.jsonl --format trl --out again.jsonl --json");
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&outcome["comparisons"], &outcome["entries"]), (&2.into(), &2.into()));
    fs::write(folder.join("bad.jsonl"), "{\"prompt\": \"a\"}\n").unwrap();
    assert_eq!(preftune(folder, "export bad.jsonl --format trl --out none.jsonl").status.code(), Some(4));
    assert!(!folder.join("none.jsonl").exists(), "nothing was read, and something written");
}
