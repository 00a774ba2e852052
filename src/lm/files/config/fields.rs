//! Fields that the `config.json` of every family may have, as `PretrainedConfig` of `transformers` defines them from
//! its first versions to 5: fields that change the computation, and fields that do not.

use serde_json::Value;

use crate::lm::files::json_object::JsonObject;
use crate::lm::files::messages::shown_value;
use crate::lm::network::{Family, ModelConfig};

/// Fault of a field, with a hint.
#[derive(Debug)]
pub(super) struct Complaint {
    pub what: String,
    pub hint: String,
}

impl Complaint {
    pub(super) fn of(what: String) -> Self {
        Self::new(what, "take the config.json that came with the model")
    }

    pub(super) fn new(what: String, hint: impl Into<String>) -> Self {
        Self { what, hint: hint.into() }
    }
}

pub(super) type Checked = Result<(), Complaint>;

/// Fields that change nothing that is computed here, whatever their value.
const WITHOUT_EFFECT: &[&[&str]] = &[
    // Special tokens. The task's own setting truncates texts here; `transformers` reads these fields in the
    // file that is written.
    &["bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "unk_token_id"],
    &["cls_token_id", "mask_token_id", "eos_token_ids", "bos_token", "eos_token", "pad_token", "unk_token"],
    // Initialization and storage of weights. All stored types that are read are computed with in f32.
    &["initializer_range", "dtype", "torch_dtype", "use_bfloat16", "torchscript"],
    // How `transformers` computes the same.
    &[
        "use_cache",
        "gradient_checkpointing",
        "chunk_size_feed_forward",
        "attn_implementation",
        "experts_implementation",
    ],
    &["is_decoder", "xla_device", "tf_legacy_loss", "keys_to_ignore_at_inference", "use_flash_attention_2"],
    // How the model was trained. Training here has no dropout, and its own batches and loss.
    &["dropout", "attention_dropout", "hidden_dropout_prob", "block_size", "loss_type"],
    // What `transformers` returns.
    &["output_hidden_states", "output_attentions", "output_past", "return_dict", "tie_last_hidden_states"],
    // Heads other than the language model's; their tensors are refused where they are in the file.
    &["num_labels", "id2label", "label2id", "problem_type", "finetuning_task", "classifier_dropout"],
    &["v_head_init_strategy", "v_head_initializer_range"],
    // Notes.
    &["transformers_version", "name_or_path", "tokenizer_class", "prefix", "task_specific_params"],
    &["pretrained_config_archive_map", "custom_pipelines", "model_max_length", "unsloth_fixed", "unsloth_version"],
    &["optimum_version", "transformers.js_config"],
    // How `transformers` generates. The settings of `task` define it here.
    &["assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids", "begin_suppress_tokens"],
    &["diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size"],
    &["encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty"],
    &["force_words_ids", "forced_bos_token_id", "forced_decoder_ids", "forced_eos_token_id", "length_penalty"],
    &["cache_implementation", "constraints", "guidance_scale", "low_memory", "max_length", "max_time", "min_p"],
    &["penalty_alpha", "prompt_lookup_num_tokens", "renormalize_logits", "sequence_bias", "stop_strings"],
    &["max_new_tokens", "min_length", "min_new_tokens", "no_repeat_ngram_size", "num_assistant_tokens"],
    &["num_assistant_tokens_schedule", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores"],
    &["remove_invalid_values", "repetition_penalty", "return_dict_in_generate", "suppress_tokens"],
    &["target_lookbehind", "temperature", "top_k", "top_p", "typical_p"],
];

/// Largest size, since ids and positions have 32 bits; no model comes near it.
const LARGEST_SIZE: u64 = 1 << 31;

/// Parses a field; a number too large for every type becomes its text.
pub(super) fn value(fields: &JsonObject, name: &str) -> Option<Value> {
    fields.get(name).map(parsed)
}

pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Reads a size under its own name or one of `others`; all names that the file has must agree.
pub(super) fn read_size(fields: &JsonObject, name: &str, others: &[&str]) -> Result<usize, Complaint> {
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

fn size(name: &str, text: &str) -> Result<usize, Complaint> {
    match serde_json::from_str::<u64>(text) {
        Ok(size @ 1..=LARGEST_SIZE) => Ok(size as usize),
        Ok(size @ 1..) => Err(Complaint::of(format!("{name} is {size}, which no model has"))),
        _ => Err(Complaint::of(format!("{name} is {}, not a whole number above 0", shown_value(&parsed(text))))),
    }
}

/// Reads the number that a norm adds, which is `usual` where the file does not say it.
pub(super) fn epsilon(fields: &JsonObject, name: &str, usual: f64) -> Result<f64, Complaint> {
    let Some(value) = value(fields, name) else { return Ok(usual) };
    let is_usable = |number: &f64| (*number as f32).is_finite() && *number as f32 > 0.0;
    value.as_f64().filter(is_usable).ok_or_else(|| {
        let what = format!("{name} is {}; it must be a number above 0 that 32 bits can hold", shown_value(&value));
        Complaint::new(what, format!("take the config.json that came with the model; the usual value is {usual:e}"))
    })
}

/// Reads the family of the model. A file without `model_type` is a GPT-2, as in the first versions.
pub(super) fn family(fields: &JsonObject) -> Result<Family, Complaint> {
    match value(fields, "model_type").unwrap_or_default() {
        Value::Null => Ok(Family::Gpt2),
        kind => Family::ALL.into_iter().find(|family| kind == family.name()).ok_or_else(|| {
            let known = Family::ALL.map(|family| format!("{:?}", family.name())).join(", ");
            Complaint::new(
                format!("model_type is {}; it must be one of {known}", shown_value(&kind)),
                "take a model of one of these families in Hugging Face layout, such as openai-community/gpt2 or \
                 HuggingFaceTB/SmolLM2-135M",
            )
        }),
    }
}

/// Checks a field that all families may have. Refuses an unknown field, and a field that asks for a computation that
/// does not exist here.
pub(super) fn check(name: &str, value: &Value, config: &ModelConfig, architectures: &[&str]) -> Checked {
    let is_nothing = is_nothing(value);
    match name {
        "model_type" => Ok(()),
        "tie_word_embeddings" => needed(value.is_boolean(), name, value, "true or false"),
        "add_cross_attention" | "is_encoder_decoder" | "tie_encoder_decoder" => {
            needed(is_nothing, name, value, "false")
        }
        "cross_attention_hidden_size" | "per_layer_config" => needed(is_nothing, name, value, "null"),
        "layer_types" => {
            let is_full = |kind: &Value| kind == "full_attention";
            let is_usual = value.is_null() || value.as_array().is_some_and(|kinds| kinds.iter().all(is_full));
            needed(is_usual, name, value, "\"full_attention\" in every layer")
        }
        "pruned_heads" => {
            let is_none = is_nothing || value.as_object().is_some_and(serde_json::Map::is_empty);
            needed(is_none, name, value, "empty")
        }
        "architectures" => check_architectures(value, config.family, architectures),
        "quantization_config" => match is_nothing {
            true => Ok(()),
            false => Err(Complaint::new(
                "quantization_config: the weights are quantized, but floats are needed".into(),
                "take the model before it was quantized",
            )),
        },
        "auto_map" => match value.is_null() {
            true => Ok(()),
            false => Err(Complaint::new(
                format!("auto_map asks for Python code that comes with the model: {}", shown_value(value)),
                "preftune computes models as transformers has them; a model with code of its own cannot be read",
            )),
        },
        _ => check_unknown(name, value),
    }
}

pub(super) fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

fn check_architectures(value: &Value, family: Family, architectures: &[&str]) -> Checked {
    let none = Vec::new();
    let listed = if value.is_null() { Some(&none) } else { value.as_array() };
    let is_known = |class: &Value| class.as_str().is_some_and(|class| architectures.contains(&class));
    match listed.is_some_and(|classes| classes.iter().all(is_known)) {
        true => Ok(()),
        false => Err(Complaint::new(
            format!("architectures is {}; it must be [{:?}]", shown_value(value), family.architecture()),
            "take a language model, not a classifier; if this is one, correct the field in config.json",
        )),
    }
}

/// Refuses an unknown field, unless it has no value or an underscore before its name, which marks notes of the
/// program that wrote the file (`_name_or_path`, `_num_labels`, `_commit_hash`).
fn check_unknown(name: &str, value: &Value) -> Checked {
    let is_known = WITHOUT_EFFECT.iter().any(|names| names.contains(&name));
    match is_known || value.is_null() || name.starts_with('_') {
        true => Ok(()),
        false => Err(Complaint::new(
            format!("unknown field {name}: {}", shown_value(value)),
            format!("if {name} changes nothing that the network computes, delete it from config.json"),
        )),
    }
}

pub(super) fn needed(holds: bool, name: &str, value: &Value, needed: &str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Complaint::new(
            format!("{name} is {}; it must be {needed}", shown_value(value)),
            "preftune computes the family as published: a model that computes something else cannot be read",
        )),
    }
}
