//! The files that `transformers` keeps beside a vocabulary, as far as they change how text becomes
//! tokens: `added_tokens.json`, `tokenizer_config.json` and `special_tokens_map.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::AddedToken;

use super::END_OF_TEXT;
use super::definition::{Definition, shown};
use super::small_json::SmallJson;
use super::vocabulary_json::TokenIds;
use crate::error::{Error, Result};

/// What such files are called.
pub const ADDED_TOKENS_FILE: &str = "added_tokens.json";
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
pub const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// Tokenizers that split text as GPT-2's does, or as their `tokenizer.json` says; others add tokens.
const CLASSES: [&str; 7] = [
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "CodeGenTokenizer",
    "CodeGenTokenizerFast",
    "PreTrainedTokenizer",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
];

const SPECIAL: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const SPECIAL_LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// What the files say.
#[derive(Debug, Default)]
pub(in crate::lm) struct TokenizerSettings {
    /// Each text once.
    named: Vec<Named>,
    places: HashMap<String, usize>,
    /// Whether text begins with a space that it does not have, and the file that says so.
    add_prefix_space: Option<(bool, PathBuf)>,
}

/// A token that is found before text is split.
#[derive(Debug)]
struct Named {
    token: AddedToken,
    detail: Detail,
    id: Option<u32>,
    path: PathBuf,
}

/// How much a file says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Text,
    SpecialText,
    HowItIsFound,
}

#[derive(Deserialize)]
struct TokenOfFile {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl TokenizerSettings {
    /// Reads those of the three files that are there; `folder` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] for a setting that would change the tokens and is not followed here.
    pub(in crate::lm) fn read<'a>(folder: &Path, file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self> {
        let mut settings = Self::default();
        if let Some(bytes) = file(ADDED_TOKENS_FILE) {
            settings.read_added_tokens(bytes, &folder.join(ADDED_TOKENS_FILE))?;
        }
        for name in [TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE] {
            let Some(bytes) = file(name) else { continue };
            let path = folder.join(name);
            let json: SmallJson = serde_json::from_slice(bytes)
                .map_err(|error| refused(&path, format!("not the settings of a tokenizer: {error}")))?;
            if !json.0.is_object() {
                return Err(refused(&path, "not an object".into()));
            }
            if name == TOKENIZER_CONFIG_FILE {
                settings.read_config(&json.0, &path)?;
            }
            settings.read_special_tokens(&json.0, &path)?;
        }
        Ok(settings)
    }

    fn read_added_tokens(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        let TokenIds(tokens) = serde_json::from_slice(bytes)
            .map_err(|error| refused(path, format!("not a map of tokens to ids: {error}")))?;
        for (content, id) in tokens {
            let token = AddedToken::from(content.into_owned(), false);
            self.name(Named { token, detail: Detail::Text, id: Some(id), path: path.into() })?;
        }
        Ok(())
    }

