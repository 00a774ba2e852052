//! Next-token training: cross-entropy over examples, whatever they are.

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::examples::{ExampleBatch, Examples};
use super::held_out::{HeldOut, HeldOutExamples};
use crate::device::read_floats;
use crate::error::{Error, Result};
use crate::lm::operations::pick_log_probs;
use crate::lm::{Backward, LanguageModel, Sampling, Transformer, sample};
use crate::run::health::check_finite;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Journal;
use crate::run::learning_rate::warmup_stable_decay;
use crate::run::metrics::MetricsLog;
use crate::run::progress::{Mode, Progress};
use crate::run::random::{Stream, uniform};
use crate::run::step_log::StepLog;
use crate::run::training_state;

/// Losses are read from the device once in so many steps: each read makes a GPU wait.
const STEPS_BETWEEN_READS: usize = 10;

/// How long, how fast, and how often it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub steps: usize,
    /// Examples a step.
    pub batch_size: usize,
    pub learning_rate: f64,
    /// Steps over which the rate rises at the start.
    pub warmup_steps: usize,
    /// Share of the steps, at the end, over which it falls to 0.
    pub decay_fraction: f64,
    pub checkpoint_every_steps: usize,
    pub evaluate_every_steps: usize,
}

impl Schedule {
    fn rate(&self, step: usize) -> f64 {
        let decay = (self.decay_fraction * self.steps as f64).round() as u64;
        let (warmup, total) = (self.warmup_steps as u64, self.steps as u64);
        warmup_stable_decay(self.learning_rate, step as u64, warmup, decay, total)
    }
}

/// A next-token training run.
pub struct NextTokenTraining<'a> {
    /// For progress.
    pub name: &'static str,
    pub schedule: Schedule,
    pub examples: &'a dyn Examples,
    pub held_out: &'a HeldOutExamples,
    pub start: LanguageModel,
    pub optimizer: fn(&Transformer, f64) -> ModuleOptimizer,
    pub weight_decay: f64,
    pub backward: Backward,
    /// What the model continues now and then, for a person to read.
    pub shown: Vec<u32>,
    pub sampling: Sampling,
    pub seed: u64,
    pub journal: Journal,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// A row of `samples.jsonl`.
#[derive(Serialize)]
struct Sample {
    step: usize,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct State {
    step: usize,
    seed: u64,
}

/// The trained model and how it predicts what was held out, if anything was.
#[derive(Debug)]
pub struct Trained {
    pub model: LanguageModel,
    pub held_out: Option<HeldOut>,
}

impl NextTokenTraining<'_> {
    /// Trains to the end, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint it left, or what went wrong.
    pub fn run(self) -> Result<Trained> {
        let (mut model, mut optimizer, first_step) = self.start_or_resume()?;
        let (mut metrics, mut samples) = self.journal.open_logs(first_step as u64)?;
        let Schedule { steps, checkpoint_every_steps, evaluate_every_steps, .. } = self.schedule;
        let mut progress = Progress::resumed(self.name, first_step as u64, steps as u64, "steps", self.progress);
        let mut losses = Vec::new();
        for step in first_step..steps {
            let (loss, gradients) = self.loss_and_gradients(&model, step)?;
            let rate = self.schedule.rate(step);
            model = optimizer.step(rate, model, gradients);
            losses.push(loss);
            let done = step + 1;
            progress.advance(1);
            let interrupted = self.interrupt.requested();
            let due = self.journal.checkpoints.is_due(done as u64, checkpoint_every_steps as u64);
            let checkpoint_due = interrupted || due || done == steps;
            // Read before a checkpoint too, so that none holds what is not finite.
            if losses.len() == STEPS_BETWEEN_READS || checkpoint_due {
                let loss = mean_loss(std::mem::take(&mut losses))?;
                progress.message(format!("loss {loss:.3}"));
                metrics.log(done as u64, &[("train/loss", loss), ("train/learning_rate", rate)])?;
            }
            if checkpoint_due {
                metrics.sync()?;
                samples.sync()?;
                let state = State { step: done, seed: self.seed };
                let files = training_state::to_files(&model, &optimizer, &state);
                let path = self.journal.checkpoints.save(done as u64, files)?;
                if interrupted {
                    return Err(Error::Interrupted { checkpoint: Some(path) });
                }
            }
            if done % evaluate_every_steps == 0 && done < steps {
                progress.message("measuring on what is held out");
                let trained = self.evaluate(&model, done, Mode::Quiet, &mut metrics, &mut samples)?;
                progress.message(trained.held_out.map_or_else(String::new, |HeldOut { bits_per_byte, .. }| {
                    format!("held out {bits_per_byte:.3} bits per byte")
                }));
            }
        }
        progress.finish();
        if first_step < steps {
            return self.evaluate(&model, steps, self.progress, &mut metrics, &mut samples);
        }
        let model = self.start.with_transformer(model.valid());
        let held_out = self.held_out.evaluate(&model, self.progress)?;
        Ok(Trained { model, held_out })
    }

