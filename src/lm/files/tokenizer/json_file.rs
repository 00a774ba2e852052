//! `tokenizer.json`: known fields are read, and everything else is refused by name.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::definition::Definition;
use super::settings::LARGEST_SETTINGS;
use super::vocabulary_json::{MergeList, TokenIds};
use crate::json;
use crate::lm::files::messages::{reason, shown, shown_value};

/// Fields of the file. Truncation and padding are not applied: the task defines lengths.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(default)]
    version: Setting,
    #[serde(default, rename = "truncation")]
    _truncation: serde::de::IgnoredAny,
    #[serde(default, rename = "padding")]
    _padding: serde::de::IgnoredAny,
    #[serde(default)]
    added_tokens: Option<Vec<AddedTokenOfFile>>,
    #[serde(default)]
    normalizer: Setting,
    #[serde(default)]
    pre_tokenizer: Setting,
    #[serde(default)]
    post_processor: Setting,
    #[serde(default)]
    decoder: Setting,
    #[serde(borrow)]
    model: Model<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddedTokenOfFile {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model<'a> {
    #[serde(default, rename = "type")]
    kind: Setting,
    #[serde(default)]
    dropout: Setting,
    /// Token for unknown text, never used, since every byte has a token.
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    /// Fusion of unknown tokens, never used, since every byte has a token.
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(borrow)]
    vocab: TokenIds<'a>,
    #[serde(borrow)]
    merges: MergeList<'a>,
}

/// Value of any kind. The length of its text is limited, since a value takes many times as much memory.
#[derive(Default)]
struct Setting(Value);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if text.len() > LARGEST_SETTINGS {
            return Err(D::Error::custom(format!("a setting of more than {LARGEST_SETTINGS} bytes")));
        }
        json::from_slice(text.as_bytes()).map(Self).map_err(|error| {
            // The message ends with the place in the setting; the deserializer adds the place in the file
            // instead.
            let (what, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
            D::Error::custom(what.strip_suffix(&place).unwrap_or(&what))
        })
    }
}

/// Reads the definition in a file; the error says which part is not understood.
pub(super) fn parse(bytes: &[u8]) -> Result<Definition<'_>, String> {
    let file: File<'_> = json::from_slice(bytes).map_err(|error| match other_model(bytes) {
        Some(kind) => format!("its model is {kind}, not BPE"),
        None => format!("not a tokenizer: {}", reason(&error)),
    })?;
    let version = &file.version.0;
    if !version.is_null() && version != "1.0" {
        return Err(format!("its version is {}, not \"1.0\"", of(version)));
    }
    if let Some(step) = steps(&file.normalizer.0, "normalizers").first() {
        return Err(format!("normalizer is {}, which changes text before it is read", of(step)));
    }
    let (settings, TokenIds(vocabulary), MergeList(merges)) = file.model.understood()?;
    Ok(Definition {
        vocabulary,
        merges,
        added: file.added_tokens.unwrap_or_default().into_iter().map(AddedTokenOfFile::token).collect(),
        pre_tokenizer: only_byte_level(&file.pre_tokenizer.0, "pre_tokenizer", "pretokenizers")?,
        decoder: only_byte_level(&file.decoder.0, "decoder", "decoders")?,
        post_processor: post_processor(&file.post_processor.0)?,
        model: settings,
    })
}

impl<'a> Model<'a> {
    fn understood(self) -> Result<(BpeBuilder, TokenIds<'a>, MergeList<'a>), String> {
        let (kind, dropout) = (&self.kind.0, &self.dropout.0);
        if !kind.is_null() && kind != "BPE" {
            return Err(format!("its model is {}, not BPE", of(kind)));
        }
        if !dropout.is_null() && dropout.as_f64() != Some(0.0) {
            return Err(format!("model.dropout is {}: the same text would give other tokens each time", of(dropout)));
        }
        for (name, affix) in [
            ("continuing_subword_prefix", &self.continuing_subword_prefix),
            ("end_of_word_suffix", &self.end_of_word_suffix),
        ] {
            if let Some(affix) = affix.as_deref().filter(|affix| !affix.is_empty()) {
                return Err(format!("model.{name} is {}, not empty", shown(affix)));
            }
        }
        for (name, is_set) in [("byte_fallback", self.byte_fallback), ("ignore_merges", self.ignore_merges)] {
            if is_set {
                return Err(format!("model.{name} is true, not false"));
            }
        }
        let mut settings = BPE::builder().fuse_unk(self.fuse_unk);
        if let Some(token) = self.unk_token {
            settings = settings.unk_token(token);
        }
        if let Some(prefix) = self.continuing_subword_prefix {
            settings = settings.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            settings = settings.end_of_word_suffix(suffix);
        }
        Ok((settings, self.vocab, self.merges))
    }
}

