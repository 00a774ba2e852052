//! Model folders of other programs: each is read correctly, or refused with the name of the fault.

mod companions;
mod config;
mod heads;
mod parts;
mod tensors;

use std::fs;
use std::path::Path;

use preftune::lm::files::hugging_face::{CONFIG_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use preftune::lm::files::model_folder;
use preftune::lm::files::tensor_file::write_safetensors;
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{LanguageModel, ModelFiles, Precision, TokenBatch};
use preftune::reward::RewardModel;
use preftune::{Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::numerics::devices;
use crate::support::tiny;

/// A folder of a small model, whose files the tests change one at a time.
struct Folder(tempfile::TempDir);

/// Makes a safetensors file as other programs may write it, because [`write_safetensors`] refuses values that
/// are not finite.
fn of_any_numbers(tensors: &[NamedTensor]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        (tensor.name.clone(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in model().to_files(Precision::F32).unwrap() {
            folder.write(&name, bytes);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(name), bytes).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    fn config(&self) -> Map<String, Value> {
        serde_json::from_slice(&fs::read(self.path().join(CONFIG_FILE)).unwrap()).unwrap()
    }

    /// Sets fields of `config.json`, and removes those of null.
    fn with_config(&self, changes: &Value) -> &Self {
        let mut config = self.config();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => config.remove(name),
                value => config.insert(name.clone(), value.clone()),
            };
        }
        self.write(CONFIG_FILE, serde_json::to_vec(&config).unwrap())
    }

    fn with_weights(&self, weights: &[NamedTensor]) -> &Self {
        self.write(WEIGHTS_FILE, of_any_numbers(weights))
    }

    /// Replaces the weights file by two shards and their index.
    fn with_parts(&self, weights: &[NamedTensor], index: impl Fn(&str) -> Option<String>) -> &Self {
        let (first, second) = weights.split_at(9);
        self.remove(WEIGHTS_FILE).write("1.safetensors", write_safetensors(first, Precision::F32).unwrap());
        self.write("2.safetensors", write_safetensors(second, Precision::F32).unwrap());
        let names = weights.iter().filter_map(|weight| Some((weight.name.clone(), json!(index(&weight.name)?))));
        let index = json!({"metadata": {"total_size": 1}, "weight_map": names.collect::<Map<_, _>>()});
        self.write(WEIGHTS_INDEX_FILE, index.to_string())
    }

    fn load(&self) -> Result<LanguageModel> {
        model_folder::with_files(self.path(), |files| LanguageModel::load(files, &devices::ndarray()))
    }

    fn load_reward_model(&self) -> Result<RewardModel> {
        let load = |files: ModelFiles<'_>| RewardModel::load(files, &devices::ndarray());
        Ok(model_folder::with_files(self.path(), load)?.0)
    }

    /// Returns the message of the refusal, which must be an input error with a hint.
    fn refusal(&self) -> String {
        refused(self.load().map(drop))
    }

    /// Returns the files that are written for the loaded model.
    fn written(&self) -> Vec<(String, Vec<u8>)> {
        self.load().unwrap().to_files(Precision::F32).unwrap()
    }
}

fn refused(result: Result<()>) -> String {
    let error: Error = result.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!error.hint().is_empty(), "{error}");
    error.to_string()
}

fn model() -> LanguageModel {
    tiny::language_model(1, &devices::ndarray())
}

fn weights() -> Vec<NamedTensor> {
    parameters::read(&model().transformer).unwrap()
}

/// Returns the model's weights with one more tensor at the end.
fn with_tensor(name: &str, shape: &[usize], values: Vec<f32>) -> Vec<NamedTensor> {
    let mut weights = weights();
    weights.push(NamedTensor { name: name.into(), shape: shape.into(), values });
    weights
}

fn renamed(rename: impl Fn(&str) -> String) -> Vec<NamedTensor> {
    let mut weights = weights();
    weights.iter_mut().for_each(|weight| weight.name = rename(&weight.name));
    weights
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let rows = tiny::rows(model.config(), &[5, 11, 2], 4);
    let config = model.config();
    let batch = TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.positions).unwrap();
    let hidden = model.transformer.hidden(batch.tokens(&devices::ndarray())).flatten(0, 1);
    preftune::device::read_floats(model.transformer.logits(hidden)).unwrap()
}

fn file<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// Makes a safetensors file with numbers of any type, as another program stores them.
fn stored(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let view = |(name, dtype, shape, bytes): &(&str, Dtype, Vec<usize>, Vec<u8>)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes.clone().leak()).unwrap())
    };
    safetensors::serialize(tensors.iter().map(view), None).unwrap()
}
