//! What fitting a reward model takes.

use crate::config::{Lora, Reward};
use crate::device::Room;
use crate::error::Result;
use crate::lm::memory::{Loop, Memory, Pass};
use crate::lm::{Backward, LanguageModel, Task};
use crate::parallel::most_parts;

/// The backward pass of reward steps that fits into `room`, in comparisons of `responses`, and what
/// the run takes with it; the pretrained model lies beside the one that learns.
///
/// # Errors
/// When nothing fits.
pub fn backward_that_fits(
    settings: &Reward,
    responses: usize,
    task: &Task,
    model: &LanguageModel,
    room: Room,
) -> Result<(Backward, Memory)> {
    let backward = Backward {
        micro_batch_size: settings.micro_batch_size * responses,
        parts: most_parts(&model.transformer.device()),
        gradient_checkpointing: settings.gradient_checkpointing,
    };
    let pass = Pass { rows: settings.batch_size * responses, tokens: task.longest_row(), responses: 0, backward };
    let lora = Lora { rank: 0, alpha: 1.0 };
    let fitting = Loop { pass, lora, frozen: 1, sampled_rows: settings.normalize_samples };
    let (backward, memory) = fitting.backward_that_fits(&model.config, responses, room)?;
    Ok((Backward { micro_batch_size: backward.micro_batch_size / responses, ..backward }, memory))
}
