//! `config.json`, read by a list of known fields: a field is applied, or known to change no computation, or
//! refused by name. Fields that this program does not change are written again as they were.

mod fields;
mod gpt2;
mod llama;

use std::path::Path;

use serde_json::json;

use super::json_object::JsonObject;
use super::tensor_file::Precision;
use crate::error::{Error, Result};
use crate::json;
use crate::lm::network::{Family, ModelConfig};
use fields::{Complaint, value};

/// Contents of a `config.json`.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Sizes of the network. Whether the output head is the token embedding also depends on the weights.
    pub config: ModelConfig,
    /// True if `config.json` says that the output head is the token embedding, or says nothing and it is usual.
    pub ties_embeddings: bool,
    bytes: Vec<u8>,
    fields: JsonObject,
}

impl ConfigFile {
    /// Reads a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`], naming the field, when the file is not JSON, when its sizes do not fit together, when
    /// it asks for a computation that does not exist here, and for an unknown field.
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let fields: JsonObject = json::from_slice(bytes).map_err(|error| {
            let hint = "take the config.json that came with the model";
            Error::input(path, format!("not a model configuration: {error}"), hint)
        })?;
        Self::of_fields(bytes, fields).map_err(|complaint| Error::input(path, complaint.what, complaint.hint))
    }

    fn of_fields(bytes: &[u8], fields: JsonObject) -> std::result::Result<Self, Complaint> {
        let family = fields::family(&fields)?;
        let mut config = match family {
            Family::Gpt2 => gpt2::read(&fields)?,
            _ => llama::read(&fields, family)?,
        };
        for (name, text) in fields.fields() {
            match family {
                Family::Gpt2 => gpt2::check(name, &fields::parsed(text), &config)?,
                _ => llama::check(name, &fields::parsed(text), &config)?,
            }
        }
        let ties = value(&fields, "tie_word_embeddings").and_then(|value| value.as_bool());
        config.tied_output_head = ties.unwrap_or(family == Family::Gpt2);
        Ok(Self { ties_embeddings: config.tied_output_head, config, bytes: bytes.into(), fields })
    }

    /// Returns the field with the tokens that end a text.
    pub(super) fn end_tokens(&self) -> Option<serde_json::Value> {
        value(&self.fields, "eos_token_id")
    }

    /// Returns the `config.json` for weights that this program writes; all other fields stay as they were read.
    ///
    /// # Errors
    /// [`Error::Failed`] if the fields cannot be expressed as JSON.
    pub fn to_json(&self, precision: Precision) -> Result<Vec<u8>> {
        let written = match precision {
            Precision::F32 => "float32",
            Precision::F16 => "float16",
        };
        let mut changes = Vec::new();
        let has = |name: &str| value(&self.fields, name).is_some_and(|value| !value.is_null());
        changes
            .extend(["dtype", "torch_dtype"].into_iter().filter(|name| has(name)).map(|name| (name, json!(written))));
        let tied = self.config.tied_output_head;
        changes.extend((self.ties_embeddings != tied).then_some(("tie_word_embeddings", json!(tied))));
        changes.extend((!has("model_type")).then_some(("model_type", json!(self.config.family.name()))));
        let architecture = self.config.family.architecture();
        let architectures = value(&self.fields, "architectures").unwrap_or_default();
        let is_language_model = architectures.as_array().is_some_and(|all| all.contains(&json!(architecture)));
        changes.extend((!is_language_model).then_some(("architectures", json!([architecture]))));

        changes.retain(|(name, new)| value(&self.fields, name).as_ref() != Some(new));
        if changes.is_empty() {
            return Ok(self.bytes.clone());
        }
        let mut fields = self.fields.clone();
        changes.iter().for_each(|(name, value)| fields.set(name, value));
        let mut text = serde_json::to_vec_pretty(&fields)
            .map_err(|error| Error::failed(format!("config.json cannot be written: {error}"), ""))?;
        text.push(b'\n');
        Ok(text)
    }
}

impl ModelConfig {
    /// Returns a `config.json` from which `transformers` loads a new model of this shape; `end_of_text` is the token
    /// that begins and ends a text, if the vocabulary has one.
    pub fn to_json(&self, end_of_text: Option<u32>) -> String {
        let mut fields = match self.family {
            Family::Gpt2 => gpt2::fields(self),
            _ => llama::fields(self),
        };
        let shared = json!({
            "model_type": self.family.name(),
            "architectures": [self.family.architecture()],
            "vocab_size": self.vocab_size,
            "initializer_range": 0.02,
            "tie_word_embeddings": self.tied_output_head,
            "bos_token_id": end_of_text,
            "eos_token_id": end_of_text,
        });
        if let (Some(fields), Some(shared)) = (fields.as_object_mut(), shared.as_object()) {
            fields.extend(shared.clone());
        }
        format!("{fields:#}\n")
    }
}
