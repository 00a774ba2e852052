//! Reward models trained on known preferences.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use preftune::config;
use preftune::lm::Responses;
use preftune::lm::network::parameters;
use preftune::lm::{LanguageModel, MicroBatches, ModelConfig, ScalarHead, Transformer};
use preftune::platform::{Interrupt, Mode};
use preftune::random::{Stream, below, generator};
use preftune::reward::{
    GainAndBias, HeldOutAccuracy, NormalizationSamples, RewardData, RewardModel, RewardStep, RewardTraining,
    TokenComparison, TrainedRewardModel, judge, train_step,
};
use preftune::run::RunLogs;
use preftune::statistics::{mean, population_variance};
use preftune::training::{Adam, Backward};
use preftune::{Error, Result};

use crate::numerics::devices;
use crate::support::tiny;

/// Token that the labeler of these tests prefers, as often as possible.
const WANTED: u32 = 7;
/// Number of different tokens, which is small so that the wanted one is common.
const TOKENS: usize = 12;

fn liked(response: &[u32]) -> usize {
    response.iter().filter(|&&id| id == WANTED).count()
}

/// Makes comparisons of two to four responses, of which one has more of the wanted token than the others.
fn comparisons(count: usize, seed: u64) -> Vec<TokenComparison> {
    let mut rng = generator(seed, Stream::Data, 0, 0);
    let mut made = Vec::new();
    while made.len() < count {
        let mut tokens = |length: usize| (0..length).map(|_| below(TOKENS, &mut rng) as u32).collect::<Vec<u32>>();
        let query = tokens(4);
        let responses: Vec<Vec<u32>> = (0..2 + made.len() % 3).map(|_| tokens(8)).collect();
        let most = responses.iter().map(|response| liked(response)).max().unwrap();
        let mut best = (0..responses.len()).filter(|&index| liked(&responses[index]) == most);
        if let (Some(best), None) = (best.next(), best.next()) {
            made.push(TokenComparison::new(query, responses, best));
        }
    }
    made
}

/// Returns a model with random weights, as at the start of pretraining.
fn pretrained() -> LanguageModel {
    let mut model = tiny::language_model(1, &devices::ndarray());
    let config = ModelConfig { vocab_size: model.config().vocab_size, ..ModelConfig::gpt2(32, 2) };
    let fresh = Transformer::zeros(&config, &devices::ndarray());
    model.transformer = parameters::draw(fresh, config.layers, 1).unwrap();
    model
}

fn fit(folder: &Path, pretrained: &LanguageModel) -> TrainedRewardModel {
    fit_unless(Interrupt::new(), folder, pretrained).unwrap()
}

fn fit_unless(interrupt: Interrupt, folder: &Path, pretrained: &LanguageModel) -> Result<TrainedRewardModel> {
    fit_to(800, interrupt, folder, pretrained)
}

fn fit_to(count: usize, interrupt: Interrupt, folder: &Path, pretrained: &LanguageModel) -> Result<TrainedRewardModel> {
    let settings = config::Reward {
        learning_rate: 3e-3,
        checkpoint_every_steps: if count < 800 { 1 } else { 20 },
        ..config::Reward::default()
    };
    let training = RewardTraining {
        settings: &settings,
        backward: Backward::in_passes_of(settings.micro_batch_size),
        pretrained,
        data: &RewardData {
            train: comparisons(count, 1),
            held_out: comparisons(200, 2),
            normalization: normalization(&comparisons(64, 3)),
        },
        seed: 1,
        run_logs: RunLogs::in_folder(folder).unwrap(),
        interrupt,
        progress: Mode::Quiet,
    };
    training.run()
}

fn normalization(comparisons: &[TokenComparison]) -> NormalizationSamples {
    NormalizationSamples {
        queries: comparisons.iter().map(|c| c.query.clone()).collect(),
        responses: comparisons.iter().map(|c| c.responses[0].clone()).collect(),
    }
}

