//! Policy training stage (Figure 1, right).

use super::Session;
use super::fixed_backward::fixed_backward;
use crate::config;
use crate::config::FrozenPrecision;
use crate::device::stores_bf16;
use crate::error::{Error, Result};
use crate::lm::{LanguageModel, Transformer};
use crate::policy::{PolicyTraining, Rollouts, TunedPolicy, backward_that_fits};
use crate::reward::RewardModel;
use crate::run::RunDirectory;
use crate::task::Scorer;
use crate::task::Task;

/// Tunes the pretrained model towards higher scores until `stop_at` updates are done, those of earlier calls included.
/// The frozen models are in f32.
///
/// # Errors
/// [`Error::Usage`] if the settings ask for frozen models in bf16, which [`round_frozen_models`] and
/// [`train_policy_from`] provide; the errors of [`PolicyTraining::run`]. The folder records why a run stopped itself.
pub fn train_policy(
    session: &Session<'_>,
    scorer: &dyn Scorer,
    queries: &[Vec<u32>],
    stop_at: usize,
    directory: &RunDirectory,
) -> Result<TunedPolicy> {
    check_frozen_in_f32(&session.settings.policy)?;
    train_policy_from(None, session, scorer, queries, stop_at, directory)
}

/// Tunes like [`train_policy`], from weights in f32 of which the session's model is a rounded copy.
///
/// # Errors
/// The errors of [`PolicyTraining::run`].
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

/// Checks that the settings ask for frozen models in f32, for stages that do not round them.
///
/// # Errors
/// [`Error::Usage`] if they do not.
pub(super) fn check_frozen_in_f32(settings: &config::Policy) -> Result<()> {
    match settings.frozen_precision {
        FrozenPrecision::F32 => Ok(()),
        FrozenPrecision::Bf16 => Err(Error::usage(
            "policy.frozen_precision is bf16, which is for `train-policy` only",
            "set policy.frozen_precision=f32, or run the stages one by one",
        )),
    }
}

/// Rounds reference and reward model to bf16, if the settings ask for it; returns the reward model, and the weights that
/// the policy starts with if the reference no longer has them.
///
/// # Errors
/// [`Error::Usage`] on a device that does not store bf16.
pub fn round_frozen_models(
    settings: &config::Policy,
    reference: &mut LanguageModel,
    reward_model: Option<RewardModel>,
) -> Result<(Option<RewardModel>, Option<Transformer>)> {
    if settings.frozen_precision == FrozenPrecision::F32 {
        return Ok((reward_model, None));
    }
    if !stores_bf16(&reference.transformer.device()) {
        let what = "policy.frozen_precision is bf16, which only the device flex stores";
        return Err(Error::usage(what, "use --device flex, or set policy.frozen_precision=f32"));
    }
    let reward_model = reward_model.map(RewardModel::to_bf16);
    if settings.lora.rank > 0 {
        return Ok((reward_model, None));
    }
    let rounded = reference.transformer.clone().to_bf16();
    Ok((reward_model, Some(std::mem::replace(&mut reference.transformer, rounded))))
}
