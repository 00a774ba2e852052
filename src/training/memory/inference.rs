//! Memory for sampling responses, and for reading them without gradients.

use super::{FREED_SHARE, LOGITS_COPIES, Memory, bytes, floats, halves};
use crate::device::DeviceMemory;
use crate::error::Result;
use crate::lm::ModelConfig;
use crate::lm::kernels::SLOTS_AT_ONCE;

/// Returns the numbers per token that are alive at once in a block: the sum, and the feed-forward layer before and
/// after its activation, which together take more than attention.
fn alive_in_a_block(config: &ModelConfig) -> f64 {
    config.width as f64 + config.expanded_width() + config.feed_forward_width as f64
}

/// Responses that are sampled in batches, and then read by other models.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inference {
    /// Loaded models of the same shape.
    pub models: usize,
    /// Wanted number of rows of a batch.
    pub rows: usize,
    /// Rows that share a query and are sampled together.
    pub responses_per_query: usize,
    /// Largest number of tokens before a response.
    pub context: usize,
    /// Tokens of a response.
    pub response: usize,
    /// True if another model computes the log-probability of each response token.
    pub rated: bool,
    /// Bytes that stay in the host's memory to the end.
    pub kept: u64,
}

impl Inference {
    /// Estimates the memory for batches of `rows` rows.
    pub(crate) fn memory(&self, config: &ModelConfig, rows: usize) -> Memory {
        let queries = rows.div_ceil(self.responses_per_query.max(1));
        let capacity =
            (self.context.saturating_add(self.response)).div_ceil(SLOTS_AT_ONCE) as f64 * SLOTS_AT_ONCE as f64;
        let [layers, width, vocabulary, heads, key_width] =
            floats([config.layers, config.width, config.vocab_size, config.heads, config.key_width()]);
        let in_a_block = alive_in_a_block(config);
        let [models, row_count, query_count, context, response] =
            floats([self.models, rows, queries, self.context, self.response]);
        let a_row = 2.0 * layers * key_width * capacity;
        // Keys and values of the queries are copied if several responses share a query.
        let cached = a_row * if queries < rows { row_count + query_count } else { row_count };
        let drawn = LOGITS_COPIES * row_count * vocabulary;
        let prompt = in_a_block * query_count * context;
        // Nothing is cached while responses are read again.
        let read = in_a_block * row_count * (context + response);
        let rated = if self.rated { LOGITS_COPIES * row_count * response * vocabulary } else { 0.0 };
        let memory = Memory {
            weights: bytes(models * config.parameter_count()),
            cache: bytes(cached),
            activations: bytes(prompt.max(read - cached)),
            logits: bytes(drawn.max(rated - cached)),
            kept: self.kept,
            largest_buffer: bytes(
                (vocabulary * width)
                    .max(a_row * row_count / (2.0 * layers))
                    .max(row_count * heads * context.powi(2))
                    .max(if self.rated { row_count * response * vocabulary } else { row_count * vocabulary }),
            ),
            ..Memory::default()
        };
        let computed = memory.activations.saturating_add(memory.logits).saturating_add(memory.cache);
        Memory { freed: computed / FREED_SHARE, ..memory }
    }

    /// Returns the number of rows of a batch that fits, and its memory: the wanted number, half of it and so
    /// on, down to `smallest`, and always a multiple of `smallest`. `hint` says what to do if none fits.
    ///
    /// # Errors
    /// [`crate::Error::Failed`], with the numbers, when not even `smallest` rows fit.
    pub(crate) fn rows_that_fit(
        &self,
        config: &ModelConfig,
        smallest: usize,
        device_memory: DeviceMemory,
        hint: &str,
    ) -> Result<(usize, Memory)> {
        let smallest = smallest.max(1);
        let mut least = Memory::default();
        for groups in halves((self.rows / smallest).max(1)) {
            least = self.memory(config, groups * smallest);
            if least.fits(device_memory) {
                return Ok((groups * smallest, least));
            }
        }
        Err(least.does_not_fit(device_memory, hint.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing() -> Inference {
        Inference { models: 1, rows: 64, responses_per_query: 1, context: 64, response: 24, ..Inference::default() }
    }

    #[test]
    fn the_batch_is_halved_until_it_fits() {
        let gpt2 = ModelConfig::gpt2_124m();
        let device_memory = |free| DeviceMemory { free: Some(free), ..DeviceMemory::default() };
        let fit = |free| drawing().rows_that_fit(&gpt2, 1, device_memory(free), "use less");
        assert_eq!(fit(100 << 30).unwrap().0, 64);
        let (rows, memory) = fit(900_000_000).unwrap();
        assert!((1..64).contains(&rows) && memory.total() <= 810_000_000, "{rows}");
        assert!(drawing().memory(&gpt2, 2 * rows).total() > 810_000_000);
        let groups = Inference { rows: 128, responses_per_query: 4, ..drawing() };
        assert!(groups.rows_that_fit(&gpt2, 4, device_memory(900_000_000), "").unwrap().0.is_multiple_of(4));
        let error = fit(500_000_000).unwrap_err();
        assert!(error.to_string().contains("and 500 MB are free, of which") && error.hint() == "use less", "{error}");
        let error = drawing()
            .rows_that_fit(&gpt2, 1, DeviceMemory { buffer: Some(128 << 20), ..DeviceMemory::default() }, "")
            .unwrap_err();
        assert!(error.to_string().contains("one tensor takes 155 MB"), "{error}");
    }

    #[test]
    fn responses_that_are_rated_need_logits_for_each_of_their_tokens() {
        let rated = Inference { rated: true, models: 2, ..drawing() };
        let gpt2 = ModelConfig::gpt2_124m();
        let logits = 4 * 2 * 64 * 24 * 50_257;
        let [with, without] = [rated, drawing()].map(|work| work.memory(&gpt2, 64));
        assert!(with.logits + with.cache >= logits && without.logits + without.cache < logits);
    }
}
