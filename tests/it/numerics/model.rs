//! The language model: results that decoding, padding and sampling must not change.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use preftune::device::Readback;
use preftune::lm::{MicroBatches, ROWS_AT_ONCE, Sampled, Sampling, draw, sample};
use preftune::lm::{ModelConfig, Responses};
use preftune::platform::Interrupt;
use preftune::policy::response_log_probs;
use preftune::random::{Stream, uniform};

use crate::numerics::devices;
use crate::support::tiny;

/// Settings with responses so long that attention over the cache grows past its first bucket of 32.
const SAMPLING: Sampling = Sampling { response_length: 40, temperature: 0.7, responses_per_query: 3 };
const QUERY_LENGTHS: [usize; 5] = [1, 7, 31, 4, 12];

fn draw_responses(config: &ModelConfig, device: &Device) -> (Vec<Vec<u32>>, Sampled) {
    let policy = tiny::policy(config, 1, device);
    let queries = tiny::rows(config, &QUERY_LENGTHS, 2);
    let numbers = |row: usize| uniform(3, Stream::Sampling, 0, row as u64, SAMPLING.response_length);
    let drawn =
        sample(&policy.transformer, Some(&policy.value_head), &queries, &SAMPLING, numbers, &Interrupt::new()).unwrap();
    let repeated = queries.iter().flat_map(|query| vec![query.clone(); SAMPLING.responses_per_query]);
    (repeated.collect(), drawn)
}

/// Compares decoding with a key-value cache, one token at a time, with the pass over whole rows that training
/// uses.
fn cached_decoding_equals_the_full_pass(device: &Device) {
    tiny::configs().iter().for_each(|config| check_cached_decoding(config, device));
}

fn check_cached_decoding(config: &ModelConfig, device: &Device) {
    let (queries, drawn) = draw_responses(config, device);
    let policy = tiny::policy(config, 1, device);
    let transformer = &policy.transformer;
    let full =
        response_log_probs(transformer, Responses::new(&queries, &drawn.responses), 0.7, &MicroBatches::of(4)).unwrap();
    let difference = tiny::largest_difference(&drawn.log_probs.concat(), &full.concat());
    assert!(difference <= 1e-4, "log-probabilities differ by {difference:e}");

    let trained = policy.train().analyze(Responses::new(&queries, &drawn.responses), 0.7).unwrap();
    let read = Readback::default().with(trained.log_probs.inner()).with(trained.values.inner()).floats().unwrap();
    let difference = tiny::largest_difference(&drawn.log_probs.concat(), &read[0]);
    assert!(difference <= 1e-4, "log-probabilities in training differ by {difference:e}");
    let difference = tiny::largest_difference(&drawn.values.concat(), &read[1]);
    assert!(difference <= 1e-4, "values differ by {difference:e}");
}

on_backends!(cached_decoding_equals_the_full_pass: ndarray, flex, wgpu);

fn a_padded_batch_equals_each_row_alone(device: &Device) {
    tiny::configs().iter().for_each(|config| check_padded_batch(config, device));
}

fn check_padded_batch(config: &ModelConfig, device: &Device) {
    let policy = tiny::policy(config, 1, device);
    let reward_model = tiny::reward_model(config, 4, device);
    let mut queries = tiny::rows(config, &QUERY_LENGTHS, 2);
    // Some rows have padding of their own, as in the original's files.
    queries[1].extend([config.pad_token(); 3]);
    let responses = tiny::rows(config, &[9; QUERY_LENGTHS.len()], 5);

    let log_probs = |queries: &[Vec<u32>], responses: &[Vec<u32>]| {
        response_log_probs(&policy.transformer, Responses::new(queries, responses), 0.7, &MicroBatches::of(64))
            .unwrap()
            .concat()
    };
    let rewards = |queries: &[Vec<u32>], responses: &[Vec<u32>]| {
        reward_model.score(Responses::new(queries, responses), &MicroBatches::of(64)).unwrap()
    };
    let rows = || queries.chunks(1).zip(responses.chunks(1));
    let alone: Vec<f64> = rows().flat_map(|(query, response)| log_probs(query, response)).collect();
    assert!(tiny::largest_difference(&log_probs(&queries, &responses), &alone) <= 1e-5);
    let alone: Vec<f32> = rows().flat_map(|(query, response)| rewards(query, response)).collect();
    assert!(tiny::largest_difference(&rewards(&queries, &responses), &alone) <= 1e-5);
}

on_backends!(a_padded_batch_equals_each_row_alone: ndarray, flex, wgpu);

#[test]
fn one_seed_gives_the_same_responses_on_every_backend() {
    let (_, expected) = draw_responses(&tiny::config(), &devices::ndarray());
    for device in [devices::flex()].into_iter().chain(devices::wgpu()) {
        let (_, drawn) = draw_responses(&tiny::config(), &device);
        assert_eq!(drawn.responses, expected.responses);
    }
}

#[test]
fn drawing_is_given_up_between_passes() {
    let config = tiny::config();
    let model = tiny::policy(&config, 1, &devices::ndarray()).transformer;
    let queries = tiny::rows(&config, &[3; 300], 2);
    let sampling = Sampling { response_length: 2, temperature: 0.7, responses_per_query: 1 };
    let interrupt = Interrupt::new();
    // The interrupt comes with the first row of the second micro-batch.
    let numbers = |row: usize| {
        if row == ROWS_AT_ONCE {
            interrupt.request_at_once();
        }
        uniform(3, Stream::Sampling, 0, row as u64, 2)
    };
    let drawn = |queries| sample(&model, None, queries, &sampling, numbers, &interrupt);
    assert!(drawn(&queries[..ROWS_AT_ONCE]).is_ok());
    assert!(matches!(drawn(&queries), Err(preftune::Error::Interrupted { .. })));
}

