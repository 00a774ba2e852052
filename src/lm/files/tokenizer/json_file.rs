//! `tokenizer.json`: known fields are read, and everything else is refused by name.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::models::bpe::{BPE, BpeBuilder};
use tokenizers::{AddedToken, DecoderWrapper, PostProcessorWrapper};

use super::definition::Definition;
use super::settings::LARGEST_SETTINGS;
use super::spelling::Spelling;
use super::splitting::{Splitting, check_fields, from_value, of, steps};
use super::vocabulary_json::{MergeList, TokenIds};
use crate::json;
use crate::lm::files::messages::{reason, shown};

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
    /// Token for unknown text, never used: text without a token is refused.
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
    let splitting = Splitting::read(&file.normalizer.0, &file.pre_tokenizer.0)?;
    let ignores_merges = file.model.ignore_merges;
    let (settings, TokenIds(vocabulary), MergeList(merges)) = file.model.understood(splitting.spelling)?;
    let (post_processor, start) = post_processor(&file.post_processor.0)?;
    Ok(Definition {
        vocabulary,
        merges,
        added: file.added_tokens.unwrap_or_default().into_iter().map(AddedTokenOfFile::token).collect(),
        decoder: decoder(&file.decoder.0, splitting.spelling)?,
        splitting,
        post_processor,
        start,
        ignores_merges,
        model: settings,
    })
}

impl<'a> Model<'a> {
    fn understood(self, spelling: Spelling) -> Result<(BpeBuilder, TokenIds<'a>, MergeList<'a>), String> {
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
        let marks_spaces = spelling == Spelling::SpaceMark;
        if self.byte_fallback != marks_spaces {
            return Err(format!("model.byte_fallback is {}, not {marks_spaces}", self.byte_fallback));
        }
        let settings = BPE::builder().fuse_unk(self.fuse_unk);
        let mut settings = settings.byte_fallback(self.byte_fallback).ignore_merges(self.ignore_merges);
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

/// Reads the decoder, which only a copy of the file needs: tokens are decoded by their spelling.
fn decoder(value: &Value, spelling: Spelling) -> Result<DecoderWrapper, String> {
    let known: &[&str] = match spelling {
        Spelling::ByteLevel => &["ByteLevel"],
        Spelling::SpaceMark => &["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"],
    };
    let found = steps(value, "decoders");
    let is_known = |step: &&Value| step.get("type").and_then(Value::as_str).is_some_and(|kind| known.contains(&kind));
    if found.is_empty() {
        return Err(format!("decoder is missing; this program supports {}", known.join(", ")));
    }
    if let Some(step) = found.iter().find(|step| !is_known(step)) {
        return Err(format!("decoder is {}; this program supports {}", of(step), known.join(", ")));
    }
    if let ([step], Spelling::ByteLevel) = (found.as_slice(), spelling) {
        check_fields(step, "decoder", &BYTE_LEVEL_FIELDS)?;
    }
    from_value(value, "decoder")
}

const BYTE_LEVEL_FIELDS: [&str; 4] = ["type", "add_prefix_space", "trim_offsets", "use_regex"];

/// Reads the post-processor, and the tokens that it puts before every text. ByteLevel moves offsets, which nothing
/// here asks for.
fn post_processor(value: &Value) -> Result<(Option<PostProcessorWrapper>, Vec<String>), String> {
    let mut start = Vec::new();
    for step in steps(value, "processors") {
        match step.get("type").and_then(Value::as_str) {
            Some("ByteLevel") => check_fields(step, "post_processor", &BYTE_LEVEL_FIELDS)?,
            Some("TemplateProcessing") => start.extend(added_by_template(step)?),
            _ => {
                return Err(format!(
                    "post_processor is {}; this program supports ByteLevel and TemplateProcessing",
                    of(step)
                ));
            }
        }
    }
    let processor = if value.is_null() { None } else { Some(from_value(value, "post_processor")?) };
    Ok((processor, start))
}

/// Returns the tokens that a template puts before a text; tokens after it are refused, since every text would end
/// with them.
fn added_by_template(template: &Value) -> Result<Vec<String>, String> {
    let parts = template.get("single").and_then(Value::as_array);
    let parts = parts.ok_or_else(|| format!("post_processor {} has no list \"single\"", of(template)))?;
    let token = |part: &Value| part.pointer("/SpecialToken/id").and_then(Value::as_str).map(String::from);
    let is_text = |part: &Value| part.pointer("/Sequence/id").is_some_and(|id| id == "A");
    match parts.iter().position(is_text) {
        Some(place) if place + 1 == parts.len() => {
            let before = parts.iter().take(place);
            before.map(|part| token(part).ok_or_else(|| of(template))).collect()
        }
        _ => {
            let added = parts.last().and_then(token).map_or_else(|| of(template), |token| shown(&token));
            Err(format!("post_processor adds the token {added} after every text"))
        }
    }
}
