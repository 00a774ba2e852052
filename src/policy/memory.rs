//! Memory of a policy training run.

use crate::config;
use crate::config::FrozenPrecision;
use crate::device::DeviceMemory;
use crate::device::parallel::most_parts;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::lm::network::lora;
use crate::task::Task;
use crate::training::Backward;
use crate::training::memory::{BatchShape, Memory, TrainingMemory};

/// Bytes of an episode on the host, once as sampled and once for each epoch: for each token of the response, for each
/// token of the row, and for its lists.
const OF_A_RESPONSE_TOKEN: usize = 56;
const OF_A_TOKEN: usize = 4;
const OF_AN_EPISODE: usize = 200;

/// Returns the size of reference and reward model, in models in f32. The weights under adapters are those of the
/// reference, which therefore stays in f32.
fn frozen_models(settings: &config::Policy) -> f64 {
    match (settings.frozen_precision, settings.lora.rank) {
        (FrozenPrecision::F32, _) => 2.0,
        (FrozenPrecision::Bf16, 0) => 1.0,
        (FrozenPrecision::Bf16, _) => 1.5,
    }
}

/// Returns the backward pass of PPO updates that fits into `device_memory`, with episodes as its rows, and the memory
/// of the run. Reference and reward model are in memory beside the policy; `queries` are all queries of the run.
///
/// # Errors
/// Fails when nothing fits, and for adapters of a larger rank than the model is wide.
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
        frozen: frozen_models(settings),
        sampled_rows: settings.batch_size,
        kept: (settings.batch_size * (1 + settings.epochs) * an_episode) as u64,
        section: "policy",
    };
    training.backward_that_fits(model.config(), 1, device_memory)
}
