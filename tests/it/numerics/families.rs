//! Networks of every family, compared with what `transformers` computes with the same files, and their files.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use preftune::device::read_floats;
use preftune::lm::network::parameters;
use preftune::lm::{
    ConfigFile, Precision, TensorFile, TokenBatch, Transformer, Weights, WeightsIndex,
    files::hugging_face::load_transformer,
    files::tensor_file::{read_safetensors, write_safetensors},
    select_rows,
};
use serde::Deserialize;

use crate::numerics::devices;

const CASES: [&str; 6] = ["llama", "llama3", "mistral", "qwen2", "qwen3", "gpt2_own_head"];

/// Contents of `answers.json`; `tests/fixtures/families/README.md` describes it.
#[derive(Deserialize)]
struct Answers {
    rows: Vec<Vec<u32>>,
    positions: Vec<Vec<usize>>,
    logits: Vec<Vec<Vec<f64>>>,
}

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families").join(case)
}

fn answers(case: &str) -> Answers {
    serde_json::from_slice(&fs::read(folder(case).join("answers.json")).unwrap()).unwrap()
}

fn config_file(case: &str, name: &str) -> ConfigFile {
    let path = folder(case).join(name);
    ConfigFile::read(&fs::read(&path).unwrap(), &path).unwrap()
}

/// Opens the weights, in one file or in several.
fn weights(case: &str) -> Weights<'static> {
    let open = |name: &str| {
        let path = folder(case).join(name);
        TensorFile::open(fs::File::open(&path).unwrap(), &path).unwrap()
    };
    let index = folder(case).join("model.safetensors.index.json");
    match fs::read(&index) {
        Err(_) => Weights::of_one(open("model.safetensors")).unwrap(),
        Ok(bytes) => {
            let names = WeightsIndex::read(&bytes, &index).unwrap();
            Weights::of_shards(&index, names.shards().map(open).collect()).unwrap()
        }
    }
}

fn transformer(case: &str, config: &str, device: &Device) -> Transformer {
    load_transformer(&config_file(case, config).config, &mut weights(case), device).unwrap()
}

/// Computes the logits at all positions of rows that are read together.
fn logits(model: &Transformer, rows: &[Vec<u32>], device: &Device) -> Vec<Vec<Vec<f32>>> {
    let config = model.config();
    let batch = TokenBatch::new(rows, config.pad_token(), config.vocab_size, config.positions).unwrap();
    let hidden = model.hidden(batch.tokens(device)).flatten(0, 1);
    let found = read_floats(model.logits(select_rows(hidden, &batch.outputs(|len| 0..len)))).unwrap();
    let mut of_tokens = found.chunks(config.vocab_size).map(<[f32]>::to_vec);
    rows.iter().map(|row| of_tokens.by_ref().take(row.len()).collect()).collect()
}

fn assert_answers(case: &str, model: &Transformer, device: &Device) {
    let answers = answers(case);
    let together = logits(model, &answers.rows, device);
    let alone =
        answers.rows.iter().flat_map(|row| logits(model, std::slice::from_ref(row), device)).collect::<Vec<_>>();
    for (how, found) in [("together", &together), ("alone", &alone)] {
        for ((found, positions), expected) in found.iter().zip(&answers.positions).zip(&answers.logits) {
            for (&position, expected) in positions.iter().zip(expected) {
                let difference = crate::support::tiny::largest_difference(&found[position], expected);
                assert!(difference < 1e-4, "{case}, {how}: position {position} is off by {difference:e} on {device:?}");
            }
        }
    }
}

fn logits_are_those_of_transformers(device: &Device) {
    for case in CASES {
        assert_answers(case, &transformer(case, "config.json", device), device);
    }
}

on_backends!(logits_are_those_of_transformers: ndarray, flex, wgpu);

/// The same network in the form of `transformers` 4.
#[test]
fn an_old_configuration_describes_the_same_network() {
    for case in ["llama", "llama3"] {
        assert_eq!(config_file(case, "config_old.json").config, config_file(case, "config.json").config);
    }
}

/// Joining and splitting the tensors of a file must change none of their bits.
#[test]
fn tensors_are_written_as_they_were_read() {
    for case in CASES {
        let model = transformer(case, "config.json", &devices::flex());
        let written = write_safetensors(&parameters::read(&model).unwrap(), Precision::F32).unwrap();
        let written = read_safetensors(&written, Path::new("written")).unwrap();
        let mut read = weights(case);
        for (name, tensor) in &written {
            assert_eq!(read.read(name).unwrap(), tensor.values, "{case}: {name}");
        }
        let shapes = parameters::shapes(&model);
        assert_eq!(shapes.len(), written.len());
        assert!(shapes.iter().all(|(name, shape)| written[name].shape == *shape), "{case}");
    }
}

#[test]
fn a_configuration_is_written_as_it_was_read() {
    for case in CASES {
        let path = folder(case).join("config.json");
        let before = fs::read(&path).unwrap();
        let written = config_file(case, "config.json").to_json(Precision::F32).unwrap();
        let text = String::from_utf8(before).unwrap().replace("bfloat16", "float32").replace("float16", "float32");
        let fields = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(fields(std::str::from_utf8(&written).unwrap()), fields(&text), "{case}");
    }
}

/// Returns the message with which the configuration of a case is refused after a field was changed.
fn refusal(case: &str, name: &str, value: serde_json::Value) -> String {
    let path = folder(case).join("config.json");
    let mut fields: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fields[name] = value;
    let error = ConfigFile::read(fields.to_string().as_bytes(), &path).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    error.to_string()
}

#[test]
fn what_is_not_computed_here_is_refused_by_name() {
    use serde_json::json;
    for (case, name, value) in [
        ("mistral", "sliding_window", json!(16)),
        ("qwen2", "use_sliding_window", json!("yes")),
        ("qwen3", "layer_types", json!(["full_attention", "sliding_attention"])),
        ("llama", "num_local_experts", json!(8)),
        ("llama", "quantization_config", json!({"bits": 4})),
        ("llama", "hidden_act", json!("gelu")),
        ("llama", "num_key_value_heads", json!(3)),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("mistral", "attention_bias", json!(true)),
    ] {
        let message = refusal(case, name, value);
        assert!(message.contains(name), "{name}: {message}");
    }
    for kind in ["linear", "dynamic", "yarn", "longrope"] {
        let scaling = json!({"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0});
        assert!(refusal("llama", "rope_parameters", scaling).contains(kind));
    }
    assert!(
        refusal("llama", "model_type", json!("gemma3")).contains("\"gemma3\"; it must be one of \"gpt2\", \"llama\"")
    );
}

#[test]
fn a_value_of_the_wrong_type_does_not_count_as_absent() {
    use serde_json::json;
    for window in [json!(16.0), json!("16"), json!(-1), json!(true)] {
        let message = refusal("mistral", "sliding_window", window);
        assert!(message.contains("sliding_window") && message.contains("not a whole number or null"), "{message}");
    }
    let scaled = |kind: serde_json::Value| refusal("llama", "rope_parameters", kind);
    assert!(scaled(json!({"rope_type": null, "type": "yarn"})).contains("\"yarn\""));
    assert!(scaled(json!({"rope_type": 5})).contains("rope_type of the rotary positions is 5, not a text"));
}
