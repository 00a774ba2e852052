//! The loss of reward learning, paper equation 1: cross-entropy of the labeler's choice under
//! the softmax of the rewards.

use std::ops::Range;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::model::RewardModel;
use crate::device::Readback;
use crate::error::Result;
use crate::lm::{Backward, GradientSquares, ModelConfig, Passes};
use crate::run::health::check_finite;
use crate::run::interrupt::Interrupt;

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

/// Raises a missing response's reward to nothing in the softmax.
const MISSING: f32 = -1e9;

/// One optimizer step on a batch of comparisons.
///
/// # Errors
/// When a comparison cannot be read by the model, the loss is not finite, or the device fails, and as
/// [`Interrupt::check`].
pub fn train_step(
    model: RewardModel,
    optimizer: &mut ModuleOptimizer,
    config: &ModelConfig,
    batch: &[&TokenComparison],
    learning_rate: f64,
    backward: &Backward,
    interrupt: &Interrupt,
) -> Result<(RewardModel, RewardStep)> {
    let plain = model.valid();
    let device = model.transformer().device();
    let micro_batch = |rows: Range<usize>| {
        interrupt.check()?;
        // Parameters of its own, so that parts share no graph.
        let model = plain.clone().train();
        let part = batch.get(rows).unwrap_or_default();
        let share = part.len() as f64 / batch.len() as f64;
        let (queries, responses) = rows_of(part);
        let rows = RewardModel::batch(config, &queries, &responses)?;
        backward.gradients(&model, model.transformer(), model.input(&rows), |hidden| {
            let rewards = side_by_side(model.rewards_of_hidden(hidden), part);
            let loss = choice_loss(rewards.clone(), part);
            let seen = Seen { loss: loss.clone().inner(), rewards: rewards.inner(), comparisons: part };
            Ok((loss * share, seen))
        })
    };
    let (gradients, seen) = backward.summed(&model, &device, batch.len(), micro_batch)?;
    let squares = GradientSquares::of(&model, &gradients);
    let (step, read) = statistics(seen, squares.sums())?;
    check_finite(&[("reward/loss", step.loss)], "reward.learning_rate")?;
    squares.check(&read, "lower reward.learning_rate")?;
    Ok((optimizer.step(learning_rate, model, gradients), step))
}

/// What a pass over some comparisons gave: the loss `[1]`, and the rewards `[comparisons, N]`.
struct Seen<'a> {
    loss: Tensor<1>,
    rewards: Tensor<2>,
    comparisons: &'a [&'a TokenComparison],
}

/// Loss and accuracy on comparisons that are not trained on: these are the rows of `passes`.
///
/// # Errors
/// As [`train_step`].
pub fn judge(
    model: &RewardModel,
    config: &ModelConfig,
    comparisons: &[TokenComparison],
    passes: &Passes,
) -> Result<RewardStep> {
    let model = model.valid();
    let all: Vec<&TokenComparison> = comparisons.iter().collect();
    let seen = all.chunks(passes.rows_at_once).map(|comparisons| {
        passes.interrupt.check()?;
        let (queries, responses) = rows_of(comparisons);
        let rewards = side_by_side(model.rewards(config, &queries, &responses)?, comparisons);
        Ok(Seen { loss: choice_loss(rewards.clone(), comparisons), rewards, comparisons })
    });
    Ok(statistics(seen.collect::<Result<_>>()?, None)?.0)
}

/// A row for each response of each comparison: its query, and itself.
fn rows_of(batch: &[&TokenComparison]) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let queries = batch.iter().flat_map(|c| std::iter::repeat_n(c.query.clone(), c.responses.len()));
    (queries.collect(), batch.iter().flat_map(|c| c.responses.iter().cloned()).collect())
}

/// Rewards of all responses, `[rows]`, to `[batch, N]`, N being the largest number of responses in
/// the batch.
fn side_by_side(rewards: Tensor<1>, batch: &[&TokenComparison]) -> Tensor<2> {
    let most = batch.iter().map(|c| c.responses.len()).max().unwrap_or(0);
    let [rows] = rewards.dims();
    if rows == batch.len() * most {
        return rewards.reshape([batch.len(), most]);
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
    rewards.select(0, index).reshape([batch.len(), most]) + missing
}

/// Mean cross-entropy of the choices: `[batch, N]` to `[1]`.
pub fn choice_loss(rewards: Tensor<2>, batch: &[&TokenComparison]) -> Tensor<1> {
    let best: Vec<i64> = batch.iter().map(|c| c.best as i64).collect();
    let best = Tensor::<2, Int>::from_data(TensorData::new(best, [batch.len(), 1]), &rewards.device());
    log_softmax(rewards, 1).gather(1, best).mean().neg()
}

/// Means over all comparisons, and the numbers of `more`, in one read.
fn statistics(seen: Vec<Seen<'_>>, more: Option<Tensor<1>>) -> Result<(RewardStep, Vec<f32>)> {
    let total: usize = seen.iter().map(|part| part.comparisons.len()).sum();
    let mut readback = Readback::default();
    let mut parts = Vec::new();
    for Seen { loss, rewards, comparisons } in seen {
        readback = readback.with(loss).with(rewards);
        parts.push(comparisons);
    }
    let read = readback.with_all(more).floats()?;
    let (pairs, more) = read.as_chunks::<2>();
    let mut step = RewardStep::default();
    for (comparisons, [loss, rewards]) in parts.into_iter().zip(pairs) {
        let share = comparisons.len() as f64 / total as f64;
        step.loss += share * loss.first().copied().map_or(f64::NAN, f64::from);
        step.accuracy += right(comparisons, rewards) as f64 / total as f64;
    }
    Ok((step, more.concat()))
}

/// How many comparisons have the highest reward where the labeler's choice is.
fn right(batch: &[&TokenComparison], rewards: &[f32]) -> usize {
    let most = rewards.len() / batch.len().max(1);
    let right = batch.iter().zip(rewards.chunks(most.max(1))).filter(|(comparison, row)| {
        // Of equal rewards the first counts, so that a constant reward is no better than a guess.
        let (before, rest) = row.split_at_checked(comparison.best).unwrap_or_default();
        let chosen = rest.first();
        chosen
            .is_some_and(|chosen| before.iter().all(|other| other < chosen) && rest.iter().all(|other| other <= chosen))
    });
    right.count()
}
