//! Mutated files in the folder of a model whose weights are in two shards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use preftune::lm::files::model_folder;
use preftune::lm::files::tensor_file::write_safetensors;
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{LanguageModel, Precision, Tokenizer};

use super::json::Json;
use super::model::{Read, read, small, weights_of};
use super::safetensors::{self, File, Tensors};
use super::trial::{Kind, folder, outcome, run};
use super::{bytes, structure};
use crate::numerics::devices;
use crate::support::tiny;

#[test]
fn a_damaged_folder_of_a_model_is_refused_or_loaded_to_the_bit() {
    test("mutations::folder::a_damaged_folder_of_a_model_is_refused_or_loaded_to_the_bit", 150);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_folder_of_a_model_is_refused_or_loaded_to_the_bit() {
    test("mutations::folder::every_damaged_folder_of_a_model_is_refused_or_loaded_to_the_bit", 5000);
}

const INDEX: &str = "model.safetensors.index.json";
const PARTS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

fn written() -> BTreeMap<&'static str, Vec<u8>> {
    let weights = parameters::read(&tiny::transformer(&small(), 5, &devices::flex())).unwrap();
    let (one, other) = weights.split_at(weights.len() / 2);
    let places = [(one, PARTS[0]), (other, PARTS[1])];
    let of_part = |(weights, part): (&[NamedTensor], &str)| -> Vec<(String, Json)> {
        weights.iter().map(|weight| (weight.name.clone(), Json::Text(part.into()))).collect()
    };
    let map = Json::Object(places.map(of_part).concat());
    let index = Json::Object(vec![("metadata".into(), Json::Object(Vec::new())), ("weight_map".into(), map)]);
    let text = "The old house stood by the sea. The sea was grey. ".repeat(20);
    let tokenizer = Tokenizer::train(std::iter::once(text.as_str()), 290).unwrap();
    let [one, other] = places.map(|(weights, _)| write_safetensors(weights, Precision::F32).unwrap());
    BTreeMap::from([
        ("config.json", small().to_json(None).into_bytes()),
        ("tokenizer.json", tokenizer.to_json().unwrap().into_bytes()),
        (INDEX, index.written().into_bytes()),
        (PARTS[0], one),
        (PARTS[1], other),
    ])
}

fn test(test: &'static str, mutants: u64) {
    let files = written();
    let others: Vec<Vec<u8>> = [INDEX, PARTS[0], PARTS[1]].map(|name| files[name].clone()).into();
    let folder = folder();
    let device = devices::flex();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &[INDEX, PARTS[0], PARTS[1]].map(|name| [name.as_bytes(), b"\n", &files[name]].concat()),
        mutant: &|dice| {
            let name = dice.pick(&[INDEX, INDEX, PARTS[0], PARTS[1]]);
            let mut bytes = files[name].clone();
            if dice.one_in(4) {
                bytes::mutate(&mut bytes, &others, dice);
            } else if name == INDEX {
                let mut json = Json::read(std::str::from_utf8(&bytes).unwrap()).unwrap();
                structure::mutate(&mut json, dice);
                bytes = json.written().into_bytes();
            } else {
                let mut file = File::parse(&bytes);
                file.mutate(dice);
                bytes = file.written();
            }
            [name.as_bytes(), b"\n", &bytes].concat()
        },
        read: &|mutant| {
            let at = mutant.iter().position(|&byte| byte == b'\n').unwrap();
            let name = std::str::from_utf8(&mutant[..at]).unwrap();
            for (other, original) in &files {
                fs::write(folder.join(other), original).unwrap();
            }
            fs::write(folder.join(name), &mutant[at + 1..]).unwrap();
            let ours = model_folder::with_files(&folder, |files| LanguageModel::load(files, &device));
            outcome(ours.map(|model| read(parameters::read(&model.transformer).unwrap())), theirs(&folder))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

/// Reads the shards, which must hold the tensors that the index lists, and no others.
fn theirs(folder: &Path) -> Result<Read, String> {
    let index = fs::read_to_string(folder.join(INDEX)).map_err(|error| error.to_string())?;
    let index = Json::read(&index)?;
    let mut announced: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, part) in index.get("weight_map").ok_or("no map")?.object()? {
        announced.entry(part.text()?).or_default().push(tensor);
    }
    let mut all = Tensors::new();
    for (part, mut names) in announced {
        if part.contains(['/', '\\', ':', '\0']) {
            return Err(format!("{part:?} may lie elsewhere"));
        }
        let bytes = fs::read(folder.join(part)).map_err(|error| error.to_string())?;
        let tensors = safetensors::theirs(&bytes)?;
        names.sort_unstable();
        if !tensors.keys().map(String::as_str).eq(names) {
            return Err(format!("{part} holds others"));
        }
        let count = all.len() + tensors.len();
        all.extend(tensors);
        if all.len() != count {
            return Err("a tensor in two parts".into());
        }
    }
    weights_of(all)
}
