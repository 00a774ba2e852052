//! The loss of reward learning, paper equation 1: cross-entropy of the labeler's choice under
//! the softmax of the rewards.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::model::RewardModel;
use crate::device::{Readback, in_parts};
use crate::error::Result;
use crate::lm::ModelConfig;
use crate::run::health::check_finite;

/// A comparison in tokens: any number of responses from two.
#[derive(Debug, Clone)]
pub struct TokenComparison {
    pub query: Vec<u32>,
    pub responses: Vec<Vec<u32>>,
    /// Index of the response that was chosen.
    pub best: usize,
}

/// What one step of reward training saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewardStep {
    /// Mean cross-entropy in nats; ln N is guessing.
    pub loss: f64,
    /// Share of comparisons where the chosen response has the highest reward.
    pub accuracy: f64,
}

impl RewardStep {
    fn times(self, share: f64) -> Self {
        Self { loss: self.loss * share, accuracy: self.accuracy * share }
    }

    fn plus(self, other: Self) -> Self {
        Self { loss: self.loss + other.loss, accuracy: self.accuracy + other.accuracy }
    }
}

/// Raises a missing response's reward to nothing in the softmax.
const MISSING: f32 = -1e9;

/// One optimizer step on a batch of comparisons.
///
/// # Errors
/// When a comparison cannot be read by the model, the loss is not finite, or the device fails.
pub fn train_step(
    model: RewardModel,
    optimizer: &mut ModuleOptimizer,
    config: &ModelConfig,
    batch: &[&TokenComparison],
    learning_rate: f64,
) -> Result<(RewardModel, RewardStep)> {
    let plain = model.valid();
    let parts = in_parts(&model.transformer().device(), batch.len(), |rows| {
        // Parameters of its own, so that parts share no graph.
        let model = plain.clone().train();
        let part = batch.get(rows).unwrap_or_default();
        let share = part.len() as f64 / batch.len() as f64;
        let rewards = batch_rewards(&model, config, part)?;
        let loss = choice_loss(rewards.clone(), part);
        let read = Readback::default().with(loss.clone().inner()).with(rewards.inner()).floats()?;
        let gradients = GradientsParams::from_grads((loss * share).backward(), &model);
        Ok((statistics(&read, part).times(share), gradients))
    });
    let mut step = RewardStep::default();
    let mut gradients = GradientsAccumulator::new();
    for part in parts {
        let (statistics, part) = part?;
        step = step.plus(statistics);
        gradients.accumulate(&model, part);
    }
    check_finite(&[("reward/loss", step.loss)], "reward.learning_rate")?;
    Ok((optimizer.step(learning_rate, model, gradients.grads()), step))
}

/// Loss and accuracy on comparisons that are not trained on.
///
/// # Errors
/// As [`train_step`].
pub fn judge(
    model: &RewardModel,
    config: &ModelConfig,
    comparisons: &[TokenComparison],
    batch_size: usize,
) -> Result<RewardStep> {
    let model = model.valid();
    let mut sum = RewardStep::default();
    for batch in comparisons.chunks(batch_size) {
        let batch: Vec<&TokenComparison> = batch.iter().collect();
        let rewards = batch_rewards(&model, config, &batch)?;
        let read = Readback::default().with(choice_loss(rewards.clone(), &batch)).with(rewards).floats()?;
        let share = batch.len() as f64 / comparisons.len() as f64;
        sum = sum.plus(statistics(&read, &batch).times(share));
    }
    Ok(sum)
}

/// Rewards `[batch, N]`, N being the largest number of responses in the batch.
fn batch_rewards(model: &RewardModel, config: &ModelConfig, batch: &[&TokenComparison]) -> Result<Tensor<2>> {
    let queries: Vec<Vec<u32>> =
        batch.iter().flat_map(|c| std::iter::repeat_n(c.query.clone(), c.responses.len())).collect();
    let responses: Vec<Vec<u32>> = batch.iter().flat_map(|c| c.responses.iter().cloned()).collect();
    let rewards = model.rewards(config, &queries, &responses)?;
    let most = batch.iter().map(|c| c.responses.len()).max().unwrap_or(0);
    if responses.len() == batch.len() * most {
        return Ok(rewards.reshape([batch.len(), most]));
    }
    let (mut index, mut missing, mut first) = (Vec::new(), Vec::new(), 0);
    for comparison in batch {
        let count = comparison.responses.len();
        index.extend((0..most).map(|place| (first + place.min(count - 1)) as i64));
        missing.extend((0..most).map(|place| if place < count { 0.0 } else { MISSING }));
        first += count;
    }
    let device = rewards.device();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [batch.len() * most]), &device);
    let missing = Tensor::<2>::from_data(TensorData::new(missing, [batch.len(), most]), &device);
    Ok(rewards.select(0, index).reshape([batch.len(), most]) + missing)
}

/// Mean cross-entropy of the choices: `[batch, N]` to `[1]`.
pub fn choice_loss(rewards: Tensor<2>, batch: &[&TokenComparison]) -> Tensor<1> {
    let best: Vec<i64> = batch.iter().map(|c| c.best as i64).collect();
    let best = Tensor::<2, Int>::from_data(TensorData::new(best, [batch.len(), 1]), &rewards.device());
    log_softmax(rewards, 1).gather(1, best).mean().neg()
}

fn statistics(read: &[Vec<f32>], batch: &[&TokenComparison]) -> RewardStep {
    let (loss, rewards) = match read {
        [loss, rewards] => (loss.first().copied().map_or(f64::NAN, f64::from), rewards.as_slice()),
        _ => (f64::NAN, [].as_slice()),
    };
    let most = rewards.len() / batch.len().max(1);
    let right = batch.iter().zip(rewards.chunks(most.max(1))).filter(|(comparison, row)| {
        // Of equal rewards the first counts, so that a constant reward is no better than a guess.
        let (before, rest) = row.split_at_checked(comparison.best).unwrap_or_default();
        let chosen = rest.first();
        chosen
            .is_some_and(|chosen| before.iter().all(|other| other < chosen) && rest.iter().all(|other| other <= chosen))
    });
    RewardStep { loss, accuracy: right.count() as f64 / batch.len() as f64 }
}
