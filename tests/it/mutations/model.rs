//! Mutated weights and heads, loaded into a network.

use std::path::Path;

use preftune::lm::files::hugging_face::load_transformer;
use preftune::lm::files::tensor_file::write_safetensors;
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{ModelConfig, Precision, TensorFile, Transformer, Weights};
use preftune::reward::RewardModel;

use super::bytes;
use super::safetensors::{File, Tensors, bits, theirs};
use super::trial::{Kind, outcome, run};
use crate::numerics::devices;
use crate::support::tiny;

#[test]
fn damaged_weights_are_refused_or_loaded_to_the_bit() {
    weights("mutations::model::damaged_weights_are_refused_or_loaded_to_the_bit", 400);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_weights_are_refused_or_loaded_to_the_bit() {
    weights("mutations::model::all_damaged_weights_are_refused_or_loaded_to_the_bit", 5000);
}

#[test]
fn damaged_heads_are_refused_or_loaded_to_the_bit() {
    heads("mutations::model::damaged_heads_are_refused_or_loaded_to_the_bit", 400);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_heads_are_refused_or_loaded_to_the_bit() {
    heads("mutations::model::all_damaged_heads_are_refused_or_loaded_to_the_bit", 5000);
}

const WIDTH: u64 = 4;

/// Returns the sizes of a model with one small block.
pub fn small() -> ModelConfig {
    ModelConfig { vocab_size: 300, positions: 5, layers: 1, ..ModelConfig::gpt2(WIDTH as usize, 2) }
}

/// Name, shape and bits of each weight, sorted.
pub type Read = Vec<(String, Vec<u64>, Vec<u32>)>;

pub fn read(mut weights: Vec<NamedTensor>) -> Read {
    weights.sort_by(|one, other| one.name.cmp(&other.name));
    let shape = |shape: &[usize]| shape.iter().map(|&size| size as u64).collect();
    let bits_of = |values: &[f32]| values.iter().map(|&value| bits(value)).collect();
    weights.iter().map(|weight| (weight.name.clone(), shape(&weight.shape), bits_of(&weight.values))).collect()
}

fn weights(test: &'static str, mutants: u64) {
    let device = devices::flex();
    let model = parameters::read(&tiny::transformer(&small(), 3, &device)).unwrap();
    let short = |weight: &NamedTensor| {
        let name = weight.name.strip_prefix("transformer.").unwrap().to_string();
        NamedTensor { name, ..weight.clone() }
    };
    let short: Vec<NamedTensor> = model.iter().map(short).collect();
    let mask = NamedTensor { name: "h.0.attn.bias".into(), shape: vec![1, 1, 2, 2], values: vec![1.0, 0.0, 1.0, 1.0] };
    let with_mask: Vec<NamedTensor> = short.iter().cloned().chain([mask]).collect();
    let files = [(&model, Precision::F32), (&short, Precision::F16), (&with_mask, Precision::F32)];
    let files = files.map(|(weights, precision)| write_safetensors(weights, precision).unwrap());
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &files,
        mutant: &|dice| mutant(&files, dice),
        read: &|bytes| {
            let file = TensorFile::from_bytes(bytes, Path::new("model.safetensors"));
            let weights = file.and_then(Weights::of_one);
            let loaded = weights.and_then(|mut weights| load_transformer(&small(), &mut weights, &device));
            outcome(loaded.map(|loaded| read(parameters::read(&loaded).unwrap())), theirs(bytes).and_then(weights_of))
        },
    });
}

fn mutant(files: &[Vec<u8>], dice: &mut super::dice::Dice) -> Vec<u8> {
    let mut bytes = files[dice.below(files.len())].clone();
    if dice.one_in(4) {
        bytes::mutate(&mut bytes, files, dice);
        return bytes;
    }
    let mut file = File::parse(&bytes);
    file.mutate(dice);
    file.written()
}

