//! What fitting a reward model takes, and the micro-batch that fits.

use crate::config::{Config, Lora};
use crate::device::{Room, parts};
use crate::error::Result;
use crate::lm::memory::{Memory, Pass, fit};
use crate::lm::{LanguageModel, ROWS_AT_ONCE, Task};

/// The largest micro-batch up to `reward.micro_batch_size` that fits, and the memory of a run with it.
/// The pretrained model lies beside the one that learns.
///
/// # Errors
/// As [`fit`].
pub fn micro_batch_that_fits(
    settings: &Config,
    task: &Task,
    model: &LanguageModel,
    room: Room,
) -> Result<(usize, Memory)> {
    let (reward, responses) = (&settings.reward, settings.labels.responses_per_query);
    let estimate = |micro_batch| {
        let pass = Pass {
            rows: reward.batch_size * responses,
            tokens: task.longest_row(),
            responses: 0,
            micro_batch: micro_batch * responses,
            side_by_side: parts(&model.transformer.device()),
            gradient_checkpointing: reward.gradient_checkpointing,
        };
        Memory::of_training(&model.config, &pass, Lora { rank: 0, alpha: 1.0 }, 1).with_sampling(
            &model.config,
            reward.normalize_samples.min(ROWS_AT_ONCE),
            task.longest_row(),
        )
    };
    fit(reward.micro_batch_size.min(reward.batch_size), room, estimate)
}
