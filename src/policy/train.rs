//! Policy training (Figure 1, right): a loop of rollout, scores, shaping, update and KL control.

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

use super::health::{FirstHealth, RolloutHealth, check_truncation};
use super::kl_controller::{Adaptive, KlController};
use super::logged::{count_valid, log_samples, metrics_row};
use super::model::Policy;
use super::ppo::UpdateSettings;
use super::ppo::{Updated, update};
use super::rollout::{Rollout, Rollouts};
use super::shaping::{Rows, shape};
use super::written::Written;
use crate::config;
use crate::config::Lora;
use crate::error::{Error, Result};
use crate::lm::network::lora;
use crate::lm::{LanguageModel, ScalarHead, Transformer};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::random::{Stream, below, generator, shuffled, uniform};
use crate::run::checkpoints::Checkpoints;
use crate::run::run_logs::RunLogs;
use crate::run::step_log::StepLog;
use crate::statistics::mean;
use crate::training::learning_rate::linear_to_zero;
use crate::training::training_state;
use crate::training::{Adam, Backward, Checkpointing, LoopState, Steps};

/// Largest difference between sampling and training in a log-probability; beyond it, the KL is wrong.
const LARGEST_LOG_PROB_DIFFERENCE: f64 = 1e-4;

const FAR_BEYOND_THE_TARGET: f64 = 1.25;

/// A policy training run.
pub struct PolicyTraining<'a> {
    pub settings: &'a config::Policy,
    pub health: &'a config::Health,
    /// Number of updates after which this call returns; the learning rate reaches 0 after `settings.updates`.
    pub stop_at: usize,
    pub backward: Backward,
    pub rollouts: Rollouts<'a>,
    /// Weights that the policy starts with, in f32; `None` for a copy of the reference's.
    pub start: Option<Transformer>,
    /// Queries to sample from, in tokens.
    pub queries: &'a [Vec<u32>],
    pub seed: u64,
    pub run_logs: RunLogs,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// A policy after its last update.
pub struct TunedPolicy {
    pub policy: Policy,
    pub written: Written,
}

/// State that a checkpoint keeps beside weights and optimizer.
#[derive(Serialize, Deserialize)]
struct State {
    updates: usize,
    kl_coefficient: f64,
    /// Entropy of the first update's responses in nats per response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_entropy: Option<f64>,
    /// Share of distinct bigrams in the first update's responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_distinct_bigrams: Option<f64>,
    /// Number of valid responses so far; `None` in a run from before they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_responses: Option<usize>,
}

