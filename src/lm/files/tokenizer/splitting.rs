//! How text becomes the pieces that merges join to tokens: what changes it, and where it is split.

use serde_json::Value;
use tokenizers::normalizers::{NormalizerWrapper, Sequence as Normalizers};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;

use super::spelling::{SPACE_MARK, Spelling};
use crate::lm::files::messages::{reason, shown, shown_value};

/// Steps from text to pieces.
#[derive(Debug, Clone)]
pub(super) struct Splitting {
    pub spelling: Spelling,
    normalizers: Vec<NormalizerWrapper>,
    pre_tokenizers: Vec<PreTokenizerWrapper>,
}

impl Splitting {
    /// Takes the steps of a GPT-2.
    pub(super) fn gpt2() -> Self {
        let pre_tokenizers = vec![ByteLevel::new(false, true, true).into()];
        Self { spelling: Spelling::ByteLevel, normalizers: Vec::new(), pre_tokenizers }
    }

    /// Reads the steps of a `tokenizer.json`; the error says which is not understood.
    pub(super) fn read(normalizer: &Value, pre_tokenizer: &Value) -> Result<Self, String> {
        let normalizers = steps(normalizer, "normalizers").into_iter().map(read_normalizer);
        let normalizers: Vec<NormalizerWrapper> = normalizers.collect::<Result<_, _>>()?;
        let pre_tokenizers = steps(pre_tokenizer, "pretokenizers").into_iter().map(read_pre_tokenizer);
        let pre_tokenizers: Vec<PreTokenizerWrapper> = pre_tokenizers.collect::<Result<_, _>>()?;
        let marks_spaces = normalizers.iter().any(|step| matches!(step, NormalizerWrapper::Replace(_)))
            || pre_tokenizers.iter().any(|step| matches!(step, PreTokenizerWrapper::Metaspace(_)));
        let is_byte_level = |step: &PreTokenizerWrapper| matches!(step, PreTokenizerWrapper::ByteLevel(_));
        let spelling = match (marks_spaces, pre_tokenizers.iter().filter(|step| is_byte_level(step)).count()) {
            (true, 0) => Spelling::SpaceMark,
            (false, 1) if pre_tokenizers.last().is_some_and(is_byte_level) => Spelling::ByteLevel,
            (false, 0) if pre_tokenizers.is_empty() => {
                return Err("pre_tokenizer is missing; this program supports ByteLevel and Metaspace".into());
            }
            _ => {
                let kinds = format!("{}, {}", of(normalizer), of(pre_tokenizer));
                return Err(format!("normalizer and pre_tokenizer do not fit together: {kinds}"));
            }
        };
        Ok(Self { spelling, normalizers, pre_tokenizers })
    }

    /// Checks whether a space is added before text.
    pub(super) fn adds_space(&self) -> bool {
        self.normalizers.iter().any(|step| matches!(step, NormalizerWrapper::Prepend(_)))
            || self.pre_tokenizers.iter().any(|step| match step {
                PreTokenizerWrapper::ByteLevel(step) => step.add_prefix_space,
                PreTokenizerWrapper::Metaspace(step) => step.prepend_scheme != PrependScheme::Never,
                _ => false,
            })
    }

    /// Returns the steps for text that follows other text.
    #[must_use]
    pub(super) fn without_added_space(mut self) -> Self {
        self.normalizers.retain(|step| !matches!(step, NormalizerWrapper::Prepend(_)));
        for step in &mut self.pre_tokenizers {
            match step {
                PreTokenizerWrapper::ByteLevel(step) => step.add_prefix_space = false,
                PreTokenizerWrapper::Metaspace(step) => step.prepend_scheme = PrependScheme::Never,
                _ => {}
            }
        }
        self
    }

    /// Returns the steps of a byte-level tokenizer that adds a space before text.
    #[must_use]
    pub(super) fn with_added_space(mut self) -> Self {
        for step in &mut self.pre_tokenizers {
            if let PreTokenizerWrapper::ByteLevel(step) = step {
                step.add_prefix_space = true;
            }
        }
        self
    }

    pub(super) fn normalizer(&self) -> Option<NormalizerWrapper> {
        match self.normalizers.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => Some(Normalizers::new(several.to_vec()).into()),
        }
    }

    pub(super) fn pre_tokenizer(&self) -> Option<PreTokenizerWrapper> {
        match self.pre_tokenizers.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => Some(PreTokenizers::new(several.to_vec()).into()),
        }
    }
}

fn read_normalizer(step: &Value) -> Result<NormalizerWrapper, String> {
    let mark = SPACE_MARK.to_string();
    let is_usual = match step.get("type").and_then(Value::as_str) {
        Some("NFC") => has_only(step, &["type"]),
        Some("Prepend") => {
            step.get("prepend").is_some_and(|text| text == mark.as_str()) && has_only(step, &["type", "prepend"])
        }
        Some("Replace") => {
            let is_space = step.pointer("/pattern/String").is_some_and(|text| text == " ");
            is_space
                && step.get("content").is_some_and(|text| text == mark.as_str())
                && has_only(step, &["type", "pattern", "content"])
        }
        _ => return Err(format!("normalizer is {}, which changes text before it is read", of(step))),
    };
    match is_usual {
        true => from_value(step, "normalizer"),
        false => Err(format!("normalizer is {}, which changes text in a way that is not read", shown_value(step))),
    }
}

fn read_pre_tokenizer(step: &Value) -> Result<PreTokenizerWrapper, String> {
    let mark = SPACE_MARK.to_string();
    let fields: &[&str] = match step.get("type").and_then(Value::as_str) {
        Some("ByteLevel") => &["type", "add_prefix_space", "trim_offsets", "use_regex"],
        Some("Digits") => &["type", "individual_digits"],
        Some("Split") if step.get("behavior").is_some_and(|behavior| behavior == "Isolated") => {
            &["type", "pattern", "behavior", "invert"]
        }
        Some("Metaspace") if step.get("replacement").is_some_and(|text| text == mark.as_str()) => {
            &["type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"]
        }
        _ => {
            return Err(format!(
                "pre_tokenizer is {}; this program supports ByteLevel, Digits, Split and Metaspace",
                of(step)
            ));
        }
    };
    check_fields(step, "pre_tokenizer", fields)?;
    from_value(step, "pre_tokenizer")
}

/// Refuses fields that are not known.
pub(super) fn check_fields(step: &Value, name: &str, fields: &[&str]) -> Result<(), String> {
    let mut keys = step.as_object().into_iter().flat_map(|fields| fields.keys());
    match keys.find(|key| !fields.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(format!("{name}.{unknown} is unknown; {} has {}", of(step), fields.join(", "))),
    }
}

fn has_only(step: &Value, fields: &[&str]) -> bool {
    check_fields(step, "", fields).is_ok()
}

pub(super) fn from_value<T: serde::de::DeserializeOwned>(step: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(step.clone()).map_err(|error| format!("{name}: {}", reason(&error)))
}

/// Returns the steps of a sequence, including those of a sequence inside it. Any other value is one step, and
/// null none.
pub(super) fn steps<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    match value.get(list).and_then(Value::as_array) {
        _ if value.is_null() => Vec::new(),
        Some(inner) if value.get("type").is_some_and(|kind| kind == "Sequence") => {
            inner.iter().flat_map(|step| steps(step, list)).collect()
        }
        _ => vec![value],
    }
}

/// Describes a value for a message, by its type if it has one.
pub(super) fn of(value: &Value) -> String {
    let value = value.get("type").unwrap_or(value);
    value.as_str().map_or_else(|| shown_value(value), shown)
}
