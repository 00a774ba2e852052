//! Mutated checkpoints: the manifest, and the files that it lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::burn_pack::Reader;
use burn::tensor::{Bytes, Tensor};
use preftune::config::AdamForm;
use preftune::lm::ModelConfig;
use preftune::lm::network::parameters;
use preftune::run::Checkpoints;
use preftune::run::checkpoint::Checkpoint;
use preftune::training::Adam;
use preftune::training::training_state;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::json::Json;
use super::safetensors::bits;
use super::trial::{Kind, Outcome, folder, outcome, run};
use super::{bytes, structure};
use crate::numerics::devices;
use crate::support::tiny;

#[test]
fn a_damaged_checkpoint_is_refused_or_opened_to_the_byte() {
    manifests("mutations::checkpoints::a_damaged_checkpoint_is_refused_or_opened_to_the_byte", 500);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_checkpoint_is_refused_or_opened_to_the_byte() {
    manifests("mutations::checkpoints::every_damaged_checkpoint_is_refused_or_opened_to_the_byte", 5000);
}

#[test]
fn a_state_of_another_content_is_refused_or_loaded_to_the_bit() {
    states("mutations::checkpoints::a_state_of_another_content_is_refused_or_loaded_to_the_bit", 300);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_state_of_another_content_is_refused_or_loaded_to_the_bit() {
    states("mutations::checkpoints::every_state_of_another_content_is_refused_or_loaded_to_the_bit", 3000);
}

#[test]
fn weights_of_another_content_are_refused_or_loaded_to_the_bit() {
    weights("mutations::checkpoints::weights_of_another_content_are_refused_or_loaded_to_the_bit", 200);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_weights_of_another_content_are_refused_or_loaded_to_the_bit() {
    weights("mutations::checkpoints::all_weights_of_another_content_are_refused_or_loaded_to_the_bit", 3000);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    kl_coefficient: f64,
    cursor: Option<u64>,
    begun: bool,
    lost: Vec<usize>,
}

const MANIFEST: &str = "manifest.json";

/// Writes a checkpoint of a small model, and returns its files by name, the manifest among them.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let device = devices::flex();
    let mut model = tiny::transformer(&small(), 1, &device).train();
    let mut optimizer = adam();
    let logits = model.logits(model.hidden(Tensor::from_data([[1, 2, 3]], &device)).reshape([3, 4]));
    let gradients = GradientsParams::from_grads(logits.sum().backward(), &model);
    model = optimizer.step(1e-3, model, gradients);
    let state = State { kl_coefficient: 0.198_086_137_446_400_02, cursor: Some(7), begun: true, lost: vec![1, 2] };
    let files = training_state::to_files(&model, &optimizer, &state);
    let path = Checkpoints::new(folder, 1).unwrap().save(7, files).unwrap();
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().into(), fs::read(&path).unwrap())).collect()
}

fn adam() -> ModuleOptimizer {
    Adam::optimizer(AdamForm::TensorFlow, 1e-5)
}

fn small() -> ModelConfig {
    ModelConfig { vocab_size: 7, positions: 5, layers: 1, ..ModelConfig::gpt2(4, 2) }
}

