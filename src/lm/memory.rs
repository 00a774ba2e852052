//! What training takes, by part, before anything is allocated. The counts follow from the network as
//! `flex` runs it; `ndarray` keeps attention weights and more copies of the logits, too.

use serde::Serialize;

use super::config::ModelConfig;
use super::gradients::Backward;
use super::sampler::ROWS_AT_ONCE;
use crate::config::Lora;
use crate::device::Room;
use crate::error::{Error, Result};

const BYTES: u64 = 4;

/// Numbers of width `d_model` that a block keeps for the backward pass, a token: input, norm, queries,
/// keys, values and what attention gives,
const UP_TO_ATTENTION: u64 = 6;

/// and then sum and norm 2, the feed-forward layer 8; in the last block only where output is wanted.
const AFTER_ATTENTION: u64 = 10;

/// Copies of the logits that are alive at once: themselves, and scaled; the gradient takes the place of
/// these.
const LOGITS_COPIES: u64 = 2;

/// The program, its tokenizer and its text.
const PROGRAM_BYTES: u64 = 100_000_000;

/// Of a backward pass, what was freed and is kept for the next buffers, as one part in so many.
const FREED_SHARE: u64 = 10;

/// Bytes at the peak of a training run, by what they are for.
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
    /// What writing a checkpoint needs beyond what the backward pass has left.
    pub checkpoint: u64,
    /// The largest tensor, which must fit one buffer of a GPU.
    pub largest_buffer: u64,
}

/// A backward pass, as [`Memory`] sees it.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Rows of the whole batch.
    pub rows: usize,
    /// Tokens a row.
    pub tokens: usize,
    /// Tokens a row whose logits are wanted.
    pub responses: usize,
    pub backward: Backward,
}

impl Memory {
    /// Training by `pass`, with `frozen` more models of the same shape beside the one that learns.
    pub fn of_training(config: &ModelConfig, pass: &Pass, lora: Lora, frozen: u64) -> Self {
        let [layers, width, heads, vocabulary] =
            [config.n_layer, config.n_embd, config.n_head, config.vocab_size].map(|n| n as u64);
        let all = parameters(config);
        let inside_blocks = layers * 12 * width * width;
        let trained = if lora.rank > 0 { layers * 16 * width * lora.rank as u64 } else { all };
        let Backward { micro_batch_size, parts, gradient_checkpointing } = pass.backward;
        let part = pass.rows.div_ceil(parts.max(1));
        let rows = micro_batch_size.min(part) as u64;
        let several_passes = part > micro_batch_size;
        let parts = parts as u64;
        let tokens = rows * pass.tokens as u64;

        let wanted = rows * pass.responses.max(1) as u64;
        let a_block = width * tokens * (UP_TO_ATTENTION + AFTER_ATTENTION);
        let last_block = width * (tokens * UP_TO_ATTENTION + wanted * AFTER_ATTENTION);
        let kept = if gradient_checkpointing {
            a_block + layers * tokens * width
        } else {
            layers.saturating_sub(1) * a_block + last_block
        };
        // Beside frozen weights, each pass makes the adapted ones for itself.
        let merged = if lora.rank > 0 { inside_blocks } else { 0 };
        let logits = rows * pass.responses as u64 * vocabulary;
        let backward = Self {
            weights: BYTES * ((frozen + u64::from(lora.rank == 0)) * all + parts * merged),
            optimizer: BYTES * 2 * trained,
            gradients: BYTES * parts * trained * (1 + u64::from(several_passes)),
            activations: BYTES * parts * kept,
            logits: BYTES * parts * logits * LOGITS_COPIES,
            largest_buffer: BYTES * logits.max(vocabulary * width).max(rows * heads * (pass.tokens as u64).pow(2)),
            ..Self::default()
        };
        Self { freed: backward.backward() / FREED_SHARE, ..backward }
    }

    /// With the sampler's keys and values for `rows` rows of `tokens` tokens: they are gone before the
    /// backward pass begins, so that only what they need beyond it counts.
    #[must_use]
    pub fn with_sampling(self, config: &ModelConfig, rows: usize, tokens: usize) -> Self {
        let keys_and_values = BYTES * (2 * rows * tokens * config.n_layer * config.n_embd) as u64;
        let logits = BYTES * LOGITS_COPIES * (rows * config.vocab_size) as u64;
        Self { cache: (keys_and_values + logits).saturating_sub(self.backward()), ..self }
    }

    /// With a checkpoint between two steps: weights and optimizer on the host, and as the bytes of
    /// their files. Frozen weights are in it too.
    #[must_use]
    pub fn with_checkpoint(self, config: &ModelConfig) -> Self {
        let files = BYTES * parameters(config) + self.optimizer;
        Self { checkpoint: (2 * files).saturating_sub(self.backward() + self.cache), ..self }
    }

