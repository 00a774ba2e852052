//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json` (or
//! `vocab.json` and `merges.txt`), and this crate's heads in `heads.safetensors` beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;

use super::config::ModelConfig;
use super::config_file::ConfigFile;
use super::heads_file::{HeadsFile, HeadsKind};
use super::parameters;
use super::tensor_file::{Precision, write_safetensors};
use super::tokenizer::{END_OF_TEXT, Tokenizer};
use super::transformer::Transformer;
use super::weights::Weights;
use crate::error::{Error, Result};

pub const CONFIG_FILE: &str = "config.json";
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Says which part holds which tensor, where the weights are in several.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const VOCABULARY_FILE: &str = "vocab.json";
pub const MERGES_FILE: &str = "merges.txt";
pub const HEADS_FILE: &str = "heads.safetensors";

pub const ADDED_TOKENS_FILE: &str = "added_tokens.json";
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
pub const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";
/// How `transformers` generates; nothing here depends on it.
pub const GENERATION_FILE: &str = "generation_config.json";

/// All files that say how text becomes tokens.
pub const TOKENIZER_FILES: [&str; 6] =
    [TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE];

/// Files that a model may have or lack.
pub const OPTIONAL_FILES: [&str; 4] = [ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE, GENERATION_FILE];

/// Whether what is computed depends on a file of this name in a model's folder.
pub fn is_read(name: &str) -> bool {
    [CONFIG_FILE, WEIGHTS_INDEX_FILE].contains(&name)
        || TOKENIZER_FILES.contains(&name)
        || Path::new(name).extension().is_some_and(|extension| extension == "safetensors")
}

/// The files of one model.
pub struct ModelFiles<'a> {
    /// Where they came from, for error messages.
    pub folder: PathBuf,
    pub config: &'a [u8],
    pub weights: Weights<'a>,
    pub tokenizer: TokenizerFiles<'a>,
    /// `heads.safetensors`, if it is there.
    pub heads: Option<Vec<u8>>,
    /// Name and content of those of [`TOKENIZER_FILES`] and [`GENERATION_FILE`] that are there: what is
    /// made of the model is written with them, as they came.
    pub companions: Vec<(String, Vec<u8>)>,
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

impl<'a> ModelFiles<'a> {
    /// A model without heads and companions.
    pub fn new(folder: PathBuf, config: &'a [u8], weights: Weights<'a>, tokenizer: TokenizerFiles<'a>) -> Self {
        Self { folder, config, weights, tokenizer, heads: None, companions: Vec::new() }
    }

    /// The heads of a model of this width, if there are any.
    ///
    /// # Errors
    /// As [`HeadsFile::read`].
    fn read_heads(&self, width: usize) -> Result<Option<HeadsFile>> {
        let path = self.folder.join(HEADS_FILE);
        self.heads.as_ref().map(|bytes| HeadsFile::read(bytes, width, &path)).transpose()
    }
}

/// A language model, ready to run.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    pub config: ModelConfig,
    pub transformer: Transformer,
    pub tokenizer: Tokenizer,
    /// The files that it came from, of which what is made of it keeps all that it does not change; a
    /// new model has none.
    pub origin: Option<Arc<Origin>>,
}

/// What a loaded model keeps of its files.
#[derive(Debug)]
pub struct Origin {
    config: ConfigFile,
    /// Name and content.
    companions: Vec<(String, Vec<u8>)>,
}

impl LanguageModel {
    /// Loads a model, checking names and shapes before anything reaches the device.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and what is at fault: a field, a token, a tensor. Heads are read
    /// too: a reward model is refused.
    pub fn load(files: ModelFiles<'_>, device: &Device) -> Result<Self> {
        let folder = files.folder.clone();
        let (model, heads) = Self::load_with_heads(files, device, |heads| match heads {
            Some(heads) if heads.kind == HeadsKind::RewardModel => {
                let hint = "give the model that it was fitted from, or the one that was tuned towards it";
                Err(Error::input(&folder, "this is a reward model: it scores text and writes none", hint))
            }
            _ => Ok(()),
        })?;
        drop(heads);
        Ok(model)
    }

