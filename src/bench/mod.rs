//! Benchmark of the work in an update, on random tokens.
//!
//! One update is sampling, two scorings (reference log-probabilities and reward) and four training passes over the
//! batch.

mod growth;

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;

use crate::config;
use crate::config::{AdamForm, Lora};
use crate::device::parallel::most_parts;
use crate::device::{OpenDevice, Requests, count_requests, is_cpu};
use crate::error::{Error, Result};
use crate::lm::Responses;
use crate::lm::network::parameters;
use crate::lm::{MicroBatches, ModelConfig, ROWS_AT_ONCE, Sampling, ScalarHead, Transformer, sample};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::policy::Policy;
use crate::policy::ppo::{Minibatch, UpdateSettings, gradients};
use crate::random::{Stream, below, generator, uniform};
use crate::reward::RewardModel;
use crate::training::memory::{BatchShape, Memory};
use crate::training::{Adam, Backward, GradientSquares};

pub use growth::{Growth, arithmetic, grow};

const SEED: u64 = 1;

/// Returns the shape named `tiny`, `gpt2-124m` or `smollm2-135m`.
pub fn named_shape(name: &str) -> Option<ModelConfig> {
    match name {
        "tiny" => Some(ModelConfig { vocab_size: 4096, layers: 6, ..ModelConfig::gpt2(256, 8) }),
        "gpt2-124m" => Some(ModelConfig::gpt2_124m()),
        "smollm2-135m" => Some(ModelConfig::smollm2_135m()),
        _ => None,
    }
}

/// Sizes of the work, and the number of its repetitions.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub batch: usize,
    /// Length of a query in tokens.
    pub query: usize,
    /// Length of a response in tokens.
    pub response: usize,
    /// Largest number of rows in one micro-batch.
    pub micro_batch: usize,
    pub repetitions: usize,
}

/// Medians of the measurements.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    #[serde(rename = "impl")]
    pub implementation: String,
    pub device: String,
    pub model: String,
    pub batch: usize,
    pub query: usize,
    pub response: usize,
    pub generate_tokens_per_s: f64,
    pub score_tokens_per_s: f64,
    pub train_tokens_per_s: f64,
    pub update_s: f64,
    /// Time of one more token in each row, after the query is read; absent if the response is a single token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_step_s: Option<f64>,
    /// Requests to the GPU; absent on a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestCounts>,
}

/// Requests of the host to a GPU, after its kernels are tuned.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RequestCounts {
    /// Requests for one more token in each row; absent if the response is a single token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_step: Option<Requests>,
    /// Requests for scoring the batch with the reward model.
    pub scored_batch: Requests,
    /// Requests for the gradients of the batch and a step of the optimizer.
    pub training_step: Requests,
    /// Requests for one update, composed like `update_s`.
    pub update: Requests,
}

/// Returns the shape with enough positions for the rows of the work.
pub fn shape_for(shape: ModelConfig, work: &Work) -> ModelConfig {
    ModelConfig { positions: shape.positions.max(work.query + work.response), ..shape }
}

/// Creates a model of a shape, with random weights.
///
/// # Errors
/// Fails when the device fails.
pub fn random_model(config: &ModelConfig, device: &Device) -> Result<Transformer> {
    parameters::draw(Transformer::zeros(config, device), config.layers, SEED)
}

/// Returns the memory that this work takes on a model of this shape.
///
/// # Errors
/// Fails when the work does not fit into the memory of the device.
pub fn memory_that_fits(config: &ModelConfig, work: &Work, opened: &OpenDevice) -> Result<Memory> {
    let backward = Backward {
        micro_batch_size: work.micro_batch.min(work.batch),
        parts: most_parts(&opened.device),
        gradient_checkpointing: false,
    };
    let tokens = work.query + work.response;
    let shape = BatchShape { rows: work.batch, tokens, responses: work.response, backward };
    // No checkpoint is written.
    let memory = Memory::of_training(config, &shape, Lora { rank: 0, alpha: 1.0 }, 0.0).with_sampling(
        config,
        work.batch.min(ROWS_AT_ONCE),
        tokens,
    );
    let kept = (work.batch as u64).saturating_mul(OF_A_TOKEN * tokens as u64);
    Memory { kept, ..memory }
        .that_fits(opened.device_memory, "use a smaller model, a smaller batch or shorter sequences")
}

/// Bytes on the host for each token of a row.
const OF_A_TOKEN: u64 = 64;