    fn backward(&self) -> u64 {
        self.gradients + self.activations + self.logits + self.freed
    }

    /// Everything.
    pub fn total(&self) -> u64 {
        PROGRAM_BYTES + self.weights + self.optimizer + self.backward() + self.cache + self.checkpoint
    }

    /// One line, in MB.
    pub fn describe(&self) -> String {
        format!(
            "{} MB (program {}, weights {}, gradients {}, optimizer {}, activations {}, logits {}, freed {}, cache {}, checkpoint {})",
            mb(self.total()),
            mb(PROGRAM_BYTES),
            mb(self.weights),
            mb(self.gradients),
            mb(self.optimizer),
            mb(self.activations),
            mb(self.logits),
            mb(self.freed),
            mb(self.cache),
            mb(self.checkpoint),
        )
    }
}

/// A tenth stays with the other programs of the machine.
fn holds(room: Room, memory: &Memory) -> bool {
    room.free.is_none_or(|free| memory.total() <= free / 10 * 9)
        && room.buffer.is_none_or(|buffer| memory.largest_buffer <= buffer)
}

/// A training loop, as far as memory goes.
#[derive(Debug, Clone, Copy)]
pub struct Loop {
    /// With as many rows in one pass, and as many parts, as are wanted.
    pub pass: Pass,
    pub lora: Lora,
    /// Models of the same shape beside the one that learns.
    pub frozen: u64,
    /// Rows whose responses are drawn side by side.
    pub sampled_rows: usize,
    /// Where its settings stand: `policy` or `reward`.
    pub section: &'static str,
}

impl Loop {
    /// What it takes with this `backward` in the place of its own.
    pub fn memory(&self, config: &ModelConfig, backward: Backward) -> Memory {
        let pass = Pass { backward, ..self.pass };
        let rows = self.sampled_rows.min(ROWS_AT_ONCE);
        Memory::of_training(config, &pass, self.lora, self.frozen)
            .with_sampling(config, rows, pass.tokens)
            .with_checkpoint(config)
    }

    /// The backward pass that fits, with what it takes: as many parts as possible, then as many rows
    /// in one pass; each the number wanted or a half of it, a quarter and so on, down to one part of
    /// `smallest` rows.
    ///
    /// # Errors
    /// [`Error::Failed`] with the numbers, when not even the smallest fits.
    pub fn backward_that_fits(&self, config: &ModelConfig, smallest: usize, room: Room) -> Result<(Backward, Memory)> {
        let wanted = self.pass.backward;
        let rows = wanted.micro_batch_size.min(self.pass.rows).max(smallest);
        let halves = |from: usize| std::iter::successors(Some(from), |n| (*n > 1).then_some(n / 2));
        // Rows that belong together stay together.
        let row_counts = || halves(rows / smallest).map(|groups| groups * smallest);
        let parts = wanted.parts.min(self.pass.rows / smallest).max(1);
        let candidates = halves(parts).flat_map(|parts| row_counts().map(move |rows| (parts, rows)));
        let mut least = (wanted, Memory::default());
        for (parts, micro_batch_size) in candidates {
            let backward = Backward { parts, micro_batch_size, ..wanted };
            let memory = self.memory(config, backward);
            if holds(room, &memory) {
                return Ok((backward, memory));
            }
            least = (backward, memory);
        }
        let (backward, memory) = least;
        Err(does_not_fit(&memory, room, self.ways_out(config, backward, &memory)))
    }

    /// What to do when not even `backward` fits: the settings with which it takes less.
    fn ways_out(&self, config: &ModelConfig, backward: Backward, memory: &Memory) -> String {
        let Self { section, lora, .. } = *self;
        let checkpointing = self.memory(config, Backward { gradient_checkpointing: true, ..backward });
        let adapters = Self { lora: Lora { rank: 16, ..lora }, ..*self }.memory(config, backward);
        let ways = [
            (true, "gradient_checkpointing=true", checkpointing),
            // Only the policy has adapters.
            (section == "policy" && lora.rank == 0, "lora.rank=16", adapters),
        ];
        let less = |(possible, _, with): &(bool, &str, Memory)| *possible && with.total() < memory.total();
        let way = |(_, setting, with): (bool, &str, Memory)| {
            format!("; with --set {section}.{setting} it takes {} MB", mb(with.total()))
        };
        format!("use a smaller model or shorter queries{}", ways.into_iter().filter(less).map(way).collect::<String>())
    }
}

