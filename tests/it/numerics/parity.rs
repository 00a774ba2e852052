//! Results of an independent implementation of the original algorithm, compared with those of this crate.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;

#[path = "../../../examples/parity/answers.rs"]
mod answers;
#[path = "../../../examples/parity/fixture.rs"]
mod fixture;

use fixture::Fixture;

on_backends!(both_loops_equal_the_original: ndarray, flex, wgpu);

fn both_loops_equal_the_original(device: &Device) {
    for name in ["parity/1", "parity/2", "families/parity-llama", "families/parity-qwen3"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let found = answers::all(&Fixture::read(&folder).unwrap(), device).unwrap();

        let mut misses = Vec::new();
        compare(&expected, &found, name, &mut misses);
        for error in ["hidden_max_abs_error", "logits_max_abs_error"] {
            // JSON has no NaN, so that a NaN fails here.
            let size = found["lm"][error].as_f64().unwrap();
            if size > 2e-4 {
                misses.push(format!("{name}/lm/{error} is {size:e}"));
            }
        }
        assert!(misses.is_empty(), "{} values miss:\n{}", misses.len(), misses.join("\n"));
    }
}

fn compare(expected: &Value, found: &Value, path: &str, misses: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(_)) => {
            expected.iter().for_each(|(key, value)| compare(value, &found[key], &format!("{path}/{key}"), misses));
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs.for_each(|(place, (a, b))| compare(a, b, &format!("{path}/{place}"), misses));
        }
        (Value::Number(a), Value::Number(b)) if is_close(a.as_f64().unwrap(), b.as_f64().unwrap(), path) => {}
        (a, b) if a == b => {}
        (a, b) => misses.push(format!("{path}: {b} instead of {a}")),
    }
}

fn is_close(expected: f64, found: f64, path: &str) -> bool {
    let tolerance = match path {
        path if path.contains("/processed/") => 0.0,
        // One row at the limit of a decision may differ.
        path if path.ends_with("accuracy") || path.ends_with("clipfrac") => 0.04,
        _ => (2e-3 * expected.abs()).max(2e-4),
    };
    (expected - found).abs() <= tolerance
}
