//! Tensors of files: their names in the families of models, and how a parameter of this crate is stored in several.

use super::config::{Family, ModelConfig};

/// Weight on the host.
#[derive(Debug, Clone)]
pub struct NamedTensor {
    /// Name in `model.safetensors`, such as `transformer.h.0.attn.c_attn.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl NamedTensor {
    /// Returns the square root of the sum of squares.
    pub fn norm(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
    }
}

impl ModelConfig {
    /// Returns the tensors in which files store the parameter at a module path of this crate. The parameter is their
    /// columns side by side; a parameter of one dimension is their numbers one after another.
    pub(super) fn stored_tensors(&self, path: &[String], shape: &[usize]) -> Vec<StoredTensor> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path == ["output_head"] {
            return vec![StoredTensor { name: "lm_head.weight".into(), shape: shape.into(), transposed: false }];
        }
        match self.family {
            Family::Gpt2 => vec![StoredTensor { name: gpt2_name(&path), shape: shape.into(), transposed: false }],
            _ => self.stored_like_llama(&path, shape),
        }
    }

    fn stored_like_llama(&self, path: &[&str], shape: &[usize]) -> Vec<StoredTensor> {
        let name = |inside: &str| {
            let inside = path.iter().map(|part| if PARTS.contains(part) { inside } else { llama_part(part) });
            std::iter::once("model").chain(inside).collect::<Vec<_>>().join(".")
        };
        let part = path.iter().find(|part| PARTS.contains(part)).copied();
        let parts: Vec<(&str, usize)> = match part {
            Some("query_key_value") => {
                let [queries, keys] = [self.query_width(), self.key_width()];
                vec![("q_proj", queries), ("k_proj", keys), ("v_proj", keys)]
            }
            Some("expand") => vec![("gate_proj", self.feed_forward_width), ("up_proj", self.feed_forward_width)],
            Some("output") => vec![("o_proj", self.width)],
            Some("contract") => vec![("down_proj", self.width)],
            _ => return vec![StoredTensor { name: name(""), shape: shape.into(), transposed: false }],
        };
        let stored = |(inside, columns): (&str, usize)| match shape {
            [rows, _] => StoredTensor { name: name(inside), shape: vec![columns, *rows], transposed: true },
            _ => StoredTensor { name: name(inside), shape: vec![columns], transposed: false },
        };
        parts.into_iter().map(stored).collect()
    }
}

/// Tensor of a file that holds a parameter, or some columns of it.
#[derive(Debug, PartialEq)]
pub(super) struct StoredTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// True if the file holds `[out, in]` for columns `[in, out]`.
    pub transposed: bool,
}

/// Linear maps, which have other names in files of the Llama family, where some are stored in parts.
const PARTS: [&str; 4] = ["query_key_value", "output", "expand", "contract"];

/// Maps a module path to the name in Hugging Face's files of a GPT-2.
fn gpt2_name(path: &[&str]) -> String {
    let renamed = path.iter().map(|part| match *part {
        "token_embedding" => "wte.weight",
        "position_embedding" => "wpe.weight",
        "blocks" => "h",
        "attention_norm" => "ln_1",
        "attention" => "attn",
        "query_key_value" => "c_attn",
        "output" | "contract" => "c_proj",
        "feed_forward_norm" => "ln_2",
        "feed_forward" => "mlp",
        "expand" => "c_fc",
        "final_norm" => "ln_f",
        other => other,
    });
    std::iter::once("transformer").chain(renamed).collect::<Vec<_>>().join(".")
}

/// Maps a part of a module path to its name in Hugging Face's files of a Llama.
fn llama_part(part: &str) -> &str {
    match part {
        "token_embedding" => "embed_tokens.weight",
        "blocks" => "layers",
        "attention_norm" => "input_layernorm",
        "attention" => "self_attn",
        "query_norm" => "q_norm",
        "key_norm" => "k_norm",
        "feed_forward_norm" => "post_attention_layernorm",
        "feed_forward" => "mlp",
        "final_norm" => "norm",
        other => other,
    }
}

