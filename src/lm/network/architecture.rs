//! Properties of the architecture: the number of parameters, the operations of a token, and the tensors of files in
//! which each parameter is stored.

use super::config::{Family, ModelConfig};

impl ModelConfig {
    /// Returns the number of parameters of a model of this shape.
    pub fn parameter_count(&self) -> f64 {
        let [layers, width, vocabulary, positions] =
            [self.layers, self.width, self.vocab_size, self.positions].map(|size| size as f64);
        let heads = if self.tied_output_head { 1.0 } else { 2.0 };
        let positions = if self.rotation.is_none() { positions } else { 0.0 };
        let norm = if self.family == Family::Gpt2 { 2.0 * width } else { width };
        let head_norms = if self.query_key_norms { 2.0 * self.head_width as f64 } else { 0.0 };
        let a_block = self.matrices_of_block() + self.biases_of_block() + 2.0 * norm + head_norms;
        (heads * vocabulary + positions) * width + layers * a_block + norm
    }

    /// Returns the number of elements of the matrices of a block.
    pub fn matrices_of_block(&self) -> f64 {
        let width = self.width as f64;
        let attention = self.query_key_value_width() + self.query_width() as f64;
        width * (attention + self.expanded_width() + self.feed_forward_width as f64)
    }

    /// Returns the width of queries, keys and values together.
    pub fn query_key_value_width(&self) -> f64 {
        self.query_width() as f64 + 2.0 * self.key_width() as f64
    }

    /// Returns the width of what the feed-forward layer computes first: a gate beside each number, except in GPT-2.
    pub fn expanded_width(&self) -> f64 {
        let copies = if self.is_gated() { 2.0 } else { 1.0 };
        copies * self.feed_forward_width as f64
    }

    fn biases_of_block(&self) -> f64 {
        let width = self.width as f64;
        let attention = if self.biases.query_key_value { self.query_key_value_width() } else { 0.0 };
        let output = if self.biases.attention_output { width } else { 0.0 };
        let feed_forward = if self.biases.feed_forward { self.expanded_width() + width } else { 0.0 };
        attention + output + feed_forward
    }

    /// Checks whether the feed-forward layer multiplies by a gate (SwiGLU).
    pub fn is_gated(&self) -> bool {
        self.family != Family::Gpt2
    }

    /// Checks whether norms subtract the mean and add a bias; the others only divide by the root of the mean square.
    pub fn has_layer_norms(&self) -> bool {
        self.family == Family::Gpt2
    }

    /// Returns the additions and multiplications of a token in all blocks: the matrix products, and attention to so
    /// many tokens before it.
    pub fn operations_of_token(&self, tokens_before: f64) -> f64 {
        self.layers as f64 * (2.0 * self.matrices_of_block() + 4.0 * self.query_width() as f64 * tokens_before)
    }

    /// Returns the additions and multiplications of a token's logits.
    pub fn operations_of_logits(&self) -> f64 {
        2.0 * self.width as f64 * self.vocab_size as f64
    }

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
