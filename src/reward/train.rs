//! Training of a reward model on comparisons: normalize, one epoch, normalize again (paper, section 2.1;
//! `train_reward.py`).

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::accuracy::HeldOutAccuracy;
use super::loss::{RewardStep, TokenComparison, judge, train_step};
use super::model::{GainAndBias, RewardModel};
use super::normalization::NormalizationSamples;
use super::prepare::RewardData;
use crate::config::Reward;
use crate::error::Result;
use crate::lm::Responses;
use crate::lm::{LanguageModel, MicroBatches, ScalarHead};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::random::{Stream, generator, shuffled};
use crate::run::Metric;
use crate::run::run_logs::RunLogs;
use crate::run::step_log::StepLog;
use crate::statistics::Interval;
use crate::training::learning_rate::linear_to_zero;
use crate::training::training_state;
use crate::training::{Adam, Backward};
use crate::training::{Checkpointing, LoopState, Steps};

/// Number of measurements of the held-out accuracy during the epoch.
const MEASUREMENTS: usize = 8;

/// Number of comparisons logged at each measurement.
const SAMPLES: usize = 3;

/// A reward-model training run.
pub struct RewardTraining<'a> {
    pub settings: &'a Reward,
    /// Backward pass, whose rows are comparisons.
    pub backward: Backward,
    /// The pretrained model to start from.
    pub pretrained: &'a LanguageModel,
    pub data: &'a RewardData,
    pub seed: u64,
    pub run_logs: RunLogs,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// Row of `samples.jsonl`: a comparison and the rewards of its responses.
#[derive(Serialize)]
struct Sample {
    step: u64,
    query: String,
    responses: Vec<String>,
    rewards: Vec<f32>,
    best: usize,
}

/// Trained reward model, and how well it predicts held-out choices.
#[derive(Debug)]
pub struct TrainedRewardModel {
    pub model: RewardModel,
    /// Loss and accuracy on the held-out set; `None` if no comparison is held out.
    pub held_out: Option<RewardStep>,
    pub gain_and_bias: GainAndBias,
}

#[derive(Serialize, Deserialize)]
struct State {
    step: usize,
}

