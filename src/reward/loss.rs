//! The loss of reward learning, paper equation 1: cross-entropy of the labeler's choice under
//! the softmax of the rewards.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::model::RewardModel;
use crate::device::Readback;
use crate::error::Result;
use crate::lm::MicroBatches;
use crate::lm::Responses;
use crate::platform::interrupt::Interrupt;
use crate::run::Metric;
use crate::training::finite_loss::check_finite;
use crate::training::{Backward, GradientSquares};

/// Bytes of a list beside its elements.
const OF_A_LIST: usize = 40;

/// Comparison in tokens, with two or more responses.
#[derive(Debug, Clone)]
pub struct TokenComparison {
    pub query: Vec<u32>,
    pub responses: Vec<Vec<u32>>,
    /// Index of the response that was chosen.
    pub best: usize,
    /// Hashes of the query before and after truncation; comparisons that share one are about the same query.
    pub(super) query_keys: [u64; 2],
}

impl TokenComparison {
    /// Creates a comparison about the query of these tokens.
    pub fn new(query: Vec<u32>, responses: Vec<Vec<u32>>, best: usize) -> Self {
        let query_keys = [hash_of(&query); 2];
        Self { query, responses, best, query_keys }
    }

    /// Returns the bytes that these comparisons take on the host, with the overhead of their lists.
    pub fn bytes_on_host(comparisons: &[Self]) -> u64 {
        let of_list = |tokens: &Vec<u32>| OF_A_LIST + size_of_val(tokens.as_slice());
        let of_one = |one: &Self| {
            size_of::<Self>() + of_list(&one.query) + OF_A_LIST + one.responses.iter().map(of_list).sum::<usize>()
        };
        comparisons.iter().map(of_one).sum::<usize>() as u64
    }

    /// Checks whether this response is the chosen one or has the same tokens.
    fn is_chosen(&self, index: usize) -> bool {
        index == self.best || self.responses.get(index) == self.responses.get(self.best)
    }

    /// Returns the probability that guessing is right, 1/N if all N responses differ. A guess takes one of the
    /// different responses at random and, if the chosen one has copies, one of these copies at random.
    pub(super) fn chance(&self) -> f64 {
        let different: HashSet<&Vec<u32>> = self.responses.iter().collect();
        1.0 / (different.len() * self.chosen_alike()) as f64
    }

    /// Returns the number of responses with the same tokens as the chosen one, itself included.
    pub(super) fn chosen_alike(&self) -> usize {
        (0..self.responses.len()).filter(|&index| self.is_chosen(index)).count()
    }
}

/// Returns a hash that tells queries apart within one run.
pub(super) fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Loss and accuracy of one step of reward training.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewardStep {
    /// Mean cross-entropy in nats; guessing among N responses has ln N.
    pub loss: f64,
    /// Share of comparisons in which the chosen response has the highest reward; a tie of k responses for the highest
    /// counts 1/k, as a guess among them would.
    pub accuracy: f64,
}

/// Addend to the reward of a missing response, whose probability in the softmax becomes 0.
const MISSING: f32 = -1e9;

/// Takes one optimizer step on a batch of comparisons.
///
/// # Errors
/// Fails when the model cannot read a comparison, when the loss is not finite and when the device fails, and with the
/// errors of [`Interrupt::check`].
pub fn train_step(
    model: RewardModel,
    optimizer: &mut ModuleOptimizer,
    batch: &[&TokenComparison],
    learning_rate: f64,
    backward: &Backward,
    interrupt: &Interrupt,
) -> Result<(RewardModel, RewardStep)> {
    let plain = model.valid();
    let device = model.transformer().device();
    let micro_batch = |rows: Range<usize>| {
        interrupt.check()?;
        // Each micro-batch has parameters of its own, so that micro-batches share no graph.
        let model = plain.clone().train();
        let part = batch.get(rows).unwrap_or_default();
        let share = part.len() as f64 / batch.len() as f64;
        let (queries, responses) = rows_of(part);
        let rows = Responses::new(&queries, &responses).rows(model.transformer().config())?;
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
    check_finite(&[(Metric::RewardLoss, step.loss)], "reward.learning_rate")?;
    squares.check(&read, "lower reward.learning_rate")?;
    Ok((optimizer.step(learning_rate, model, gradients), step))
}

/// Loss `[1]` and rewards `[comparisons, N]` of a micro-batch of comparisons.
struct Seen<'a> {
    loss: Tensor<1>,
    rewards: Tensor<2>,
    comparisons: &'a [&'a TokenComparison],
}

