//! The shape of a GPT-2, as Hugging Face's `config.json` states it.

use serde::{Deserialize, Serialize};

/// Sizes of a GPT-2 of any scale, under the names of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The longest sequence, in tokens.
    pub n_positions: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Blocks of attention and feed-forward.
    pub n_layer: usize,
    /// Attention heads of each block.
    pub n_head: usize,
    /// ε, which is added to the variance before its root is taken.
    pub layer_norm_epsilon: f64,
}

impl ModelConfig {
    /// Returns the sizes of the smallest published GPT-2.
    pub const fn gpt2_124m() -> Self {
        Self { vocab_size: 50_257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, layer_norm_epsilon: 1e-5 }
    }

    /// Returns a `config.json` from which `transformers` loads a new model as `GPT2LMHeadModel`; `end_of_text`
    /// is the token that begins and ends a text, if the vocabulary has one.
    pub fn to_json(&self, end_of_text: Option<u32>) -> String {
        let value = serde_json::json!({
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "vocab_size": self.vocab_size,
            "n_positions": self.n_positions,
            "n_embd": self.n_embd,
            "n_layer": self.n_layer,
            "n_head": self.n_head,
            "n_inner": null,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "initializer_range": 0.02,
            "tie_word_embeddings": true,
            "bos_token_id": end_of_text,
            "eos_token_id": end_of_text,
        });
        format!("{value:#}\n")
    }

    /// Returns the padding id: outside the vocabulary, as in the original (`encodings.py`).
    pub fn pad_token(&self) -> u32 {
        u32::try_from(self.vocab_size.saturating_add(2)).unwrap_or(u32::MAX)
    }

    /// Returns the width of one attention head.
    pub fn head_width(&self) -> usize {
        self.n_embd / self.n_head
    }
}
