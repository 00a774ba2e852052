//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json`, and this
//! crate's heads in `heads.safetensors` beside them.
//!
//! Bytes in, bytes out: the caller reads and writes files, or has them inside the binary.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::ModelConfig;
use super::parameters::{self, NamedTensor};
use super::tokenizer::Tokenizer;
use super::transformer::Transformer;
use crate::error::{Error, Result};

pub const CONFIG_FILE: &str = "config.json";
pub const WEIGHTS_FILE: &str = "model.safetensors";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const HEADS_FILE: &str = "heads.safetensors";

/// The files of one model, in memory.
#[derive(Debug, Clone)]
pub struct ModelFiles<'a> {
    /// Where they came from, for error messages.
    pub folder: PathBuf,
    pub config: &'a [u8],
    pub weights: &'a [u8],
    pub tokenizer: &'a [u8],
}

/// A language model, ready to run.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    pub config: ModelConfig,
    pub transformer: Transformer,
    pub tokenizer: Tokenizer,
}

/// How numbers are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Half the size; for models that ship.
    F16,
}

impl LanguageModel {
    /// Loads a model, checking names and shapes before anything reaches the device.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the tensor at fault.
    pub fn load(files: &ModelFiles<'_>, device: &Device) -> Result<Self> {
        let config = ModelConfig::from_json(files.config, &files.folder.join(CONFIG_FILE))?;
        let tokenizer_path = files.folder.join(TOKENIZER_FILE);
        let tokenizer = Tokenizer::from_json(files.tokenizer, &tokenizer_path)?;
        if let Some((token, id)) = tokenizer.last_token().filter(|(_, id)| *id as usize >= config.vocab_size) {
            let what = format!("token {token:?} has id {id}, unknown to a model of {} tokens", config.vocab_size);
            return Err(Error::input(&tokenizer_path, what, "take the tokenizer.json that came with the model"));
        }
        let transformer = load_transformer(&config, files.weights, &files.folder.join(WEIGHTS_FILE), device)?;
        Ok(Self { config, transformer, tokenizer })
    }

    /// The same configuration and tokenizer with another network.
    #[must_use]
    pub fn with_transformer(&self, transformer: Transformer) -> Self {
        Self { config: self.config.clone(), transformer, tokenizer: self.tokenizer.clone() }
    }

    /// Numbers that training can move.
    pub fn parameters(&self) -> usize {
        use burn::module::Module;
        self.transformer.num_params()
    }

    /// The files of this model, by name.
    ///
    /// # Errors
    /// [`Error::Device`] when the weights cannot be read back.
    pub fn to_files(&self, precision: Precision) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(vec![
            (CONFIG_FILE.into(), self.config.to_json().into_bytes()),
            (WEIGHTS_FILE.into(), write_safetensors(&parameters::read(&self.transformer)?, precision)?),
            (TOKENIZER_FILE.into(), self.tokenizer.to_json()?.into_bytes()),
        ])
    }
}

/// Builds the network and fills it from `model.safetensors`, whatever its float type.
///
/// # Errors
/// [`Error::Input`] for a truncated file, a missing tensor, or one whose shape contradicts
/// `config.json`.
pub fn load_transformer(config: &ModelConfig, weights: &[u8], path: &Path, device: &Device) -> Result<Transformer> {
    let tensors = read_safetensors(weights, path)?;
    let next_block = format!("h.{}.ln_1.weight", config.n_layer);
    if tensors.keys().any(|name| name.trim_start_matches("transformer.") == next_block) {
        return Err(Error::input(
            path,
            format!("there are more layers than the {} of config.json", config.n_layer),
            "take config.json and model.safetensors from the same model",
        ));
    }
    parameters::replace(Transformer::zeros(config, device), |name, shape| {
        // The hub's own `gpt2` has no prefix.
        let bare = name.trim_start_matches("transformer.");
        let found = tensors.get(name).or_else(|| tensors.get(bare)).ok_or_else(|| {
            Error::input(path, format!("no tensor {name}"), "config.json asks for it: are both files of one model?")
        })?;
        if found.shape != shape {
            return Err(Error::input(
                path,
                format!("{name} is {:?}, but config.json makes it {shape:?}", found.shape),
                "take config.json and model.safetensors from the same model",
            ));
        }
        Ok(found.values.clone())
    })
}

/// All float tensors of a safetensors file, by name, as f32.
///
/// # Errors
/// [`Error::Input`] for a file that is cut short or damaged.
pub fn read_safetensors(bytes: &[u8], path: &Path) -> Result<HashMap<String, NamedTensor>> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let hint = "the file is cut short or damaged: copy or fetch it again";
        Error::input(path, format!("not a readable safetensors file of {} bytes: {error}", bytes.len()), hint)
    })?;
    let floats = file.iter().filter_map(|(name, view)| {
        let values = to_f32(&view)?;
        let tensor = NamedTensor { name: name.to_string(), shape: view.shape().to_vec(), values };
        Some((tensor.name.clone(), tensor))
    });
    Ok(floats.collect())
}

/// A safetensors file of these tensors, in this order.
///
/// # Errors
/// [`Error::Failed`] if the format cannot hold them.
pub fn write_safetensors(tensors: &[NamedTensor], precision: Precision) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| Error::failed(format!("weights cannot be written: {e}"), "");
    let stored: Vec<(&str, Vec<u8>, &[usize])> =
        tensors.iter().map(|t| (t.name.as_str(), to_bytes(&t.values, precision), t.shape.as_slice())).collect();
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
    };
    let views = stored
        .iter()
        .map(|(name, bytes, shape)| Ok((*name, TensorView::new(dtype, shape.to_vec(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(failed)?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}

fn to_bytes(values: &[f32], precision: Precision) -> Vec<u8> {
    match precision {
        Precision::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Precision::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
    }
}

/// None for tensors that hold no floats, such as the causal masks in older files.
fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let two_bytes = |convert: fn([u8; 2]) -> f32| data.as_chunks::<2>().0.iter().map(|&b| convert(b)).collect();
    match view.dtype() {
        Dtype::F32 => Some(data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        Dtype::F16 => Some(two_bytes(|b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(two_bytes(|b| bf16::from_le_bytes(b).to_f32())),
        _ => None,
    }
}
