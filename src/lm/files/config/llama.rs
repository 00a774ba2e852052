//! Fields of the `config.json` of a Llama and its variants, as `LlamaConfig`, `MistralConfig`, `Qwen2Config` and
//! `Qwen3Config` of `transformers` define them in versions 4 and 5.

use serde_json::{Map, Value, json};

use super::fields::{Checked, Complaint, check as check_shared, epsilon, is_nothing, needed, read_size, value};
use crate::lm::files::json_object::JsonObject;
use crate::lm::files::messages::shown_value;
use crate::lm::network::{Biases, Family, Llama3Scaling, ModelConfig, Rotation};

/// Fields that [`read`] reads.
const READ: [&str; 13] = [
    "vocab_size",
    "max_position_embeddings",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
];

/// Fields that change nothing that is computed here, whatever their value.
const WITHOUT_EFFECT: [&str; 4] = [
    // Number of parts in which `transformers` computes the same products.
    "pretraining_tp",
    "is_llama_config",
    // First layer with a sliding window, of which there is none.
    "max_window_layers",
    "base_model_tp_plan",
];

const USUAL_THETA: f64 = 10_000.0;

/// Reads sizes and parts.
pub(super) fn read(fields: &JsonObject, family: Family) -> Result<ModelConfig, Complaint> {
    let size = |name: &str| read_size(fields, name, &[]);
    let size_or = |name: &str, usual: usize| match value(fields, name) {
        None | Some(Value::Null) => Ok(usual),
        Some(_) => size(name),
    };
    let [width, heads] = [size("hidden_size")?, size("num_attention_heads")?];
    let key_value_heads = size_or("num_key_value_heads", if family == Family::Mistral { 8 } else { heads })?;
    if !heads.is_multiple_of(key_value_heads) {
        let what = format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {key_value_heads}");
        return Err(Complaint::of(what));
    }
    let head_width = head_width(fields, family, width, heads)?;
    let positions = size("max_position_embeddings")?;
    check_window(fields, family, positions)?;
    Ok(ModelConfig {
        family,
        vocab_size: size("vocab_size")?,
        positions,
        width,
        layers: size("num_hidden_layers")?,
        heads,
        key_value_heads,
        head_width,
        feed_forward_width: size("intermediate_size")?,
        norm_epsilon: epsilon(fields, "rms_norm_eps", 1e-6)?,
        biases: biases(fields, family)?,
        query_key_norms: family == Family::Qwen3,
        rotation: Some(rotation(fields)?),
        tied_output_head: false,
    })
}

fn head_width(fields: &JsonObject, family: Family, width: usize, heads: usize) -> Result<usize, Complaint> {
    let head_width = match value(fields, "head_dim") {
        Some(Value::Null) | None if family == Family::Qwen3 => 128,
        Some(Value::Null) | None if !width.is_multiple_of(heads) => {
            let what = format!("hidden_size {width} is not a multiple of num_attention_heads {heads}");
            return Err(Complaint::of(what));
        }
        Some(Value::Null) | None => width / heads,
        Some(_) => read_size(fields, "head_dim", &[])?,
    };
    match head_width.is_multiple_of(2) {
        true => Ok(head_width),
        false => Err(Complaint::of(format!("a head has the odd width {head_width}, of which pairs cannot be rotated"))),
    }
}

fn biases(fields: &JsonObject, family: Family) -> Result<Biases, Complaint> {
    let flag = |name: &str| match value(fields, name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is_set)) => Ok(is_set),
        Some(other) => Err(Complaint::of(format!("{name} is {}, not true or false", shown_value(&other)))),
    };
    Ok(match family {
        Family::Qwen2 => Biases { query_key_value: true, ..Biases::default() },
        Family::Qwen3 | Family::Llama => {
            let attention = flag("attention_bias")?;
            let feed_forward = family == Family::Llama && flag("mlp_bias")?;
            Biases { query_key_value: attention, attention_output: attention, feed_forward }
        }
        Family::Mistral | Family::Gpt2 => Biases::default(),
    })
}

/// Refuses a sliding window that hides tokens: attention here is to all tokens before.
fn check_window(fields: &JsonObject, family: Family, positions: usize) -> Checked {
    let is_used = family == Family::Mistral || value(fields, "use_sliding_window") == Some(Value::Bool(true));
    let window = match value(fields, "sliding_window") {
        _ if !is_used => None,
        // What `MistralConfig` takes for a file that does not say it.
        None if family == Family::Mistral => Some(4096),
        None | Some(Value::Null) => None,
        Some(found) => Some(found.as_u64().ok_or_else(|| {
            Complaint::of(format!("sliding_window is {}, not a whole number or null", shown_value(&found)))
        })?),
    };
    match window.filter(|&window| (window as usize) < positions) {
        None => Ok(()),
        Some(window) => Err(Complaint::new(
            format!("sliding_window is {window}; it must be null: attention here is to all tokens before"),
            format!(
                "to use the model for texts of at most {window} tokens, where both are the same, set sliding_window \
                 to null and max_position_embeddings to {window} in config.json"
            ),
        )),
    }
}