#[test]
fn training_learns_what_the_labeler_prefers_and_normalizes_it() {
    let folder = tempfile::tempdir().unwrap();
    let pretrained = pretrained();
    let fitted = fit(folder.path(), &pretrained);
    // Guessing is right for 0.36 of the comparisons: those of 2, 3 and 4 responses are equally frequent.
    assert!(fitted.held_out.unwrap().accuracy > 0.7, "{:?}", fitted.held_out);

    let NormalizationSamples { queries, responses } = normalization(&comparisons(64, 3));
    let scores = fitted.model.score(Responses::new(&queries, &responses), &MicroBatches::of(64)).unwrap();
    let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
    assert!(mean(&scores).unwrap().abs() < 1e-4);
    assert!((population_variance(&scores).unwrap() - 1.0).abs() < 1e-3);

    let rows = preftune::run::metrics::read(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(rows.len(), 50);
    assert!(rows[49]["reward/loss"] < rows[0]["reward/loss"]);
}

#[test]
fn a_fit_that_is_stopped_at_once_goes_on_from_its_last_checkpoint() {
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pretrained = pretrained();
    let before = Interrupt::new();
    before.request_at_once();
    let error = fit_unless(before.clone(), stopped.path(), &pretrained).unwrap_err();
    assert!(matches!(error, Error::Interrupted { checkpoint: None }), "no step was done: {error}");
    let after_a_step = Interrupt::new();
    after_a_step.request();
    fit_unless(after_a_step, stopped.path(), &pretrained).unwrap_err();
    let Err(Error::Interrupted { checkpoint: Some(path) }) = fit_unless(before, stopped.path(), &pretrained) else {
        panic!("a second step was done")
    };
    assert!(path.ends_with("step-000001"), "{}", path.display());

    let started = Instant::now();
    let expected = fit(straight.path(), &pretrained);
    let whole = started.elapsed();
    let mut given_up = 0;
    for wait in (0..8).map(|part| whole * part / 10) {
        let interrupt = Interrupt::new();
        let raised = interrupt.clone();
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            raised.request_at_once();
        });
        match fit_unless(interrupt, stopped.path(), &pretrained) {
            Err(Error::Interrupted { .. }) => given_up += 1,
            finished => drop(finished.unwrap()),
        }
    }
    assert!(given_up > 0);
    let found = fit(stopped.path(), &pretrained);
    assert_eq!(found.gain_and_bias, expected.gain_and_bias);
    assert_eq!(preftune::run::metrics::read(&stopped.path().join("metrics.jsonl")).unwrap().len(), 50);
}

#[test]
fn a_fit_that_is_stopped_after_every_step_leaves_the_same_files() {
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pretrained = pretrained();
    let expected = fit_to(96, Interrupt::new(), straight.path(), &pretrained).unwrap();
    let mut stops = 0;
    let found = loop {
        let requested = Interrupt::new();
        requested.request();
        match fit_to(96, requested, stopped.path(), &pretrained) {
            Err(Error::Interrupted { .. }) => stops += 1,
            finished => break finished.unwrap(),
        }
    };
    assert_eq!((stops, found.gain_and_bias), (5, expected.gain_and_bias));
    tiny::assert_same_files(straight.path(), stopped.path());
}

#[test]
fn a_step_and_a_measurement_are_given_up() {
    let raised = Interrupt::new();
    raised.request_at_once();
    let device = devices::ndarray();
    let model = || tiny::reward_model(&tiny::config(), 1, &device);
    let all = comparisons(8, 1);
    let passes = MicroBatches::until(&raised, 4);
    assert!(matches!(judge(&model(), &all, &passes), Err(Error::Interrupted { .. })));
    let mut optimizer = Adam::optimizer(config::AdamForm::TensorFlow, 1e-5);
    let (batch, backward): (Vec<&TokenComparison>, _) = (all.iter().collect(), Backward::in_passes_of(4));
    let given_up = train_step(model().train(), &mut optimizer, &batch, 1e-4, &backward, &raised);
    assert!(matches!(given_up, Err(Error::Interrupted { .. })));
}

/// The test repeats an accident of the paper: a flipped sign trained the policy overnight towards what people
/// liked least.
#[test]
fn a_reward_of_the_wrong_sign_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let pretrained = pretrained();
    let fitted = fit(folder.path(), &pretrained);
    let limits = config::Health::default();
    let measured =
        |step: RewardStep, comparisons| HeldOutAccuracy { accuracy: step.accuracy, comparisons, chance: 0.36 };
    let good = measured(fitted.held_out.unwrap(), 200);
    good.check(&limits).unwrap();

    let GainAndBias { gain, bias } = fitted.gain_and_bias;
    let flipped = fitted.model.with_gain_and_bias(GainAndBias { gain: -gain, bias: -bias });
    let held_out = judge(&flipped, &comparisons(200, 2), &MicroBatches::of(16)).unwrap();
    let error = measured(held_out, 200).check(&limits).unwrap_err();
    assert!(error.to_string().contains("stopped, because the reward model is right on"), "{error}");
    assert!(error.hint().contains("far below guessing"), "{}", error.hint());
    measured(held_out, 5).check(&limits).unwrap();

    let strict = config::Health { least_above_chance: 0.9, ..limits };
    assert!(good.check(&strict).is_err());
}

