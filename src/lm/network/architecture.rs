//! Properties of the architecture: the number of parameters, the operations of a token, and the names of tensors in
//! files.

use super::config::ModelConfig;

impl ModelConfig {
    /// Returns the number of parameters of a model of this shape.
    pub fn parameter_count(&self) -> f64 {
        let [layers, width, vocabulary, positions] =
            [self.n_layer, self.n_embd, self.vocab_size, self.n_positions].map(|size| size as f64);
        (vocabulary + positions) * width + layers * (12.0 * width * width + 13.0 * width) + 2.0 * width
    }

    /// Returns the additions and multiplications of a token in all blocks: the matrix products, and attention to so
    /// many tokens before it.
    pub fn operations_of_token(&self, tokens_before: f64) -> f64 {
        let [layers, width] = [self.n_layer, self.n_embd].map(|size| size as f64);
        layers * (24.0 * width * width + 4.0 * width * tokens_before)
    }

    /// Returns the additions and multiplications of a token's logits.
    pub fn operations_of_logits(&self) -> f64 {
        2.0 * self.n_embd as f64 * self.vocab_size as f64
    }
}

/// Maps a module path of this crate to the name in Hugging Face's GPT-2 files.
pub(super) fn tensor_name(path: &[String]) -> String {
    let renamed = path.iter().map(|part| match part.as_str() {
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
