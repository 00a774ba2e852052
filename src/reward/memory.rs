//! Memory of reward training.

use super::loss::TokenComparison;
use crate::config::{Lora, Reward};
use crate::device::DeviceMemory;
use crate::device::parallel::most_parts;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::task::Task;
use crate::training::Backward;
use crate::training::memory::{BatchShape, Memory, TrainingMemory};

/// Bytes on the host of a response for normalization: for each token, and for its lists.
const OF_A_TOKEN: usize = 8;
const OF_A_RESPONSE: usize = 150;

/// Returns the backward pass of reward training that fits into `device_memory`, with comparisons as its rows, and the
/// memory of the run. The pretrained model, whose responses to `queries` the rewards are normalized on, is in memory
/// beside the reward model.
///
/// # Errors
/// Fails when nothing fits.
pub fn backward_that_fits(
    settings: &Reward,
    comparisons: &[TokenComparison],
    queries: &[Vec<u32>],
    task: &Task,
    model: &LanguageModel,
    device_memory: DeviceMemory,
) -> Result<(Backward, Memory)> {
    let most = |count: fn(&TokenComparison) -> usize| comparisons.iter().map(count).max().unwrap_or(1).max(1);
    let responses = most(|one| one.responses.len());
    let compared = most(|one| one.query.len() + one.responses.iter().map(Vec::len).max().unwrap_or(0));
    let sampled = task.longest_row(queries.iter().map(Vec::len).max().unwrap_or(0));
    let pass = BatchShape {
        rows: settings.batch_size.min(comparisons.len().max(1)) * responses,
        tokens: compared.max(sampled),
        responses: 0,
        backward: Backward {
            micro_batch_size: settings.micro_batch_size * responses,
            parts: most_parts(&model.transformer.device()),
            gradient_checkpointing: settings.gradient_checkpointing,
        },
    };
    let normalization = (settings.normalize_samples * (OF_A_TOKEN * sampled + OF_A_RESPONSE)) as u64;
    let fitting = TrainingMemory {
        pass,
        lora: Lora { rank: 0, alpha: 1.0 },
        frozen: 1.0,
        sampled_rows: settings.normalize_samples,
        kept: normalization + TokenComparison::bytes_on_host(comparisons),
        section: "reward",
    };
    let (backward, memory) = fitting.backward_that_fits(model.config(), responses, device_memory)?;
    Ok((Backward { micro_batch_size: backward.micro_batch_size / responses, ..backward }, memory))
}
