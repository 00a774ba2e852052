//! Estimates of the memory that work takes, by purpose, before anything is allocated. The counts follow from
//! the network as `flex` computes it; `ndarray` also keeps attention weights and more copies of the logits.
//!
//! Counts are in floating point, and sums saturate: an overflow must never make a large estimate look small.

mod inference;
mod training;

use serde::Serialize;

use crate::device::DeviceMemory;
use crate::error::{Error, Result};

pub(crate) use inference::Inference;
pub(crate) use training::{BatchShape, TrainingMemory};

const BYTES: f64 = 4.0;

/// Bytes of the program, its tokenizer and its text.
const PROGRAM_BYTES: u64 = 100_000_000;

/// Copies of the logits that are alive at once: the logits, and the scaled logits, which the gradient replaces.
const LOGITS_COPIES: f64 = 2.0;

/// Share of freed memory that the allocator keeps: one part in this number.
const FREED_SHARE: u64 = 5;

/// Bytes at the peak, by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub weights: u64,
    pub optimizer: u64,
    pub gradients: u64,
    pub activations: u64,
    pub logits: u64,
    /// Buffers that the allocator keeps for the next ones.
    pub freed: u64,
    pub cache: u64,
    /// Bytes for writing a checkpoint, beyond those that the backward pass has freed.
    pub checkpoint: u64,
    /// Samples or labels that stay in the host's memory to the end.
    pub kept: u64,
    /// The largest tensor, which must fit one buffer of a GPU.
    pub largest_buffer: u64,
}

impl Memory {
    /// Returns the sum of all parts.
    pub fn total(&self) -> u64 {
        self.parts().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    fn parts(&self) -> [(&'static str, u64); 10] {
        [
            ("program", PROGRAM_BYTES),
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("freed", self.freed),
            ("cache", self.cache),
            ("checkpoint", self.checkpoint),
            ("kept", self.kept),
        ]
    }

    /// Returns one line, in MB, with the parts that are not zero.
    pub fn describe(&self) -> String {
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let parts: Vec<String> = parts.map(|(name, bytes)| format!("{name} {}", mb(bytes))).collect();
        format!("{} MB ({})", mb(self.total()), parts.join(", "))
    }

    /// Returns the memory if it fits into `device_memory`; `hint` says what to do if it does not.
    ///
    /// # Errors
    /// [`Error::Failed`], with the numbers, when the memory does not fit.
    pub fn that_fits(self, device_memory: DeviceMemory, hint: &str) -> Result<Self> {
        if self.fits(device_memory) { Ok(self) } else { Err(self.does_not_fit(device_memory, hint.into())) }
    }

    /// Checks whether the memory fits, and a tenth is left to the other programs of the machine.
    pub(crate) fn fits(&self, device_memory: DeviceMemory) -> bool {
        device_memory.free.is_none_or(|free| self.total() <= free / 10 * 9)
            && device_memory.buffer.is_none_or(|buffer| self.largest_buffer <= buffer)
    }

    /// Returns the error for memory that does not fit, with the numbers.
    pub(crate) fn does_not_fit(&self, device_memory: DeviceMemory, hint: String) -> Error {
        let what = match device_memory {
            DeviceMemory { buffer: Some(buffer), .. } if self.largest_buffer > buffer => {
                format!(
                    "one tensor takes {} MB, and a buffer of this device holds {}",
                    mb(self.largest_buffer),
                    mb(buffer)
                )
            }
            DeviceMemory { free, .. } => {
                format!(
                    "this takes {}, and {} MB are free, of which nine tenths may be used",
                    self.describe(),
                    mb(free.unwrap_or(0))
                )
            }
        };
        let hint = match device_memory.is_limited {
            true => {
                format!("raise the limit on the address space (ulimit -v), a third of which may be used; or {hint}")
            }
            false => hint,
        };
        Error::failed(what, hint)
    }
}

fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// Converts a count of 32-bit numbers to bytes; saturates.
fn bytes(numbers: f64) -> u64 {
    (BYTES * numbers) as u64
}

/// Returns `from`, half of it, a quarter and so on, down to 1.
pub(crate) fn halves(from: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(from), |n| (*n > 1).then_some(n / 2))
}

fn floats<const N: usize>(sizes: [usize; N]) -> [f64; N] {
    sizes.map(|size| size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::ModelConfig;
    use crate::lm::Transformer;
    use burn::module::Module;

    #[test]
    fn parameters_are_those_of_the_network() {
        assert_eq!(ModelConfig::gpt2_124m().parameter_count() as u64, 124_439_808);
        let gpt2 = ModelConfig { vocab_size: 59, positions: 80, layers: 2, ..ModelConfig::gpt2(20, 2) };
        let smollm2 = ModelConfig::smollm2_135m();
        assert_eq!(smollm2.parameter_count() as u64, 134_515_008);
        let qwen3 = ModelConfig {
            family: crate::lm::network::Family::Qwen3,
            query_key_norms: true,
            tied_output_head: false,
            biases: gpt2.biases,
            vocab_size: 59,
            layers: 2,
            ..smollm2
        };
        for config in [gpt2, qwen3] {
            let network = Transformer::zeros(&config, &crate::device::host());
            assert_eq!(config.parameter_count() as u64, network.num_params() as u64);
        }
    }

    /// Sizes that would wrap around to something small if they were multiplied as whole numbers.
    #[test]
    fn sizes_that_no_machine_holds_take_more_than_any_has() {
        let huge = ModelConfig { layers: usize::MAX, ..ModelConfig::gpt2(usize::MAX / 8, 1) };
        assert_eq!(huge.parameter_count() as u64, u64::MAX);
        let rows =
            Inference { models: 2, rows: 1 << 40, responses_per_query: 1, context: 1 << 40, ..Inference::default() };
        assert_eq!(rows.memory(&ModelConfig::gpt2_124m(), rows.rows).total(), u64::MAX);
        let error = rows
            .rows_that_fit(&huge, 1, DeviceMemory { free: Some(1 << 40), ..DeviceMemory::default() }, "use less")
            .unwrap_err();
        assert!(error.to_string().contains("18446744073710 MB"), "{error}");
    }

    #[test]
    fn parts_that_are_nothing_are_not_mentioned() {
        let memory = Memory { weights: 5_000_000, kept: 1, ..Memory::default() };
        assert_eq!(memory.describe(), "106 MB (program 100, weights 5, kept 1)");
    }
}
