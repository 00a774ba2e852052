//! Next-token training: cross-entropy over windows of text.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::corpus::{Corpus, Texts, Windows};
use super::held_out::{HeldOut, evaluate};
use super::optimizer::muon_and_adamw;
use crate::config::Pretrain;
use crate::device::read_floats;
use crate::error::{Error, Result};
use crate::lm::operations::pick_log_probs;
use crate::lm::{END_OF_TEXT, LanguageModel, ModelConfig, Sampling, Tokenizer, Transformer, parameters, sample};
use crate::parallel::{ALL_CORES, in_parts};
use crate::run::checkpoints::Checkpoints;
use crate::run::health::check_finite;
use crate::run::interrupt::Interrupt;
use crate::run::learning_rate::warmup_stable_decay;
use crate::run::metrics::MetricsLog;
use crate::run::progress::{Mode, Progress};
use crate::run::random::{Stream, uniform};
use crate::run::step_log::StepLog;
use crate::run::training_state;

/// Losses are read from the device once in so many steps: each read makes a GPU wait.
const STEPS_BETWEEN_READS: usize = 10;

/// A next-token training run.
pub struct Pretraining<'a> {
    pub settings: &'a Pretrain,
    pub texts: &'a Texts,
    pub tokenizer: Tokenizer,
    /// A model to go on from; without one, weights are drawn.
    pub start: Option<LanguageModel>,
    pub seed: u64,
    pub device: Device,
    pub checkpoints: Checkpoints,
    pub metrics_path: std::path::PathBuf,
    pub samples_path: std::path::PathBuf,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// Length of a sample.
const SAMPLE_TOKENS: usize = 128;

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

/// The trained model and how it predicts the held-out text.
pub struct Pretrained {
    pub model: LanguageModel,
    pub held_out: HeldOut,
}