    fn start_or_resume(&self) -> Result<(Transformer, ModuleOptimizer, usize)> {
        let start = self.start.transformer.clone();
        let optimizer = |model: &Transformer| (self.optimizer)(model, self.weight_decay);
        match self.journal.checkpoints.latest()? {
            Some(checkpoint) => {
                let state: State = training_state::load_state(&checkpoint)?;
                let model = training_state::load_model(&checkpoint, start)?.train();
                let optimizer = training_state::load_optimizer(&checkpoint, optimizer(&model))?;
                Ok((model, optimizer, state.step))
            }
            None => {
                let model = start.train();
                let optimizer = optimizer(&model);
                Ok((model, optimizer, 0))
            }
        }
    }

    /// Mean cross-entropy `[1]` in nats a token, and its gradients.
    fn loss_and_gradients(&self, model: &Transformer, step: usize) -> Result<(Tensor<1>, GradientsParams)> {
        let device = model.device();
        let plain = model.valid();
        let examples = self.examples.of_step(self.seed, step, self.schedule.batch_size);
        let predicted: usize = examples.iter().map(|example| example.continuation.len()).sum();
        let pass = |rows: Range<usize>| {
            // Parameters of its own, so that parts share no graph.
            let model = plain.clone().train();
            let batch = ExampleBatch::new(examples.get(rows).unwrap_or_default(), &self.start.config)?;
            let share = batch.predicted() as f64 / predicted as f64;
            self.backward.gradients(&model, &model, batch.input(&device), |hidden| {
                let log_probs = pick_log_probs(model.logits(hidden), batch.targets(&device));
                let loss = log_probs.mean().neg() * share;
                Ok((loss.clone(), loss.inner()))
            })
        };
        let (gradients, losses) = self.backward.summed(model, &device, examples.len(), pass)?;
        Ok((Tensor::cat(losses, 0).sum(), gradients))
    }

    /// Measures on what is held out, and writes something down for a person to read.
    fn evaluate(
        &self,
        model: &Transformer,
        step: usize,
        progress: Mode,
        metrics: &mut MetricsLog,
        samples: &mut StepLog,
    ) -> Result<Trained> {
        let model = self.start.with_transformer(model.valid());
        let held_out = self.held_out.evaluate(&model, progress)?;
        if let Some(HeldOut { loss, bits_per_byte, .. }) = held_out {
            metrics.log(step as u64, &[("held_out/loss", loss), ("held_out/bits_per_byte", bits_per_byte)])?;
        }
        let numbers =
            |row: usize| uniform(self.seed, Stream::Sampling, step as u64, row as u64, self.sampling.response_length);
        let shown = std::slice::from_ref(&self.shown);
        let drawn = sample(&model.transformer, &model.config, None, shown, &self.sampling, numbers, &Interrupt::new())?;
        samples.append(&Sample { step, text: model.tokenizer.decode(&drawn.responses.concat())? })?;
        Ok(Trained { model, held_out })
    }
}

fn mean_loss(losses: Vec<Tensor<1>>) -> Result<f64> {
    let losses = read_floats(Tensor::cat(losses, 0))?;
    let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
    check_finite(&[("train/loss", mean)], "the learning rate")?;
    Ok(mean)
}
