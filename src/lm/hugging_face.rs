//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json` (or
//! `vocab.json` and `merges.txt`), and this crate's heads in `heads.safetensors` beside them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::config::ModelConfig;
use super::parameters;
use super::tensor_file::{Precision, TensorFile, write_safetensors};
pub use super::tokenizer::{ADDED_TOKENS_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};
use super::tokenizer::{Tokenizer, TokenizerSettings};
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

/// The files of one model.
pub struct ModelFiles<'a> {
    /// Where they came from, for error messages.
    pub folder: PathBuf,
    pub config: &'a [u8],
    pub weights: TensorFile<'a>,
    pub tokenizer: TokenizerFiles<'a>,
}

/// All files that say how text becomes tokens.
pub const TOKENIZER_FILES: [&str; 6] =
    [TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE];

/// Bytes of one of them, at most: GPT-2's has 1.4 MB, the largest public ones 35 MB.
pub const LARGEST_TOKENIZER_FILE: u64 = 64 << 20;

/// Those of one tokenizer, by name. It is published in two forms, `tokenizer.json`, or `vocab.json` with
/// `merges.txt`; where both are there, the first counts, as for `transformers`.
#[derive(Debug, Clone, Default)]
pub struct TokenizerFiles<'a>(BTreeMap<&'static str, Cow<'a, [u8]>>);

impl<'a> TokenizerFiles<'a> {
    /// A `tokenizer.json` alone.
    pub fn json(bytes: &'a [u8]) -> Self {
        Self(BTreeMap::from([(TOKENIZER_FILE, bytes.into())]))
    }

    /// Those of [`TOKENIZER_FILES`] that `read` finds.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn found(read: impl Fn(&str) -> Result<Option<Vec<u8>>>) -> Result<Self> {
        let file = |name| Ok(read(name)?.map(|bytes| (name, bytes.into())));
        let files: Vec<Option<_>> = TOKENIZER_FILES.into_iter().map(file).collect::<Result<_>>()?;
        Ok(Self(files.into_iter().flatten().collect()))
    }

    /// The tokenizer, and the file that holds its vocabulary; `folder` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file at fault, or the files that are missing.
    pub fn read(&self, folder: &Path) -> Result<(Tokenizer, PathBuf)> {
        let file = |name: &str| self.0.get(name).map(AsRef::as_ref);
        let settings = TokenizerSettings::read(folder, file)?;
        let [path, vocabulary_path, merges_path] =
            [TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE].map(|name| folder.join(name));
        match (file(TOKENIZER_FILE), file(VOCABULARY_FILE), file(MERGES_FILE)) {
            (Some(json), _, _) => Ok((Tokenizer::from_json_and_settings(json, &path, settings)?, path)),
            (None, Some(vocabulary), Some(merges)) => {
                let (vocabulary, merges) = ((vocabulary, vocabulary_path.as_path()), (merges, merges_path.as_path()));
                let tokenizer = Tokenizer::from_two_files_and_settings(vocabulary, merges, settings)?;
                Ok((tokenizer, vocabulary_path))
            }
            (None, vocabulary, merges) => {
                let what = match (vocabulary, merges) {
                    (Some(_), _) => "no tokenizer: vocab.json is there without merges.txt, and no tokenizer.json",
                    (_, Some(_)) => "no tokenizer: merges.txt is there without vocab.json, and no tokenizer.json",
                    _ => "no tokenizer: neither tokenizer.json is there, nor vocab.json with merges.txt",
                };
                Err(Error::input(folder, what, "put the files of the model's tokenizer there"))
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
        // Such as vocabularies that were filled up to a multiple of 64.
        if tokenizer.vocab_size() < config.vocab_size {
            let (path, first, last) = (path.display(), tokenizer.vocab_size(), config.vocab_size - 1);
            tracing::warn!("{path}: ids {first} to {last} of the model have no token; text shows U+FFFD for them");
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
