//! What a policy training run takes, and the micro-batch that fits.

use crate::config::Config;
use crate::device::{Room, parts};
use crate::error::Result;
use crate::lm::memory::{Memory, Pass, fit};
use crate::lm::{LanguageModel, ROWS_AT_ONCE, Task};

/// The largest micro-batch up to `policy.micro_batch_size` that fits, and the memory of a run with it.
/// Reference and reward model lie beside the policy.
///
/// # Errors
/// As [`fit`].
pub fn micro_batch_that_fits(
    settings: &Config,
    task: &Task,
    model: &LanguageModel,
    room: Room,
) -> Result<(usize, Memory)> {
    let policy = &settings.policy;
    let tokens = task.longest_row();
    let estimate = |micro_batch| {
        let pass = Pass {
            rows: policy.batch_size / policy.minibatches,
            tokens,
            responses: task.sampling.response_length,
            micro_batch,
            side_by_side: parts(&model.transformer.device()),
            gradient_checkpointing: policy.gradient_checkpointing,
        };
        Memory::of_training(&model.config, &pass, policy.lora, 2).with_sampling(
            &model.config,
            policy.batch_size.min(ROWS_AT_ONCE),
            tokens,
        )
    };
    fit(policy.micro_batch_size.min(policy.batch_size), room, estimate)
}
