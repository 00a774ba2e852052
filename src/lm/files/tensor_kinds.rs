//! Kinds of the tensors in files of language models, by their names.

/// Parts of a name that stand for a wrapper around the model or a block of it: `torch.compile`, data
/// parallel training, and checkpointing of activations.
const WRAPPERS: [&str; 4] = ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Parts with which names begin in files of a language model, and not in those of a network without its head.
const BEGINNINGS: [&str; 2] = ["transformer", "model"];

/// Returns the name without wrappers, and without the `transformer.` or `model.` that some files have, such as
/// `wte.weight`.
pub(super) fn plain_name(stored: &str) -> String {
    let parts: Vec<&str> = stored.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    let skipped = parts.iter().take_while(|part| BEGINNINGS.contains(part)).count();
    parts.get(skipped..).unwrap_or_default().join(".")
}

/// Kind of a tensor, as far as its plain name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorKind {
    /// Tensor of a block, embedding, final norm, or output head.
    Network,
    /// Causal mask of attention, or frequencies of rotary positions: constants that older files store.
    Constant,
    /// Value head beside the language model, as programs that train policies save it.
    ValueHead,
    /// Matrix of a LoRA adapter that is not merged.
    Adapter,
    CrossAttention,
    Classifier,
    Unknown,
}

/// Beginnings of the names of blocks.
const BLOCKS_OF_GPT2: &str = "h.";
const BLOCKS_OF_LLAMA: &str = "layers.";

/// The tensors of one block of a GPT-2.
const OF_GPT2: [&str; 12] = [
    "ln_1.weight",
    "ln_1.bias",
    "attn.c_attn.weight",
    "attn.c_attn.bias",
    "attn.c_proj.weight",
    "attn.c_proj.bias",
    "ln_2.weight",
    "ln_2.bias",
    "mlp.c_fc.weight",
    "mlp.c_fc.bias",
    "mlp.c_proj.weight",
    "mlp.c_proj.bias",
];

/// The tensors of one block of a Llama or one of its variants.
const OF_LLAMA: [&str; 18] = [
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.k_proj.weight",
    "self_attn.k_proj.bias",
    "self_attn.v_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.o_proj.weight",
    "self_attn.o_proj.bias",
    "self_attn.q_norm.weight",
    "self_attn.k_norm.weight",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.gate_proj.bias",
    "mlp.up_proj.weight",
    "mlp.up_proj.bias",
    "mlp.down_proj.weight",
    "mlp.down_proj.bias",
];

const OUTSIDE_BLOCKS: [&str; 7] =
    ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias", "embed_tokens.weight", "norm.weight", "lm_head.weight"];

impl TensorKind {
    pub(super) fn of(name: &str) -> Self {
        if name.contains("lora_") || name.contains("base_layer") {
            return Self::Adapter;
        }
        match block_and_rest(name) {
            Some((_, "attn.bias" | "attn.masked_bias" | "self_attn.rotary_emb.inv_freq")) => Self::Constant,
            Some((_, rest)) if name.starts_with(BLOCKS_OF_GPT2) && OF_GPT2.contains(&rest) => Self::Network,
            Some((_, rest)) if name.starts_with(BLOCKS_OF_LLAMA) && OF_LLAMA.contains(&rest) => Self::Network,
            Some((_, rest)) if rest.starts_with("crossattention.") || rest.starts_with("ln_cross_attn.") => {
                Self::CrossAttention
            }
            Some(_) => Self::Unknown,
            None if OUTSIDE_BLOCKS.contains(&name) => Self::Network,
            None if name == "rotary_emb.inv_freq" => Self::Constant,
            None => match name.split_once('.').map_or(name, |(first, _)| first) {
                "v_head" => Self::ValueHead,
                "score" | "classifier" | "qa_outputs" | "multiple_choice_head" => Self::Classifier,
                _ => Self::Unknown,
            },
        }
    }

    /// Returns the number of the block that the tensor belongs to.
    pub(super) fn layer(name: &str) -> Option<u64> {
        block_and_rest(name).map(|(block, _)| block)
    }

    /// Returns the hint for a tensor that the network does not have; `None` if the tensor may be left out.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Constant | Self::ValueHead => None,
            Self::Network => Some("take config.json and the weights from the same model"),
            Self::Adapter => {
                Some("merge the adapter before you save: `model.merge_and_unload().save_pretrained(folder)`")
            }
            Self::CrossAttention => Some("this is a decoder that also reads an encoder; take a language model"),
            Self::Classifier => Some("this is a classifier; take a language model"),
            Self::Unknown => {
                Some("take the weights of a language model, as `model.save_pretrained(folder)` writes them")
            }
        }
    }
}

/// Splits `h.3.ln_1.weight` into 3 and `ln_1.weight`; in a Llama, `layers` stands in the place of `h`.
fn block_and_rest(name: &str) -> Option<(u64, &str)> {
    let rest = name.strip_prefix(BLOCKS_OF_GPT2).or_else(|| name.strip_prefix(BLOCKS_OF_LLAMA))?;
    let (number, rest) = rest.split_once('.')?;
    let block: u64 = number.parse().ok()?;
    (block.to_string() == number).then_some((block, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_around_model_and_blocks_are_no_part_of_a_name() {
        for stored in [
            "h.0.ln_1.weight",
            "transformer.h.0.ln_1.weight",
            "_orig_mod.transformer.h.0.ln_1.weight",
            "module._orig_mod.h.0.ln_1.weight",
            "_orig_mod.module.transformer.h.0.ln_1.weight",
            "transformer.h.0._orig_mod.ln_1.weight",
        ] {
            assert_eq!(plain_name(stored), "h.0.ln_1.weight", "{stored}");
        }
        assert_eq!(plain_name("lm_head.weight"), "lm_head.weight");
    }

    #[test]
    fn every_tensor_has_a_kind() {
        use TensorKind::*;
        for (name, kind) in [
            ("wte.weight", Network),
            ("h.11.mlp.c_proj.bias", Network),
            ("h.3.attn.bias", Constant),
            ("h.3.attn.masked_bias", Constant),
            ("layers.3.self_attn.rotary_emb.inv_freq", Constant),
            ("layers.3.self_attn.q_proj.weight", Network),
            ("h.3.self_attn.q_proj.weight", Unknown),
            ("layers.3.ln_1.weight", Unknown),
            ("layers.3.block_sparse_moe.gate.weight", Unknown),
            ("attn.bias", Unknown),
            ("h.03.attn.bias", Unknown),
            ("h.0.attn.c_attn.lora_A.weight", Adapter),
            ("h.0.attn.c_attn.base_layer.weight", Adapter),
            ("h.0.crossattention.c_attn.weight", CrossAttention),
            ("h.0.attn.rotary.weight", Unknown),
            ("score.weight", Classifier),
            ("v_head.summary.weight", ValueHead),
            ("model.layers.0.mlp.weight", Unknown),
            ("lm_head.bias", Unknown),
        ] {
            assert_eq!(TensorKind::of(name), kind, "{name}");
        }
    }
}
