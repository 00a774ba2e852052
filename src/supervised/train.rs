//! Next-token training: cross-entropy over any examples.

use std::ops::Range;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::examples::{ExampleBatch, Examples};
use super::held_out::{HeldOut, HeldOutExamples};
use super::optimizer::SupervisedOptimizer;
use crate::device::Readback;
use crate::error::{Error, Result};
use crate::lm::kernels::pick_log_probs;
use crate::lm::{LanguageModel, Sampling, Transformer, sample};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::random::{Stream, uniform};
use crate::run::Metric;
use crate::run::run_logs::RunLogs;
use crate::training::finite_loss::check_finite;
use crate::training::learning_rate::warmup_stable_decay;
use crate::training::training_state;
use crate::training::{Backward, GradientSquares};
use crate::training::{Checkpointing, Due, LoopState, Steps};

/// Number of steps between reads of the losses from the device: each read makes a GPU wait.
const STEPS_BETWEEN_READS: usize = 10;

/// Multiple of the loss of guessing from which training has diverged.
const DIVERGED: f64 = 2.0;

/// Steps, learning rate, checkpoints and evaluations of a training run.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub steps: usize,
    /// Examples per step.
    pub batch_size: usize,
    pub learning_rate: f64,
    /// Steps over which the learning rate rises at the start.
    pub warmup_steps: usize,
    /// Share of the steps, at the end, over which the learning rate falls to 0.
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
    /// Name of the run in the progress.
    pub name: &'static str,
    pub schedule: Schedule,
    pub examples: &'a dyn Examples,
    pub held_out: &'a HeldOutExamples,
    pub start: LanguageModel,
    pub optimizer: SupervisedOptimizer,
    pub weight_decay: f64,
    pub backward: Backward,
    /// Context that the model continues now and then, for people to read.
    pub shown: Vec<u32>,
    pub sampling: Sampling,
    pub seed: u64,
    pub run_logs: RunLogs,
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
    /// Losses of the steps that are in no row of the metrics yet.
    #[serde(default)]
    losses: Vec<f32>,
}

/// Trained model, and its prediction of the held-out set, if there is one.
#[derive(Debug)]
pub struct Trained {
    pub model: LanguageModel,
    pub held_out: Option<HeldOut>,
}

