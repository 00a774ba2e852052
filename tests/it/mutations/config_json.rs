//! Mutated model configurations.

use std::path::Path;

use preftune::lm::{ConfigFile, ModelConfig};

use super::json::Json;
use super::trial::{Kind, outcome, run};
use super::{bytes, structure};

#[test]
fn a_damaged_config_json_is_refused_or_read_to_the_bit() {
    test("mutations::config_json::a_damaged_config_json_is_refused_or_read_to_the_bit", 500);
}

#[test]
#[ignore = "takes half a minute"]
fn every_damaged_config_json_is_refused_or_read_to_the_bit() {
    test("mutations::config_json::every_damaged_config_json_is_refused_or_read_to_the_bit", 5000);
}

fn test(test: &'static str, mutants: u64) {
    let texts = [
        include_str!("../../../models/storyteller/config.json"),
        include_str!("../../fixtures/parity-1/policy/config.json"),
        r#"{"vocab_size":300,"n_positions":40,"n_embd":20,"n_layer":2,"n_head":2}"#,
    ];
    let originals = texts.map(|text| Json::read(text).unwrap());
    let others = texts.map(|text| text.as_bytes().to_vec());
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        mutant: &|dice| {
            let at = dice.below(originals.len());
            if dice.one_in(4) {
                let mut text = others[at].clone();
                bytes::mutate(&mut text, &others, dice);
                return text;
            }
            let mut json = originals[at].clone();
            structure::mutate(&mut json, dice);
            json.written().into_bytes()
        },
        read: &|bytes| outcome(ours(bytes), theirs(bytes)),
    });
}

fn ours(bytes: &[u8]) -> preftune::Result<ModelConfig> {
    ConfigFile::read(bytes, Path::new("config.json")).map(|file| file.config)
}

/// The sizes of a GPT-2, where nothing asks for another model.
fn theirs(bytes: &[u8]) -> Result<ModelConfig, String> {
    let json = Json::read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?;
    json.object()?;
    let size = |key: &str| match json.get(key).ok_or(format!("no {key}"))?.count()? {
        0 => Err(format!("{key} is 0")),
        size => Ok(size as usize),
    };
    let config = ModelConfig {
        vocab_size: size("vocab_size")?,
        n_positions: size("n_positions")?,
        n_embd: size("n_embd")?,
        n_layer: size("n_layer")?,
        n_head: size("n_head")?,
        layer_norm_epsilon: json.get("layer_norm_epsilon").map_or(Ok(1e-5), Json::number)?,
    };
    let epsilon = config.layer_norm_epsilon as f32;
    if config.n_embd % config.n_head != 0 || !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err("heads or epsilon".into());
    }
    for (key, value) in json.object()? {
        let is_known = match key.as_str() {
            "model_type" => matches!(value, Json::Null) || value.text()? == "gpt2",
            "activation_function" => {
                matches!(value, Json::Null) || ["gelu_new", "gelu_pytorch_tanh", "gelu_fast"].contains(&value.text()?)
            }
            "n_inner" => matches!(value, Json::Null) || u128::from(value.count()?) == 4 * config.n_embd as u128,
            "tie_word_embeddings" | "scale_attn_weights" => matches!(value, Json::Null | Json::Bool(true)),
            "scale_attn_by_inverse_layer_idx" => matches!(value, Json::Null | Json::Bool(false)),
            _ => true,
        };
        if !is_known {
            return Err(format!("another model: {key}"));
        }
    }
    Ok(config)
}
