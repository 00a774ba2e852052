//! Models in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json` (or
//! `vocab.json` and `merges.txt`), and this crate's heads in `heads.safetensors` beside them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;

use super::config::ConfigFile;
use super::heads_file::{HeadsFile, HeadsKind};
use super::tensor_file::{Precision, write_safetensors};
pub use super::tokenizer::{ADDED_TOKENS_FILE, CHAT_TEMPLATE_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};
use super::tokenizer::{ChatTemplate, END_OF_TEXT, FileContent, Tokenizer, TokenizerSettings};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::lm::network::parameters;
use crate::lm::network::{Family, ModelConfig, Transformer};

pub const CONFIG_FILE: &str = "config.json";
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Index that names the shard of each tensor, for weights in several shards.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const VOCABULARY_FILE: &str = "vocab.json";
pub const MERGES_FILE: &str = "merges.txt";
pub const HEADS_FILE: &str = "heads.safetensors";

/// Settings with which `transformers` generates, of which the tokens that end a text count here.
pub const GENERATION_FILE: &str = "generation_config.json";

/// Files that a model may have or lack.
pub const OPTIONAL_FILES: [&str; 5] =
    [ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE, CHAT_TEMPLATE_FILE, GENERATION_FILE];

/// Checks whether a file of a model's folder belongs to the model, so that results depend on it; other files
/// may come and go.
pub fn is_file_of_model(name: &str) -> bool {
    [CONFIG_FILE, WEIGHTS_INDEX_FILE, GENERATION_FILE].contains(&name)
        || TOKENIZER_FILES.contains(&name)
        || Path::new(name).extension().is_some_and(|extension| extension == "safetensors")
}

/// Checks whether a file counted, before there were format versions, in the digest of a model or of a folder of books.
pub fn counted_in_0_1(name: &str) -> bool {
    [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, HEADS_FILE].contains(&name)
        || Path::new(name).extension().is_some_and(|extension| extension == "txt")
}

/// The files of one model.
pub struct ModelFiles<'a> {
    /// Folder of the files, for error messages.
    pub folder: PathBuf,
    pub config: &'a [u8],
    pub weights: Weights<'a>,
    pub tokenizer: TokenizerFiles<'a>,
    /// Content of `heads.safetensors`, if there is one.
    pub heads: Option<Vec<u8>>,
    /// Names and contents of the existing files among [`TOKENIZER_FILES`] and [`GENERATION_FILE`]; models that
    /// are made from this one are written with the same files.
    pub companions: Vec<(String, Vec<u8>)>,
}

/// All files that define how text becomes tokens.
pub const TOKENIZER_FILES: [&str; 7] = [
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    MERGES_FILE,
    ADDED_TOKENS_FILE,
    TOKENIZER_CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    CHAT_TEMPLATE_FILE,
];

/// Largest size of a tokenizer file in bytes: GPT-2's has 1.4 MB, the largest public ones 35 MB.
pub const LARGEST_TOKENIZER_FILE: u64 = 64 << 20;

/// Files of one tokenizer, by name. A tokenizer is published as `tokenizer.json`, or as `vocab.json` with
/// `merges.txt`; if both are there, `tokenizer.json` counts, as for `transformers`.
#[derive(Debug, Clone, Default)]
pub struct TokenizerFiles<'a>(BTreeMap<&'static str, Cow<'a, [u8]>>);

impl<'a> TokenizerFiles<'a> {
    /// Takes a `tokenizer.json` alone.
    pub fn json(bytes: &'a [u8]) -> Self {
        Self(BTreeMap::from([(TOKENIZER_FILE, bytes.into())]))
    }

    /// Collects those of [`TOKENIZER_FILES`] that `read` finds.
    ///
    /// # Errors
    /// The errors of `read`.
    pub fn found(read: impl Fn(&str) -> Result<Option<Vec<u8>>>) -> Result<Self> {
        let file = |name| Ok(read(name)?.map(|bytes| (name, bytes.into())));
        let files: Vec<Option<_>> = TOKENIZER_FILES.into_iter().map(file).collect::<Result<_>>()?;
        Ok(Self(files.into_iter().flatten().collect()))
    }