impl PolicyTraining<'_> {
    /// Trains up to `stop_at` updates, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint to resume from, [`Error::Failed`] with the limit that the responses
    /// exceeded, or any other error that stops the training.
    pub fn run(mut self) -> Result<TunedPolicy> {
        // The weights are not kept here, so that the first update frees them.
        let start = self.start.take();
        self.train(start).map_err(|error| error.going_on_from(self.run_logs.checkpoints.newest()))
    }

    fn train(&self, start: Option<Transformer>) -> Result<TunedPolicy> {
        let LoopState { model: mut policy, mut optimizer, mut state } = self.start_or_resume(start)?;
        let first_update = state.updates;
        let (left, every) = (self.stop_at.saturating_sub(state.updates), self.settings.checkpoint_every_updates);
        // With adapters, the optimizer keeps nothing of the other weights, and adapters are small.
        let moments = if self.settings.lora.rank > 0 { 0 } else { training_state::MOMENTS_OF_ADAM };
        let bytes = training_state::bytes_on_disk(&policy, moments);
        let mut checkpointing = Checkpointing::begin(
            &self.run_logs,
            &self.interrupt,
            Steps { done: first_update, left, checkpoint_every: every },
            bytes,
        )?;
        let (done, total) = (state.updates as u64, self.settings.updates as u64);
        let mut progress = Progress::resumed("policy", done, total, "updates", self.progress);
        let written = loop {
            let rollout = match self.roll_out(&policy, state.updates) {
                Ok(rollout) => rollout,
                Err(error) if state.updates == first_update => return Err(error),
                Err(error) => {
                    return Err(self.keep_before(error, &policy, &optimizer, &state, &checkpointing));
                }
            };
            let kl_coefficient = state.kl_coefficient;
            let shaped = shape(&rollout.scores, &rollout.log_probs, &rollout.reference_log_probs, kl_coefficient);
            let health = self.check_health(&rollout, shaped.kl, &mut state)?;
            if state.updates >= self.stop_at {
                self.tell_of_the_target(shaped.kl);
                break Written::of(&rollout);
            }
            let valid_responses = state.valid_responses.map(|before| before + count_valid(&rollout));
            if let Err(stop) = self.check_truncation(&state, valid_responses, &rollout) {
                self.log_samples(&mut checkpointing.samples, 1 + state.updates as u64, &rollout)?;
                return Err(stop);
            }
            let rate = linear_to_zero(self.settings.learning_rate, state.updates as u64, total);
            let updated = self.update(policy, &mut optimizer, &rollout, &shaped.rewards, state.updates, rate)?;
            if state.updates == first_update {
                check_agreement(&updated)?;
            }
            state.kl_coefficient =
                self.controller(kl_coefficient).after(shaped.kl, self.settings.batch_size).coefficient;
            state.updates += 1;
            state.valid_responses = valid_responses;
            let step = state.updates as u64;
            let row = metrics_row(&rollout, &health, kl_coefficient, shaped.penalty, rate, &updated.steps);
            checkpointing.metrics.log(step, &row)?;
            self.log_samples(&mut checkpointing.samples, step, &rollout)?;
            let score = mean(&rollout.scores).unwrap_or(f64::NAN);
            progress.message(format!("score {score:.2}, KL {:.1}, β {kl_coefficient:.3}", shaped.kl));
            progress.advance(1);
            policy = updated.policy;
            if state.updates < self.stop_at {
                let due = checkpointing.due(state.updates, false);
                checkpointing.after_step(due, state.updates, &policy, &optimizer, &state)?;
            }
        };
        // The last checkpoint is saved only after the check of its responses, because no later update checks them.
        if state.updates > first_update {
            checkpointing.save(state.updates, &policy, &optimizer, &state)?;
        }
        progress.finish();
        Ok(TunedPolicy { policy: lora::merge(policy.valid()), written })
    }

    /// Warns if the KL ends far beyond its target: such a policy has a high score, but poor language.
    fn tell_of_the_target(&self, kl: f64) {
        let config::Kl { adaptive, target, .. } = self.settings.kl;
        if adaptive && self.stop_at >= self.settings.updates && kl > FAR_BEYOND_THE_TARGET * target {
            self.progress.say(&format!(
                "the KL after the last update is {kl:.1}, above its target, {target}, because β is still too low: raise \
                 policy.kl.coefficient or policy.updates"
            ));
        }
    }

    fn check_truncation(&self, state: &State, valid_responses: Option<usize>, last: &Rollout) -> Result<()> {
        let responses = (state.updates + 1) * self.settings.batch_size;
        match valid_responses {
            Some(0) => {
                let Rollouts { task, reference, .. } = &self.rollouts;
                check_truncation(self.health, task, &reference.tokenizer, responses, last)
            }
            _ => Ok(()),
        }
    }

    fn log_samples(&self, log: &mut StepLog, step: u64, rollout: &Rollout) -> Result<()> {
        log_samples(log, step, rollout, self.rollouts.reference, &self.rollouts.task)
    }

    /// Checks the responses, which show the effect of the update before them; takes back the checkpoint of that update
    /// if they exceed a limit.
    fn check_health(&self, rollout: &Rollout, kl: f64, state: &mut State) -> Result<RolloutHealth> {
        let health = RolloutHealth::of(rollout, &self.rollouts.task.truncation, kl);
        let first = FirstHealth {
            entropy: *state.first_entropy.get_or_insert(health.entropy),
            distinct_bigrams: *state.first_distinct_bigrams.get_or_insert(health.variety.distinct_bigrams),
        };
        let checked = health.check(self.health, first);
        if checked.is_err() {
            self.run_logs.checkpoints.give_up(state.updates as u64)?;
        }
        checked.map(|()| health)
    }

    fn roll_out(&self, policy: &Policy, updates: usize) -> Result<Rollout> {
        let step = updates as u64;
        let mut rng = generator(self.seed, Stream::Queries, step, 0);
        let count = self.queries.len().max(1);
        let queries = (0..self.settings.batch_size).filter_map(|_| self.queries.get(below(count, &mut rng)));
        let length = self.rollouts.task.sampling.response_length;
        let seed = self.seed;
        let numbers = |row: usize| uniform(seed, Stream::Sampling, step, row as u64, length);
        self.rollouts.roll_out(policy, queries.cloned().collect(), numbers, &self.interrupt)
    }

    /// Makes the next update after `updates` updates, at this learning rate.
    fn update(
        &self,
        policy: Policy,
        optimizer: &mut ModuleOptimizer,
        rollout: &Rollout,
        rewards: &Rows,
        updates: usize,
        rate: f64,
    ) -> Result<Updated> {
        let temperature = self.rollouts.task.sampling.temperature;
        let settings = UpdateSettings::new(self.settings, self.backward, rate, temperature, &self.interrupt);
        update(policy, optimizer, rollout, rewards, &self.orders(updates), &settings)
    }

    /// Returns a new random row order for each epoch.
    fn orders(&self, updates: usize) -> Vec<Vec<usize>> {
        let order = |epoch: usize| {
            let mut rng = generator(self.seed, Stream::Shuffle, 1 + updates as u64, epoch as u64);
            shuffled(self.settings.batch_size, &mut rng)
        };
        (0..self.settings.epochs).map(order).collect()
    }

    fn start_or_resume(&self, start: Option<Transformer>) -> Result<LoopState<Policy, State>> {
        let optimizer = || Adam::optimizer(self.settings.adam, self.settings.adam_epsilon);
        let policy = at_the_start(self.settings, self.rollouts.reference, start, self.seed);
        let kl_coefficient = self.settings.kl.coefficient;
        let resumed: Option<LoopState<_, State>> =
            LoopState::of_newest_checkpoint(&self.run_logs.checkpoints, policy.clone(), |_| optimizer())?;
        if let Some(mut resumed) = resumed {
            if !self.settings.kl.adaptive {
                resumed.state.kl_coefficient = kl_coefficient;
            }
            return Ok(resumed);
        }
        let state = State {
            updates: 0,
            kl_coefficient,
            first_entropy: None,
            first_distinct_bigrams: None,
            valid_responses: Some(0),
        };
        Ok(LoopState { model: policy.train(), optimizer: optimizer(), state })
    }

    fn controller(&self, coefficient: f64) -> KlController {
        let kl = &self.settings.kl;
        let adaptive = kl.adaptive.then_some(Adaptive { target: kl.target, horizon: kl.horizon_episodes });
        KlController { coefficient, adaptive }
    }

    /// Saves the updates before a rollout that failed, for example because an external command ended; saves nothing if
    /// the run was asked to abort the current step.
    fn keep_before(
        &self,
        error: Error,
        policy: &Policy,
        optimizer: &ModuleOptimizer,
        state: &State,
        checkpointing: &Checkpointing<'_>,
    ) -> Error {
        if self.interrupt.check().is_err() {
            return error;
        }
        // If saving fails too, the first error says why.
        match checkpointing.save(state.updates, policy, optimizer, state) {
            Ok(path) => error.going_on_from(Some(path)),
            Err(_) => error,
        }
    }
}