impl NextTokenTraining<'_> {
    /// Trains to the end, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint to resume from, or any other error that stops the training.
    pub fn run(self) -> Result<Trained> {
        let LoopState { mut model, mut optimizer, state } = self.start_or_resume()?;
        let State { step: first_step, mut losses, .. } = state;
        let Schedule { steps, checkpoint_every_steps, evaluate_every_steps, .. } = self.schedule;
        let bytes = training_state::bytes_on_disk(&model, self.optimizer.moments());
        let left = steps.saturating_sub(first_step);
        let mut checkpointing = Checkpointing::begin(
            &self.run_logs,
            &self.interrupt,
            Steps { done: first_step, left, checkpoint_every: checkpoint_every_steps },
            bytes,
        )?;
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
            // A stop changes no row: losses that are in no row yet go into the checkpoint.
            let row_due = planned || losses.len() + unread.len() >= STEPS_BETWEEN_READS;
            // Losses are also read before a checkpoint, so that no checkpoint holds a number that is not finite.
            let due = checkpointing.due(done, done == steps);
            if row_due || due != Due::Nothing {
                losses.extend(read_losses(std::mem::take(&mut unread))?);
            }
            if row_due {
                let loss = mean(&std::mem::take(&mut losses));
                if done == steps {
                    self.check_divergence(Metric::TrainingLoss, loss)?;
                }
                progress.message(format!("loss {loss:.3}"));
                checkpointing
                    .metrics
                    .log(done as u64, &[(Metric::TrainingLoss, loss), (Metric::TrainingLearningRate, rate)])?;
            }
            // Evaluated before the checkpoint of the same step, because a run that resumes from it would not evaluate
            // again.
            if done % evaluate_every_steps == 0 || done == steps {
                progress.message("measuring on what is held out");
                let mode = if done == steps { self.progress } else { Mode::Quiet };
                let evaluated = self.evaluate(&model, done, mode, &mut checkpointing)?;
                progress.message(evaluated.held_out.map_or_else(String::new, |HeldOut { bits_per_byte, .. }| {
                    format!("held out {bits_per_byte:.3} bits per byte")
                }));
                trained = Some(evaluated).filter(|_| done == steps);
            }
            let state = State { step: done, seed: self.seed, losses: losses.clone() };
            checkpointing.after_step(due, done, &model, &optimizer, &state)?;
        }
        progress.finish();
        if let Some(trained) = trained {
            return Ok(trained);
        }
        let model = self.start.with_transformer(model.valid());
        let held_out = self.held_out.evaluate(&model, self.progress)?;
        Ok(Trained { model, held_out })
    }

    fn start_or_resume(&self) -> Result<LoopState<Transformer, State>> {
        let start = self.start.transformer.clone();
        let optimizer = |model: &Transformer| self.optimizer.build(model, self.weight_decay);
        if let Some(resumed) = LoopState::of_newest_checkpoint(&self.run_logs.checkpoints, start.clone(), optimizer)? {
            return Ok(resumed);
        }
        let model = start.train();
        let optimizer = optimizer(&model);
        Ok(LoopState { model, optimizer, state: State { step: 0, seed: self.seed, losses: Vec::new() } })
    }

    /// Returns the mean cross-entropy `[1]` in nats per token, and its gradients.
    fn loss_and_gradients(&self, model: &Transformer, step: usize) -> Result<(Tensor<1>, GradientsParams)> {
        let device = model.device();
        let plain = model.valid();
        let examples = self.examples.of_step(self.seed, step, self.schedule.batch_size);
        let predicted: usize = examples.iter().map(|example| example.continuation.len()).sum();
        let pass = |rows: Range<usize>| {
            // Each micro-batch has parameters of its own, so that micro-batches share no graph.
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

    /// Checks that training has not diverged: a diverged model learns nothing more and is of no use.
    fn check_divergence(&self, metric: Metric, loss: f64) -> Result<()> {
        let guessing = (self.start.config().vocab_size as f64).ln();
        if loss <= DIVERGED * guessing {
            return Ok(());
        }
        Err(Error::failed(
            format!(
                "training has diverged: {} is {loss:.3} nats per token, and guessing among {} tokens costs {guessing:.3}",
                metric.name(),
                self.start.config().vocab_size
            ),
            "lower the learning rate, and begin again with another --run folder: the checkpoints in this one may \
             be no better",
        ))
    }

    /// Measures the loss on the held-out set, and logs a sample for people to read.
    fn evaluate(
        &self,
        model: &Transformer,
        step: usize,
        progress: Mode,
        checkpointing: &mut Checkpointing<'_>,
    ) -> Result<Trained> {
        let model = self.start.with_transformer(model.valid());
        let held_out = self.held_out.evaluate(&model, progress)?;
        if let Some(HeldOut { loss, bits_per_byte, .. }) = held_out {
            self.check_divergence(Metric::HeldOutLoss, loss)?;
            let row = [(Metric::HeldOutLoss, loss), (Metric::HeldOutBitsPerByte, bits_per_byte)];
            checkpointing.metrics.log(step as u64, &row)?;
        }
        let numbers =
            |row: usize| uniform(self.seed, Stream::Sampling, step as u64, row as u64, self.sampling.response_length);
        let shown = std::slice::from_ref(&self.shown);
        let drawn = sample(&model.transformer, None, shown, &self.sampling, numbers, &Interrupt::new())?;
        checkpointing.samples.append(&Sample { step, text: model.tokenizer.decode(&drawn.responses.concat())? })?;
        Ok(Trained { model, held_out })
    }
}

/// Reads the losses of all steps at once, and checks that losses and gradients are finite.
fn read_losses(steps: Vec<(Tensor<1>, GradientSquares)>) -> Result<Vec<f32>> {
    let (losses, squares): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    let readback = Readback::default().with(Tensor::cat(losses, 0));
    let readback = readback.with_all(squares.iter().filter_map(GradientSquares::sums));
    let mut read = readback.floats()?.into_iter();
    let losses = read.next().unwrap_or_default();
    check_finite(&[(Metric::TrainingLoss, mean(&losses))], "the learning rate")?;
    let with_sums = squares.iter().filter(|squares| squares.sums().is_some());
    with_sums.zip(read).try_for_each(|(squares, read)| squares.check(&read, "lower the learning rate"))?;
    Ok(losses)
}

fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64
}
