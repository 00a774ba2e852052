//! Properties of the architecture: the number of parameters, and the operations of a token.

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
}