/// Splits the numbers of a parameter into the tensors that store it.
pub(super) fn split(stored: Vec<StoredTensor>, values: Vec<f32>) -> Vec<NamedTensor> {
    let all_columns = stored.iter().filter_map(|tensor| tensor.shape.first()).sum();
    let mut first = 0;
    let mut of = |StoredTensor { name, shape, transposed }: StoredTensor, values: &[f32]| {
        let count: usize = shape.iter().product();
        let values = match (transposed, shape.as_slice()) {
            (true, [columns, rows]) => {
                let mut part = vec![0.0; count];
                transpose(&mut part, *rows, values.get(first..).unwrap_or_default(), all_columns);
                first += columns;
                part
            }
            _ => {
                first += count;
                values.get(first - count..first).unwrap_or_default().to_vec()
            }
        };
        NamedTensor { name, shape, values }
    };
    match <[StoredTensor; 1]>::try_from(stored) {
        Ok([StoredTensor { name, shape, transposed: false }]) => vec![NamedTensor { name, shape, values }],
        Ok([only]) => vec![of(only, &values)],
        Err(several) => several.into_iter().map(|tensor| of(tensor, &values)).collect(),
    }
}

/// Joins the tensors that store a parameter of this shape; the inverse of [`split`].
pub(super) fn join(stored: &[StoredTensor], parts: Vec<Vec<f32>>, shape: &[usize]) -> Vec<f32> {
    let [_, all_columns] = shape else { return parts.concat() };
    if !stored.iter().any(|tensor| tensor.transposed) {
        return parts.concat();
    }
    let mut values = vec![0.0; shape.iter().product()];
    let mut first = 0;
    for (StoredTensor { shape, .. }, part) in stored.iter().zip(parts) {
        let [columns, rows] = shape.as_slice() else { continue };
        transpose_into(values.get_mut(first..).unwrap_or_default(), *all_columns, &part, *rows);
        first += columns;
    }
    values
}

/// Rows and columns that are transposed together, so that both sides stay in the processor's cache.
const TILE: usize = 32;

/// Fills `[columns, rows]` with the transpose of the first columns of `from`, whose rows begin `stride` numbers
/// apart.
fn transpose(to: &mut [f32], rows: usize, from: &[f32], stride: usize) {
    for (tile, columns) in to.chunks_mut((TILE * rows).max(1)).enumerate() {
        for first_row in (0..rows).step_by(TILE) {
            for (column, to) in (tile * TILE..).zip(columns.chunks_mut(rows.max(1))) {
                for (row, to) in (first_row..).zip(to.iter_mut().skip(first_row).take(TILE)) {
                    *to = from.get(row * stride + column).copied().unwrap_or_default();
                }
            }
        }
    }
}

/// Fills the first columns of `to`, whose rows begin `stride` numbers apart, with the transpose of
/// `[columns, rows]`.
fn transpose_into(to: &mut [f32], stride: usize, from: &[f32], rows: usize) {
    for (tile, columns) in from.chunks((TILE * rows).max(1)).enumerate() {
        for first_row in (0..rows).step_by(TILE) {
            for (column, from) in (tile * TILE..).zip(columns.chunks(rows.max(1))) {
                for (row, value) in (first_row..).zip(from.iter().skip(first_row).take(TILE)) {
                    if let Some(to) = to.get_mut(row * stride + column) {
                        *to = *value;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_undoes_splitting() {
        let config = ModelConfig { heads: 2, key_value_heads: 1, head_width: 20, ..ModelConfig::smollm2_135m() };
        let path = ["blocks", "7", "attention", "query_key_value", "weight"].map(String::from);
        let shape = [37, 80];
        let stored = config.stored_tensors(&path, &shape);
        let names: Vec<&str> = stored.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names[0], "model.layers.7.self_attn.q_proj.weight");
        assert_eq!(
            stored.iter().map(|tensor| tensor.shape.clone()).collect::<Vec<_>>(),
            [[40, 37], [20, 37], [20, 37]]
        );
        let values: Vec<f32> = (0..37 * 80).map(|number| number as f32).collect();
        let parts = split(config.stored_tensors(&path, &shape), values.clone());
        // Row 3 of the keys is column 43 of the parameter.
        assert_eq!(parts[1].values[3 * 37 + 5], values[5 * 80 + 43]);
        assert_eq!(join(&stored, parts.into_iter().map(|part| part.values).collect(), &shape), values);
    }
}