/// Tests checkpoints with one file damaged by a disk or a person, so that the hash in the manifest is
/// another.
fn manifests(test: &'static str, mutants: u64) {
    let folder = folder();
    let files = written(&folder);
    let path = folder.join("checkpoint");
    let manifest = Json::read(std::str::from_utf8(&files[MANIFEST]).unwrap()).unwrap();
    let others: Vec<Vec<u8>> = files.values().cloned().collect();
    run(&Kind {
        test,
        mutants,
        // Exit code 1 is for a name that the file system refuses.
        codes: &[1, 4],
        most_refused_only_here: 0.0,
        originals: &[one_file(MANIFEST, &files[MANIFEST])],
        mutant: &|dice| {
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            let name = if dice.one_in(3) { dice.pick(&names) } else { MANIFEST };
            let mut bytes = files[name].clone();
            if name == MANIFEST && dice.one_in(2) {
                let mut json = manifest.clone();
                structure::mutate(&mut json, dice);
                bytes = json.written().into_bytes();
            } else {
                bytes::mutate(&mut bytes, &others, dice);
            }
            one_file(name, &bytes)
        },
        read: &|mutant| {
            let (name, bytes) = name_and_bytes(mutant);
            write(&path, &files, name, bytes);
            outcome(ours(&path), theirs(&path))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

/// Stores a file as a mutant: its name on the first line, then its contents.
fn one_file(name: &str, bytes: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", bytes].concat()
}

fn name_and_bytes(mutant: &[u8]) -> (&str, &[u8]) {
    let at = mutant.iter().position(|&byte| byte == b'\n').unwrap();
    (std::str::from_utf8(&mutant[..at]).unwrap(), &mutant[at + 1..])
}

fn write(path: &Path, files: &BTreeMap<String, Vec<u8>>, name: &str, bytes: &[u8]) {
    fs::create_dir_all(path).unwrap();
    for (other, original) in files {
        fs::write(path.join(other), original).unwrap();
    }
    fs::write(path.join(name), bytes).unwrap();
}

/// Step and files of a checkpoint, by name.
type Content = (u64, BTreeMap<String, Vec<u8>>);

fn ours(path: &Path) -> preftune::Result<Content> {
    let checkpoint = Checkpoint::open(path)?;
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let listed = names.filter(|name| checkpoint.contains(name));
    let files = listed.map(|name| Ok((name.clone(), checkpoint.read(&name)?))).collect::<preftune::Result<_>>()?;
    Ok((checkpoint.step(), files))
}

/// Reads a checkpoint independently: its step, and its files in the folder itself, whose size and SHA-256
/// must be those of the manifest.
fn theirs(path: &Path) -> Result<Content, String> {
    let manifest = fs::read_to_string(path.join(MANIFEST)).map_err(|error| error.to_string())?;
    let manifest = Json::read(&manifest)?;
    if !manifest.is_of_version_1() {
        return Err("another version".into());
    }
    let step = manifest.get("step").ok_or("no step")?.count()?;
    let mut files = BTreeMap::new();
    for (name, fingerprint) in manifest.get("files").ok_or("no files")?.object()? {
        if name.is_empty() || name.contains(['/', '\\', ':', '\0']) || name.starts_with('.') {
            return Err(format!("{name:?} may lie elsewhere"));
        }
        let bytes = fs::read(path.join(name)).map_err(|error| error.to_string())?;
        fingerprint.object()?;
        let length = fingerprint.get("bytes").ok_or("no length")?.count()?;
        let hash = fingerprint.get("sha256").ok_or("no hash")?.text()?;
        if bytes.len() as u64 != length || sha256(&bytes) != hash {
            return Err(format!("{name} is another file"));
        }
        files.insert(name.clone(), bytes);
    }
    Ok((step, files))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the manifest with the hash of the damaged file, as of an attacker who can write both.
fn agree(files: &BTreeMap<String, Vec<u8>>, name: &str, bytes: &[u8]) -> Vec<u8> {
    let original = &files[name];
    let manifest = String::from_utf8(files[MANIFEST].clone()).unwrap();
    let fingerprint = |bytes: &[u8]| format!("\"bytes\": {},\n      \"sha256\": \"{}\"", bytes.len(), sha256(bytes));
    assert!(manifest.contains(&fingerprint(original)), "{manifest}");
    manifest.replace(&fingerprint(original), &fingerprint(bytes)).into_bytes()
}

fn states(test: &'static str, mutants: u64) {
    let folder = folder();
    let files = written(&folder);
    let path = folder.join("checkpoint");
    let state = Json::read(std::str::from_utf8(&files["state.json"]).unwrap()).unwrap();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.0,
        originals: std::slice::from_ref(&files["state.json"]),
        mutant: &|dice| {
            let mut json = state.clone();
            structure::mutate(&mut json, dice);
            let mut bytes = json.written().into_bytes();
            if dice.one_in(4) {
                bytes::mutate(&mut bytes, &[files["state.json"].clone()], dice);
            }
            bytes
        },
        read: &|bytes| {
            write(&path, &files, "state.json", bytes);
            fs::write(path.join(MANIFEST), agree(&files, "state.json", bytes)).unwrap();
            let ours = Checkpoint::open(&path).and_then(|checkpoint| training_state::load_state::<State>(&checkpoint));
            outcome(ours, state_of(bytes))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

fn state_of(bytes: &[u8]) -> Result<State, String> {
    let json = Json::read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?;
    if !json.is_of_version_1() {
        return Err("another version".into());
    }
    let member = |key: &str| json.get(key).ok_or(format!("no {key}"));
    let lost = member("lost")?.array()?.iter().map(|one| Ok(one.count()? as usize)).collect::<Result<_, String>>()?;
    let begun = match member("begun")? {
        Json::Bool(begun) => *begun,
        other => return Err(format!("begun is {other:?}")),
    };
    let cursor = json.some("cursor").map(Json::count).transpose()?;
    Ok(State { kl_coefficient: member("kl_coefficient")?.number()?, cursor, begun, lost })
}

/// Tests damaged weights: those that are loaded must be the numbers in the file.
fn weights(test: &'static str, mutants: u64) {
    let folder = folder();
    let files = written(&folder);
    let path = folder.join("checkpoint");
    let device = devices::flex();
    let empty = preftune::lm::Transformer::zeros(&small(), &device);
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.0,
        originals: &["model.bpk", "optimizer.bpk"].map(|name| one_file(name, &files[name])),
        mutant: &|dice| {
            let name = if dice.one_in(4) { "optimizer.bpk" } else { "model.bpk" };
            let mut bytes = files[name].clone();
            bytes::mutate(&mut bytes, &[files["model.bpk"].clone(), files["optimizer.bpk"].clone()], dice);
            // The header and its CBOR come first, and most of the other bytes are numbers.
            if dice.one_in(2) {
                let at = dice.below(bytes.len().min(700));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = dice.byte();
                }
            }
            one_file(name, &bytes)
        },
        read: &|mutant| {
            let (name, bytes) = name_and_bytes(mutant);
            write(&path, &files, name, bytes);
            fs::write(path.join(MANIFEST), agree(&files, name, bytes)).unwrap();
            let loaded = Checkpoint::open(&path).and_then(|checkpoint| {
                let optimizer = training_state::load_optimizer(&checkpoint, adam())?;
                Ok((optimizer, parameters::read(&training_state::load_model(&checkpoint, empty.clone())?)?))
            });
            match loaded {
                Ok((optimizer, weights)) => {
                    let [model, state] = ["model.bpk", "optimizer.bpk"].map(|name| fs::read(path.join(name)).unwrap());
                    let kept = tensors(&optimizer.into_bytes().unwrap());
                    let lost = (kept != tensors(&state)).then(|| "another state of the optimizer".to_string());
                    missing(&weights, &model).or(lost).map_or(Outcome::Same, Outcome::Different)
                }
                Err(error) => outcome::<()>(Err(error), Err(String::new())),
            }
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

/// Returns the tensors of a record, by name.
fn tensors(record: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(record.to_vec())).unwrap();
    let tensors = reader.into_tensors().unwrap();
    tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor.to_bytes().unwrap().to_vec())).collect()
}

/// Returns what is wrong with the weights: one whose numbers are not in the file, or one with a wrong name or
/// shape.
fn missing(weights: &[parameters::NamedTensor], file: &[u8]) -> Option<String> {
    let shapes = parameters::shapes(&preftune::lm::Transformer::zeros(&small(), &devices::flex()));
    let stands_there = |weight: &&parameters::NamedTensor| {
        let wanted: Vec<u32> = weight.values.iter().map(|&value| bits(value)).collect();
        let at = |start: usize| {
            let found = file[start..].as_chunks::<4>().0.iter().map(|number| bits(f32::from_le_bytes(*number)));
            found.take(wanted.len()).eq(wanted.iter().copied())
        };
        (0..file.len()).any(at)
    };
    let lost =
        weights.iter().find(|weight| !stands_there(weight)).map(|weight| format!("{} is not in the file", weight.name));
    let differs =
        weights.iter().zip(&shapes).find(|(weight, (name, shape))| weight.name != *name || weight.shape != *shape);
    lost.or(differs.map(|(weight, _)| format!("{} has shape {:?}", weight.name, weight.shape)))
}