    fn read_config(&mut self, config: &Value, path: &Path) -> Result<()> {
        for name in ["add_bos_token", "add_eos_token", "split_special_tokens"] {
            if config.get(name).is_some_and(|value| value == true) {
                return Err(refused(path, format!("{name} is true, which is not followed here; only false is read")));
            }
        }
        if let Some(class) = config.get("tokenizer_class").and_then(Value::as_str)
            && !CLASSES.contains(&class)
        {
            let what = format!("tokenizer_class is {}; read are {}", shown(class), CLASSES.join(", "));
            return Err(refused(path, what));
        }
        match config.get("add_prefix_space") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(adds)) => self.add_prefix_space = Some((*adds, path.into())),
            Some(other) => {
                let what = format!("add_prefix_space is {}, not true or false", shown(&other.to_string()));
                return Err(refused(path, what));
            }
        }
        for (id, token) in config.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten() {
            let number = id.parse();
            let number =
                number.map_err(|_| refused(path, format!("added_tokens_decoder: {} is not an id", shown(id))))?;
            let (token, detail) = token_of(token).map_err(|what| refused(path, format!("token {number}: {what}")))?;
            self.name(Named { token, detail, id: Some(number), path: path.into() })?;
        }
        Ok(())
    }

    fn read_special_tokens(&mut self, json: &Value, path: &Path) -> Result<()> {
        let one = SPECIAL.iter().filter_map(|name| Some((*name, json.get(*name)?)));
        let lists = SPECIAL_LISTS.iter().filter_map(|name| Some((*name, json.get(*name)?)));
        let of_lists = lists.flat_map(|(name, list)| {
            let (array, map) = (list.as_array(), list.as_object());
            array.into_iter().flatten().chain(map.into_iter().flat_map(|map| map.values())).map(move |one| (name, one))
        });
        for (name, token) in one.chain(of_lists).filter(|(_, token)| !token.is_null()) {
            let (token, detail) = token_of(token).map_err(|what| refused(path, format!("{name}: {what}")))?;
            self.name(Named { token: token.special(true), detail, id: None, path: path.into() })?;
        }
        Ok(())
    }

    /// Adds a token, or what is said of one that was named before.
    fn name(&mut self, new: Named) -> Result<()> {
        let place = *self.places.entry(new.token.content.clone()).or_insert(self.named.len());
        let Some(known) = self.named.get_mut(place) else {
            self.named.push(new);
            return Ok(());
        };
        if let (Some(known), Some(id)) = (known.id, new.id)
            && known != id
        {
            let what = format!("token {} has id {id} here, and {known} elsewhere", shown(&new.token.content));
            return Err(refused(&new.path, what));
        }
        let special = known.token.special || new.token.special;
        if new.detail > known.detail {
            (known.token, known.detail) = (new.token, new.detail);
        }
        known.token.special = special;
        known.id = known.id.or(new.id);
        Ok(())
    }

    /// Puts the settings into what `vocab.json` and `merges.txt` define.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub(super) fn complete(self, definition: &mut Definition<'_>) -> Result<()> {
        if let Some((adds, _)) = self.add_prefix_space {
            definition.pre_tokenizer = definition.pre_tokenizer.add_prefix_space(adds);
        }
        let with_ids = self.named.iter().filter_map(|named| Some((named.token.clone(), named.id?)));
        definition.added.extend(with_ids);
        self.apply(definition)
    }

    /// Makes the tokens that are named here added tokens, as `transformers` does.
    ///
    /// # Errors
    /// [`Error::Input`] for a token without an id, or with another one, and for a contradiction.
    pub(super) fn apply(self, definition: &mut Definition<'_>) -> Result<()> {
        let Definition { vocabulary, added, pre_tokenizer, .. } = definition;
        if let Some((adds, path)) = &self.add_prefix_space
            && *adds != pre_tokenizer.add_prefix_space
        {
            let what = format!("add_prefix_space is {adds}, but {} in tokenizer.json", !adds);
            return Err(Error::input(path, what, "set both to what the model was trained with"));
        }
        let in_vocabulary: HashMap<&str, u32> = vocabulary.iter().map(|(token, id)| (token.as_ref(), *id)).collect();
        let mut ids: HashMap<String, u32> = added.iter().map(|(token, id)| (token.content.clone(), *id)).collect();
        // `transformers` looks for it in every text that a GPT-2 reads.
        let end_of_text = in_vocabulary.get(END_OF_TEXT).map(|id| Named {
            token: AddedToken::from(END_OF_TEXT, true),
            detail: Detail::SpecialText,
            id: Some(*id),
            path: PathBuf::new(),
        });
        for Named { token, id, path, .. } in self.named.into_iter().chain(end_of_text) {
            let is_added = ids.get(&token.content).copied();
            let Some(known) = is_added.or_else(|| in_vocabulary.get(token.content.as_str()).copied()) else {
                let what = format!("token {} is not among the tokenizer's and has no id there", shown(&token.content));
                return Err(refused(&path, what));
            };
            if let Some(id) = id.filter(|id| *id != known) {
                let what = format!("token {} has id {id} here, and {known} in the tokenizer", shown(&token.content));
                return Err(refused(&path, what));
            }
            if is_added.is_none() {
                ids.insert(token.content.clone(), known);
                added.push((token, known));
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, what: String) -> Error {
    Error::input(path, what, "take all files of the tokenizer from the same model")
}

/// A token that is given by its text, or with how it is found.
fn token_of(value: &Value) -> std::result::Result<(AddedToken, Detail), String> {
    if let Some(content) = value.as_str() {
        return Ok((AddedToken::from(content, true), Detail::SpecialText));
    }
    let token: TokenOfFile = serde_json::from_value(value.clone()).map_err(|error| format!("not a token: {error}"))?;
    let made = AddedToken::from(token.content, token.special).single_word(token.single_word);
    Ok((made.lstrip(token.lstrip).rstrip(token.rstrip).normalized(token.normalized), Detail::HowItIsFound))
}