impl Pretraining<'_> {
    /// Trains to the end, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint it left, or what went wrong.
    pub fn run(self) -> Result<Pretrained> {
        let config = self.model_config();
        if self.settings.context_tokens > config.n_positions {
            return Err(Error::usage(
                format!("the model reads {} tokens at most, not {}", config.n_positions, self.settings.context_tokens),
                format!("--set pretrain.context_tokens={}", config.n_positions),
            ));
        }
        let corpus = Corpus::new(&self.texts.train, &self.tokenizer, self.settings.context_tokens, self.progress)?;
        let (mut model, mut optimizer, first_step) = self.start_or_resume(&config)?;
        let mut metrics = MetricsLog::open(&self.metrics_path, Some(first_step as u64))?;
        let mut samples = StepLog::open(&self.samples_path, Some(first_step as u64))?;
        let steps = self.settings.steps;
        let tokens_per_step = (self.settings.batch_size * self.settings.context_tokens) as u64;
        let (done, total) = (first_step as u64 * tokens_per_step, steps as u64 * tokens_per_step);
        let mut progress = Progress::resumed("pretraining", done, total, "tokens", self.progress);
        let mut losses = Vec::new();
        for step in first_step..steps {
            let starts = corpus.starts(self.seed, step, self.settings.batch_size);
            let (loss, gradients) = loss_and_gradients(&model, &corpus, &starts);
            let rate = self.learning_rate(step);
            model = optimizer.step(rate, model, gradients);
            losses.push(loss);
            let done = step + 1;
            progress.advance(tokens_per_step);
            let interrupted = self.interrupt.requested();
            let checkpoint_due =
                interrupted || done.is_multiple_of(self.settings.checkpoint_every_steps) || done == steps;
            // Read before a checkpoint too, so that none holds what is not finite.
            if losses.len() == STEPS_BETWEEN_READS || checkpoint_due {
                let loss = mean_loss(std::mem::take(&mut losses))?;
                progress.message(format!("loss {loss:.3}"));
                metrics.log(done as u64, &[("train/loss", loss), ("train/learning_rate", rate)])?;
            }
            if checkpoint_due {
                metrics.sync()?;
                samples.sync()?;
                let path = self.save(done, &model, &optimizer)?;
                if interrupted {
                    return Err(Error::Interrupted { checkpoint: Some(path) });
                }
            }
            if done % self.settings.evaluate_every_steps == 0 && done < steps {
                progress.message("measuring on held-out text");
                let held_out = self.evaluate(&config, &model, Mode::Quiet)?;
                log_held_out(&mut metrics, done, &held_out)?;
                self.log_sample(&mut samples, done, &config, &model)?;
                progress.message(format!("held out {:.3} bits per byte", held_out.bits_per_byte));
            }
        }
        progress.finish();
        let held_out = self.evaluate(&config, &model, self.progress)?;
        if first_step < steps {
            log_held_out(&mut metrics, steps, &held_out)?;
            self.log_sample(&mut samples, steps, &config, &model)?;
        }
        Ok(Pretrained { model: self.language_model(config, &model), held_out })
    }

    fn model_config(&self) -> ModelConfig {
        self.start.as_ref().map_or_else(
            || ModelConfig {
                vocab_size: self.tokenizer.vocab_size(),
                n_positions: self.settings.context_tokens,
                n_embd: self.settings.width,
                n_layer: self.settings.layers,
                n_head: self.settings.heads,
                layer_norm_epsilon: 1e-5,
            },
            |start| start.config.clone(),
        )
    }

    fn start_or_resume(&self, config: &ModelConfig) -> Result<(Transformer, ModuleOptimizer, usize)> {
        let zeros = Transformer::zeros(config, &self.device);
        let optimizer = |model: &Transformer| muon_and_adamw(model, self.settings.weight_decay);
        if let Some(checkpoint) = self.checkpoints.latest()? {
            let state: State = training_state::load_state(&checkpoint)?;
            let model = training_state::load_model(&checkpoint, zeros)?.train();
            let optimizer = training_state::load_optimizer(&checkpoint, optimizer(&model))?;
            return Ok((model, optimizer, state.step));
        }
        let model = match &self.start {
            Some(start) => start.transformer.clone(),
            None => parameters::draw(zeros, config.n_layer, self.seed)?,
        };
        let model = model.train();
        let optimizer = optimizer(&model);
        Ok((model, optimizer, 0))
    }

    fn learning_rate(&self, step: usize) -> f64 {
        let settings = self.settings;
        let decay_steps = (settings.decay_fraction * settings.steps as f64).round() as u64;
        let (warmup, total) = (settings.warmup_steps as u64, settings.steps as u64);
        warmup_stable_decay(settings.learning_rate, step as u64, warmup, decay_steps, total)
    }

    fn save(&self, step: usize, model: &Transformer, optimizer: &ModuleOptimizer) -> Result<std::path::PathBuf> {
        let state = State { step, seed: self.seed };
        self.checkpoints.save(step as u64, training_state::to_files(model, optimizer, &state))
    }

    fn evaluate(&self, config: &ModelConfig, model: &Transformer, progress: Mode) -> Result<HeldOut> {
        let model = self.language_model(config.clone(), model);
        evaluate(&model, &self.texts.held_out, self.settings.context_tokens, progress)
    }

    /// What the model writes on its own, for a person to read.
    fn log_sample(&self, log: &mut StepLog, step: usize, config: &ModelConfig, model: &Transformer) -> Result<()> {
        let start = vec![self.tokenizer.encode(END_OF_TEXT)?];
        let response_length = self.settings.context_tokens.min(SAMPLE_TOKENS).saturating_sub(1);
        let sampling = Sampling { response_length, temperature: 0.7, responses_per_query: 1 };
        let numbers = |row: usize| uniform(self.seed, Stream::Sampling, step as u64, row as u64, response_length);
        let drawn = sample(&model.valid(), config, None, &start, &sampling, numbers)?;
        let text = self.tokenizer.decode(&drawn.responses.concat())?;
        log.append(&Sample { step, text })
    }

    fn language_model(&self, config: ModelConfig, model: &Transformer) -> LanguageModel {
        LanguageModel { config, transformer: model.valid(), tokenizer: self.tokenizer.clone() }
    }
}

/// Mean cross-entropy `[1]` in nats a token, and its gradients.
fn loss_and_gradients(model: &Transformer, corpus: &Corpus, starts: &[usize]) -> (Tensor<1>, GradientsParams) {
    let device = model.device();
    let plain = model.valid();
    let parts = in_parts(&device, starts.len(), ALL_CORES, |rows| {
        // Parameters of its own, so that parts share no graph.
        let model = plain.clone().train();
        let share = rows.len() as f64 / starts.len() as f64;
        let Windows { inputs, targets } = corpus.windows_at(starts.get(rows).unwrap_or_default(), &device);
        let hidden = model.hidden(inputs).flatten(0, 1);
        let loss = pick_log_probs(model.logits(hidden), targets).mean().neg() * share;
        (loss.clone().inner(), GradientsParams::from_grads(loss.backward(), &model))
    });
    let mut accumulator = GradientsAccumulator::new();
    let mut losses = Vec::new();
    for (loss, gradients) in parts {
        losses.push(loss);
        accumulator.accumulate(model, gradients);
    }
    (Tensor::cat(losses, 0).sum(), accumulator.grads())
}

fn mean_loss(losses: Vec<Tensor<1>>) -> Result<f64> {
    let losses = read_floats(Tensor::cat(losses, 0))?;
    let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
    check_finite(&[("train/loss", mean)], "pretrain.learning_rate")?;
    Ok(mean)
}

fn log_held_out(metrics: &mut MetricsLog, step: usize, held_out: &HeldOut) -> Result<()> {
    metrics.log(step as u64, &[("held_out/loss", held_out.loss), ("held_out/bits_per_byte", held_out.bits_per_byte)])
}
