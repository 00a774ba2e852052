//! The files that `transformers` keeps beside a vocabulary, as far as they change how text becomes
//! tokens: `added_tokens.json`, `tokenizer_config.json` and `special_tokens_map.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::AddedToken;

use super::END_OF_TEXT;
use super::chat::ChatTemplate;
use super::definition::Definition;
use super::spelling::Spelling;
use super::vocabulary_json::TokenIds;
use crate::error::{Error, Result};
use crate::json;
use crate::lm::files::messages::{reason, shown, shown_value};

/// File names of the settings.
pub const ADDED_TOKENS_FILE: &str = "added_tokens.json";
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
pub const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// Classes of tokenizers that split text as GPT-2's does, or as their `tokenizer.json` says.
const CLASSES: [&str; 11] = [
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "CodeGenTokenizer",
    "CodeGenTokenizerFast",
    "PreTrainedTokenizer",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "Qwen2Tokenizer",
    "Qwen2TokenizerFast",
    LLAMA_CLASSES[0],
    LLAMA_CLASSES[1],
];

/// Classes that put the start token before every text if `add_bos_token` says so, and by default.
const LLAMA_CLASSES: [&str; 2] = ["LlamaTokenizer", "LlamaTokenizerFast"];

const SPECIAL: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const SPECIAL_LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// Largest size of settings, in bytes: in memory they take many times as much.
pub(super) const LARGEST_SETTINGS: usize = 4 << 20;

/// Largest number of tokens that settings name.
const MOST_NAMED: usize = 1 << 16;

/// Settings in the files of a tokenizer.
#[derive(Debug, Default)]
pub(crate) struct TokenizerSettings {
    /// Named tokens, each text once.
    named: Vec<Named>,
    places: HashMap<String, usize>,
    /// True if a space is added before text, and the file that says so.
    add_prefix_space: Option<(bool, PathBuf)>,
    /// True if the start token is put before every text; `None` if the file leaves it to `tokenizer.json`.
    adds_start: Option<bool>,
    /// Start token, and token that ends a text.
    start: Option<String>,
    end: Option<String>,
    chat_template: Option<String>,
    /// True if `tokenizer_config.json` lists its tokens (`added_tokens_decoder`). `transformers` then takes from
    /// `special_tokens_map.json` only a start or end that `tokenizer_config.json` does not name; beside an older file,
    /// which has no list, `special_tokens_map.json` comes first.
    lists_tokens: bool,
}

/// A token that is found before text is split.
#[derive(Debug)]
struct Named {
    token: AddedToken,
    detail: Detail,
    id: Option<u32>,
    path: PathBuf,
}