#[test]
fn rows_at_once_do_not_change_what_is_drawn() {
    let config = tiny::config();
    let model = tiny::transformer(&config, 1, &devices::ndarray());
    let queries = tiny::rows(&config, &[3; 300], 2);
    let sampling = Sampling { response_length: 3, temperature: 1.0, responses_per_query: 1 };
    let numbers = |row: usize| uniform(3, Stream::Sampling, 0, row as u64, 3);
    let all = sample(&model, None, &queries, &sampling, numbers, &Interrupt::new()).unwrap();
    let last = sample(&model, None, &queries[290..], &sampling, |row| numbers(290 + row), &Interrupt::new()).unwrap();
    assert_eq!(all.responses[290..], last.responses);
}

const VOCABULARY: usize = 37;
const DRAWS: usize = 20_000;
const TEMPERATURE: f64 = 0.7;
/// Value that chi-square with 36 degrees of freedom exceeds with probability 0.001.
const CHI_SQUARE_36: f64 = 67.985;

fn draws_follow_the_softmax(device: &Device) {
    let logits: Vec<f32> = (0..VOCABULARY).map(|token| (token as f32 * 1.7).sin() * 1.5).collect();
    let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / TEMPERATURE).exp()).collect();
    let total: f64 = weights.iter().sum();
    let (tokens, log_probs) = draw_from(&logits, &uniform(11, Stream::Sampling, 0, 0, DRAWS), device);

    let mut counts = [0.0; VOCABULARY];
    for (&token, &log_prob) in tokens.iter().zip(&log_probs) {
        counts[token] += 1.0;
        assert!((f64::from(log_prob) - (weights[token] / total).ln()).abs() < 1e-5);
    }
    let expected = weights.iter().map(|weight| DRAWS as f64 * weight / total);
    let chi_square: f64 = counts.iter().zip(expected).map(|(count, mean)| (count - mean).powi(2) / mean).sum();
    assert!(chi_square < CHI_SQUARE_36, "chi-square is {chi_square}");
}

/// Samples one token from the same logits with each of `numbers`.
fn draw_from(logits: &[f32], numbers: &[f32], device: &Device) -> (Vec<usize>, Vec<f32>) {
    let (rows, vocabulary) = (numbers.len(), logits.len());
    let logits = Tensor::from_data(TensorData::new(logits.repeat(rows), [rows, vocabulary]), device);
    let numbers = Tensor::from_data(TensorData::new(numbers.to_vec(), [rows, 1]), device);
    let (tokens, log_probs) = draw(logits, TEMPERATURE, numbers);
    let tokens = Readback::default().with(tokens).ids().unwrap().concat();
    let log_probs = Readback::default().with(log_probs).floats().unwrap().concat();
    (tokens.into_iter().map(|id| id as usize).collect(), log_probs)
}

on_backends!(draws_follow_the_softmax: ndarray, flex, wgpu);

#[test]
fn a_token_without_weight_is_never_drawn() {
    // The numbers are the smallest and the largest that sampling uses, and some between.
    let numbers = [0.0, 0.25, 0.5, 0.75, 1.0 - 1.0 / 16_777_216.0];
    for device in [devices::ndarray(), devices::flex()].into_iter().chain(devices::wgpu()) {
        for vocabulary in [1, 2, 7, 37, 256, 1000] {
            for only in [0, vocabulary / 2, vocabulary - 1] {
                let mut logits = vec![-200.0; vocabulary];
                logits[only] = 3.0;
                let (tokens, log_probs) = draw_from(&logits, &numbers, &device);
                assert_eq!(tokens, [only; 5], "of {vocabulary}");
                assert!(log_probs.iter().all(|log_prob| log_prob.abs() < 1e-6));
            }
        }
    }
}

/// Weights of NaN must not lead to tokens that do not exist.
#[test]
fn a_draw_among_nan_is_a_token_of_the_vocabulary() {
    for device in [devices::ndarray(), devices::flex()].into_iter().chain(devices::wgpu()) {
        for vocabulary in [2, 37, 1000] {
            let (tokens, log_probs) = draw_from(&vec![f32::NAN; vocabulary], &[0.0, 0.5], &device);
            assert!(tokens.iter().all(|&token| token < vocabulary), "{tokens:?} of {vocabulary} on {device:?}");
            assert!(log_probs.iter().all(|log_prob| log_prob.is_nan()), "{log_probs:?} on {device:?}");
        }
    }
}

#[test]
fn the_smallest_and_the_largest_number_draw_the_first_and_the_last_token() {
    for device in [devices::ndarray(), devices::flex()].into_iter().chain(devices::wgpu()) {
        for vocabulary in [2, 37, 256, 1000] {
            let (tokens, _) = draw_from(&vec![0.0; vocabulary], &[0.0, 1.0 - 1.0 / 16_777_216.0], &device);
            assert_eq!(tokens, [0, vocabulary - 1]);
        }
    }
}
