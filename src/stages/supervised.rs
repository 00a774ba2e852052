//! Beside Figure 1: the model is trained on the responses that were chosen, in the place of a reward.

use super::Session;
use crate::data::split::{split_after, split_by_query};
use crate::error::{Error, Result};
use crate::lm::memory::{Loop, Pass};
use crate::lm::{Backward, Task};
use crate::parallel::most_parts;
use crate::reward::TokenComparison;
use crate::run::RunDirectory;
use crate::run::checkpoints::Checkpoints;
use crate::supervised::{Chosen, HeldOut, NextTokenTraining, Trained, adamw};

/// What supervised fine-tuning came to.
#[derive(Debug)]
pub struct Supervised {
    pub trained: Trained,
    /// How the pretrained model predicts what was held out, if anything was.
    pub before: Option<HeldOut>,
    /// Chosen responses that were trained on.
    pub examples: usize,
}

/// Trains the pretrained model on the chosen responses; those that would measure the reward model measure
/// it, too.
///
/// # Errors
/// [`Error::Interrupted`] with the checkpoint it left, or what went wrong.
pub fn fine_tune(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    directory: &RunDirectory,
) -> Result<Supervised> {
    let Session { model, settings, interrupt, seed, room, progress } = *session;
    let (sft, task) = (&settings.sft, Task::new(&settings.task, model)?);
    let (train, held_out) = match settings.reward.train_comparisons {
        0 => split_by_query(comparisons, |one| &one.query, settings.labels.held_out_fraction, seed),
        count => split_after(comparisons, |one| &one.query, count),
    };
    let [chosen, held_out] = [train, held_out].map(|side| Chosen::of(&side, &task));
    let Some(shown) = held_out.first_context().or(chosen.first_context()).cloned() else {
        return Err(Error::usage("no comparison has a chosen response with text in it", "give other comparisons"));
    };
    let fitting = Loop {
        pass: Pass {
            rows: sft.batch_size,
            tokens: chosen.longest().max(task.longest_row(0)),
            responses: task.sampling.response_length,
            backward: Backward {
                micro_batch_size: sft.micro_batch_size,
                parts: most_parts(&model.transformer.device()),
                gradient_checkpointing: sft.gradient_checkpointing,
            },
        },
        lora: crate::config::Lora { rank: 0, alpha: 1.0 },
        frozen: 1,
        sampled_rows: 1,
        section: "sft",
    };
    let (backward, memory) = fitting.backward_that_fits(&model.config, 1, room)?;
    progress.say(&format!("memory: about {}; {} examples in a pass", memory.describe(), backward.micro_batch_size));
    let held_out = held_out.held_out(model)?;
    let before = held_out.evaluate(model, progress)?;
    let training = NextTokenTraining {
        name: "sft",
        schedule: sft.schedule(chosen.len()),
        examples: &chosen,
        held_out: &held_out,
        start: model.clone(),
        optimizer: adamw,
        weight_decay: sft.weight_decay,
        backward,
        shown,
        sampling: task.sampling,
        seed,
        checkpoints: Checkpoints::new(&directory.checkpoints(), 2)?,
        metrics_path: directory.metrics(),
        samples_path: directory.samples(),
        interrupt: interrupt.clone(),
        progress,
    };
    Ok(Supervised { trained: training.run()?, before, examples: chosen.len() })
}
