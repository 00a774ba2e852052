//! What a policy training run takes.

use crate::config;
use crate::device::parts;
use crate::lm::memory::{Loop, Pass};
use crate::lm::{LanguageModel, Task};

/// PPO updates; reference and reward model lie beside the policy. A row is an episode.
pub fn memory_loop(settings: &config::Policy, task: &Task, model: &LanguageModel) -> Loop {
    let pass = Pass {
        rows: settings.batch_size / settings.minibatches,
        tokens: task.longest_row(),
        responses: task.sampling.response_length,
        micro_batch: settings.micro_batch_size,
        side_by_side: parts(&model.transformer.device()),
        gradient_checkpointing: settings.gradient_checkpointing,
    };
    Loop { pass, lora: settings.lora, frozen: 2, sampled_rows: settings.batch_size }
}
