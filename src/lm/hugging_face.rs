//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json` (or
//! `vocab.json` and `merges.txt`), and this crate's heads in `heads.safetensors` beside them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::config::ModelConfig;
use super::parameters;
use super::tensor_file::{Precision, TensorFile, write_safetensors};
use super::tokenizer::Tokenizer;
use super::transformer::Transformer;
use crate::error::{Error, Result};

pub const CONFIG_FILE: &str = "config.json";
pub const WEIGHTS_FILE: &str = "model.safetensors";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const VOCABULARY_FILE: &str = "vocab.json";
pub const MERGES_FILE: &str = "merges.txt";
pub const HEADS_FILE: &str = "heads.safetensors";

/// All of them.
pub const FILES: [&str; 6] = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, HEADS_FILE];

/// Whether a file of a model's folder is the model's: others may come and go.
pub fn is_file_of_model(name: &str) -> bool {
    FILES.contains(&name)
}

/// The files of one model.
pub struct ModelFiles<'a> {
    /// Where they came from, for error messages.
    pub folder: PathBuf,
    pub config: &'a [u8],
    pub weights: TensorFile<'a>,
    pub tokenizer: TokenizerFiles<'a>,
}

/// The two forms in which a GPT-2 tokenizer is published.
#[derive(Debug, Clone, Copy)]
pub enum TokenizerFiles<'a> {
    /// `tokenizer.json`
    Json(&'a [u8]),
    VocabularyAndMerges {
        /// `vocab.json`
        vocabulary: &'a [u8],
        /// `merges.txt`
        merges: &'a [u8],
    },
}

impl TokenizerFiles<'_> {
    /// The tokenizer, and the file that holds its vocabulary; `folder` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file at fault.
    pub fn read(self, folder: &Path) -> Result<(Tokenizer, PathBuf)> {
        match self {
            Self::Json(json) => {
                let path = folder.join(TOKENIZER_FILE);
                Ok((Tokenizer::from_json(json, &path)?, path))
            }
            Self::VocabularyAndMerges { vocabulary, merges } => {
                let [path, merges_path] = [VOCABULARY_FILE, MERGES_FILE].map(|name| folder.join(name));
                Ok((Tokenizer::from_vocabulary_and_merges((vocabulary, &path), (merges, &merges_path))?, path))
            }
        }
    }
}

/// A language model, ready to run.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    pub config: ModelConfig,
    pub transformer: Transformer,
    pub tokenizer: Tokenizer,
}

impl LanguageModel {
    /// Loads a model, checking names and shapes before anything reaches the device.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the tensor at fault.
    pub fn load(mut files: ModelFiles<'_>, device: &Device) -> Result<Self> {
        let config = ModelConfig::from_json(files.config, &files.folder.join(CONFIG_FILE))?;
        let (tokenizer, path) = files.tokenizer.read(&files.folder)?;
        if let Some((token, id)) = tokenizer.last_token().filter(|(_, id)| *id as usize >= config.vocab_size) {
            let what = format!("token {token:?} has id {id}, unknown to a model of {} tokens", config.vocab_size);
            return Err(Error::input(&path, what, "take the tokenizer that came with the model"));
        }
        let transformer = load_transformer(&config, &mut files.weights, device)?;
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

/// Builds the network and fills it from `model.safetensors`, whatever its float type. All names and
/// shapes are checked before the first tensor is read.
///
/// # Errors
/// [`Error::Input`] for a missing tensor, or one whose shape contradicts `config.json`.
pub fn load_transformer(config: &ModelConfig, file: &mut TensorFile<'_>, device: &Device) -> Result<Transformer> {
    let next_block = format!("h.{}.ln_1.weight", config.n_layer);
    if file.names().any(|name| without_prefix(&name) == next_block) {
        return Err(Error::input(
            file.path(),
            format!("there are more layers than the {} of config.json", config.n_layer),
            "take config.json and model.safetensors from the same model",
        ));
    }
    let empty = Transformer::zeros(config, device);
    let shapes = parameters::shapes(&empty).into_iter();
    let names = shapes.map(|(name, shape)| Ok((name.clone(), stored_name(file, &name, &shape)?)));
    let names: HashMap<String, String> = names.collect::<Result<_>>()?;
    parameters::replace(empty, |name, _| file.read(names.get(name).map_or(name, String::as_str)))
}

/// The hub's own `gpt2` has no prefix.
fn without_prefix(name: &str) -> &str {
    name.strip_prefix("transformer.").unwrap_or(name)
}

/// What a tensor is called in the file, if it is there with this shape.
fn stored_name(file: &TensorFile<'_>, name: &str, shape: &[usize]) -> Result<String> {
    let known = [name, without_prefix(name)];
    let Some((stored, found)) = known.into_iter().find_map(|name| Some((name, file.shape(name)?))) else {
        let hint = "config.json asks for it: are both files of one model?";
        return Err(Error::input(file.path(), format!("no tensor {name}"), hint));
    };
    if found != shape {
        return Err(Error::input(
            file.path(),
            format!("{name} is {found:?}, but config.json makes it {shape:?}"),
            "take config.json and model.safetensors from the same model",
        ));
    }
    Ok(stored.to_string())
}
