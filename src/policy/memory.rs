//! What a policy training run takes.

use crate::config;
use crate::device::Room;
use crate::error::Result;
use crate::lm::memory::{Loop, Memory, Pass};
use crate::lm::{Backward, LanguageModel, Task};
use crate::parallel::most_parts;

/// The backward pass of PPO updates that fits into `room`, and what the run takes with it; reference
/// and reward model lie beside the policy. A row is an episode, and `queries` are those to come.
///
/// # Errors
/// When nothing fits.
pub fn backward_that_fits(
    settings: &config::Policy,
    task: &Task,
    queries: &[Vec<u32>],
    model: &LanguageModel,
    room: Room,
) -> Result<(Backward, Memory)> {
    let backward = Backward {
        micro_batch_size: settings.micro_batch_size,
        parts: most_parts(&model.transformer.device()),
        gradient_checkpointing: settings.gradient_checkpointing,
    };
    let pass = Pass {
        rows: settings.batch_size / settings.minibatches,
        tokens: task.longest_row(queries.iter().map(Vec::len).max().unwrap_or(0)),
        responses: task.sampling.response_length,
        backward,
    };
    let training = Loop { pass, lora: settings.lora, frozen: 2, sampled_rows: settings.batch_size, section: "policy" };
    training.backward_that_fits(&model.config, 1, room)
}
