//! Memory of a training loop.

use super::{FREED_SHARE, LOGITS_COPIES, Memory, bytes, floats, halves, mb};
use crate::config::Lora;
use crate::device::DeviceMemory;
use crate::error::Result;
use crate::lm::{ModelConfig, ROWS_AT_ONCE};
use crate::training::Backward;

/// Returns the numbers per token that a block keeps for the backward pass up to attention: input, norm, queries, keys,
/// values and the output of attention, and queries and keys once more where they are normalized.
fn kept_up_to_attention(config: &ModelConfig) -> f64 {
    let [queries, keys] = floats([config.query_width(), config.key_width()]);
    let normalized = if config.query_key_norms { queries + keys } else { 0.0 };
    2.0 * config.width as f64 + config.query_key_value_width() + normalized + queries
}

/// Returns the numbers per token that a block keeps after attention: sum and norm, and the feed-forward layer before
/// and after its activation; in the last block only where output is wanted.
fn kept_after_attention(config: &ModelConfig) -> f64 {
    2.0 * config.width as f64 + config.expanded_width() + config.feed_forward_width as f64
}

/// Returns the numbers of adapters of rank 1: the rows and columns of the matrices inside the blocks.
fn adapters_of_rank_1(config: &ModelConfig) -> f64 {
    let width = config.width as f64;
    let attention = 2.0 * width + config.query_key_value_width() + config.query_width() as f64;
    config.layers as f64 * (attention + 2.0 * width + config.expanded_width() + config.feed_forward_width as f64)
}

/// Shape of a batch, and its backward pass.
#[derive(Debug, Clone, Copy)]
pub struct BatchShape {
    /// Rows of the whole batch.
    pub rows: usize,
    /// Tokens of each row.
    pub tokens: usize,
    /// Tokens of each row whose logits are wanted.
    pub responses: usize,
    pub backward: Backward,
}

/// Matrices of attention that are alive at once, `[row tokens, row tokens]` of one head each: the weights,
/// their gradient, and what the softmax needs of both.
const ATTENTION_COPIES: f64 = 3.0;

impl Memory {
    /// Estimates the memory of training on the batch `pass`, with `frozen` models of the same shape beside the
    /// trained model.
    pub fn of_training(config: &ModelConfig, pass: &BatchShape, lora: Lora, frozen: f64) -> Self {
        let [layers, width, heads, vocabulary] = floats([config.layers, config.width, config.heads, config.vocab_size]);
        let all = config.parameter_count();
        let inside_blocks = layers * config.matrices_of_block();
        let trained = if lora.rank > 0 { adapters_of_rank_1(config) * lora.rank as f64 } else { all };
        let Backward { micro_batch_size, parts, gradient_checkpointing } = pass.backward;
        let part = pass.rows.div_ceil(parts.max(1));
        let several_passes = part > micro_batch_size;
        let [rows, parts, row_tokens, responses] =
            floats([micro_batch_size.min(part), parts, pass.tokens, pass.responses]);
        let tokens = rows * row_tokens;

        let wanted = rows * responses.max(1.0);
        let (before, after) = (kept_up_to_attention(config), kept_after_attention(config));
        let a_block = tokens * (before + after);
        let last_block = tokens * before + wanted * after;
        let kept = if gradient_checkpointing {
            a_block + layers * tokens * width
        } else {
            (layers - 1.0).max(0.0) * a_block + last_block
        };
        // Each part makes the adapted matrices for itself, beside the frozen ones.
        let merged = if lora.rank > 0 { inside_blocks } else { 0.0 };
        let learning = if lora.rank == 0 { all } else { 0.0 };
        let logits = rows * responses * vocabulary;
        // Sums over the micro-batches.
        let summed = if several_passes { parts * trained } else { 0.0 };
        // The backward pass frees activations as it makes gradients, of which the output head's come first.
        let head = if lora.rank == 0 && responses > 0.0 { vocabulary * width } else { 0.0 };
        let beginning = Self {
            activations: bytes(parts * (kept + ATTENTION_COPIES * row_tokens.powi(2))),
            logits: bytes(parts * logits * LOGITS_COPIES),
            gradients: bytes(parts * head + summed),
            ..Self::default()
        };
        let end = Self { gradients: bytes(parts * trained + summed), ..Self::default() };
        let larger = if beginning.backward() > end.backward() { beginning } else { end };
        Self {
            weights: bytes(frozen * all + learning + parts * merged),
            optimizer: bytes(2.0 * trained),
            freed: larger.backward() / FREED_SHARE,
            largest_buffer: bytes(logits.max(vocabulary * width).max(rows * heads * row_tokens.powi(2))),
            ..larger
        }
    }