#[test]
fn normalized_rewards_have_mean_zero_and_variance_one() {
    let config = tiny::config();
    for device in [devices::ndarray(), devices::flex()] {
        let model = tiny::reward_model(&config, 1, &device);
        let queries = tiny::rows(&config, &[3, 5, 1, 9, 2, 2, 7], 2);
        let responses = tiny::rows(&config, &[4, 4, 6, 1, 8, 3, 5], 3);
        let (model, set) = model.normalize(Responses::new(&queries, &responses), &MicroBatches::of(3)).unwrap();
        let scores = model.score(Responses::new(&queries, &responses), &MicroBatches::of(64)).unwrap();
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        assert!(mean(&scores).unwrap().abs() < 1e-5);
        assert!((population_variance(&scores).unwrap() - 1.0).abs() < 1e-4);
        // Normalization starts from gain 1 and bias 0, not from the present values.
        let (_, again) = model.normalize(Responses::new(&queries, &responses), &MicroBatches::of(64)).unwrap();
        assert!((again.gain - set.gain).abs() < 1e-4 && (again.bias - set.bias).abs() < 1e-4);
    }
}

#[test]
fn a_constant_reward_is_no_better_than_a_guess() {
    let config = tiny::config();
    let device = devices::ndarray();
    let flat = ScalarHead::zeros(config.width, &device);
    let model = RewardModel::new(tiny::transformer(&config, 1, &device), flat);
    let comparison = |best: usize| {
        TokenComparison::new(tiny::rows(&config, &[3], 1).remove(0), tiny::rows(&config, &[5, 4, 6, 2], 2), best)
    };
    let all: Vec<TokenComparison> = (0..4).map(comparison).collect();
    assert_eq!(judge(&model, &all, &MicroBatches::of(4)).unwrap().accuracy, 0.25);

    let (queries, responses) = (tiny::rows(&config, &[3; 4], 1), tiny::rows(&config, &[5; 4], 2));
    let error = model.normalize(Responses::new(&queries, &responses), &MicroBatches::of(4)).unwrap_err();
    assert!(error.to_string().contains("all 4 samples have the same reward"), "{error}");
}

#[test]
fn comparisons_with_different_numbers_of_responses_are_judged_as_each_alone() {
    let config = tiny::config();
    let model = tiny::reward_model(&config, 1, &devices::ndarray());
    let comparison = |number: usize, lengths: &[usize]| {
        let query = tiny::rows(&config, &[1 + number], 30 + number as u64).remove(0);
        TokenComparison::new(query, tiny::rows(&config, lengths, 40 + number as u64), number % lengths.len())
    };
    let all = [
        comparison(0, &[5, 5]),
        comparison(1, &[3, 8, 2, 6]),
        comparison(2, &[4, 4, 4]),
        comparison(3, &[7, 1]),
        comparison(4, &[2, 2, 9, 2, 2]),
    ];
    let together = judge(&model, &all, &MicroBatches::of(all.len())).unwrap();
    let alone: Vec<_> = all.chunks(1).map(|one| judge(&model, one, &MicroBatches::of(1)).unwrap()).collect();
    let average =
        |number: fn(&preftune::reward::RewardStep) -> f64| mean(&alone.iter().map(number).collect::<Vec<_>>()).unwrap();
    assert!((together.loss - average(|step| step.loss)).abs() < 1e-5);
    assert!((together.accuracy - average(|step| step.accuracy)).abs() < 1e-9);
}

#[test]
fn micro_batches_and_checkpointing_change_memory_and_not_results() {
    let comparisons = comparisons(11, 4);
    let batch: Vec<&TokenComparison> = comparisons.iter().collect();
    let step = |micro_batch_size, gradient_checkpointing| {
        let model = tiny::reward_model(&tiny::config(), 1, &devices::ndarray()).train();
        let mut optimizer = Adam::optimizer(config::AdamForm::TensorFlow, 1e-5);
        let backward = Backward { gradient_checkpointing, ..Backward::in_passes_of(micro_batch_size) };
        let (model, step) = train_step(model, &mut optimizer, &batch, 1e-4, &backward, &Interrupt::new()).unwrap();
        (model.read().unwrap(), step)
    };
    let (whole, seen) = step(11, false);
    for (micro_batch_size, checkpointing) in [(2, false), (3, true)] {
        let (parts, seen_in_parts) = step(micro_batch_size, checkpointing);
        for (whole, parts) in whole.iter().zip(&parts) {
            let difference = tiny::largest_difference(&whole.values, &parts.values);
            assert!(difference <= 1e-6, "{} differs by {difference:e}", whole.name);
        }
        assert!((seen.loss - seen_in_parts.loss).abs() < 1e-6 && seen.accuracy == seen_in_parts.accuracy);
    }
}
