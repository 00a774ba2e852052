//! What fitting a reward model takes.

use crate::config::{Lora, Reward};
use crate::device::parts;
use crate::lm::memory::{Loop, Pass};
use crate::lm::{LanguageModel, Task};

/// Reward steps; the pretrained model lies beside the one that learns. A row is one of the
/// `responses` of a comparison.
pub fn memory_loop(settings: &Reward, responses: usize, task: &Task, model: &LanguageModel) -> Loop {
    let pass = Pass {
        rows: settings.batch_size * responses,
        tokens: task.longest_row(),
        responses: 0,
        micro_batch: settings.micro_batch_size * responses,
        side_by_side: parts(&model.transformer.device()),
        gradient_checkpointing: settings.gradient_checkpointing,
    };
    Loop { pass, lora: Lora { rank: 0, alpha: 1.0 }, frozen: 1, sampled_rows: settings.normalize_samples }
}