/// Returns loss and accuracy on comparisons that are not trained on. The rows of `passes` are comparisons.
///
/// # Errors
/// The errors of [`train_step`].
pub fn judge(model: &RewardModel, comparisons: &[TokenComparison], micro_batches: &MicroBatches) -> Result<RewardStep> {
    let model = model.valid();
    let all: Vec<&TokenComparison> = comparisons.iter().collect();
    let seen = all.chunks(micro_batches.rows_at_once).map(|comparisons| {
        micro_batches.interrupt.check()?;
        let (queries, responses) = rows_of(comparisons);
        let rewards = side_by_side(model.rewards(Responses::new(&queries, &responses))?, comparisons);
        Ok(Seen { loss: choice_loss(rewards.clone(), comparisons), rewards, comparisons })
    });
    Ok(statistics(seen.collect::<Result<_>>()?, None)?.0)
}

/// Returns the queries and responses of a batch, with one row for each response.
fn rows_of(batch: &[&TokenComparison]) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let queries = batch.iter().flat_map(|c| std::iter::repeat_n(c.query.clone(), c.responses.len()));
    (queries.collect(), batch.iter().flat_map(|c| c.responses.iter().cloned()).collect())
}

/// Arranges the rewards of all responses, `[rows]`, as `[batch, N]`, where N is the largest number of responses in the
/// batch.
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

/// Returns the mean cross-entropy `[1]` of the choices under rewards `[batch, N]`.
pub fn choice_loss(rewards: Tensor<2>, batch: &[&TokenComparison]) -> Tensor<1> {
    let best: Vec<i64> = batch.iter().map(|c| c.best as i64).collect();
    let best = Tensor::<2, Int>::from_data(TensorData::new(best, [batch.len(), 1]), &rewards.device());
    log_softmax(rewards, 1).gather(1, best).mean().neg()
}

/// Reads the means over all comparisons and the numbers of `more` from the device at once.
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
        step.accuracy += right(comparisons, rewards) / total as f64;
    }
    Ok((step, more.concat()))
}

/// Counts the comparisons in which the labeler's choice has the highest reward; a tie of k responses for the highest
/// counts 1/k. Responses with the same tokens have the same reward, whatever rounding makes of it.
fn right(batch: &[&TokenComparison], rewards: &[f32]) -> f64 {
    let most = rewards.len() / batch.len().max(1);
    let right = batch.iter().zip(rewards.chunks(most.max(1))).map(|(comparison, row)| {
        let Some(chosen) = row.get(comparison.best) else { return 0.0 };
        let others = || row.iter().enumerate().filter(|&(index, _)| !comparison.is_chosen(index));
        // Written so that NaN is never right.
        let is_highest = !chosen.is_nan() && others().all(|(_, other)| other <= chosen);
        let as_high = comparison.chosen_alike() + others().filter(|&(_, other)| other == chosen).count();
        if is_highest { 1.0 / as_high as f64 } else { 0.0 }
    });
    right.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(responses: &[&[u32]], best: usize) -> TokenComparison {
        TokenComparison::new(vec![1], responses.iter().map(|response| response.to_vec()).collect(), best)
    }

    #[test]
    fn a_tie_of_k_counts_one_part_in_k_wherever_the_chosen_one_stands() {
        let different = |best| comparison(&[&[1], &[2], &[3]], best);
        for (rewards, best, expected) in [
            ([1.0, 0.0, 0.0], 0, 1.0),
            ([1.0, 1.0, 0.0], 0, 0.5),
            ([1.0, 1.0, 0.0], 1, 0.5),
            ([1.0, 1.0, 0.0], 2, 0.0),
            ([2.0, 2.0, 2.0], 2, 1.0 / 3.0),
            ([f32::NAN, 1.0, 0.0], 0, 0.0),
            ([f32::NAN, 1.0, 0.0], 1, 0.0),
        ] {
            assert_eq!(right(&[&different(best)], &rewards), expected, "{rewards:?} {best}");
        }
        assert_eq!(right(&[&different(0), &different(1)], &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0]), 1.5);
    }

    #[test]
    fn the_same_tokens_tie_although_rounding_parts_their_rewards() {
        let twins = comparison(&[&[1, 2], &[3], &[1, 2]], 0);
        assert_eq!(right(&[&twins], &[1.0, 0.5, 1.000_000_1]), 0.5);
        assert_eq!(right(&[&twins], &[1.0, 1.5, 1.0]), 0.0);
        assert_eq!((twins.chosen_alike(), comparison(&[&[1], &[1]], 1).chosen_alike()), (2, 2));
    }
}
