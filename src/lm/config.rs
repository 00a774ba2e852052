//! The shape of a GPT-2, as Hugging Face's `config.json` states it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
    /// Attention heads a block.
    pub n_head: usize,
    /// Added to the variance before its root is taken.
    #[serde(default = "default_epsilon")]
    pub layer_norm_epsilon: f64,
}

fn default_epsilon() -> f64 {
    1e-5
}

/// What else a `config.json` can ask for; anything but GPT-2's own choices is refused.
#[derive(Deserialize)]
struct Variant {
    model_type: Option<String>,
    activation_function: Option<String>,
    n_inner: Option<usize>,
    tie_word_embeddings: Option<bool>,
    scale_attn_weights: Option<bool>,
    scale_attn_by_inverse_layer_idx: Option<bool>,
}

impl ModelConfig {
    /// GPT-2 in its smallest size, as published.
    pub const fn gpt2_124m() -> Self {
        Self { vocab_size: 50_257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, layer_norm_epsilon: 1e-5 }
    }

    /// Reads `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when it is not JSON, not a GPT-2, or its sizes do not fit together.
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self> {
        let hint = "preftune reads GPT-2 models in Hugging Face layout";
        let bad = |e: serde_json::Error| Error::input(path, format!("not a model configuration: {e}"), hint);
        let config: Self = serde_json::from_slice(bytes).map_err(bad)?;
        let variant: Variant = serde_json::from_slice(bytes).map_err(bad)?;
        if let Some(what) = config.contradiction().or_else(|| variant.unsupported(&config)) {
            return Err(Error::input(path, what, hint));
        }
        Ok(config)
    }

    /// What `transformers` needs to load the model as `GPT2LMHeadModel`.
    pub fn to_json(&self) -> String {
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
            "bos_token_id": 0,
            "eos_token_id": 0,
        });
        format!("{value:#}\n")
    }

    /// The padding id: outside the vocabulary, where the original put it (`encodings.py`).
    pub fn pad_token(&self) -> u32 {
        u32::try_from(self.vocab_size + 2).unwrap_or(u32::MAX)
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.n_embd / self.n_head
    }

    fn contradiction(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("n_positions", self.n_positions),
            ("n_embd", self.n_embd),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Some(format!("{name} is 0"));
        }
        (!self.n_embd.is_multiple_of(self.n_head))
            .then(|| format!("n_embd {} is not a multiple of n_head {}", self.n_embd, self.n_head))
    }
}

impl Variant {
    fn unsupported(&self, config: &ModelConfig) -> Option<String> {
        let activation = self.activation_function.as_deref().unwrap_or("gelu_new");
        if let Some(kind) = self.model_type.as_deref().filter(|kind| *kind != "gpt2") {
            return Some(format!("model_type is \"{kind}\", not \"gpt2\""));
        }
        if !["gelu_new", "gelu_pytorch_tanh", "gelu_fast"].contains(&activation) {
            return Some(format!("activation_function \"{activation}\" is not GPT-2's gelu_new"));
        }
        if self.n_inner.is_some_and(|inner| inner != 4 * config.n_embd) {
            return Some(format!("n_inner must be 4 × n_embd = {}", 4 * config.n_embd));
        }
        if self.tie_word_embeddings == Some(false) {
            return Some("tie_word_embeddings is false; GPT-2 ties them".into());
        }
        if self.scale_attn_weights == Some(false) || self.scale_attn_by_inverse_layer_idx == Some(true) {
            return Some("attention is scaled in a way GPT-2 does not".into());
        }
        None
    }
}
