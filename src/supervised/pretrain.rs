//! A language model from text.

use burn::tensor::Device;

use crate::config::Pretrain;
use crate::error::{Error, Result};
use crate::lm::{END_OF_TEXT, LanguageModel, ModelConfig, Sampling, Tokenizer, Transformer, parameters};

use super::train::Schedule;

/// Length of a sample.
const SAMPLE_TOKENS: usize = 128;

impl Pretrain {
    /// How it is trained.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            steps: self.steps,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            decay_fraction: self.decay_fraction,
            checkpoint_every_steps: self.checkpoint_every_steps,
            evaluate_every_steps: self.evaluate_every_steps,
        }
    }

    /// A model of this size, whose weights the seed draws.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new_model(&self, tokenizer: Tokenizer, seed: u64, device: &Device) -> Result<LanguageModel> {
        let config = ModelConfig {
            vocab_size: tokenizer.vocab_size(),
            n_positions: self.context_tokens,
            n_embd: self.width,
            n_layer: self.layers,
            n_head: self.heads,
            layer_norm_epsilon: 1e-5,
        };
        let transformer = parameters::draw(Transformer::zeros(&config, device), config.n_layer, seed)?;
        Ok(LanguageModel { config, transformer, tokenizer, origin: None })
    }

    /// A model that is trained further must read as much.
    ///
    /// # Errors
    /// [`Error::Usage`] when it reads less.
    pub fn check_context(&self, model: &LanguageModel) -> Result<()> {
        match model.config.n_positions {
            most if self.context_tokens > most => Err(Error::usage(
                format!("the model reads {most} tokens at most, not {}", self.context_tokens),
                format!("--set pretrain.context_tokens={most}"),
            )),
            _ => Ok(()),
        }
    }

    /// What the model writes on its own, for a person to read: what it continues, and how.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn shown(&self, tokenizer: &Tokenizer) -> Result<(Vec<u32>, Sampling)> {
        let response_length = self.context_tokens.min(SAMPLE_TOKENS).saturating_sub(1);
        let sampling = Sampling { response_length, temperature: 0.7, responses_per_query: 1 };
        Ok((tokenizer.encode(END_OF_TEXT)?, sampling))
    }
}