impl AddedTokenOfFile {
    fn token(self) -> (AddedToken, u32) {
        let token = AddedToken::from(self.content, self.special).single_word(self.single_word);
        (token.lstrip(self.lstrip).rstrip(self.rstrip).normalized(self.normalized), self.id)
    }
}

/// Returns the model's type if it is not BPE: the fields of other types are not those of [`Model`].
fn other_model(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct OfAnyKind<'a> {
        #[serde(borrow)]
        model: Kind<'a>,
    }
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    let file: OfAnyKind<'_> = json::from_slice(bytes).ok()?;
    (file.model.kind != "BPE").then(|| shown(&file.model.kind))
}

/// Returns the steps of a sequence, including those of a sequence inside it. Any other value is one step, and
/// null none.
fn steps<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    match value.get(list).and_then(Value::as_array) {
        _ if value.is_null() => Vec::new(),
        Some(inner) if value.get("type").is_some_and(|kind| kind == "Sequence") => {
            inner.iter().flat_map(|step| steps(step, list)).collect()
        }
        _ => vec![value],
    }
}

fn only_byte_level(value: &Value, name: &str, list: &str) -> Result<ByteLevel, String> {
    match steps(value, list).as_slice() {
        [step] => byte_level(step, name),
        [] => Err(format!("{name} is missing; only ByteLevel is read")),
        several => {
            let kinds: Vec<String> = several.iter().map(|step| of(step)).collect();
            Err(format!("{name} is {}; only ByteLevel is read", kinds.join(", then ")))
        }
    }
}

fn byte_level(step: &Value, name: &str) -> Result<ByteLevel, String> {
    const FIELDS: [&str; 4] = ["type", "add_prefix_space", "trim_offsets", "use_regex"];
    if step.get("type").is_none_or(|kind| kind != "ByteLevel") {
        return Err(format!("{name} is {}; only ByteLevel is read", of(step)));
    }
    if let Some(unknown) =
        step.as_object().into_iter().flat_map(|fields| fields.keys()).find(|key| !is_in(key, &FIELDS))
    {
        return Err(format!("{name}.{unknown} is unknown; ByteLevel has {}", FIELDS.join(", ")));
    }
    serde_json::from_value(step.clone()).map_err(|error| format!("{name}: {}", reason(&error)))
}

fn is_in(key: &str, fields: &[&str]) -> bool {
    fields.contains(&key)
}

/// Reads the post-processor. ByteLevel moves offsets, which nothing here asks for. A template is accepted if it
/// adds no token.
fn post_processor(value: &Value) -> Result<Option<ByteLevel>, String> {
    let mut found = None;
    for step in steps(value, "processors") {
        match step.get("type").and_then(Value::as_str) {
            Some("ByteLevel") => found = Some(byte_level(step, "post_processor")?),
            Some("TemplateProcessing") => {
                if let Some(token) = added_by_template(step) {
                    return Err(format!("post_processor adds the token {token} to every text"));
                }
            }
            _ => return Err(format!("post_processor is {}; only ByteLevel is read", of(step))),
        }
    }
    Ok(found)
}

/// Returns the first part of a template for one text that is not the text itself.
fn added_by_template(template: &Value) -> Option<String> {
    let parts = template.get("single").and_then(Value::as_array);
    match parts.map(Vec::as_slice) {
        Some([part]) if part.pointer("/Sequence/id").is_some_and(|id| id == "A") => None,
        Some(parts) => {
            let added = parts.iter().find_map(|part| part.pointer("/SpecialToken/id"));
            Some(added.map_or_else(|| of(template), of))
        }
        None => Some(of(template)),
    }
}

/// Describes a value for a message, by its type if it has one.
fn of(value: &Value) -> String {
    let value = value.get("type").unwrap_or(value);
    value.as_str().map_or_else(|| shown_value(value), shown)
}