    /// Adds the sampler's key-value cache for `rows` rows of `tokens` tokens. The cache is gone before the
    /// backward pass begins, so that only its excess over the backward pass counts.
    #[must_use]
    pub fn with_sampling(self, config: &ModelConfig, rows: usize, tokens: usize) -> Self {
        let [rows, tokens, layers, key_width, vocabulary] =
            floats([rows, tokens, config.layers, config.key_width(), config.vocab_size]);
        let keys_and_values = 2.0 * rows * tokens * layers * key_width;
        let logits = LOGITS_COPIES * rows * vocabulary;
        Self { cache: bytes(keys_and_values + logits).saturating_sub(self.backward()), ..self }
    }

    /// Adds a checkpoint between two steps: weights, frozen ones included, and optimizer, on the host and as
    /// the bytes of their files. They take the place of what the backward pass needs, but not of freed buffers, whose
    /// sizes differ.
    #[must_use]
    pub fn with_checkpoint(self, config: &ModelConfig) -> Self {
        let files = bytes(config.parameter_count()).saturating_add(self.optimizer).saturating_mul(2);
        let free = (self.backward() - self.freed).saturating_add(self.cache);
        Self { checkpoint: files.saturating_sub(free), ..self }
    }

    fn backward(&self) -> u64 {
        let parts = [self.gradients, self.activations, self.logits, self.freed];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// Properties of a training loop that determine its memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrainingMemory {
    /// Batch with the wanted number of rows in a micro-batch, and the wanted number of parts.
    pub pass: BatchShape,
    pub lora: Lora,
    /// Models of the same shape beside the trained model; one in bf16 counts half.
    pub frozen: f64,
    /// Rows whose responses are sampled together.
    pub sampled_rows: usize,
    /// Bytes that stay in the host's memory: the comparisons, or the samples of a whole batch.
    pub kept: u64,
    /// Section of the loop's settings: `policy`, `reward`, `sft` or `pretrain`.
    pub section: &'static str,
}

impl TrainingMemory {
    /// Estimates the memory with this `backward` in the place of the loop's own.
    pub(crate) fn memory(&self, config: &ModelConfig, backward: Backward) -> Memory {
        let pass = BatchShape { backward, ..self.pass };
        let rows = self.sampled_rows.min(ROWS_AT_ONCE);
        let memory = Memory::of_training(config, &pass, self.lora, self.frozen)
            .with_sampling(config, rows, pass.tokens)
            .with_checkpoint(config);
        Memory { kept: self.kept, ..memory }
    }

    /// Returns the backward pass that fits, and its memory: as many parts as possible, then as many rows in a
    /// micro-batch. Each is the wanted number, half of it, a quarter and so on, down to one part of `smallest`
    /// rows.
    ///
    /// # Errors
    /// [`crate::Error::Failed`], with the numbers, when not even the smallest fits.
    pub(crate) fn backward_that_fits(
        &self,
        config: &ModelConfig,
        smallest: usize,
        device_memory: DeviceMemory,
    ) -> Result<(Backward, Memory)> {
        let wanted = self.pass.backward;
        let rows = wanted.micro_batch_size.min(self.pass.rows).max(smallest);
        // Rows that belong together stay together.
        let row_counts = || halves(rows / smallest).map(|groups| groups * smallest);
        let parts = wanted.parts.min(self.pass.rows / smallest).max(1);
        let candidates = halves(parts).flat_map(|parts| row_counts().map(move |rows| (parts, rows)));
        let mut least = (wanted, Memory::default());
        for (parts, micro_batch_size) in candidates {
            let backward = Backward { parts, micro_batch_size, ..wanted };
            let memory = self.memory(config, backward);
            if memory.fits(device_memory) {
                return Ok((backward, memory));
            }
            least = (backward, memory);
        }
        let (backward, memory) = least;
        Err(memory.does_not_fit(device_memory, self.ways_out(config, backward, &memory)))
    }