    /// Reads the tokenizer; returns it with the path of the file that holds its vocabulary. `folder` is named
    /// in errors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file at fault, or the files that are missing.
    pub fn read(&self, folder: &Path) -> Result<(Tokenizer, PathBuf)> {
        let file = |name: &str| self.0.get(name).map(AsRef::as_ref);
        let settings = TokenizerSettings::read(folder, file)?;
        let chat_template = file(CHAT_TEMPLATE_FILE).map(|bytes| ChatTemplate::source_of_file(bytes, folder));
        let chat_template = settings.chat_template(chat_template.transpose()?);
        let end = settings.end().map(String::from);
        let (tokenizer, path) = self.read_vocabulary(folder, settings)?;
        let end = end.and_then(|end| tokenizer.token(&end)).into_iter().collect();
        Ok((tokenizer.with_chat_template(chat_template).with_end_tokens(end), path))
    }

    fn read_vocabulary(&self, folder: &Path, settings: TokenizerSettings) -> Result<(Tokenizer, PathBuf)> {
        let file = |name: &str| self.0.get(name).map(AsRef::as_ref);
        let [path, vocabulary_path, merges_path] =
            [TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE].map(|name| folder.join(name));
        match (file(TOKENIZER_FILE), file(VOCABULARY_FILE), file(MERGES_FILE)) {
            (Some(json), _, _) => Ok((Tokenizer::from_json_and_settings(json, &path, settings)?, path)),
            (None, Some(vocabulary), Some(merges)) => {
                let vocabulary = FileContent { bytes: vocabulary, path: &vocabulary_path };
                let merges = FileContent { bytes: merges, path: &merges_path };
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
    /// Takes the files of a model without heads and companions.
    pub fn new(folder: PathBuf, config: &'a [u8], weights: Weights<'a>, tokenizer: TokenizerFiles<'a>) -> Self {
        Self { folder, config, weights, tokenizer, heads: None, companions: Vec::new() }
    }

    /// Reads the heads of a model of this width, if there are any.
    ///
    /// # Errors
    /// The errors of [`HeadsFile::read`].
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
    /// Files that the model was loaded from: models made from this one keep all of them that do not change.
    /// `None` for a new model.
    pub origin: Option<Arc<Origin>>,
}

/// Files that a loaded model keeps.
#[derive(Debug)]
pub struct Origin {
    config: ConfigFile,
    /// Names and contents.
    companions: Vec<(String, Vec<u8>)>,
}

impl LanguageModel {
    /// Loads a model, checking names and shapes before anything reaches the device.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the field, token or tensor at fault, and for a model with the heads
    /// of a reward model.
    pub fn load(files: ModelFiles<'_>, device: &Device) -> Result<Self> {
        let folder = files.folder.clone();
        let (model, heads) = Self::load_with_heads(files, device, |heads| match heads {
            Some(heads) if heads.kind == HeadsKind::RewardModel => {
                let hint = "give the model that it was trained from, or the one that was tuned towards it";
                Err(Error::input(&folder, "this is a reward model: it scores text and writes none", hint))
            }
            _ => Ok(()),
        })?;
        drop(heads);
        Ok(model)
    }

    /// Loads a model with the heads that lie beside it; `check` sees the heads before the weights are read.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the field, token or tensor at fault, and the errors of `check`.
    pub fn load_with_heads(
        mut files: ModelFiles<'_>,
        device: &Device,
        check: impl FnOnce(Option<&HeadsFile>) -> Result<()>,
    ) -> Result<(Self, Option<HeadsFile>)> {
        let mut config_file = ConfigFile::read(files.config, &files.folder.join(CONFIG_FILE))?;
        let config = config_file.config.clone();
        let heads = files.read_heads(config.width)?;
        check(heads.as_ref())?;
        let (tokenizer, path) = files.tokenizer.read(&files.folder)?;
        if let Some((token, id)) = tokenizer.last_token().filter(|(_, id)| *id as usize >= config.vocab_size) {
            let what = format!("token {token:?} has id {id}, unknown to a model of {} tokens", config.vocab_size);
            return Err(Error::input(&path, what, "take the tokenizer that came with the model"));
        }
        // For example, a vocabulary that was filled up to a multiple of 64.
        if tokenizer.vocab_size() < config.vocab_size {
            let (path, first, last) = (path.display(), tokenizer.vocab_size(), config.vocab_size - 1);
            tracing::warn!("{path}: ids {first} to {last} of the model have no token; text shows U+FFFD for them");
        }
        let tokenizer = with_end_tokens(tokenizer, &config_file, &files)?;
        let transformer = load_transformer(&config, &mut files.weights, device)?;
        config_file.config = transformer.config().clone();
        let origin = Some(Arc::new(Origin { config: config_file, companions: files.companions }));
        Ok((Self { transformer, tokenizer, origin }, heads))
    }

    /// Returns a model with another network, and with the tokenizer and origin of this one.
    #[must_use]
    pub fn with_transformer(&self, transformer: Transformer) -> Self {
        Self { transformer, tokenizer: self.tokenizer.clone(), origin: self.origin.clone() }
    }

    /// Returns the sizes of the network.
    pub fn config(&self) -> &ModelConfig {
        self.transformer.config()
    }

    /// Returns the number of parameters of the network.
    pub fn parameters(&self) -> usize {
        use burn::module::Module;
        self.transformer.num_params()
    }

    /// Returns the files of this model, by name. Loaded files and fields that do not change are as they were.
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

/// Returns the tokenizer with all tokens that end a text: those of `generation_config.json`, of `config.json`, and of
/// the tokenizer's own settings. A GPT-2 samples on after any token, as in the original.
fn with_end_tokens(tokenizer: Tokenizer, config: &ConfigFile, files: &ModelFiles<'_>) -> Result<Tokenizer> {
    if config.config.family == Family::Gpt2 {
        return Ok(tokenizer.with_end_tokens(Vec::new()));
    }
    let generation = files.companions.iter().find(|(name, _)| name == GENERATION_FILE);
    let path = files.folder.join(GENERATION_FILE);
    let generation = generation.map(|(_, bytes)| {
        crate::json::from_slice::<serde_json::Value>(bytes).map_err(|error| {
            Error::input(
                &path,
                format!("not settings of generation: {error}"),
                "take the file that came with the model",
            )
        })
    });
    let of_generation = generation.transpose()?.and_then(|settings| settings.get("eos_token_id").cloned());
    let of_config = (config.end_tokens(), files.folder.join(CONFIG_FILE));
    let mut end = tokenizer.end_tokens().to_vec();
    for (ids, path) in [(of_generation, path), of_config] {
        end.extend(end_token_ids(ids.unwrap_or_default(), config.config.vocab_size, &path)?);
    }
    end.sort_unstable();
    end.dedup();
    Ok(tokenizer.with_end_tokens(end))
}

/// Reads the field `eos_token_id` of the file at `path`: an id, or a list of ids. `null` and −1 stand for none.
///
/// # Errors
/// [`Error::Input`] for anything else, and for an id that is no token of the model.
fn end_token_ids(ids: serde_json::Value, vocab_size: usize, path: &Path) -> Result<Vec<u32>> {
    let ids = match ids {
        serde_json::Value::Array(ids) => ids,
        one => vec![one],
    };
    let stated = ids.into_iter().filter(|id| !id.is_null() && id.as_i64() != Some(-1));
    let read = stated.map(|id| {
        let known = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| (id as usize) < vocab_size);
        known.ok_or_else(|| {
            let what = format!("eos_token_id: {id} is no token of the model, whose ids are 0 to {}", vocab_size - 1);
            Error::input(path, what, "take the file that came with the model")
        })
    });
    read.collect()
}

/// Builds the network and loads weights of any float type. All sizes are checked before the network is built,
/// and all names and shapes before the first tensor is read.
///
/// # Errors
/// [`Error::Input`] for a tensor that is missing, has another shape than `config` gives it, belongs to no such
/// model, or holds a number that is not finite.
pub fn load_transformer(config: &ModelConfig, weights: &mut Weights<'_>, device: &Device) -> Result<Transformer> {
    weights.check_sizes(config)?;
    let tied_output_head = weights.has_tied_output_head(config.family, config.tied_output_head)?;
    let empty = Transformer::zeros(&ModelConfig { tied_output_head, ..config.clone() }, device);
    weights.check_tensors(&parameters::shapes(&empty))?;
    parameters::replace(empty, |name, _| weights.read(name))
}
