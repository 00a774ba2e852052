//! A language model from text.

use burn::tensor::Device;

use crate::config::{Lora, Pretrain};
use crate::device::DeviceMemory;
use crate::device::parallel::most_parts;
use crate::error::{Error, Result};
use crate::lm::network::parameters;
use crate::lm::{END_OF_TEXT, LanguageModel, ModelConfig, Sampling, Tokenizer, Transformer};
use crate::training::Backward;
use crate::training::memory::{BatchShape, Memory, TrainingMemory};

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

    /// The shape of a model of this size.
    pub fn shape(&self, tokenizer: &Tokenizer) -> ModelConfig {
        ModelConfig {
            vocab_size: tokenizer.vocab_size(),
            n_positions: self.context_tokens,
            n_embd: self.width,
            n_layer: self.layers,
            n_head: self.heads,
            layer_norm_epsilon: 1e-5,
        }
    }

    /// The backward pass on a model of this shape that fits into `device_memory`, and what the run takes with it; what
    /// it began from lies beside the model that learns.
    ///
    /// # Errors
    /// When nothing fits.
    pub fn backward_that_fits(
        &self,
        config: &ModelConfig,
        device: &Device,
        device_memory: DeviceMemory,
    ) -> Result<(Backward, Memory)> {
        let backward = Backward { parts: most_parts(device), ..Backward::in_passes_of(self.batch_size) };
        let pass =
            BatchShape { rows: self.batch_size, tokens: self.context_tokens, responses: self.context_tokens, backward };
        let lora = Lora { rank: 0, alpha: 1.0 };
        let training = TrainingMemory { pass, lora, frozen: 1, sampled_rows: 1, kept: 0, section: "pretrain" };
        training.backward_that_fits(config, 1, device_memory)
    }

    /// A model of this size, whose weights the seed draws.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new_model(&self, tokenizer: Tokenizer, seed: u64, device: &Device) -> Result<LanguageModel> {
        let config = self.shape(&tokenizer);
        let transformer = parameters::draw(Transformer::zeros(&config, device), config.n_layer, seed)?;
        Ok(LanguageModel { transformer, tokenizer, origin: None })
    }

    /// A model that is trained further must read as much.
    ///
    /// # Errors
    /// [`Error::Usage`] when it reads less.
    pub fn check_context(&self, model: &LanguageModel) -> Result<()> {
        match model.config().n_positions {
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
