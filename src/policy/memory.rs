//! What a policy training run takes.

use crate::config;
use crate::device::DeviceMemory;
use crate::device::parallel::most_parts;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::lm::network::lora;
use crate::task::Task;
use crate::training::Backward;
use crate::training::memory::{BatchShape, Memory, TrainingMemory};

/// Bytes of an episode on the host, once as it was drawn and once an epoch: so many a token of the response
/// and of the row, and what its lists need however short they are.
const OF_A_RESPONSE_TOKEN: usize = 56;
const OF_A_TOKEN: usize = 4;
const OF_AN_EPISODE: usize = 200;

/// The backward pass of PPO updates that fits into `device_memory`, and what the run takes with it; reference
/// and reward model lie beside the policy. A row is an episode, and `queries` are those to come.
///
/// # Errors
/// When nothing fits, and as [`lora::check_rank`].
pub fn backward_that_fits(
    settings: &config::Policy,
    task: &Task,
    queries: &[Vec<u32>],
    model: &LanguageModel,
    device_memory: DeviceMemory,
) -> Result<(Backward, Memory)> {
    lora::check_rank(settings.lora.rank, model.config())?;
    let backward = Backward {
        micro_batch_size: settings.micro_batch_size,
        parts: most_parts(&model.transformer.device()),
        gradient_checkpointing: settings.gradient_checkpointing,
    };
    let pass = BatchShape {
        rows: settings.batch_size / settings.minibatches,
        tokens: task.longest_row(queries.iter().map(Vec::len).max().unwrap_or(0)),
        responses: task.sampling.response_length,
        backward,
    };
    let an_episode = OF_A_RESPONSE_TOKEN * pass.responses + OF_A_TOKEN * pass.tokens + OF_AN_EPISODE;
    let training = TrainingMemory {
        pass,
        lora: settings.lora,
        frozen: 2,
        sampled_rows: settings.batch_size,
        kept: (settings.batch_size * (1 + settings.epochs) * an_episode) as u64,
        section: "policy",
    };
    training.backward_that_fits(model.config(), 1, device_memory)
}