    /// Returns the hint for when not even `backward` fits: the settings with which the loop takes less memory.
    fn ways_out(&self, config: &ModelConfig, backward: Backward, memory: &Memory) -> String {
        let Self { section, lora, .. } = *self;
        if section == "pretrain" {
            return "lower pretrain.width, pretrain.layers, pretrain.vocabulary_size or pretrain.context_tokens".into();
        }
        let checkpointing = self.memory(config, Backward { gradient_checkpointing: true, ..backward });
        let adapters = Self { lora: Lora { rank: 16, ..lora }, ..*self }.memory(config, backward);
        let smaller = Self { kept: 0, ..*self }.memory(config, backward);
        let ways = [
            (true, "gradient_checkpointing=true", checkpointing),
            // Only the policy has adapters.
            (section == "policy" && lora.rank == 0, "lora.rank=16", adapters),
            (section == "policy" && self.kept > memory.total() / 4, "batch_size=64 or so", smaller),
        ];
        let less = |(possible, _, with): &(bool, &str, Memory)| *possible && with.total() < memory.total();
        let way = |(_, setting, with): (bool, &str, Memory)| {
            format!("; with --set {section}.{setting} it takes {} MB", mb(with.total()))
        };
        format!("use a smaller model or shorter queries{}", ways.into_iter().filter(less).map(way).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backward(micro_batch_size: usize) -> Backward {
        Backward { micro_batch_size, parts: 1, gradient_checkpointing: false }
    }

    fn pass(backward: Backward) -> BatchShape {
        BatchShape { rows: 64, tokens: 88, responses: 24, backward }
    }

    fn whole(backward: Backward) -> TrainingMemory {
        TrainingMemory {
            pass: pass(backward),
            lora: Lora { rank: 0, alpha: 1.0 },
            frozen: 2.0,
            sampled_rows: 64,
            kept: 0,
            section: "policy",
        }
    }

    fn device_memory(free: u64) -> DeviceMemory {
        DeviceMemory { free: Some(free), ..DeviceMemory::default() }
    }

    #[test]
    fn the_micro_batch_is_halved_until_it_fits() {
        let training = whole(backward(64));
        let fit = |device_memory| training.backward_that_fits(&ModelConfig::gpt2_124m(), 1, device_memory);
        assert_eq!(fit(device_memory(100 << 30)).unwrap().0, backward(64));
        let (found, memory) = fit(device_memory(7_000_000_000)).unwrap();
        assert!(found.micro_batch_size < 64 && memory.total() <= 6_300_000_000);
        assert!(
            training.memory(&ModelConfig::gpt2_124m(), backward(2 * found.micro_batch_size)).total() > 6_300_000_000
        );
        let (of_four, _) =
            training.backward_that_fits(&ModelConfig::gpt2_124m(), 4, device_memory(7_000_000_000)).unwrap();
        assert!(of_four.micro_batch_size.is_multiple_of(4));
        let error = fit(device_memory(1_000_000_000)).unwrap_err();
        assert!(error.to_string().contains("and 1000 MB are free"), "{error}");
        // The hint names only settings that reduce the peak, which is the checkpoint here, not one row's
        // activations.
        assert!(error.hint().contains("policy.lora.rank=16 it takes"), "{}", error.hint());
        assert!(!error.hint().contains("gradient_checkpointing"), "{}", error.hint());
        // The token embedding, 154 MB, whatever the micro-batch.
        let error = fit(DeviceMemory { buffer: Some(128 << 20), ..DeviceMemory::default() }).unwrap_err();
        assert!(error.to_string().contains("one tensor takes 155 MB"), "{error}");
    }

    /// Gradients for each of 64 cores would take 32 GB and more.
    #[test]
    fn a_machine_with_many_cores_takes_as_many_parts_as_it_has_room_for() {
        let training = whole(Backward { parts: 64, ..backward(8) });
        let (found, memory) =
            training.backward_that_fits(&ModelConfig::gpt2_124m(), 1, device_memory(17_000_000_000)).unwrap();
        assert!((2..64).contains(&found.parts), "{found:?}");
        assert!(memory.total() <= 14_400_000_000);
    }

    #[test]
    fn checkpointing_and_adapters_take_less() {
        let none = Lora { rank: 0, alpha: 1.0 };
        let all = Memory::of_training(&ModelConfig::gpt2_124m(), &pass(backward(8)), none, 2.0);
        let again = pass(Backward { gradient_checkpointing: true, ..backward(8) });
        assert!(Memory::of_training(&ModelConfig::gpt2_124m(), &again, none, 2.0).activations < all.activations / 4);
        let adapters =
            Memory::of_training(&ModelConfig::gpt2_124m(), &pass(backward(8)), Lora { rank: 16, alpha: 1.0 }, 2.0);
        assert!(adapters.total() < all.total() * 6 / 10, "{} and {}", adapters.describe(), all.describe());
    }
}