/// Returns the weights that Hugging Face's GPT-2 has with these sizes, under its names without their
/// prefixes.
pub fn weights_of(stored: Tensors) -> Result<Read, String> {
    let mut tensors = Tensors::new();
    for (stored, tensor) in stored {
        let name = plain(&stored);
        let is_mask = name == "h.0.attn.bias" || name == "h.0.attn.masked_bias";
        if tensor.1.is_none() && !is_mask {
            return Err(format!("{stored} holds no floats"));
        }
        if tensors.insert(name, tensor).is_some() {
            return Err(format!("{stored} is there twice"));
        }
    }
    // The output head shares the embedding's matrix, which may be stored under the head's name.
    let head = tensors.remove("lm_head.weight");
    if let (Some(head), Some(embedding)) = (&head, tensors.get("wte.weight"))
        && head != embedding
    {
        return Err("an output head of its own".into());
    }
    let mut found = Vec::new();
    for (name, shape) in wanted() {
        let stored = tensors.remove(&name).or_else(|| head.clone().filter(|_| name == "wte.weight"));
        let (read, values) = stored.ok_or(format!("no {name}"))?;
        if read != shape {
            return Err(format!("{name} has shape {read:?}"));
        }
        found.push((format!("transformer.{name}"), shape, finite(&name, &values.unwrap_or_default())?));
    }
    match tensors.keys().find(|name| !name.starts_with("v_head.") && !name.starts_with("h.0.attn.")) {
        Some(name) => Err(format!("{name} would be left out")),
        None => {
            found.sort();
            Ok(found)
        }
    }
}

/// Returns names and shapes of the network's weights.
fn wanted() -> Vec<(String, Vec<u64>)> {
    let (vocabulary, positions) = (small().vocab_size as u64, small().positions as u64);
    let mut wanted =
        vec![("wte.weight".to_string(), vec![vocabulary, WIDTH]), ("wpe.weight".into(), vec![positions, WIDTH])];
    let linear = [
        ("attn.c_attn", WIDTH, 3 * WIDTH),
        ("attn.c_proj", WIDTH, WIDTH),
        ("mlp.c_fc", WIDTH, 4 * WIDTH),
        ("mlp.c_proj", 4 * WIDTH, WIDTH),
    ];
    for (name, inputs, outputs) in linear {
        wanted.push((format!("h.0.{name}.weight"), vec![inputs, outputs]));
        wanted.push((format!("h.0.{name}.bias"), vec![outputs]));
    }
    for name in ["h.0.ln_1", "h.0.ln_2", "ln_f"] {
        wanted.extend(["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![WIDTH])));
    }
    wanted
}

/// Returns a name without the prefixes of training wrappers around a model.
fn plain(stored: &str) -> String {
    let parts = stored.split('.').filter(|part| !["_orig_mod", "module"].contains(part));
    let parts: Vec<&str> = parts.skip_while(|part| *part == "transformer").collect();
    parts.join(".")
}

fn finite(name: &str, values: &[u32]) -> Result<Vec<u32>, String> {
    match values.iter().find(|&&bits| !f32::from_bits(bits).is_finite()) {
        Some(_) => Err(format!("{name} is not finite")),
        None => Ok(values.to_vec()),
    }
}

fn heads(test: &'static str, mutants: u64) {
    let device = devices::flex();
    let model = tiny::transformer(&small(), 3, &device);
    let tensors = [
        ("reward.weight", "F32", &[WIDTH][..]),
        ("reward.bias", "F32", &[1]),
        ("reward.gain", "F32", &[1]),
        ("reward.offset", "F32", &[1]),
    ];
    let half = [
        ("reward.weight", "F16", &[WIDTH][..]),
        ("reward.bias", "BF16", &[1]),
        ("reward.gain", "F32", &[1]),
        ("reward.offset", "F16", &[1]),
    ];
    let files = [File::of(&tensors).written(), File::of(&half).written()];
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &files,
        mutant: &|dice| mutant(&files, dice),
        read: &|bytes| outcome(heads_here(&model, bytes), theirs(bytes).and_then(|tensors| heads_of(&tensors))),
    });
}

/// Loads the head's weight and bias, and gain and bias of the reward, with the program's reader.
fn heads_here(model: &Transformer, bytes: &[u8]) -> preftune::Result<[Vec<u32>; 4]> {
    let loaded = RewardModel::from_heads(model.clone(), bytes, Path::new("heads.safetensors"))?;
    let head = loaded.read()?.into_iter().filter(|weight| weight.name.starts_with("reward."));
    let mut head: Vec<Vec<u32>> = head.map(|weight| weight.values.iter().map(|&value| bits(value)).collect()).collect();
    let set = loaded.gain_and_bias()?;
    head.extend([set.gain, set.bias].map(|number| vec![bits(number as f32)]));
    Ok(head.try_into().unwrap())
}

fn heads_of(tensors: &Tensors) -> Result<[Vec<u32>; 4], String> {
    let of = |name: &str, count: u64| match tensors.get(&format!("reward.{name}")) {
        Some((shape, Some(values))) if *shape == [count] => finite(name, values),
        found => Err(format!("{name} is {found:?}")),
    };
    if tensors.len() != 4 {
        return Err("other tensors".into());
    }
    Ok([of("weight", WIDTH)?, of("bias", 1)?, of("gain", 1)?, of("offset", 1)?])
}