    /// The same with the heads that lie beside the model, which are looked at by `check` before the
    /// weights are read.
    ///
    /// # Errors
    /// As [`Self::load`], and those of `check`.
    pub fn load_with_heads(
        mut files: ModelFiles<'_>,
        device: &Device,
        check: impl FnOnce(Option<&HeadsFile>) -> Result<()>,
    ) -> Result<(Self, Option<HeadsFile>)> {
        let config_file = ConfigFile::read(files.config, &files.folder.join(CONFIG_FILE))?;
        let config = config_file.config.clone();
        let heads = files.read_heads(config.n_embd)?;
        check(heads.as_ref())?;
        let (tokenizer, path) = files.tokenizer.read(&files.folder)?;
        if let Some((token, id)) = tokenizer.last_token().filter(|(_, id)| *id as usize >= config.vocab_size) {
            let what = format!("token {token:?} has id {id}, unknown to a model of {} tokens", config.vocab_size);
            return Err(Error::input(&path, what, "take the tokenizer that came with the model"));
        }
        let transformer = load_network(&config, config_file.ties_embeddings, &mut files.weights, device)?;
        let origin = Some(Arc::new(Origin { config: config_file, companions: files.companions }));
        Ok((Self { config, transformer, tokenizer, origin }, heads))
    }

    /// The same configuration and tokenizer with another network.
    #[must_use]
    pub fn with_transformer(&self, transformer: Transformer) -> Self {
        let (config, tokenizer) = (self.config.clone(), self.tokenizer.clone());
        Self { config, transformer, tokenizer, origin: self.origin.clone() }
    }

    /// Numbers that training can move.
    pub fn parameters(&self) -> usize {
        use burn::module::Module;
        self.transformer.num_params()
    }

    /// The files of this model, by name. What it was loaded with and does not change is as it came.
    ///
    /// # Errors
    /// [`Error::Device`] when the weights cannot be read back.
    pub fn to_files(&self, precision: Precision) -> Result<Vec<(String, Vec<u8>)>> {
        let origin = self.origin.as_ref().filter(|origin| origin.config.config == self.config);
        let config = match origin {
            Some(origin) => origin.config.to_json(precision)?,
            None => self.config.to_json(self.tokenizer.token(END_OF_TEXT)).into_bytes(),
        };
        let weights = write_safetensors(&parameters::read(&self.transformer)?, precision)?;
        let mut files = vec![(CONFIG_FILE.into(), config), (WEIGHTS_FILE.into(), weights)];
        files.extend(origin.map(|origin| origin.companions.clone()).unwrap_or_default());
        if !files.iter().any(|(name, _)| [TOKENIZER_FILE, VOCABULARY_FILE].contains(&name.as_str())) {
            files.push((TOKENIZER_FILE.into(), self.tokenizer.to_json()?.into_bytes()));
        }
        Ok(files)
    }
}

/// Builds the network and fills it, whatever the float type of the weights. All names and shapes are
/// checked before the first tensor is read, and sizes before anything is built.
///
/// # Errors
/// [`Error::Input`] for a tensor that is missing, is of another shape than `config` makes it, would be
/// left out, or holds a number that is not finite.
pub fn load_transformer(config: &ModelConfig, weights: &mut Weights<'_>, device: &Device) -> Result<Transformer> {
    load_network(config, None, weights, device)
}

fn load_network(
    config: &ModelConfig,
    ties_embeddings: Option<bool>,
    weights: &mut Weights<'_>,
    device: &Device,
) -> Result<Transformer> {
    weights.check_sizes(config)?;
    let empty = Transformer::zeros(config, device);
    weights.check_tensors(&parameters::shapes(&empty), ties_embeddings)?;
    parameters::replace(empty, |name, _| weights.read(name))
}
