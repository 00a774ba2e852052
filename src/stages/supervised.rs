//! Supervised fine-tuning, beside Figure 1: the model is trained on the chosen responses, in the place of a reward.

use super::Session;
use super::fixed_backward::fixed_backward;
use crate::data::LeftOut;
use crate::device::parallel::most_parts;
use crate::error::{Error, Result};
use crate::reward::{TokenComparison, split};
use crate::run::RunDirectory;
use crate::supervised::{Chosen, HeldOut, NextTokenTraining, SupervisedOptimizer, Trained};
use crate::task::Task;
use crate::training::Backward;
use crate::training::memory::{BatchShape, TrainingMemory};

/// Result of supervised fine-tuning.
#[derive(Debug)]
pub struct Supervised {
    pub trained: Trained,
    /// Prediction of the held-out set by the pretrained model, if there is one.
    pub before: Option<HeldOut>,
    /// Number of chosen responses in the training set.
    pub examples: usize,
    /// Counts of comparisons that gave no example.
    pub left_out: LeftOut,
}

/// Trains the pretrained model on the chosen responses; the held-out set is the one that measures the reward model.
/// The report of left-out comparisons includes those that the caller left out before.
///
/// # Errors
/// [`Error::Interrupted`] with the checkpoint to resume from, or any other error that stops the training.
pub fn fine_tune(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    mut left_out: LeftOut,
    directory: &RunDirectory,
) -> Result<Supervised> {
    let Session { model, settings, interrupt, seed, device_memory, progress } = *session;
    let (sft, task) = (&settings.sft, Task::new(&settings.task, model)?);
    let kept = TokenComparison::bytes_on_host(&comparisons);
    let (train, held_out) = split(comparisons, settings, seed, &mut left_out);
    let chosen = Chosen::of(&train, &task, &mut left_out).repeated(sft.epochs);
    let held_out = Chosen::of(&held_out, &task, &mut left_out);
    left_out.say("comparisons");
    let Some(shown) = chosen.first_context().cloned() else {
        let what = "no comparison that would train has a chosen response with text in it";
        return Err(Error::usage(what, "give other comparisons"));
    };
    let longest = chosen.longest().max(held_out.longest());
    let fitting = TrainingMemory {
        pass: BatchShape {
            rows: sft.batch_size.min(chosen.in_all()),
            tokens: longest.context + longest.continuation.max(task.sampling.response_length),
            responses: longest.continuation,
            backward: Backward {
                micro_batch_size: sft.micro_batch_size,
                parts: most_parts(&model.transformer.device()),
                gradient_checkpointing: sft.gradient_checkpointing,
            },
        },
        lora: crate::config::Lora { rank: 0, alpha: 1.0 },
        frozen: 1.0,
        sampled_rows: 1,
        kept,
        section: "sft",
    };
    let (fit, memory) = fitting.backward_that_fits(model.config(), 1, device_memory)?;
    let backward = fixed_backward(progress, directory, sft.micro_batch_size, fit)?;
    progress.say(&format!(
        "memory: about {}; {} examples in a micro-batch",
        memory.describe(),
        backward.micro_batch_size
    ));
    let held_out = held_out.held_out(model)?;
    let before = held_out.evaluate(model, progress)?;
    let training = NextTokenTraining {
        name: "sft",
        schedule: sft.schedule(&chosen),
        examples: &chosen,
        held_out: &held_out,
        start: model.clone(),
        optimizer: SupervisedOptimizer::AdamW,
        weight_decay: sft.weight_decay,
        backward,
        shown,
        sampling: task.sampling,
        seed,
        run_logs: directory.run_logs()?,
        interrupt: interrupt.clone(),
        progress,
    };
    Ok(Supervised { trained: training.run()?, before, examples: chosen.len(), left_out })
}