/// Measures each kind of work, the last of them training `transformer` itself.
///
/// # Errors
/// Fails when the rows are longer than the model reads, and when the device fails.
pub fn measure(transformer: Transformer, work: &Work, model: &str, device: &str, progress: Mode) -> Result<Speed> {
    let work = &Work { micro_batch: work.micro_batch.min(work.batch), ..*work };
    let config = transformer.config();
    let queries = random_rows(config, work.batch, work.query, 0);
    let responses = random_rows(config, work.batch, work.response, 1);
    let mut stopwatch = Stopwatch::new(work.repetitions, 4, progress);
    let on_cpu = is_cpu(&transformer.device());
    let generated = stopwatch.measure(|| generate(&transformer, work.response, &queries))?;
    let first = stopwatch.measure(|| generate(&transformer, 1, &queries))?;
    let further = work.response.saturating_sub(1);
    let scored = score(&transformer, work, Responses::new(&queries, &responses), &mut stopwatch)?;
    let trained = train(transformer, work, queries, responses, &mut stopwatch)?;
    stopwatch.progress.finish();
    let tokens = (work.batch * (work.query + work.response)) as f64;
    Ok(Speed {
        implementation: format!("preftune {}", env!("CARGO_PKG_VERSION")),
        device: device.into(),
        model: model.into(),
        batch: work.batch,
        query: work.query,
        response: work.response,
        generate_tokens_per_s: (work.batch * work.response) as f64 / generated.seconds,
        score_tokens_per_s: tokens / scored.seconds,
        train_tokens_per_s: tokens / trained.seconds,
        update_s: generated.seconds + 2.0 * scored.seconds + 4.0 * trained.seconds,
        decoding_step_s: (further > 0).then(|| (generated.seconds - first.seconds) / further as f64),
        requests: (!on_cpu).then(|| RequestCounts {
            decoding_step: (further > 0).then(|| generated.requests.beyond(first.requests).each_of(further)),
            scored_batch: scored.requests,
            training_step: trained.requests,
            update: generated.requests.plus(scored.requests, 2).plus(trained.requests, 4),
        }),
    })
}

fn generate(model: &Transformer, response: usize, queries: &[Vec<u32>]) -> Result<()> {
    let sampling = Sampling { response_length: response, temperature: 0.7, responses_per_query: 1 };
    let numbers = |row: usize| uniform(SEED, Stream::Sampling, 0, row as u64, response);
    sample(model, None, queries, &sampling, numbers, &Interrupt::new()).map(drop)
}

fn score(
    transformer: &Transformer,
    work: &Work,
    responses: Responses<'_>,
    stopwatch: &mut Stopwatch,
) -> Result<Measured> {
    let head = ScalarHead::draw(transformer.width(), SEED, &transformer.device());
    let reward_model = RewardModel::new(transformer.clone(), head);
    stopwatch.measure(|| reward_model.score(responses, &MicroBatches::of(work.micro_batch)).map(drop))
}

fn train(
    transformer: Transformer,
    work: &Work,
    queries: Vec<Vec<u32>>,
    responses: Vec<Vec<u32>>,
    stopwatch: &mut Stopwatch,
) -> Result<Measured> {
    let zeros = vec![vec![0.0; work.response]; work.batch];
    let minibatch = Minibatch {
        contexts: queries,
        responses,
        log_probs: vec![vec![-8.0; work.response]; work.batch],
        values: zeros.clone(),
        rewards: zeros.clone(),
        advantages: vec![vec![1.0; work.response]; work.batch],
        returns: zeros,
    };
    let backward = Backward::in_passes_of(work.micro_batch);
    let settings = UpdateSettings::new(&config::Policy::default(), backward, 1e-5, 0.7, &Interrupt::new());
    let value_head = ScalarHead::zeros(transformer.width(), &transformer.device());
    let mut policy = Some(Policy { transformer, value_head }.train());
    let mut optimizer = Adam::optimizer(AdamForm::TensorFlow, 1e-5);
    stopwatch.measure(|| {
        if let Some(before) = policy.take() {
            let (gradients, analyses) = gradients(&before, &minibatch, &settings)?;
            let squares = GradientSquares::of(&before, &gradients);
            let after = optimizer.step(settings.learning_rate, before, gradients);
            // Wait for the device: a step is done when its weights and statistics are there.
            after
                .transformer
                .device()
                .sync()
                .map_err(|error| Error::device(format!("the device failed: {error:?}"), ""))?;
            drop((analyses, squares));
            policy = Some(after);
        }
        Ok(())
    })
}

fn random_rows(config: &ModelConfig, rows: usize, length: usize, step: u64) -> Vec<Vec<u32>> {
    let mut rng = generator(SEED, Stream::Data, step, 0);
    let mut token = || below(config.vocab_size, &mut rng) as u32;
    (0..rows).map(|_| (0..length).map(|_| token()).collect()).collect()
}

fn count(work: impl FnOnce() -> Result<()>) -> Result<Requests> {
    let (done, requests) = count_requests(work);
    done.map(|()| requests)
}

struct Measured {
    seconds: f64,
    requests: Requests,
}

/// Stopwatch that runs each kind of work several times.
struct Stopwatch {
    repetitions: usize,
    progress: Progress,
}

impl Stopwatch {
    fn new(repetitions: usize, kinds: usize, mode: Mode) -> Self {
        let runs = kinds * (1 + repetitions);
        Self { repetitions, progress: Progress::new("measuring, warm-ups included", runs as u64, "runs", mode) }
    }

    /// Returns the median time of `work` and the device requests of its last run, after one run that does not count.
    fn measure(&mut self, mut work: impl FnMut() -> Result<()>) -> Result<Measured> {
        let mut seconds = Vec::with_capacity(self.repetitions);
        let mut requests = Requests::default();
        for run in 0..=self.repetitions {
            let started = Instant::now();
            requests = count(&mut work)?;
            if run > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
            self.progress.advance(1);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(Measured { seconds: seconds.get(self.repetitions / 2).copied().unwrap_or(f64::NAN), requests })
    }
}