/// Reads the rotation: `rope_parameters` of version 5, or `rope_theta` and `rope_scaling` before.
fn rotation(fields: &JsonObject) -> Result<Rotation, Complaint> {
    let mut settings = Map::new();
    for name in ["rope_scaling", "rope_parameters"] {
        match value(fields, name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(found)) => settings.extend(found),
            Some(other) => return Err(Complaint::of(format!("{name} is {}, not an object", shown_value(&other)))),
        }
    }
    let theta = settings.get("rope_theta").cloned().or_else(|| value(fields, "rope_theta"));
    let theta = theta.map_or(Ok(USUAL_THETA), |theta| above_zero("rope_theta", Some(&theta)))?;
    let scaling = match kind_of_scaling(&settings)? {
        "default" if settings.keys().all(|name| name == "rope_theta" || KIND.contains(&name.as_str())) => None,
        "llama3" => Some(llama3_scaling(&settings)?),
        kind => {
            let described = shown_value(&Value::Object(settings.clone()));
            return Err(Complaint::new(
                format!(
                    "the scaling of rotary positions is {kind:?} ({described}); this program supports none and \
                     \"llama3\""
                ),
                "take a model of which the rotary positions are not scaled, or as in Llama 3",
            ));
        }
    };
    Ok(Rotation { theta, scaling })
}

/// Names of the kind of scaling.
const KIND: [&str; 2] = ["rope_type", "type"];

/// Returns the kind of scaling, under its name or its older name; null counts as absent.
fn kind_of_scaling(settings: &Map<String, Value>) -> Result<&str, Complaint> {
    let found = KIND.iter().find_map(|name| Some((name, settings.get(*name).filter(|kind| !kind.is_null())?)));
    let Some((name, kind)) = found else { return Ok("default") };
    let not_text = || Complaint::of(format!("{name} of the rotary positions is {}, not a text", shown_value(kind)));
    kind.as_str().ok_or_else(not_text)
}

fn llama3_scaling(settings: &Map<String, Value>) -> Result<Llama3Scaling, Complaint> {
    const FIELDS: [&str; 4] = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];
    let is_known = |name: &str| name == "rope_theta" || KIND.contains(&name) || FIELDS.contains(&name);
    if let Some(name) = settings.keys().find(|name| !is_known(name)) {
        return Err(Complaint::of(format!("unknown field {name} in the scaling of rotary positions")));
    }
    let number = |name: &str| above_zero(name, settings.get(name));
    let [factor, low, high, original] =
        [number(FIELDS[0])?, number(FIELDS[1])?, number(FIELDS[2])?, number(FIELDS[3])?];
    match low < high {
        true => Ok(Llama3Scaling {
            factor,
            low_frequency_factor: low,
            high_frequency_factor: high,
            original_positions: original,
        }),
        false => Err(Complaint::of(format!("low_freq_factor {low} is not below high_freq_factor {high}"))),
    }
}

fn above_zero(name: &str, value: Option<&Value>) -> Result<f64, Complaint> {
    let number = value.and_then(Value::as_f64).filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| {
        let found = value.map_or_else(|| "missing".into(), shown_value);
        Complaint::of(format!("{name} of the rotary positions is {found}, not a number above 0"))
    })
}

/// Checks a field that is not read.
pub(super) fn check(name: &str, value: &Value, config: &ModelConfig) -> Checked {
    let base = config.family.architecture().replace("ForCausalLM", "Model");
    let architectures = [config.family.architecture(), base.as_str()];
    match name {
        name if READ.contains(&name) || WITHOUT_EFFECT.contains(&name) => Ok(()),
        "attention_bias" | "mlp_bias" if matches!(config.family, Family::Llama | Family::Qwen3) => Ok(()),
        // The families that have no such bias.
        "attention_bias" | "mlp_bias" => needed(is_nothing(value), name, value, "false"),
        "hidden_act" => needed(value == "silu", name, value, "\"silu\""),
        "rope_interleaved" | "use_sliding_window" => needed(is_nothing(value), name, value, "false"),
        "partial_rotary_factor" => {
            needed(value.is_null() || value.as_f64() == Some(1.0), name, value, "1: every pair of a head is rotated")
        }
        _ => check_shared(name, value, config, &architectures),
    }
}

/// Returns the fields of a new model.
pub(super) fn fields(config: &ModelConfig) -> Value {
    let scaling = config.rotation.and_then(|rotation| rotation.scaling).map(|scaling| {
        json!({
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_positions,
        })
    });
    json!({
        "max_position_embeddings": config.positions,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.feed_forward_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rotation.map_or(USUAL_THETA, |rotation| rotation.theta),
        "rope_scaling": scaling,
        "sliding_window": null,
        "attention_bias": config.biases.attention_output,
        "mlp_bias": config.biases.feed_forward,
    })
}
