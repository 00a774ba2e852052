//! Pretraining of a language model on text.

use burn::tensor::Device;

use crate::config::{Lora, Pretrain};
use crate::device::DeviceMemory;
use crate::device::parallel::most_parts;
use crate::error::{Error, Result};
use crate::lm::network::parameters;
use crate::lm::{LanguageModel, ModelConfig, Sampling, Tokenizer, Transformer};
use crate::training::Backward;
use crate::training::memory::{BatchShape, Memory, TrainingMemory};

use super::corpus::document_start;
use super::train::Schedule;

/// Length of a sample in tokens.
const SAMPLE_TOKENS: usize = 128;

impl Pretrain {
    /// Returns the schedule of pretraining.
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

    /// Returns the shape of a model of this size.
    pub fn shape(&self, tokenizer: &Tokenizer) -> ModelConfig {
        ModelConfig {
            vocab_size: tokenizer.vocab_size(),
            positions: self.context_tokens,
            layers: self.layers,
            ..ModelConfig::gpt2(self.width, self.heads)
        }
    }

    /// Returns the backward pass on a model of this shape that fits into `device_memory`, and the memory of the run.
    /// The model that training started from is in memory beside the one that is trained.
    ///
    /// # Errors
    /// Fails when nothing fits.
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
        let training = TrainingMemory { pass, lora, frozen: 1.0, sampled_rows: 1, kept: 0, section: "pretrain" };
        training.backward_that_fits(config, 1, device_memory)
    }

    /// Creates a model of this size, with random weights from the seed.
    ///
    /// # Errors
    /// Fails when the device fails.
    pub fn new_model(&self, tokenizer: Tokenizer, seed: u64, device: &Device) -> Result<LanguageModel> {
        let config = self.shape(&tokenizer);
        let transformer = parameters::draw(Transformer::zeros(&config, device), config.layers, seed)?;
        Ok(LanguageModel { transformer, tokenizer, origin: None })
    }

    /// Checks that a model to be trained further reads as many tokens as the settings ask for.
    ///
    /// # Errors
    /// [`Error::Usage`] when the model reads fewer.
    pub fn check_context(&self, model: &LanguageModel) -> Result<()> {
        match model.config().positions {
            most if self.context_tokens > most => Err(Error::usage(
                format!("the model reads {most} tokens at most, not {}", self.context_tokens),
                format!("--set pretrain.context_tokens={most}"),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the context and the sampling of the samples that people read.
    ///
    /// # Errors
    /// Fails for a tokenizer that has no token to begin a document.
    pub fn shown(&self, tokenizer: &Tokenizer) -> Result<(Vec<u32>, Sampling)> {
        let response_length = self.context_tokens.min(SAMPLE_TOKENS).saturating_sub(1);
        let sampling = Sampling { response_length, temperature: 0.7, responses_per_query: 1 };
        Ok((document_start(tokenizer)?, sampling))
    }
}
