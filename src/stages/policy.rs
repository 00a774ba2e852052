//! Policy training stage (Figure 1, right).

use super::Session;
use super::fixed_backward::fixed_backward;
use crate::error::{Error, Result};
use crate::lm::Transformer;
use crate::policy::{PolicyTraining, Rollouts, TunedPolicy, backward_that_fits};
use crate::run::RunDirectory;
use crate::task::Scorer;
use crate::task::Task;

/// Tunes the pretrained model towards higher scores until `stop_at` updates are done, those of earlier calls included.
///
/// # Errors
/// The errors of [`PolicyTraining::run`]; the folder records why a run stopped itself.
pub fn train_policy(
    session: &Session<'_>,
    scorer: &dyn Scorer,
    queries: &[Vec<u32>],
    stop_at: usize,
    directory: &RunDirectory,
) -> Result<TunedPolicy> {
    train_policy_from(None, session, scorer, queries, stop_at, directory)
}

/// Tunes like [`train_policy`], from weights in f32 of which the session's model is a rounded copy.
///
/// # Errors
/// The errors of [`train_policy`].
pub fn train_policy_from(
    start: Option<Transformer>,
    session: &Session<'_>,
    scorer: &dyn Scorer,
    queries: &[Vec<u32>],
    stop_at: usize,
    directory: &RunDirectory,
) -> Result<TunedPolicy> {
    let Session { model, settings, interrupt, seed, device_memory, progress } = *session;
    let task = Task::new(&settings.task, model)?;
    let (fit, memory) = backward_that_fits(&settings.policy, &task, queries, model, device_memory)?;
    let backward = fixed_backward(progress, directory, settings.policy.micro_batch_size, fit)?;
    progress.say(&format!(
        "memory: about {}; {} episodes in a micro-batch",
        memory.describe(),
        backward.micro_batch_size
    ));
    let training = PolicyTraining {
        settings: &settings.policy,
        health: &settings.health,
        stop_at,
        backward,
        rollouts: Rollouts { reference: model, scorer, task, rows_at_once: backward.micro_batch_size },
        start,
        queries,
        seed,
        run_logs: directory.run_logs()?,
        interrupt: interrupt.clone(),
        progress,
    };
    training.run().inspect_err(|error| match error {
        Error::Interrupted { .. } => {}
        stop => directory.note_stop(stop),
    })
}
