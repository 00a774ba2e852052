//! Gradients of the reward model's and the policy's training, through the whole network, compared with
//! central differences of the loss.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use preftune::device::{Readback, read_floats};
use preftune::lm::ModelConfig;
use preftune::lm::Responses;
use preftune::lm::network::parameters::{NamedTensor, normal};
use preftune::policy::ppo::{Minibatch, StepStatistics, UpdateSettings, loss};
use preftune::policy::{Policy, Rows};
use preftune::reward::{GainAndBias, RewardModel, TokenComparison, choice_loss};
use preftune::training::Backward;

use crate::numerics::devices;
use crate::support::tiny;

/// Returns the gradient of each weight, in the order in which weights are read.
fn gradients<M: Module>(model: &M, loss: Tensor<1>) -> Vec<Vec<f32>> {
    numbers(model, GradientsParams::from_grads(loss.backward(), model))
}

fn numbers<M: Module>(model: &M, gradients: GradientsParams) -> Vec<Vec<f32>> {
    struct Collect {
        gradients: GradientsParams,
        read: Readback,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.gradients.get::<D>(param.id).expect("every weight has a gradient");
            self.read = std::mem::take(&mut self.read).with(gradient);
        }
    }
    let mut collect = Collect { gradients, read: Readback::default() };
    model.visit(&mut collect);
    collect.read.floats().unwrap()
}

