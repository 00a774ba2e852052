//! Answers to a fixture, computed by the functions that the commands use.

use burn::module::Module;
use burn::tensor::Device;
use preftune::Result;
use preftune::config::AdamForm;
use preftune::device::{Readback, read_floats};
use preftune::lm::Responses;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{MicroBatches, TokenBatch, select_rows};
use preftune::platform::Interrupt;
use preftune::policy::ppo::{ClippedObjective, Minibatch, StepStatistics, UpdateSettings, update};
use preftune::policy::{Adaptive, GeneralizedAdvantages, KlController, Policy, Rollout, shape};
use preftune::reward::{GainAndBias, RewardModel, RewardStep, TokenComparison, train_step};
use preftune::run::Metric;
use preftune::task::Truncation;
use preftune::training::learning_rate::linear_to_zero;
use preftune::training::{Adam, Backward};
use serde_json::{Map, Value, json};

use super::fixture::{Fixture, PpoInput};

/// Rows in a micro-batch, as in the commands.
const ROWS_AT_ONCE: usize = 64;
const BACKWARD: Backward = Backward::in_passes_of(ROWS_AT_ONCE);

/// Computes the whole answer.
pub fn all(fixture: &Fixture, device: &Device) -> Result<Value> {
    Ok(json!({
        "lm": language_model(fixture, device)?,
        "task": task(fixture),
        "reward": reward(fixture, device)?,
        "ppo": ppo(fixture, device)?,
    }))
}

fn language_model(fixture: &Fixture, device: &Device) -> Result<Value> {
    let config = &fixture.config;
    let rows = &fixture.input.lm.tokens;
    let batch = TokenBatch::new(rows, fixture.input.pad_token, config.vocab_size, config.positions)?;
    let model = fixture.transformer(device)?;
    let hidden = model.hidden(batch.tokens(device)).flatten(0, 1);
    let hidden = select_rows(hidden, &batch.outputs(|len| 0..len));
    let logits = model.logits(hidden.clone());
    Ok(json!({
        "hidden_max_abs_error": largest_difference(&read_floats(hidden)?, fixture.expected("lm.hidden")?),
        "logits_max_abs_error": largest_difference(&read_floats(logits)?, fixture.expected("lm.logits")?),
    }))
}

/// Returns the largest absolute difference, or NaN if the lists cannot be compared.
fn largest_difference(found: &[f32], expected: &[f32]) -> f64 {
    let differences = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let worst = |worst: f64, next: f64| if next > worst || next.is_nan() { next } else { worst };
    if found.len() == expected.len() { differences.fold(0.0, worst) } else { f64::NAN }
}

fn task(fixture: &Fixture) -> Value {
    let task = &fixture.input.task;
    let truncation = Truncation { token: task.truncate_token, after: task.truncate_after, end_tokens: Vec::new() };
    let padded = |response: &Vec<u32>| {
        let mut padded = truncation.text(response).to_vec();
        padded.resize(response.len(), fixture.input.pad_token);
        padded
    };
    json!({
        "processed": task.responses.iter().map(padded).collect::<Vec<_>>(),
        "valid": task.responses.iter().map(|response| truncation.is_valid(response)).collect::<Vec<_>>(),
    })
}

fn reward(fixture: &Fixture, device: &Device) -> Result<Value> {
    let input = &fixture.input.reward;
    let comparisons: Vec<TokenComparison> = input.labels.iter().map(|label| label.comparison()).collect();
    let model = RewardModel::new(fixture.transformer(device)?, fixture.head("reward", device)?);
    let normalize = |model: RewardModel| {
        model.normalize(
            Responses::new(&input.normalize.queries, &input.normalize.responses),
            &MicroBatches::of(ROWS_AT_ONCE),
        )
    };

    let (model, before) = normalize(model)?;
    let mut model = model.train();
    let mut optimizer = Adam::optimizer(AdamForm::TensorFlow, input.adam_epsilon);
    let (nobody, mut steps) = (Interrupt::new(), Vec::new());
    for (number, batch) in input.order.chunks(input.batch_size).enumerate() {
        let seen = (number * input.batch_size) as u64;
        let rate = linear_to_zero(input.lr, seen, input.order.len() as u64);
        let batch: Vec<&TokenComparison> = batch.iter().filter_map(|&index| comparisons.get(index)).collect();
        let (next, RewardStep { loss, accuracy }) =
            train_step(model, &mut optimizer, &batch, rate, &BACKWARD, &nobody)?;
        model = next;
        steps.push(json!({ "loss": loss, "accuracy": accuracy }));
    }
    let trained = model.gain_and_bias()?;
    let (model, after) = normalize(model.valid())?;

    let queries: Vec<Vec<u32>> = comparisons.iter().map(|c| c.query.clone()).collect();
    let first: Vec<Vec<u32>> = comparisons.iter().filter_map(|c| c.responses.first()).cloned().collect();
    let pair = |set: GainAndBias| [set.gain, set.bias];
    Ok(json!({
        "gain_bias_before": pair(before),
        "steps": steps,
        "gain_bias_trained": pair(trained),
        "gain_bias_after": pair(after),
        "sample0_rewards": model.score(Responses::new(&queries, &first), &MicroBatches::of(ROWS_AT_ONCE))?,
        "norms": norms(&model.read()?),
    }))
}

