//! `config.json`, read by a list of known fields: a field is applied, or known to change no computation, or
//! refused by name. Fields that this program does not change are written again as they were.

use std::path::Path;

use serde_json::{Value, json};

use super::config_fields;
use super::config_fields::Complaint;
use super::json_object::JsonObject;
use super::messages::shown_value;
use super::tensor_file::Precision;
use crate::error::{Error, Result};
use crate::json;
use crate::lm::network::ModelConfig;

/// Names of the sizes, each with its synonyms (`GPT2Config.attribute_map` in `transformers`, and `n_ctx` of its
/// early versions).
const SIZES: [(&str, &[&str]); 5] = [
    ("vocab_size", &[]),
    ("n_positions", &["max_position_embeddings", "n_ctx"]),
    ("n_embd", &["hidden_size"]),
    ("n_layer", &["num_hidden_layers"]),
    ("n_head", &["num_attention_heads"]),
];

/// Largest size, since ids and positions have 32 bits; no model comes near it.
const LARGEST_SIZE: u64 = 1 << 31;

/// Class of `transformers` for a GPT-2 with the head of a language model.
const ARCHITECTURE: &str = "GPT2LMHeadModel";

/// Contents of a `config.json`.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Sizes of the network.
    pub config: ModelConfig,
    /// True if the output head is the token embedding; `None` if the file does not say it.
    pub ties_embeddings: Option<bool>,
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
        config_fields::check_kind(value(&fields, "model_type").unwrap_or_default())?;
        let mut sizes = [0; SIZES.len()];
        for (size, (name, others)) in sizes.iter_mut().zip(SIZES) {
            *size = read_size(&fields, name, others)?;
        }
        let [vocab_size, n_positions, n_embd, n_layer, n_head] = sizes;
        if !n_embd.is_multiple_of(n_head) {
            return Err(Complaint::of(format!("n_embd {n_embd} is not a multiple of n_head {n_head}")));
        }
        let layer_norm_epsilon = match value(&fields, "layer_norm_epsilon") {
            None => 1e-5,
            Some(value) => config_fields::epsilon(&value)?,
        };
        let config = ModelConfig { vocab_size, n_positions, n_embd, n_layer, n_head, layer_norm_epsilon };
        let is_size = |name: &str| SIZES.iter().any(|(known, others)| *known == name || others.contains(&name));
        for (name, text) in fields.fields().filter(|(name, _)| !is_size(name)) {
            config_fields::check(name, &parsed(text), &config)?;
        }
        let ties_embeddings = value(&fields, "tie_word_embeddings").and_then(|value| value.as_bool());
        Ok(Self { config, ties_embeddings, bytes: bytes.into(), fields })
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
        changes.extend((self.ties_embeddings == Some(false)).then_some(("tie_word_embeddings", json!(true))));
        changes.extend((!has("model_type")).then_some(("model_type", json!("gpt2"))));
        let architectures = value(&self.fields, "architectures").unwrap_or_default();
        let is_language_model = architectures.as_array().is_some_and(|all| all.contains(&json!(ARCHITECTURE)));
        changes.extend((!is_language_model).then_some(("architectures", json!([ARCHITECTURE]))));

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

fn value(fields: &JsonObject, name: &str) -> Option<Value> {
    fields.get(name).map(parsed)
}

/// Parses JSON text; a number too large for every type becomes its text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Reads a size under its own name or one of `others`; all names that the file has must agree.
fn read_size(fields: &JsonObject, name: &str, others: &[&str]) -> std::result::Result<usize, Complaint> {
    let mut found: Option<(&str, usize)> = None;
    for &name in std::iter::once(&name).chain(others) {
        let Some(text) = fields.get(name) else { continue };
        let size = size(name, text)?;
        match found {
            Some((before, other)) if other != size => {
                return Err(Complaint::of(format!("{before} is {other}, but {name}, which says the same, is {size}")));
            }
            _ => found = found.or(Some((name, size))),
        }
    }
    found.map(|(_, size)| size).ok_or_else(|| {
        let also = others.iter().map(|other| format!(" or {other}")).collect::<String>();
        Complaint::of(format!("the field {name}{also} is missing"))
    })
}

fn size(name: &str, text: &str) -> std::result::Result<usize, Complaint> {
    match serde_json::from_str::<u64>(text) {
        Ok(size @ 1..=LARGEST_SIZE) => Ok(size as usize),
        Ok(size @ 1..) => Err(Complaint::of(format!("{name} is {size}, which no model has"))),
        _ => Err(Complaint::of(format!("{name} is {}, not a whole number above 0", shown_value(&parsed(text))))),
    }
}