/// Detail in which a file describes a token.
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
    /// Reads [`ADDED_TOKENS_FILE`], [`TOKENIZER_CONFIG_FILE`] and [`SPECIAL_TOKENS_FILE`], as far as they
    /// exist; `folder` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] for a setting that would change the tokens and is not followed here.
    pub(crate) fn read<'a>(folder: &Path, file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self> {
        let mut settings = Self::default();
        if let Some(bytes) = file(ADDED_TOKENS_FILE) {
            settings.read_added_tokens(bytes, &folder.join(ADDED_TOKENS_FILE))?;
        }
        for name in [TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE] {
            let Some(bytes) = file(name) else { continue };
            let path = folder.join(name);
            if bytes.len() > LARGEST_SETTINGS {
                return Err(refused(&path, format!("settings of more than {LARGEST_SETTINGS} bytes")));
            }
            let json: Value = json::from_slice(bytes)
                .map_err(|error| refused(&path, format!("not the settings of a tokenizer: {}", reason(&error))))?;
            if !json.is_object() {
                return Err(refused(&path, "not an object".into()));
            }
            if name == TOKENIZER_CONFIG_FILE {
                settings.read_config(&json, &path)?;
            }
            settings.read_special_tokens(&json, &path)?;
        }
        Ok(settings)
    }

    /// Returns the text of the token that ends a text.
    pub(crate) fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Returns the chat template; `file` is the content of its own file, which comes first.
    pub(crate) fn chat_template(&self, file: Option<String>) -> Option<ChatTemplate> {
        let source = file.or_else(|| self.chat_template.clone())?;
        Some(ChatTemplate { source, start: self.start.clone(), end: self.end.clone() })
    }

    fn read_added_tokens(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        let TokenIds(tokens) = serde_json::from_slice(bytes)
            .map_err(|error| refused(path, format!("not a map of tokens to ids: {}", reason(&error))))?;
        for (content, id) in tokens {
            let token = AddedToken::from(content.into_owned(), false);
            self.name(Named { token, detail: Detail::Text, id: Some(id), path: path.into() })?;
        }
        Ok(())
    }

    fn read_config(&mut self, config: &Value, path: &Path) -> Result<()> {
        self.chat_template = ChatTemplate::source_of_config(config).map(String::from);
        self.lists_tokens = config.get("added_tokens_decoder").is_some();
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        let is_llama = class.is_some_and(|class| LLAMA_CLASSES.contains(&class));
        if is_llama {
            let says = config.get("add_bos_token").and_then(Value::as_bool);
            self.adds_start = Some(says.unwrap_or(true));
        }
        for name in ["add_bos_token", "add_eos_token", "split_special_tokens"] {
            let is_followed = is_llama && name == "add_bos_token";
            if !is_followed && config.get(name).is_some_and(|value| value == true) {
                return Err(refused(path, format!("{name} is true, which is not followed here; only false is read")));
            }
        }
        if let Some(class) = class
            && !CLASSES.contains(&class)
        {
            let what = format!("tokenizer_class is {}; this program supports {}", shown(class), CLASSES.join(", "));
            return Err(refused(path, what));
        }
        match config.get("add_prefix_space") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(adds)) => self.add_prefix_space = Some((*adds, path.into())),
            Some(other) => {
                let what = format!("add_prefix_space is {}, not true or false", shown_value(other));
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
            let known = match name {
                "bos_token" => Some(&mut self.start),
                "eos_token" => Some(&mut self.end),
                _ => None,
            };
            if let Some(known) = known.filter(|known| known.is_none() || !self.lists_tokens) {
                *known = Some(token.content.clone());
            }
            self.name(Named { token: token.special(true), detail, id: None, path: path.into() })?;
        }
        Ok(())
    }

    /// Adds a token, or further details of a token that was named before.
    fn name(&mut self, new: Named) -> Result<()> {
        let place = *self.places.entry(new.token.content.clone()).or_insert(self.named.len());
        let Some(known) = self.named.get_mut(place) else {
            if self.named.len() == MOST_NAMED {
                return Err(refused(&new.path, format!("there are more than {MOST_NAMED} tokens")));
            }
            self.named.push(new);
            return Ok(());
        };
        if let (Some(known), Some(id)) = (known.id, new.id)
            && known != id
        {
            let what = format!("token {} has id {id} here, and {known} elsewhere", shown(&new.token.content));
            return Err(refused(&new.path, what));
        }
        if known.detail == new.detail {
            check_that_both_are_found_alike(&new, &known.token)?;
        }
        let special = known.token.special || new.token.special;
        if new.detail > known.detail {
            (known.token, known.detail) = (new.token, new.detail);
        }
        known.token.special = special;
        known.id = known.id.or(new.id);
        Ok(())
    }

    /// Applies the settings to a definition by `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// The errors of [`Self::apply`].
    pub(super) fn complete(self, definition: &mut Definition<'_>) -> Result<()> {
        if let Some((adds, _)) = self.add_prefix_space {
            let splitting = definition.splitting.clone();
            definition.splitting = if adds { splitting.with_added_space() } else { splitting.without_added_space() };
        }
        self.add_named(definition, |named| named.id)
    }

    /// Applies the settings to a definition by `tokenizer.json`: the named tokens become added tokens, as in
    /// `transformers`.
    ///
    /// # Errors
    /// [`Error::Input`] for a token without an id, or with another one, and for a contradiction.
    pub(super) fn apply(self, definition: &mut Definition<'_>) -> Result<()> {
        match (self.adds_start, &self.start) {
            (Some(true), Some(start)) => definition.start = vec![start.clone()],
            (Some(false), _) => definition.start.clear(),
            _ => {}
        }
        self.add_named(definition, |_| None)
    }

    /// Adds the named tokens to a definition; `id_here` gives the id of a token that the definition does not
    /// have.
    fn add_named(self, definition: &mut Definition<'_>, id_here: impl Fn(&Named) -> Option<u32>) -> Result<()> {
        let Definition { vocabulary, added, splitting, .. } = definition;
        if let Some((adds, path)) = &self.add_prefix_space
            && splitting.spelling == Spelling::ByteLevel
            && *adds != splitting.adds_space()
        {
            let what = format!("add_prefix_space is {adds}, but {} in tokenizer.json", !adds);
            return Err(Error::input(path, what, "set both to what the model was trained with"));
        }
        let in_vocabulary: HashMap<&str, u32> = vocabulary.iter().map(|(token, id)| (token.as_ref(), *id)).collect();
        let known_tokens: HashMap<String, (AddedToken, u32)> =
            added.iter().map(|(token, id)| (token.content.clone(), (token.clone(), *id))).collect();
        for named in self.named {
            let content = named.token.content.as_str();
            let is_added = known_tokens.get(content);
            let known = is_added.map(|(_, id)| *id).or_else(|| in_vocabulary.get(content).copied());
            let Some(known) = known.or_else(|| id_here(&named)) else {
                let what = format!("token {} is not among the tokenizer's and has no id there", shown(content));
                return Err(refused(&named.path, what));
            };
            if let Some(id) = named.id.filter(|id| *id != known) {
                let what = format!("token {} has id {id} here, and {known} in the tokenizer", shown(content));
                return Err(refused(&named.path, what));
            }
            match is_added {
                Some((token, _)) => check_that_both_are_found_alike(&named, token)?,
                None => added.push((named.token, known)),
            }
        }
        // `transformers` looks for the end of text in every text that a GPT-2 reads.
        if !added.iter().any(|(token, _)| token.content == END_OF_TEXT)
            && let Some(&id) = in_vocabulary.get(END_OF_TEXT)
        {
            added.push((AddedToken::from(END_OF_TEXT, true), id));
        }
        Ok(())
    }
}

/// Checks that a file and the tokenizer agree on how a token is found, if the file says it.
fn check_that_both_are_found_alike(named: &Named, token: &AddedToken) -> Result<()> {
    let how = |token: &AddedToken| [token.single_word, token.lstrip, token.rstrip];
    if named.detail < Detail::HowItIsFound || how(&named.token) == how(token) {
        return Ok(());
    }
    let what = format!("token {} has another single_word, lstrip or rstrip elsewhere", shown(&token.content));
    Err(refused(&named.path, what))
}

fn refused(path: &Path, what: String) -> Error {
    Error::input(path, what, "take all files of the tokenizer from the same model")
}

/// Reads a token that is given by its text, or with how it is found.
fn token_of(value: &Value) -> std::result::Result<(AddedToken, Detail), String> {
    if let Some(content) = value.as_str() {
        return Ok((AddedToken::from(content, true), Detail::SpecialText));
    }
    let token: TokenOfFile =
        json::from_value(value.clone()).map_err(|error| format!("not a token: {}", reason(&error)))?;
    let made = AddedToken::from(token.content, token.special).single_word(token.single_word);
    Ok((made.lstrip(token.lstrip).rstrip(token.rstrip).normalized(token.normalized), Detail::HowItIsFound))
}