fn ppo(fixture: &Fixture, device: &Device) -> Result<Value> {
    let input = &fixture.input.ppo;
    let policy = Policy { transformer: fixture.transformer(device)?, value_head: fixture.head("value", device)? };
    let entropies =
        policy.analyze(Responses::new(&input.queries, &input.responses), fixture.input.temperature)?.entropies;
    let entropy = Readback::default().with(entropies.mean()).floats()?.concat();

    let settings = update_settings(input, fixture.input.temperature);
    let rollout = rollout(input);
    let shaped = shape(&rollout.scores, &rollout.log_probs, &rollout.reference_log_probs, input.kl_coef);
    let rows = input.orders.first().and_then(|order| order.chunks(input.batch_size / input.nminibatches).next());
    let Minibatch { rewards, advantages, returns, .. } =
        Minibatch::new(&rollout, &shaped.rewards, rows.unwrap_or_default(), &settings);

    let mut optimizer = Adam::optimizer(AdamForm::TensorFlow, input.adam_epsilon);
    let orders = &input.orders;
    let updated = update(policy.train(), &mut optimizer, &rollout, &shaped.rewards, orders, &settings)?;
    let controller = KlController {
        coefficient: input.kl_coef,
        adaptive: Some(Adaptive { target: input.kl_target, horizon: input.kl_horizon }),
    };
    Ok(json!({
        "objective/kl": shaped.kl,
        "kl_coef_after": controller.after(shaped.kl, input.batch_size).coefficient,
        "initial_entropy": entropy.first(),
        "rewards": shaped.rewards,
        "first_minibatch": { "whitened_rewards": rewards, "advantages": advantages, "returns": returns },
        "steps": updated.steps.iter().map(step).collect::<Vec<_>>(),
        "norms": norms(&updated.policy.read()?),
    }))
}

fn update_settings(input: &PpoInput, temperature: f64) -> UpdateSettings {
    UpdateSettings {
        learning_rate: input.lr,
        temperature,
        minibatches: input.nminibatches,
        backward: BACKWARD,
        objective: ClippedObjective {
            clip_range: input.cliprange,
            clip_range_value: input.cliprange_value,
            value_coefficient: input.vf_coef,
        },
        advantages: GeneralizedAdvantages { discount: input.gamma, lambda: input.lam },
        whiten_rewards: input.whiten_rewards,
        interrupt: Interrupt::new(),
    }
}

fn rollout(input: &PpoInput) -> Rollout {
    Rollout {
        contexts: input.queries.clone(),
        responses: input.responses.clone(),
        log_probs: input.logprobs.clone(),
        values: input.values.clone(),
        reference_log_probs: input.ref_logprobs.clone(),
        scores: input.scores.clone(),
        valid: vec![true; input.queries.len()],
    }
}

/// Returns the statistics under their names in the fixtures, which do not have the explained variance.
fn step(statistics: &StepStatistics) -> Map<String, Value> {
    let named = statistics.named().into_iter().filter(|(metric, _)| *metric != Metric::ExplainedVariance);
    named.map(|(metric, value)| (metric.name().trim_start_matches("ppo/").into(), value.into())).collect()
}

/// Returns the L2 norm of each weight except the biases of queries, keys and values: attention does not
/// depend on a key's bias, so that Adam's step for it depends on rounding.
fn norms(weights: &[NamedTensor]) -> Map<String, Value> {
    let comparable = weights.iter().filter(|weight| !weight.name.ends_with("attn.c_attn.bias"));
    comparable.map(|weight| (weight.name.clone(), weight.norm().into())).collect()
}