fn does_not_fit(memory: &Memory, room: Room, hint: String) -> Error {
    let what = match room {
        Room { buffer: Some(buffer), .. } if memory.largest_buffer > buffer => {
            format!(
                "one tensor takes {} MB, and a buffer of this device holds {}",
                mb(memory.largest_buffer),
                mb(buffer)
            )
        }
        Room { free, .. } => format!("this takes {}, and {} MB are free", memory.describe(), mb(free.unwrap_or(0))),
    };
    Error::failed(what, hint)
}

fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// Numbers of a GPT-2 of this shape.
pub fn parameters(config: &ModelConfig) -> u64 {
    let [layers, width, vocabulary, positions] =
        [config.n_layer, config.n_embd, config.vocab_size, config.n_positions].map(|n| n as u64);
    (vocabulary + positions) * width + layers * (12 * width * width + 13 * width) + 2 * width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::Transformer;
    use burn::module::Module;

    fn backward(micro_batch_size: usize) -> Backward {
        Backward { micro_batch_size, parts: 1, gradient_checkpointing: false }
    }

    fn pass(backward: Backward) -> Pass {
        Pass { rows: 64, tokens: 88, responses: 24, backward }
    }

    #[test]
    fn parameters_are_those_of_the_network() {
        assert_eq!(parameters(&ModelConfig::gpt2_124m()), 124_439_808);
        let tiny = ModelConfig {
            vocab_size: 59,
            n_positions: 80,
            n_embd: 20,
            n_layer: 2,
            n_head: 2,
            ..ModelConfig::gpt2_124m()
        };
        let network = Transformer::zeros(&tiny, &crate::device::host());
        assert_eq!(parameters(&tiny), network.num_params() as u64);
    }

    fn whole(backward: Backward) -> Loop {
        Loop {
            pass: pass(backward),
            lora: Lora { rank: 0, alpha: 1.0 },
            frozen: 2,
            sampled_rows: 64,
            section: "policy",
        }
    }

    fn room(free: u64) -> Room {
        Room { free: Some(free), buffer: None }
    }

    #[test]
    fn the_micro_batch_is_halved_until_it_fits() {
        let training = whole(backward(64));
        let fit = |room| training.backward_that_fits(&ModelConfig::gpt2_124m(), 1, room);
        assert_eq!(fit(room(100 << 30)).unwrap().0, backward(64));
        let (found, memory) = fit(room(7_000_000_000)).unwrap();
        assert!(found.micro_batch_size < 64 && memory.total() <= 6_300_000_000);
        assert!(
            training.memory(&ModelConfig::gpt2_124m(), backward(2 * found.micro_batch_size)).total() > 6_300_000_000
        );
        let (of_four, _) = training.backward_that_fits(&ModelConfig::gpt2_124m(), 4, room(7_000_000_000)).unwrap();
        assert!(of_four.micro_batch_size.is_multiple_of(4));
        let error = fit(room(1_000_000_000)).unwrap_err();
        assert!(error.to_string().contains("and 1000 MB are free"), "{error}");
        // Less is what a way out has to take: one row's activations are not the peak, the checkpoint is.
        assert!(error.hint().contains("policy.lora.rank=16 it takes"), "{}", error.hint());
        assert!(!error.hint().contains("gradient_checkpointing"), "{}", error.hint());
        // The token embedding, 154 MB, whatever the micro-batch.
        let error = fit(Room { free: None, buffer: Some(128 << 20) }).unwrap_err();
        assert!(error.to_string().contains("one tensor takes 155 MB"), "{error}");
    }

    /// Each of 64 cores with gradients of its own takes 32 GB and more.
    #[test]
    fn a_machine_with_many_cores_takes_as_many_parts_as_it_has_room_for() {
        let training = whole(Backward { parts: 64, ..backward(8) });
        let (found, memory) = training.backward_that_fits(&ModelConfig::gpt2_124m(), 1, room(17_000_000_000)).unwrap();
        assert!((2..64).contains(&found.parts), "{found:?}");
        assert!(memory.total() <= 14_400_000_000);
    }

    #[test]
    fn checkpointing_and_adapters_take_less() {
        let none = Lora { rank: 0, alpha: 1.0 };
        let all = Memory::of_training(&ModelConfig::gpt2_124m(), &pass(backward(8)), none, 2);
        let again = pass(Backward { gradient_checkpointing: true, ..backward(8) });
        assert!(Memory::of_training(&ModelConfig::gpt2_124m(), &again, none, 2).activations < all.activations / 4);
        let adapters =
            Memory::of_training(&ModelConfig::gpt2_124m(), &pass(backward(8)), Lora { rank: 16, alpha: 1.0 }, 2);
        assert!(adapters.total() < all.total() * 6 / 10, "{} and {}", adapters.describe(), all.describe());
    }
}
