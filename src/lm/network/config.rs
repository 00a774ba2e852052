//! The shape of a network: its family, its sizes, and the parts that some families have and others lack.

use serde::{Deserialize, Serialize};

use super::rotation::Rotation;
use crate::lm::kernels::HeadCounts;

/// Family of language models, by the names and conventions of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Learned positions, layer norm, GELU (Radford et al., 2019).
    Gpt2,
    /// Rotary positions, RMS norm, SwiGLU (Touvron et al., 2023); the other families below are variants of it.
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

impl Family {
    pub const ALL: [Self; 5] = [Self::Gpt2, Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// Returns the `model_type` of the family in `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Returns the class of `transformers` for a language model of the family.
    pub const fn architecture(self) -> &'static str {
        match self {
            Self::Gpt2 => "GPT2LMHeadModel",
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

/// Linear maps that add a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Biases {
    pub query_key_value: bool,
    pub attention_output: bool,
    pub feed_forward: bool,
}

/// Sizes and parts of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub family: Family,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The longest sequence, in tokens.
    pub positions: usize,
    /// Width of the residual stream, `d_model`.
    pub width: usize,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Attention heads of each block.
    pub heads: usize,
    /// Heads of keys and values, which divide `heads`: each is shared by a group of query heads (Ainslie et al.,
    /// 2023).
    pub key_value_heads: usize,
    /// Width of one attention head.
    pub head_width: usize,
    /// Width inside the feed-forward layer.
    pub feed_forward_width: usize,
    /// ε, which a norm adds to the variance or the mean square before the root is taken.
    pub norm_epsilon: f64,
    pub biases: Biases,
    /// True if the queries and keys of each head are normalized before they are rotated.
    pub query_key_norms: bool,
    /// Rotary positions; `None` for learned positions.
    pub rotation: Option<Rotation>,
    /// True if the output head is the token embedding.
    pub tied_output_head: bool,
}

impl ModelConfig {
    /// Returns a GPT-2 of this width with so many heads; the other sizes are those of the smallest published one.
    pub const fn gpt2(width: usize, heads: usize) -> Self {
        Self {
            family: Family::Gpt2,
            vocab_size: 50_257,
            positions: 1024,
            width,
            layers: 12,
            heads,
            key_value_heads: heads,
            head_width: width / heads,
            feed_forward_width: 4 * width,
            norm_epsilon: 1e-5,
            biases: Biases { query_key_value: true, attention_output: true, feed_forward: true },
            query_key_norms: false,
            rotation: None,
            tied_output_head: true,
        }
    }

    /// Returns the sizes of the smallest published GPT-2.
    pub const fn gpt2_124m() -> Self {
        Self::gpt2(768, 12)
    }

    /// Returns the sizes of SmolLM2-135M (Ben Allal et al., 2025).
    pub const fn smollm2_135m() -> Self {
        Self {
            family: Family::Llama,
            vocab_size: 49_152,
            positions: 8192,
            width: 576,
            layers: 30,
            heads: 9,
            key_value_heads: 3,
            head_width: 64,
            feed_forward_width: 1536,
            norm_epsilon: 1e-5,
            biases: Biases { query_key_value: false, attention_output: false, feed_forward: false },
            query_key_norms: false,
            rotation: Some(Rotation { theta: 100_000.0, scaling: None }),
            tied_output_head: true,
        }
    }

    /// Returns the padding id: outside the vocabulary, as in the original (`encodings.py`).
    pub fn pad_token(&self) -> u32 {
        u32::try_from(self.vocab_size.saturating_add(2)).unwrap_or(u32::MAX)
    }

    /// Returns the numbers of heads of queries, and of keys and values.
    pub fn head_counts(&self) -> HeadCounts {
        HeadCounts { queries: self.heads, keys: self.key_value_heads }
    }

    /// Returns the width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Returns the width of all key heads together, which is that of all value heads.
    pub fn key_width(&self) -> usize {
        self.key_value_heads * self.head_width
    }
}