/// Moves each weight tensor along its own gradient, and compares the change of the loss with the length of
/// the gradient.
fn assert_gradients(weights: &[NamedTensor], gradients: &[Vec<f32>], loss: impl Fn(&[NamedTensor]) -> f64) {
    for (weight, gradient) in weights.iter().zip(gradients) {
        let length = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        // The step is large enough for rounding to be small in the change, and too small for clipping.
        let step = 3e-3 / length.clamp(1.0, 10.0);
        let moved = |by: f64| {
            loss(&tiny::changed(weights, &weight.name, |values| {
                for (value, &slope) in values.iter_mut().zip(gradient) {
                    *value += (by * f64::from(slope) / length.max(1e-12)) as f32;
                }
            }))
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        let tolerance = 0.01 * length + 5e-4;
        assert!((slope - length).abs() < tolerance, "{}: the loss has slope {slope}, not {length}", weight.name);
    }
}

fn settings() -> UpdateSettings {
    tiny::update_settings(Backward::in_passes_of(64))
}

/// Makes a minibatch with old log-probabilities and values around the present ones, some of them beyond the
/// clipping range.
fn minibatch(policy: &Policy, config: &ModelConfig) -> Minibatch {
    const LENGTH: usize = 6;
    let queries = tiny::rows(config, &[3, 9, 1, 5, 5, 12], 2);
    let responses = tiny::rows(config, &[LENGTH; 6], 3);
    let analysis = policy.valid().analyze(Responses::new(&queries, &responses), settings().temperature).unwrap();
    let today = Readback::default().with(analysis.log_probs).with(analysis.values).floats().unwrap();
    let around = |today: &[f32], deviation: f32, row: u64| -> Rows {
        let noise = normal(today.len(), deviation, 7, row);
        let old: Vec<f64> = today.iter().zip(noise).map(|(x, noise)| f64::from(x + noise)).collect();
        old.chunks(LENGTH).map(<[f64]>::to_vec).collect()
    };
    let nothing = vec![0.0; today[0].len()];
    Minibatch {
        log_probs: around(&today[0], 0.2, 1),
        values: around(&today[1], 0.2, 2),
        rewards: around(&nothing, 1.0, 3),
        advantages: around(&nothing, 1.0, 4),
        returns: around(&today[1], 1.0, 5),
        contexts: queries,
        responses,
    }
}

fn policy_loss(policy: &Policy, minibatch: &Minibatch) -> Tensor<1> {
    let analysis = policy.analyze(minibatch.responses(), settings().temperature).unwrap();
    loss(&analysis, minibatch, &settings().objective)
}

fn the_policy_follows_the_gradient_of_its_loss(device: &Device) {
    let config = tiny::config();
    let policy = tiny::policy(&config, 1, device).train();
    let minibatch = minibatch(&policy, &config);
    let gradients = gradients(&policy, policy_loss(&policy, &minibatch));
    let weights = policy.read().unwrap();
    assert_eq!(weights.len(), gradients.len());
    assert_gradients(&weights, &gradients, |weights| {
        let transformer = tiny::transformer_of(&config, weights, device);
        let policy = Policy { transformer, value_head: tiny::head_of(weights, "value", device) };
        f64::from(read_floats(policy_loss(&policy, &minibatch)).unwrap()[0])
    });
}

on_backends!(the_policy_follows_the_gradient_of_its_loss: ndarray, flex);

fn block_by_block_the_gradients_are_the_same(device: &Device) {
    let config = tiny::config();
    let policy = tiny::policy(&config, 1, device).train();
    let minibatch = minibatch(&policy, &config);
    let gradients = |gradient_checkpointing: bool| {
        let backward = Backward { gradient_checkpointing, ..Backward::in_passes_of(4) };
        let settings = UpdateSettings { backward, ..settings() };
        numbers(&policy, preftune::policy::ppo::gradients(&policy, &minibatch, &settings).unwrap().0)
    };
    for (whole, blocks) in gradients(false).iter().zip(gradients(true)) {
        let largest = whole.iter().fold(0.0, |largest: f32, g| largest.max(g.abs()));
        let difference = tiny::largest_difference(whole, &blocks);
        assert!(difference <= 1e-5 * f64::from(largest) + 1e-7, "{difference:e} of {largest:e}");
    }
}

on_backends!(block_by_block_the_gradients_are_the_same: ndarray, flex, wgpu);

/// Computes the objective from its formula, with the clip ranges 0.2 and the value coefficient 0.1.
fn loss_written_out([log_probs, values, _]: &[Vec<f64>; 3], minibatch: &Minibatch) -> f64 {
    let [old_log_probs, old_values, advantages, returns] =
        [&minibatch.log_probs, &minibatch.values, &minibatch.advantages, &minibatch.returns].map(|rows| rows.concat());
    let (mut policy_loss, mut value_loss) = (0.0, 0.0);
    for i in 0..log_probs.len() {
        let ratio = (log_probs[i] - old_log_probs[i]).exp();
        policy_loss -= (advantages[i] * ratio).min(advantages[i] * ratio.clamp(0.8, 1.2));
        let near = values[i].max(old_values[i] - 0.2).min(old_values[i] + 0.2);
        value_loss += (values[i] - returns[i]).powi(2).max((near - returns[i]).powi(2)) / 2.0;
    }
    (policy_loss + 0.1 * value_loss) / log_probs.len() as f64
}

#[test]
fn the_loss_that_is_minimized_is_the_loss_that_is_logged() {
    let config = tiny::config();
    let policy = tiny::policy(&config, 1, &devices::ndarray());
    let minibatch = minibatch(&policy, &config);
    let analysis = policy.analyze(minibatch.responses(), settings().temperature).unwrap();
    let parts = [&analysis.log_probs, &analysis.values, &analysis.entropies];
    let read: [Vec<f64>; 3] = parts.map(|part| read_floats(part.clone()).unwrap().into_iter().map(f64::from).collect());
    let logged = StepStatistics::of(&minibatch, &read, &settings().objective);
    let minimized = f64::from(read_floats(loss(&analysis, &minibatch, &settings().objective)).unwrap()[0]);
    assert!((logged.total_loss - minimized).abs() < 1e-5, "{} and {minimized}", logged.total_loss);
    let written_out = loss_written_out(&read, &minibatch);
    assert!((logged.total_loss - written_out).abs() < 1e-9, "{} and {written_out}", logged.total_loss);
    // Without clipped values, the test would not cover clipping.
    assert!(logged.policy_clip_fraction > 0.05 && logged.value_clip_fraction > 0.05);
}

fn the_reward_model_follows_the_gradient_of_its_loss(device: &Device) {
    const CHOICES: usize = 3;
    let config = tiny::config();
    let comparison = |number: u64| {
        let query = tiny::rows(&config, &[2 + number as usize], 10 + number).remove(0);
        TokenComparison::new(query, tiny::rows(&config, &[7, 4, 5], 20 + number), number as usize % CHOICES)
    };
    let comparisons: Vec<TokenComparison> = (0..5).map(comparison).collect();
    let batch: Vec<&TokenComparison> = comparisons.iter().collect();
    let queries: Vec<Vec<u32>> = batch.iter().flat_map(|c| vec![c.query.clone(); CHOICES]).collect();
    let responses: Vec<Vec<u32>> = batch.iter().flat_map(|c| c.responses.clone()).collect();
    let loss = |model: &RewardModel| {
        let rewards = model.rewards(Responses::new(&queries, &responses)).unwrap();
        choice_loss(rewards.reshape([batch.len(), CHOICES]), &batch)
    };

    let set = GainAndBias { gain: 1.3, bias: -0.2 };
    let model = tiny::reward_model(&config, 1, device).with_gain_and_bias(set).train();
    let gradients = gradients(&model, loss(&model));
    let weights = [model.read().unwrap(), vec![number("gain", set.gain), number("bias", set.bias)]].concat();
    assert_eq!(weights.len(), gradients.len());
    assert_gradients(&weights, &gradients, |weights| {
        let head = tiny::head_of(weights, "reward", device);
        let model = RewardModel::new(tiny::transformer_of(&config, weights, device), head);
        let scalar = |name: &str| f64::from(tiny::values(weights, name)[0]);
        let model = model.with_gain_and_bias(GainAndBias { gain: scalar("gain"), bias: scalar("bias") });
        f64::from(read_floats(loss(&model)).unwrap()[0])
    });
}

fn number(name: &str, value: f64) -> NamedTensor {
    NamedTensor { name: name.into(), shape: vec![1], values: vec![value as f32] }
}

on_backends!(the_reward_model_follows_the_gradient_of_its_loss: ndarray, flex);
