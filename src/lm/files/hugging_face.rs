//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json` (or
//! `vocab.json` and `merges.txt`), and this crate's heads in `heads.safetensors` beside them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;

use super::config_file::ConfigFile;
use super::heads_file::{HeadsFile, HeadsKind};
use super::tensor_file::{Precision, write_safetensors};
pub use super::tokenizer::{ADDED_TOKENS_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};
use super::tokenizer::{END_OF_TEXT, Tokenizer, TokenizerSettings};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::lm::network::ModelConfig;
use crate::lm::network::Transformer;
use crate::lm::network::parameters;

pub const CONFIG_FILE: &str = "config.json";
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Says which part holds which tensor, where the weights are in several.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const VOCABULARY_FILE: &str = "vocab.json";
pub const MERGES_FILE: &str = "merges.txt";
pub const HEADS_FILE: &str = "heads.safetensors";

/// How `transformers` generates; nothing here depends on it.
pub const GENERATION_FILE: &str = "generation_config.json";

/// Files that a model may have or lack.
pub const OPTIONAL_FILES: [&str; 4] = [ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE, GENERATION_FILE];

/// Whether a file of a model's folder is the model's, so that what is computed depends on it: others may
/// come and go.
pub fn is_file_of_model(name: &str) -> bool {
    [CONFIG_FILE, WEIGHTS_INDEX_FILE].contains(&name)
        || TOKENIZER_FILES.contains(&name)
        || Path::new(name).extension().is_some_and(|extension| extension == "safetensors")
}

/// Whether preftune 0.1.0 counted this file when it told whether a model or a folder of books had changed.
pub fn counted_in_0_1(name: &str) -> bool {
    [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, HEADS_FILE].contains(&name)
        || Path::new(name).extension().is_some_and(|extension| extension == "txt")
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
        // Such as vocabularies that were filled up to a multiple of 64.
        if tokenizer.vocab_size() < config.vocab_size {
            let (path, first, last) = (path.display(), tokenizer.vocab_size(), config.vocab_size - 1);
            tracing::warn!("{path}: ids {first} to {last} of the model have no token; text shows U+FFFD for them");
        }
        let transformer = load_network(&config, config_file.ties_embeddings, &mut files.weights, device)?;
        let origin = Some(Arc::new(Origin { config: config_file, companions: files.companions }));
        Ok((Self { transformer, tokenizer, origin }, heads))
    }

    /// The same configuration and tokenizer with another network.
    #[must_use]
    pub fn with_transformer(&self, transformer: Transformer) -> Self {
        Self { transformer, tokenizer: self.tokenizer.clone(), origin: self.origin.clone() }
    }

    /// The sizes of its network.
    pub fn config(&self) -> &ModelConfig {
        self.transformer.config()
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
        let origin = self.origin.as_ref().filter(|origin| origin.config.config == *self.config());
        let config = match origin {
            Some(origin) => origin.config.to_json(precision)?,
            None => self.config().to_json(self.tokenizer.token(END_OF_TEXT)).into_bytes(),
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
