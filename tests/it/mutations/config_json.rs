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
#[ignore = "takes up to a minute"]
fn every_damaged_config_json_is_refused_or_read_to_the_bit() {
    test("mutations::config_json::every_damaged_config_json_is_refused_or_read_to_the_bit", 5000);
}

fn test(test: &'static str, mutants: u64) {
    let texts = [
        include_str!("../../../models/storyteller/config.json"),
        include_str!("../../fixtures/parity/1/policy/config.json"),
        r#"{"vocab_size":300,"n_positions":40,"n_embd":20,"n_layer":2,"n_head":2,"hidden_size":20,"intermediate_size":80}"#,
    ];
    let originals = texts.map(|text| Json::read(text).unwrap());
    let of_object = |json: &Json| json.object().unwrap().iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let mut known = originals.iter().map(of_object).collect::<Vec<_>>().concat();
    known.extend(["num_hidden_layers", "num_attention_heads", "max_position_embeddings", "n_ctx"].map(String::from));
    let others = texts.map(|text| text.as_bytes().to_vec());
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.03,
        originals: &others,
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
        read: &|bytes| outcome(ours(bytes), theirs(bytes, &known)),
    });
}

fn ours(bytes: &[u8]) -> preftune::Result<ModelConfig> {
    Ok(ConfigFile::read(bytes, Path::new("config.json"))?.config)
}

/// Reads the sizes of a GPT-2, if every field is known and none asks for another model.
fn theirs(bytes: &[u8], known: &[String]) -> Result<ModelConfig, String> {
    let json = Json::read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?;
    let size = |key: &str, same: &[&str]| {
        let found: Vec<&Json> = [&[key], same].concat().iter().filter_map(|key| json.get(key)).collect();
        let sizes = found.iter().map(|size| size.count()).collect::<Result<Vec<u64>, _>>()?;
        match sizes[..] {
            [size, ..] if (1..=1 << 31).contains(&size) && sizes.iter().all(|other| *other == size) => {
                Ok(size as usize)
            }
            _ => Err(format!("{key} is {sizes:?}")),
        }
    };
    let [width, heads] = [size("n_embd", &["hidden_size"])?, size("n_head", &["num_attention_heads"])?];
    let config = ModelConfig {
        vocab_size: size("vocab_size", &[])?,
        positions: size("n_positions", &["max_position_embeddings", "n_ctx"])?,
        layers: size("n_layer", &["num_hidden_layers"])?,
        norm_epsilon: json.get("layer_norm_epsilon").map_or(Ok(1e-5), Json::number)?,
        tied_output_head: json.get("tie_word_embeddings") != Some(&Json::Bool(false)),
        ..ModelConfig::gpt2(width, heads)
    };
    let epsilon = config.norm_epsilon as f32;
    if !(width.is_multiple_of(heads) && epsilon > 0.0 && epsilon.is_finite()) {
        return Err("heads or epsilon".into());
    }
    for (key, value) in json.object()? {
        if !is_usual(key, value, &config, known)? {
            return Err(format!("{key}: {}", value.written()));
        }
    }
    Ok(config)
}

/// Checks whether a field asks for the same computation as GPT-2.
fn is_usual(key: &str, value: &Json, config: &ModelConfig, known: &[String]) -> Result<bool, String> {
    let is_null = *value == Json::Null;
    Ok(match key {
        "model_type" => is_null || value.text()? == "gpt2",
        "architectures" => {
            is_null || value.array()?.iter().all(|class| class.text().is_ok_and(|class| class.contains("LMHead")))
        }
        "activation_function" => ["gelu_new", "gelu_pytorch_tanh", "gelu_fast"].contains(&value.text()?),
        "n_inner" | "intermediate_size" => is_null || u128::from(value.count()?) == 4 * config.width as u128,
        "scale_attn_weights" => *value == Json::Bool(true),
        "tie_word_embeddings" => matches!(value, Json::Bool(_)),
        "scale_attn_by_inverse_layer_idx" | "add_cross_attention" => is_null || *value == Json::Bool(false),
        "resid_pdrop" | "embd_pdrop" | "attn_pdrop" => (0.0..=1.0).contains(&value.number()?),
        other => is_null || other.starts_with('_') || known.iter().any(|known| known == other),
    })
}
