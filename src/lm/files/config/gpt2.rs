//! Fields of a GPT-2's `config.json`, as `GPT2Config` of `transformers` defines them.

use serde_json::{Value, json};

use super::fields::{Checked, Complaint, check as check_shared, epsilon, is_nothing, needed, read_size};
use crate::lm::files::json_object::JsonObject;
use crate::lm::network::ModelConfig;

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
const WITHOUT_EFFECT: [&str; 13] = [
    // Sizes of early versions: the shape of the token embedding is compared with `vocab_size`.
    "n_special",
    "vocab_size_or_config_json_file",
    // How `transformers` computes the same.
    "reorder_and_upcast_attn",
    // Heads other than the language model's.
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
    "summary_last_dropout",
    "summary_hidden_size",
    "summary_dropout_prob",
    "hidden_dropout",
    "predict_special_tokens",
];

/// Names of the sizes, each with its synonyms (`GPT2Config.attribute_map` in `transformers`, and `n_ctx` of its
/// early versions).
const SIZES: [(&str, &[&str]); 5] = [
    ("vocab_size", &[]),
    ("n_positions", &["max_position_embeddings", "n_ctx"]),
    ("n_embd", &["hidden_size"]),
    ("n_layer", &["num_hidden_layers"]),
    ("n_head", &["num_attention_heads"]),
];

/// Reads the sizes.
pub(super) fn read(fields: &JsonObject) -> Result<ModelConfig, Complaint> {
    let mut sizes = [0; SIZES.len()];
    for (size, (name, others)) in sizes.iter_mut().zip(SIZES) {
        *size = read_size(fields, name, others)?;
    }
    let [vocab_size, positions, width, layers, heads] = sizes;
    if !width.is_multiple_of(heads) {
        return Err(Complaint::of(format!("n_embd {width} is not a multiple of n_head {heads}")));
    }
    let norm_epsilon = epsilon(fields, "layer_norm_epsilon", 1e-5)?;
    Ok(ModelConfig { vocab_size, positions, layers, norm_epsilon, ..ModelConfig::gpt2(width, heads) })
}

/// Checks a field that is not read.
pub(super) fn check(name: &str, value: &Value, config: &ModelConfig) -> Checked {
    let inner = 4 * config.width as u64;
    let among = |known: &[&str]| value.as_str().is_some_and(|value| known.contains(&value));
    match name {
        "layer_norm_epsilon" => Ok(()),
        name if SIZES.iter().any(|(known, others)| *known == name || others.contains(&name)) => Ok(()),
        name if WITHOUT_EFFECT.contains(&name) => Ok(()),
        "activation_function" | "hidden_act" => needed(among(&ACTIVATIONS), name, value, "\"gelu_new\""),
        "n_inner" | "intermediate_size" => {
            let is_usual = value.is_null() || value.as_u64() == Some(inner);
            needed(is_usual, name, value, &format!("4 × n_embd = {inner}"))
        }
        "head_dim" => {
            let usual = config.head_width;
            needed(value.as_u64() == Some(usual as u64), name, value, &format!("n_embd / n_head = {usual}"))
        }
        "scale_attn_weights" => needed(value == &json!(true), name, value, "true"),
        "position_embedding_type" => needed(among(&["absolute"]), name, value, "\"absolute\""),
        // Training here has no dropout, as the original's had none.
        "resid_pdrop" | "embd_pdrop" | "attn_pdrop" => {
            needed(value.as_f64().is_some_and(|rate| (0.0..=1.0).contains(&rate)), name, value, "a rate from 0 to 1")
        }
        "scale_attn_by_inverse_layer_idx" => needed(is_nothing(value), name, value, "false"),
        "bias" => needed(value.is_null() || value == &json!(true), name, value, "true"),
        _ => check_shared(name, value, config, &ARCHITECTURES),
    }
}

/// Returns the fields of a new model.
pub(super) fn fields(config: &ModelConfig) -> Value {
    json!({
        "n_positions": config.positions,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": null,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    })
}
