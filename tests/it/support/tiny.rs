//! Small models with random weights, random inputs for them, and comparisons of folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use preftune::lm::network::parameters::{NamedTensor, normal, replace};
use preftune::lm::network::{Biases, Family};
use preftune::lm::{LanguageModel, ModelConfig, ScalarHead, Tokenizer, Transformer};
use preftune::platform::Interrupt;
use preftune::policy::ppo::{ClippedObjective, UpdateSettings};
use preftune::policy::{GeneralizedAdvantages, Policy};
use preftune::random::{Stream, below, generator};
use preftune::reward::RewardModel;
use preftune::training::Backward;

/// Returns sizes that are no powers of 2, so that kernels must handle incomplete blocks.
pub fn config() -> ModelConfig {
    ModelConfig { vocab_size: 59, positions: 80, layers: 2, ..ModelConfig::gpt2(20, 2) }
}

/// Returns sizes of a Llama whose two query heads share one head of keys, tied to its embedding.
pub fn llama() -> ModelConfig {
    ModelConfig {
        vocab_size: 59,
        positions: 80,
        width: 20,
        layers: 2,
        heads: 2,
        key_value_heads: 1,
        head_width: 10,
        feed_forward_width: 34,
        ..ModelConfig::smollm2_135m()
    }
}

/// Returns sizes of a network that has every part that a family may have beside rotary positions: norms of queries and
/// keys, biases, an output head of its own, and heads wider than their share.
pub fn with_all_parts() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        query_key_norms: true,
        biases: Biases { query_key_value: true, attention_output: true, feed_forward: true },
        tied_output_head: false,
        heads: 6,
        key_value_heads: 3,
        head_width: 6,
        ..llama()
    }
}

/// Returns the sizes of [`config`], [`llama`] and [`with_all_parts`].
pub fn configs() -> [ModelConfig; 3] {
    [config(), llama(), with_all_parts()]
}

/// Returns a transformer with weights so large that its distributions are far from uniform.
pub fn transformer(config: &ModelConfig, seed: u64, device: &Device) -> Transformer {
    let mut row = 0;
    let model = Transformer::zeros(config, device);
    let drawn = replace(model, |name, shape| {
        row += 1;
        let (centre, deviation) = match shape {
            [_] if name.ends_with("weight") => (1.0, 0.1),
            [_] => (0.0, 0.1),
            _ => (0.0, 0.3),
        };
        let noise = normal(shape.iter().product(), deviation, seed, row);
        Ok(noise.into_iter().map(|x| centre + x).collect())
    });
    drawn.unwrap()
}

pub fn head(config: &ModelConfig, seed: u64, device: &Device) -> ScalarHead {
    ScalarHead::new(normal(config.width, 0.3, seed, 1000), 0.1, device)
}

pub fn policy(config: &ModelConfig, seed: u64, device: &Device) -> Policy {
    Policy { transformer: transformer(config, seed, device), value_head: head(config, seed, device) }
}

pub fn reward_model(config: &ModelConfig, seed: u64, device: &Device) -> RewardModel {
    RewardModel::new(transformer(config, seed, device), head(config, seed, device))
}

/// Returns a model with a tokenizer of letters and words. Some ids of the model are no tokens of the
/// tokenizer.
pub fn language_model(seed: u64, device: &Device) -> LanguageModel {
    language_model_of(config(), seed, device)
}

/// Returns [`language_model`] with a network of these widths.
pub fn language_model_of(config: ModelConfig, seed: u64, device: &Device) -> LanguageModel {
    let text = "The old house stood by the sea. The sea was grey. ".repeat(20);
    let tokenizer = Tokenizer::train(std::iter::once(text.as_str()), 290).unwrap();
    let config = ModelConfig { vocab_size: 300, positions: 40, ..config };
    LanguageModel { transformer: transformer(&config, seed, device), tokenizer, origin: None }
}

/// Returns rows of random tokens with these lengths.
pub fn rows(config: &ModelConfig, lengths: &[usize], seed: u64) -> Vec<Vec<u32>> {
    let mut rng = generator(seed, Stream::Data, 0, 0);
    let mut row = |length: usize| (0..length).map(|_| below(config.vocab_size, &mut rng) as u32).collect();
    lengths.iter().map(|&length| row(length)).collect()
}

/// Returns the weights with the one called `name` changed by `change`.
pub fn changed(weights: &[NamedTensor], name: &str, change: impl FnOnce(&mut Vec<f32>)) -> Vec<NamedTensor> {
    let mut weights = weights.to_vec();
    change(&mut weights.iter_mut().find(|weight| weight.name == name).unwrap().values);
    weights
}

/// Returns the transformer with these weights.
pub fn transformer_of(config: &ModelConfig, weights: &[NamedTensor], device: &Device) -> Transformer {
    replace(Transformer::zeros(config, device), |name, _| Ok(values(weights, name).to_vec())).unwrap()
}

/// Returns the head with the weights called `name`.
pub fn head_of(weights: &[NamedTensor], name: &str, device: &Device) -> ScalarHead {
    let bias = values(weights, &format!("{name}.bias"))[0];
    ScalarHead::new(values(weights, &format!("{name}.weight")).to_vec(), bias, device)
}

pub fn values<'a>(weights: &'a [NamedTensor], name: &str) -> &'a [f32] {
    &weights.iter().find(|weight| weight.name == name).unwrap().values
}

/// Returns the largest absolute difference of two lists of the same length, or NaN if one differs by NaN.
pub fn largest_difference<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).abs());
    differences.fold(0.0, |worst, next| if next > worst || next.is_nan() { next } else { worst })
}

/// Returns settings of an update with one minibatch, as in the original.
pub fn update_settings(backward: Backward) -> UpdateSettings {
    UpdateSettings {
        learning_rate: 1e-4,
        temperature: 0.7,
        minibatches: 1,
        backward,
        objective: ClippedObjective { clip_range: 0.2, clip_range_value: 0.2, value_coefficient: 0.1 },
        advantages: GeneralizedAdvantages { discount: 1.0, lambda: 0.95 },
        whiten_rewards: true,
        interrupt: Interrupt::new(),
    }
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Reads all files below a folder except its lock, by their paths in the folder.
pub fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inside) = folders.pop() {
        for path in fs::read_dir(inside).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != ".lock" {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Fails with the names of the files that differ.
pub fn assert_same_files(expected: &Path, found: &Path) {
    let (expected, found) = (files_in(expected), files_in(found));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&found));
    let differing: Vec<&PathBuf> = expected.keys().filter(|name| expected[*name] != found[*name]).collect();
    assert!(differing.is_empty(), "not the same to the last bit: {differing:?}");
}
