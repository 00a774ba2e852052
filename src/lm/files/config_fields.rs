//! Fields of a GPT-2's `config.json`, as `GPT2Config` and `PretrainedConfig` of `transformers` define them,
//! from its first versions to 5: fields that change the computation, and fields that do not.

use serde_json::{Value, json};

use super::messages::shown_value;
use crate::lm::network::ModelConfig;

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

    fn new(what: String, hint: impl Into<String>) -> Self {
        Self { what, hint: hint.into() }
    }
}

type Checked = Result<(), Complaint>;

/// Names that `transformers` has for the tanh approximation of GELU; its variants differ in rounding.
const ACTIVATIONS: [&str; 5] = ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh"];

/// Architectures that are a GPT-2 with a language model's head, with or without a value head.
const ARCHITECTURES: [&str; 6] = [
    "GPT2LMHeadModel",
    "GPT2Model",
    "TFGPT2LMHeadModel",
    "FlaxGPT2LMHeadModel",
    "AutoModelForCausalLMWithValueHead",
    "GPT2LMAndValueHeadModel",
];

/// Fields that change nothing that is computed here, whatever their value.
const WITHOUT_EFFECT: &[&[&str]] = &[
    // Special tokens. The task's own setting truncates texts here; `transformers` reads these fields in the
    // file that is written.
    &["bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "unk_token_id"],
    &["cls_token_id", "mask_token_id", "eos_token_ids", "bos_token", "eos_token", "pad_token", "unk_token"],
    // Sizes of early versions: the shape of the token embedding is compared with `vocab_size`.
    &["n_special", "vocab_size_or_config_json_file"],
    // Initialization and storage of weights. All stored types that are read are computed with in f32.
    &["initializer_range", "dtype", "torch_dtype", "use_bfloat16", "torchscript", "reorder_and_upcast_attn"],
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
    &["summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout"],
    &["summary_last_dropout", "summary_hidden_size", "num_labels", "id2label", "label2id", "problem_type"],
    &["finetuning_task", "classifier_dropout", "hidden_dropout", "predict_special_tokens", "summary_dropout_prob"],
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

/// Checks whether the file belongs to a GPT-2.
pub(super) fn check_kind(model_type: Value) -> Checked {
    match model_type {
        Value::Null => Ok(()),
        kind if kind == json!("gpt2") => Ok(()),
        kind => Err(Complaint::new(
            format!("found a model of model_type {}, needed \"gpt2\"", shown_value(&kind)),
            "preftune reads GPT-2 models in Hugging Face layout, such as openai-community/gpt2",
        )),
    }
}

/// Reads the number that is added to variances.
pub(super) fn epsilon(value: &Value) -> Result<f64, Complaint> {
    let is_usable = |number: &f64| (*number as f32).is_finite() && *number as f32 > 0.0;
    value.as_f64().filter(is_usable).ok_or_else(|| {
        let what =
            format!("layer_norm_epsilon is {}; it must be a number above 0 that 32 bits can hold", shown_value(value));
        Complaint::new(what, "take the config.json that came with the model; GPT-2 has 1e-5")
    })
}

/// Refuses an unknown field, and a field that asks for a computation that does not exist here. [`check_kind`]
/// and [`epsilon`] check their own fields, and sizes are checked when they are read.
pub(super) fn check(name: &str, value: &Value, config: &ModelConfig) -> Checked {
    let inner = 4 * config.n_embd as u64;
    let among = |known: &[&str]| value.as_str().is_some_and(|value| known.contains(&value));
    let is_nothing = matches!(value, Value::Null | Value::Bool(false));
    match name {
        "model_type" | "layer_norm_epsilon" => Ok(()),
        "activation_function" | "hidden_act" => needed(among(&ACTIVATIONS), name, value, "\"gelu_new\""),
        "n_inner" | "intermediate_size" => {
            let is_usual = value.is_null() || value.as_u64() == Some(inner);
            needed(is_usual, name, value, &format!("4 × n_embd = {inner}"))
        }
        "head_dim" => {
            let usual = config.head_width();
            needed(value.as_u64() == Some(usual as u64), name, value, &format!("n_embd / n_head = {usual}"))
        }
        "scale_attn_weights" => needed(value == &json!(true), name, value, "true"),
        "tie_word_embeddings" => needed(value.is_boolean(), name, value, "true or false"),
        "position_embedding_type" => needed(among(&["absolute"]), name, value, "\"absolute\""),
        // Training here has no dropout, as the original's had none.
        "resid_pdrop" | "embd_pdrop" | "attn_pdrop" => {
            needed(value.as_f64().is_some_and(|rate| (0.0..=1.0).contains(&rate)), name, value, "a rate from 0 to 1")
        }
        "scale_attn_by_inverse_layer_idx" | "add_cross_attention" | "is_encoder_decoder" | "tie_encoder_decoder" => {
            needed(is_nothing, name, value, "false")
        }
        "cross_attention_hidden_size" | "per_layer_config" => needed(is_nothing, name, value, "null"),
        "layer_types" => {
            let is_full = |kind: &Value| kind == "full_attention";
            let is_usual = value.is_null() || value.as_array().is_some_and(|kinds| kinds.iter().all(is_full));
            needed(is_usual, name, value, "\"full_attention\" in every layer")
        }
        "bias" => needed(value.is_null() || value == &json!(true), name, value, "true"),
        "pruned_heads" => {
            let is_none = is_nothing || value.as_object().is_some_and(serde_json::Map::is_empty);
            needed(is_none, name, value, "no pruned heads")
        }
        "architectures" => check_architectures(value),
        "quantization_config" => match is_nothing {
            true => Ok(()),
            false => Err(Complaint::new(
                "quantization_config: the weights are quantized; needed floats".into(),
                "take the model before it was quantized",
            )),
        },
        "auto_map" => match value.is_null() {
            true => Ok(()),
            false => Err(Complaint::new(
                format!("auto_map asks for Python code that comes with the model: {}", shown_value(value)),
                "preftune reads GPT-2 as transformers has it; a model that computes something else cannot be read",
            )),
        },
        _ => check_unknown(name, value),
    }
}

fn check_architectures(value: &Value) -> Checked {
    let none = Vec::new();
    let listed = if value.is_null() { Some(&none) } else { value.as_array() };
    let is_known = |class: &Value| class.as_str().is_some_and(|class| ARCHITECTURES.contains(&class));
    match listed.is_some_and(|classes| classes.iter().all(is_known)) {
        true => Ok(()),
        false => Err(Complaint::new(
            format!("found architectures {}, needed [\"GPT2LMHeadModel\"]", shown_value(value)),
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

fn needed(holds: bool, name: &str, value: &Value, needed: &str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Complaint::new(
            format!("found {name} {}, needed {needed}", shown_value(value)),
            "preftune computes GPT-2 as published: a model that computes something else cannot be read",
        )),
    }
}
