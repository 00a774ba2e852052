//! Next-token training: cross-entropy over examples, whatever they are.

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::examples::{ExampleBatch, Examples};
use super::held_out::{HeldOut, HeldOutExamples};
use crate::device::Readback;
use crate::error::{Error, Result};
use crate::lm::kernels::pick_log_probs;
use crate::lm::{LanguageModel, Sampling, Transformer, sample};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::random::{Stream, uniform};
use crate::run::journal::Journal;
use crate::run::metrics::MetricsLog;
use crate::run::step_log::StepLog;
use crate::training::finite_loss::check_finite;
use crate::training::learning_rate::warmup_stable_decay;
use crate::training::training_state;
use crate::training::{Backward, GradientSquares};

/// Losses are read from the device once in so many steps: each read makes a GPU wait.
const STEPS_BETWEEN_READS: usize = 10;

/// A loss of so many times that of guessing is not on its way down.
const DIVERGED: f64 = 2.0;

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
    /// Of the steps that are in no row of the metrics yet.
    #[serde(default)]
    losses: Vec<f32>,
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
        let (mut model, mut optimizer, State { step: first_step, mut losses, .. }) = self.start_or_resume()?;
        let (mut metrics, mut samples) = self.journal.open_logs(first_step as u64)?;
        let Schedule { steps, checkpoint_every_steps, evaluate_every_steps, .. } = self.schedule;
        // Of AdamW's weights it keeps two numbers, of Muon's one.
        let bytes = training_state::bytes_on_disk(&model, 1);
        self.journal.checkpoints.check_space(bytes, steps.saturating_sub(first_step), checkpoint_every_steps)?;
        let mut progress = Progress::resumed(self.name, first_step as u64, steps as u64, "steps", self.progress);
        let mut unread = Vec::new();
        let mut trained = None;
        for step in first_step..steps {
            let (loss, gradients) = self.loss_and_gradients(&model, step)?;
            let rate = self.schedule.rate(step);
            unread.push((loss, GradientSquares::of(&model, &gradients)));
            model = optimizer.step(rate, model, gradients);
            let done = step + 1;
            progress.advance(1);
            let planned = done % checkpoint_every_steps == 0 || done == steps;
            let interrupted = self.interrupt.requested();
            let due = self.journal.checkpoints.is_due(done as u64, checkpoint_every_steps as u64);
            let checkpoint_due = interrupted || due || planned;
            // When somebody stops the run changes no row: what is not in one yet goes into the checkpoint.
            let row_due = planned || losses.len() + unread.len() >= STEPS_BETWEEN_READS;
            // Read before a checkpoint too, so that none holds what is not finite.
            if row_due || checkpoint_due {
                losses.extend(read_losses(std::mem::take(&mut unread))?);
            }
            if row_due {
                let loss = mean(&std::mem::take(&mut losses));
                if done == steps {
                    self.check_divergence("train/loss", loss)?;
                }
                progress.message(format!("loss {loss:.3}"));
                metrics.log(done as u64, &[("train/loss", loss), ("train/learning_rate", rate)])?;
            }
            // Before the checkpoint of the same step, with which its rows would be taken for done.
            if done % evaluate_every_steps == 0 || done == steps {
                progress.message("measuring on what is held out");
                let mode = if done == steps { self.progress } else { Mode::Quiet };
                let evaluated = self.evaluate(&model, done, mode, &mut metrics, &mut samples)?;
                progress.message(evaluated.held_out.map_or_else(String::new, |HeldOut { bits_per_byte, .. }| {
                    format!("held out {bits_per_byte:.3} bits per byte")
                }));
                trained = Some(evaluated).filter(|_| done == steps);
            }
            if checkpoint_due {
                metrics.sync()?;
                samples.sync()?;
                let state = State { step: done, seed: self.seed, losses: losses.clone() };
                let files = training_state::to_files(&model, &optimizer, &state);
                let path = self.journal.checkpoints.save(done as u64, files)?;
                if interrupted {
                    return Err(Error::Interrupted { checkpoint: Some(path) });
                }
            }
        }
        progress.finish();
        if let Some(trained) = trained {
            return Ok(trained);
        }
        let model = self.start.with_transformer(model.valid());
        let held_out = self.held_out.evaluate(&model, self.progress)?;
        Ok(Trained { model, held_out })
    }

    fn start_or_resume(&self) -> Result<(Transformer, ModuleOptimizer, State)> {
        let start = self.start.transformer.clone();
        let optimizer = |model: &Transformer| (self.optimizer)(model, self.weight_decay);
        match self.journal.checkpoints.latest()? {
            Some(checkpoint) => {
                let state: State = training_state::load_state(&checkpoint)?;
                let model = training_state::load_model(&checkpoint, start)?.train();
                let optimizer = training_state::load_optimizer(&checkpoint, optimizer(&model))?;
                Ok((model, optimizer, state))
            }
            None => {
                let model = start.train();
                let optimizer = optimizer(&model);
                Ok((model, optimizer, State { step: 0, seed: self.seed, losses: Vec::new() }))
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
            let batch = ExampleBatch::new(examples.get(rows).unwrap_or_default(), self.start.config())?;
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

    /// A model that has diverged learns nothing more, and is of no use to anybody.
    fn check_divergence(&self, name: &str, loss: f64) -> Result<()> {
        let guessing = (self.start.config().vocab_size as f64).ln();
        if loss <= DIVERGED * guessing {
            return Ok(());
        }
        Err(Error::failed(
            format!(
                "training has diverged: {name} is {loss:.3} nats a token, and guessing among {} tokens costs {guessing:.3}",
                self.start.config().vocab_size
            ),
            "lower the learning rate, and begin again with another --run folder: the checkpoints in this one may \
             be no better",
        ))
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
            self.check_divergence("held_out/loss", loss)?;
            metrics.log(step as u64, &[("held_out/loss", loss), ("held_out/bits_per_byte", bits_per_byte)])?;
        }
        let numbers =
            |row: usize| uniform(self.seed, Stream::Sampling, step as u64, row as u64, self.sampling.response_length);
        let shown = std::slice::from_ref(&self.shown);
        let drawn = sample(&model.transformer, None, shown, &self.sampling, numbers, &Interrupt::new())?;
        samples.append(&Sample { step, text: model.tokenizer.decode(&drawn.responses.concat())? })?;
        Ok(Trained { model, held_out })
    }
}

/// The losses of steps, all in one read, whose gradients could be learned from.
fn read_losses(steps: Vec<(Tensor<1>, GradientSquares)>) -> Result<Vec<f32>> {
    let (losses, squares): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    let readback = Readback::default().with(Tensor::cat(losses, 0));
    let readback = readback.with_all(squares.iter().filter_map(GradientSquares::sums));
    let mut read = readback.floats()?.into_iter();
    let losses = read.next().unwrap_or_default();
    check_finite(&[("train/loss", mean(&losses))], "the learning rate")?;
    let with_sums = squares.iter().filter(|squares| squares.sums().is_some());
    with_sums.zip(read).try_for_each(|(squares, read)| squares.check(&read, "lower the learning rate"))?;
    Ok(losses)
}

fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64
}