impl RewardTraining<'_> {
    /// Trains to the end, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] with the checkpoint to resume from, or any other error that stops the training.
    pub fn run(self) -> Result<TrainedRewardModel> {
        self.train().map_err(|error| error.going_on_from(self.run_logs.checkpoints.newest()))
    }

    fn train(&self) -> Result<TrainedRewardModel> {
        let batches = self.batches();
        let LoopState { mut model, mut optimizer, state: State { step: first_step } } = self.start_or_resume()?;
        let (left, every) = (batches.len() - first_step, self.settings.checkpoint_every_steps);
        let bytes = training_state::bytes_on_disk(&model, training_state::MOMENTS_OF_ADAM);
        let mut checkpointing = Checkpointing::begin(
            &self.run_logs,
            &self.interrupt,
            Steps { done: first_step, left, checkpoint_every: every },
            bytes,
        )?;
        let size = self.settings.batch_size.min(self.data.train.len()) as u64;
        let (done, total) = (first_step as u64 * size, batches.len() as u64 * size);
        let mut progress = Progress::resumed("reward model", done, total, "comparisons", self.progress);
        let measure_every = batches.len().div_ceil(MEASUREMENTS);
        for (step, batch) in batches.iter().enumerate().skip(first_step) {
            let seen = step * self.settings.batch_size;
            let rate = linear_to_zero(self.settings.learning_rate, seen as u64, self.data.train.len() as u64);
            let rows: Vec<&TokenComparison> = batch.iter().filter_map(|&index| self.data.train.get(index)).collect();
            let (next, statistics) = train_step(model, &mut optimizer, &rows, rate, &self.backward, &self.interrupt)?;
            model = next;
            let done = step + 1;
            let mut row = vec![
                (Metric::RewardLoss, statistics.loss),
                (Metric::RewardAccuracy, statistics.accuracy),
                (Metric::RewardLearningRate, rate),
            ];
            if done % measure_every == 0 || done == batches.len() {
                self.log_samples(&mut checkpointing.samples, done as u64, &model)?;
                row.push((Metric::Chance, self.data.chance()));
                row.push((Metric::LossOfGuessing, self.data.loss_of_guessing()));
                if let Some(held_out) = self.judge_held_out(&model)? {
                    row.push((Metric::HeldOutRewardLoss, held_out.loss));
                    let (accuracy, comparisons) = (held_out.accuracy, self.data.held_out.len());
                    let measured = HeldOutAccuracy { accuracy, comparisons, chance: self.data.chance() };
                    let Interval { low, high } = measured.interval();
                    row.push((Metric::HeldOutAccuracy, held_out.accuracy));
                    row.push((Metric::HeldOutComparisons, self.data.held_out.len() as f64));
                    row.push((Metric::HeldOutAccuracyLow, low));
                    row.push((Metric::HeldOutAccuracyHigh, high));
                    let [accuracy, low, high] = [held_out.accuracy, low, high].map(|share| 100.0 * share);
                    progress.message(format!("held-out accuracy {accuracy:.1}% ({low:.1} to {high:.1})"));
                }
            }
            checkpointing.metrics.log(done as u64, &row)?;
            progress.advance(size);
            let due = checkpointing.due(done, done == batches.len());
            checkpointing.after_step(due, done, &model, &optimizer, &State { step: done })?;
        }
        progress.finish();
        self.finish(model)
    }

    fn finish(&self, model: RewardModel) -> Result<TrainedRewardModel> {
        let mut model = model.valid();
        if self.settings.normalize_after {
            model = self.normalize(model)?;
        }
        let gain_and_bias = model.gain_and_bias()?;
        // Measured with the final gain and bias, as the policy is rewarded: a gain of the wrong sign shows here.
        let held_out = self.judge_held_out(&model)?;
        Ok(TrainedRewardModel { model, held_out, gain_and_bias })
    }

    fn judge_held_out(&self, model: &RewardModel) -> Result<Option<RewardStep>> {
        let held_out = &self.data.held_out;
        let micro_batches = MicroBatches::until(&self.interrupt, self.backward.micro_batch_size);
        let judge = || judge(model, held_out, &micro_batches);
        (!held_out.is_empty()).then(judge).transpose()
    }

    /// Logs the rewards of a few comparisons for people to read, held-out ones first.
    fn log_samples(&self, log: &mut StepLog, step: u64, model: &RewardModel) -> Result<()> {
        let tokenizer = &self.pretrained.tokenizer;
        let model = model.valid();
        for comparison in self.data.held_out.iter().chain(&self.data.train).take(SAMPLES) {
            let TokenComparison { query, responses, best, .. } = comparison;
            let queries = vec![query.clone(); responses.len()];
            log.append(&Sample {
                step,
                query: tokenizer.decode(query)?,
                responses: responses.iter().map(|response| tokenizer.decode(response)).collect::<Result<_>>()?,
                rewards: model
                    .score(Responses::new(&queries, responses), &MicroBatches::until(&self.interrupt, queries.len()))?,
                best: *best,
            })?;
        }
        Ok(())
    }

    fn normalize(&self, model: RewardModel) -> Result<RewardModel> {
        let NormalizationSamples { queries, responses } = &self.data.normalization;
        // The micro-batch has as many responses as in a training step.
        let a_comparison = self.data.train.first().map_or(1, |comparison| comparison.responses.len());
        let rows_at_once = self.backward.micro_batch_size * a_comparison;
        let progress = Progress::new("normalizing", responses.len() as u64, "responses", self.progress);
        let micro_batches = MicroBatches::watched(&self.interrupt, rows_at_once, progress);
        let (model, _) = model.normalize(Responses::new(queries, responses), &micro_batches)?;
        micro_batches.finish();
        Ok(model)
    }

    fn start_or_resume(&self) -> Result<LoopState<RewardModel, State>> {
        let optimizer = || Adam::optimizer(self.settings.adam, self.settings.adam_epsilon);
        let transformer = self.pretrained.transformer.clone();
        let device = transformer.device();
        let head = ScalarHead::draw(self.pretrained.config().width, self.seed, &device);
        // A copy with parameters of its own: the reference keeps the originals.
        let model = RewardModel::new(transformer.fork(&device), head);
        if let Some(resumed) =
            LoopState::of_newest_checkpoint(&self.run_logs.checkpoints, model.clone(), |_| optimizer())?
        {
            return Ok(resumed);
        }
        let model = if self.settings.normalize_before { self.normalize(model)? } else { model };
        Ok(LoopState { model: model.train(), optimizer: optimizer(), state: State { step: 0 } })
    }

    /// Returns the batches of one epoch, as indices in random order. A last batch that is not full is left out, unless
    /// it is the only one; [`RewardData::without_batch`] counts its comparisons.
    fn batches(&self) -> Vec<Vec<usize>> {
        let order = shuffled(self.data.train.len(), &mut generator(self.seed, Stream::Shuffle, 0, 0));
        let full = order.chunks(self.settings.batch_size).filter(|batch| batch.len() == self.settings.batch_size);
        let batches: Vec<Vec<usize>> = full.map(<[usize]>::to_vec).collect();
        if batches.is_empty() { vec![order] } else { batches }
    }
}
