//! One PPO update: several epochs of clipped steps over a batch of episodes (Schulman et al.,
//! 2017; `train_policy.py`, `PPOTrainer.loss`).

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};

use super::minibatch::Minibatch;
use super::objective::ClippedObjective;
use super::settings::UpdateSettings;
use super::statistics::StepStatistics;
use crate::device::Readback;
use crate::error::Result;
use crate::lm::ResponseBatch;
use crate::policy::model::{Policy, ResponseStatistics};
use crate::policy::rollout::Rollout;
use crate::policy::shaping::Rows;
use crate::run::Metric;
use crate::training::GradientSquares;
use crate::training::finite_loss::check_finite;

/// Policy after an update, and the statistics of its steps.
pub struct Updated {
    pub policy: Policy,
    pub steps: Vec<StepStatistics>,
    /// Largest difference between the log-probability of a token as computed in sampling and as computed in
    /// training, before the first step.
    pub largest_log_prob_difference: f64,
}

/// Takes `orders.len() · minibatches` steps. `rewards` are shaped, `[rows][response]`; each of `orders` is the row
/// order of one epoch, which is split into minibatches.
///
/// # Errors
/// Fails when the model cannot read a row, when a number is not finite in any of the steps and when the device fails,
/// and with the errors of [`crate::platform::interrupt::Interrupt::check`].
pub fn update(
    mut policy: Policy,
    optimizer: &mut ModuleOptimizer,
    rollout: &Rollout,
    rewards: &Rows,
    orders: &[Vec<usize>],
    settings: &UpdateSettings,
) -> Result<Updated> {
    let size = rollout.contexts.len() / settings.minibatches;
    let mut steps = Vec::new();
    for rows in orders.iter().flat_map(|order| order.chunks(size)) {
        let minibatch = Minibatch::new(rollout, rewards, rows, settings);
        let (gradients, analyses) = gradients(&policy, &minibatch, settings)?;
        let squares = GradientSquares::of(&policy, &gradients);
        steps.push(Step { minibatch, analyses, squares });
        policy = optimizer.step(settings.learning_rate, policy, gradients);
    }
    let steps = statistics(steps, settings)?;
    let largest_log_prob_difference = steps.first().map_or(0.0, |first| first.largest_log_prob_difference);
    Ok(Updated { policy, steps, largest_log_prob_difference })
}

/// Minibatch and results of a step, still on the device.
struct Step {
    minibatch: Minibatch,
    analyses: Vec<ResponseStatistics>,
    squares: GradientSquares,
}

/// Hint for gradients that are too large.
const SMALLER_GRADIENTS: &str = "lower policy.learning_rate; if the loss is large, lower policy.kl.coefficient or \
     policy.value_coefficient, set task.penalty_score nearer to 0, or use a reward model whose rewards are \
     normalized (reward.normalize_after)";

/// Reads the statistics of all steps at once: reading after each step would make a GPU wait each time. A bad step is
/// found only here, but is not kept, because an update that fails is dropped.
fn statistics(steps: Vec<Step>, settings: &UpdateSettings) -> Result<Vec<StepStatistics>> {
    let mut readback = Readback::default();
    for Step { analyses, squares, .. } in &steps {
        let joined = |part: fn(&ResponseStatistics) -> Tensor<1>| Tensor::cat(analyses.iter().map(part).collect(), 0);
        readback = readback
            .with(joined(|analysis| analysis.log_probs.clone()))
            .with(joined(|analysis| analysis.values.clone()))
            .with(joined(|analysis| analysis.entropies.clone()))
            .with_all(squares.sums());
    }
    let mut read = readback.floats()?.into_iter();
    let of_step = |Step { minibatch, squares, .. }: &Step| {
        let mut next = || read.next().unwrap_or_default();
        let analysis = std::array::from_fn(|_| next().into_iter().map(f64::from).collect());
        let statistics = StepStatistics::of(minibatch, &analysis, &settings.objective);
        let decisive = [(Metric::TotalLoss, statistics.total_loss), (Metric::ApproximateKl, statistics.approximate_kl)];
        check_finite(&decisive, "policy.learning_rate")?;
        if squares.sums().is_some() {
            squares.check(&next(), SMALLER_GRADIENTS)?;
        }
        Ok(statistics)
    };
    steps.iter().map(of_step).collect()
}

/// Returns the gradients of the minibatch's mean loss, summed over micro-batches, and the statistics of its responses.
///
/// # Errors
/// The errors of [`update`].
pub fn gradients(
    policy: &Policy,
    minibatch: &Minibatch,
    settings: &UpdateSettings,
) -> Result<(GradientsParams, Vec<ResponseStatistics>)> {
    let total = minibatch.contexts.len();
    let plain = policy.valid();
    let micro_batch = |rows: Range<usize>| {
        settings.interrupt.check()?;
        // Each micro-batch has parameters of its own, so that micro-batches share no graph.
        let policy = plain.clone().train();
        let share = rows.len() as f64 / total as f64;
        let part = minibatch.slice(rows);
        let batch = ResponseBatch::new(part.responses(), policy.transformer.config())?;
        let input = batch.input(&policy.transformer);
        settings.backward.gradients(&policy, &policy.transformer, input, |hidden| {
            let analysis = policy.analyze_hidden(&batch, hidden, settings.temperature);
            let loss = loss(&analysis, &part, &settings.objective) * share;
            let analysis = ResponseStatistics {
                log_probs: analysis.log_probs.inner(),
                values: analysis.values.inner(),
                entropies: analysis.entropies,
            };
            Ok((loss, analysis))
        })
    };
    settings.backward.summed(policy, &policy.transformer.device(), total, micro_batch)
}

/// Returns the loss `[1]`:
/// `mean(max(−Âq, −Â clip(q, 1 ± ε))) + c · ½ mean(max((V − R)², (clip(V, V_old ± ε) − R)²))`.
pub fn loss(analysis: &ResponseStatistics, minibatch: &Minibatch, objective: &ClippedObjective) -> Tensor<1> {
    let device = analysis.values.device();
    let on_device = |rows: &Rows| {
        let numbers: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
        let count = numbers.len();
        Tensor::<1>::from_data(TensorData::new(numbers, [count]), &device)
    };
    let (old_log_probs, advantages) = (on_device(&minibatch.log_probs), on_device(&minibatch.advantages));
    let (old_values, returns) = (on_device(&minibatch.values), on_device(&minibatch.returns));
    let of_policy = objective.policy_loss(analysis.log_probs.clone(), old_log_probs, advantages);
    let of_values = objective.value_loss(analysis.values.clone(), old_values, returns);
    let policy_loss = of_policy.plain.max_pair(of_policy.clipped).mean();
    let value_loss = of_values.plain.max_pair(of_values.clipped).mean() * 0.5;
    objective.total(policy_loss, value_loss)
}