/// Returns the policy before the first update: a copy of the reference with parameters of its own, and with adapters if
/// the settings ask for them.
fn at_the_start(settings: &config::Policy, reference: &LanguageModel, start: Option<Transformer>, seed: u64) -> Policy {
    let device = reference.transformer.device();
    let transformer = start.unwrap_or_else(|| reference.transformer.clone()).fork(&device);
    let Lora { rank, alpha } = settings.lora;
    Policy {
        transformer: if rank > 0 { lora::attach(transformer, rank, alpha, seed) } else { transformer },
        value_head: ScalarHead::zeros(reference.config().width, &device),
    }
}

/// Loads the policy of the newest checkpoint, if there is one.
///
/// # Errors
/// Fails for a checkpoint of another model or of other adapters.
pub fn latest_policy(
    settings: &config::Policy,
    reference: &LanguageModel,
    seed: u64,
    checkpoints: &Checkpoints,
) -> Result<Option<Policy>> {
    let Some(checkpoint) = checkpoints.latest()? else { return Ok(None) };
    let policy = training_state::load_model(&checkpoint, at_the_start(settings, reference, None, seed))?;
    Ok(Some(lora::merge(policy.valid())))
}

fn check_agreement(updated: &Updated) -> Result<()> {
    let difference = updated.largest_log_prob_difference;
    if difference <= LARGEST_LOG_PROB_DIFFERENCE {
        return Ok(());
    }
    Err(Error::failed(
        format!("sampling and training disagree on a log-probability by {difference:.1e}, so the KL would be wrong"),
        "run `preftune doctor`, which checks cached decoding, or use another --device",
    ))
}
