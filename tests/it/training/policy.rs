//! Policy training as a whole: interruptions, training in several calls, and what the policy learns.

use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use preftune::config;
use preftune::config::AdamForm;
use preftune::lm::Responses;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{LanguageModel, MicroBatches, ModelConfig, Sampling, Transformer};
use preftune::platform::{Interrupt, Mode};
use preftune::policy::ppo::update;
use preftune::policy::{Policy, PolicyTraining, Rollout, Rollouts, UpdateSettings, shape};
use preftune::random::{Stream, uniform};
use preftune::reward::RewardModel;
use preftune::run::RunLogs;
use preftune::task::{Task, Truncation};
use preftune::training::{Adam, Backward};
use preftune::{Error, Result};

use crate::numerics::devices;
use crate::support::tiny;

const RESPONSE_LENGTH: usize = 8;

#[derive(Clone)]
struct Models {
    reference: LanguageModel,
    reward_model: RewardModel,
    queries: Vec<Vec<u32>>,
    /// Weights that the policy starts with, if they are not the reference's.
    start: Option<Transformer>,
}

impl Models {
    fn new() -> Self {
        Self::on(&devices::ndarray())
    }

    fn on(device: &Device) -> Self {
        Self::of(tiny::config(), device)
    }

    fn of(config: ModelConfig, device: &Device) -> Self {
        let reference = tiny::language_model_of(config, 1, device);
        let reward_model = tiny::reward_model(reference.config(), 2, device);
        let queries = tiny::rows(reference.config(), &[3, 9, 1, 6, 12, 4], 3);
        Self { reference, reward_model, queries, start: None }
    }

    fn judges(&self) -> Rollouts<'_> {
        let truncation = Truncation { token: 13, after: 2, end_tokens: Vec::new() };
        let sampling = Sampling { response_length: RESPONSE_LENGTH, temperature: 0.7, responses_per_query: 1 };
        let task = Task {
            truncation,
            sampling,
            penalty_score: -1.0,
            query_length: 16,
            long_queries: config::LongQueries::KeepEnd,
            query_end: None,
            query_prefix: Vec::new(),
            query_suffix: Vec::new(),
            chat: false,
            around_text: 0,
            start: Vec::new(),
        };
        Rollouts { reference: &self.reference, scorer: &self.reward_model, task, rows_at_once: 64 }
    }

    fn train(&self, folder: &Path, interrupt: Interrupt) -> Result<Vec<NamedTensor>> {
        self.train_towards(folder, interrupt, config::Kl::default())
    }

    fn train_towards(&self, folder: &Path, interrupt: Interrupt, kl: config::Kl) -> Result<Vec<NamedTensor>> {
        self.train_with(folder, interrupt, config::Policy { kl, ..config::Policy::default() })
    }

    fn train_with(&self, folder: &Path, interrupt: Interrupt, settings: config::Policy) -> Result<Vec<NamedTensor>> {
        self.train_until(4, folder, interrupt, settings, &config::Health::default())
    }

    fn train_until(
        &self,
        stop_at: usize,
        folder: &Path,
        interrupt: Interrupt,
        settings: config::Policy,
        health: &config::Health,
    ) -> Result<Vec<NamedTensor>> {
        let settings = config::Policy {
            updates: 4,
            batch_size: 8,
            minibatches: 2,
            epochs: 2,
            learning_rate: if settings.learning_rate > 1.0 { settings.learning_rate } else { 1e-3 },
            ..settings
        };
        let training = PolicyTraining {
            settings: &settings,
            health,
            start: self.start.clone(),
            stop_at,
            backward: Backward::in_passes_of(4),
            rollouts: self.judges(),
            queries: &self.queries,
            seed: 5,
            run_logs: RunLogs::in_folder(folder).unwrap(),
            interrupt,
            progress: Mode::Quiet,
        };
        training.run()?.policy.read()
    }
}

/// Returns an interrupt that is requested before training begins, which lets training do one update and leave
/// a checkpoint.
fn requested() -> Interrupt {
    let interrupt = Interrupt::new();
    interrupt.request();
    interrupt
}

#[test]
fn an_interrupted_run_goes_on_as_if_it_had_never_stopped() {
    tiny::configs().into_iter().for_each(check_that_an_interrupted_run_goes_on);
}

fn check_that_an_interrupted_run_goes_on(config: ModelConfig) {
    let models = Models::of(config, &devices::ndarray());
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = || config::Policy { checkpoint_every_updates: 1, ..config::Policy::default() };
    let expected = models.train_with(straight.path(), Interrupt::new(), settings()).unwrap();

    for update in 1..=3 {
        let error = models.train_with(stopped.path(), requested(), settings()).unwrap_err();
        let Error::Interrupted { checkpoint: Some(path) } = &error else { panic!("{error}") };
        assert!(path.ends_with(format!("step-{update:06}")), "{}", path.display());
        assert_eq!(error.exit_code(), 130);
    }
    let found = models.train_with(stopped.path(), Interrupt::new(), settings()).unwrap();

    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.name, found.name);
        assert!(expected.values == found.values, "{} is not the same to the last bit", expected.name);
    }
    tiny::assert_same_files(straight.path(), stopped.path());
    assert_eq!(preftune::run::metrics::read(&stopped.path().join("metrics.jsonl")).unwrap().len(), 4);
}

#[test]
fn a_run_that_is_stopped_at_once_does_nothing_more_and_names_its_newest_checkpoint() {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    let raised = Interrupt::new();
    raised.request_at_once();
    let error = models.train(folder.path(), raised.clone()).unwrap_err();
    assert!(matches!(error, Error::Interrupted { checkpoint: None }), "no update was done: {error}");

    models.train(folder.path(), requested()).unwrap_err();
    let Err(Error::Interrupted { checkpoint: Some(path) }) = models.train(folder.path(), raised) else { panic!() };
    assert!(path.ends_with("step-000001"), "{}", path.display());
    assert_eq!(preftune::run::metrics::read(&folder.path().join("metrics.jsonl")).unwrap().len(), 1);
}

/// Returns an interrupt that is raised after a while with such urgency that the present step is abandoned.
fn at_once_after(wait: Duration) -> Interrupt {
    let interrupt = Interrupt::new();
    let raised = interrupt.clone();
    std::thread::spawn(move || {
        std::thread::sleep(wait);
        raised.request_at_once();
    });
    interrupt
}

#[test]
fn a_run_that_is_stopped_at_once_goes_on_from_its_last_checkpoint() {
    let models = Models::new();
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = || config::Policy { checkpoint_every_updates: 1, ..config::Policy::default() };
    let started = Instant::now();
    let expected = models.train_with(straight.path(), Interrupt::new(), settings()).unwrap();
    let whole = started.elapsed();

    let newest = || preftune::run::checkpoints::latest(&stopped.path().join("checkpoints")).unwrap().checkpoint;
    let mut given_up = 0;
    // The interrupt comes at different moments of a step: before the first checkpoint, while responses are
    // sampled, in an update.
    for wait in (0..12).map(|part| whole * part / 16) {
        match models.train_with(stopped.path(), at_once_after(wait), settings()) {
            Err(Error::Interrupted { checkpoint }) => {
                given_up += 1;
                assert_eq!(checkpoint, newest().map(|newest| newest.path().to_path_buf()));
                assert!(newest().is_none_or(|newest| newest.step() < 4), "the last is kept when it was looked at");
            }
            finished => drop(finished.unwrap()),
        }
    }
    assert!(given_up > 0);
    let found = models.train_with(stopped.path(), Interrupt::new(), settings()).unwrap();
    assert!(expected.iter().zip(&found).all(|(expected, found)| expected.values == found.values));
    assert_eq!(preftune::run::metrics::read(&stopped.path().join("metrics.jsonl")).unwrap().len(), 4);
}

#[test]
fn rounds_with_the_same_reward_are_one_run() {
    let models = Models::new();
    let (straight, rounds) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = models.train(straight.path(), Interrupt::new()).unwrap();
    let until = |update: usize| {
        let health = config::Health::default();
        models.train_until(update, rounds.path(), Interrupt::new(), config::Policy::default(), &health).unwrap()
    };
    let [first, _, last] = [until(1), until(3), until(4)];
    assert!(expected.iter().zip(&last).all(|(expected, found)| expected.values == found.values));
    assert!(expected.iter().zip(&first).any(|(expected, found)| expected.values != found.values));
}

/// A gradient whose square is beyond any f32 leaves a state of Adam that is not finite, with which the value
/// head never learns again.
#[test]
fn a_gradient_that_cannot_be_learned_from_stops_the_run_before_anything_is_kept() {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    let fine = config::Policy { checkpoint_every_updates: 1, ..config::Policy::default() };
    let unlimited = unlimited();
    models.train_until(1, folder.path(), Interrupt::new(), fine.clone(), &unlimited).unwrap();
    for too_large in [
        config::Policy { value_coefficient: 1e30, ..fine.clone() },
        config::Policy { kl: config::Kl { coefficient: 1e38, adaptive: false, ..fine.kl.clone() }, ..fine.clone() },
    ] {
        let error = models.train_until(3, folder.path(), Interrupt::new(), too_large, &unlimited).unwrap_err();
        assert!(error.exit_code() == 1 && error.hint().contains("policy.value_coefficient"), "{error}");
        assert!(error.to_string().contains("the gradient of ") && error.to_string().contains("squares"), "{error}");
        let latest = preftune::run::checkpoints::latest(&folder.path().join("checkpoints")).unwrap().checkpoint;
        assert_eq!(latest.map(|checkpoint| checkpoint.step()), Some(1));
    }
    models.train_until(4, folder.path(), Interrupt::new(), fine, &unlimited).unwrap();
}

#[test]
fn a_run_in_which_no_response_can_be_cut_stops_and_says_why() {
    let models = Models::new();
    let train = |responses_until_valid| {
        let mut rollouts = models.judges();
        // No response has room for the truncate token.
        rollouts.task.truncation.after = RESPONSE_LENGTH;
        let settings = config::Policy { updates: 4, batch_size: 8, ..config::Policy::default() };
        let folder = tempfile::tempdir().unwrap();
        let training = PolicyTraining {
            settings: &settings,
            start: None,
            health: &config::Health { responses_until_valid, ..config::Health::default() },
            stop_at: 4,
            backward: Backward::in_passes_of(8),
            rollouts,
            queries: &models.queries,
            seed: 5,
            run_logs: RunLogs::in_folder(folder.path()).unwrap(),
            interrupt: Interrupt::new(),
            progress: Mode::Quiet,
        };
        training.run().map(|tuned| tuned.written)
    };
    let error = train(20).unwrap_err();
    assert!(error.to_string().contains("no response is valid: none of the first 24 responses has"), "{error}");
    assert!(error.to_string().contains("task.truncate_token") && error.hint().contains("samples.jsonl"), "{error}");
    for passes in [0, 64] {
        let written = train(passes).unwrap();
        assert_eq!((written.score, written.score_of_valid, written.penalized), (-1.0, None, 1.0));
    }
}

/// Returns limits that no run exceeds.
fn unlimited() -> config::Health {
    config::Health {
        largest_kl: 1e9,
        smallest_entropy: 0.0,
        most_repetition: 1.0,
        smallest_variety: 0.0,
        ..config::Health::default()
    }
}

/// Returns the reason for which the run stops, and the step of the checkpoint that is left.
fn stopped_by(health: &config::Health, settings: config::Policy) -> (String, Option<u64>) {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    let quiet = unlimited();
    models.train_until(1, folder.path(), Interrupt::new(), config::Policy::default(), &quiet).unwrap();
    models.train_until(2, folder.path(), Interrupt::new(), settings.clone(), &quiet).unwrap();
    let error = models.train_until(4, folder.path(), Interrupt::new(), settings, health).unwrap_err();
    let latest = preftune::run::checkpoints::latest(&folder.path().join("checkpoints")).unwrap().checkpoint;
    (format!("{error}: {}", error.hint()), latest.map(|checkpoint| checkpoint.step()))
}

#[test]
fn a_run_that_goes_wrong_stops_by_itself_and_keeps_its_last_checkpoint() {
    let limits = config::Health { largest_kl: 5.0, ..unlimited() };
    // The steps are so large that the second update moves the policy far from the reference. The first
    // checkpoint is kept.
    let wild = config::Policy { learning_rate: 2.0, ..config::Policy::default() };
    let (why, kept) = stopped_by(&limits, wild.clone());
    assert!(why.contains("stopped, because the KL is") && why.contains("health.largest_kl"), "{why}");
    assert_eq!(kept, Some(1));
    let limits = config::Health { largest_kl: 1e9, smallest_entropy: 0.9, ..limits };
    let (why, kept) = stopped_by(&limits, wild.clone());
    assert!(why.contains("the entropy fell from") && why.contains("health.smallest_entropy"), "{why}");
    assert_eq!(kept, Some(1));
    let limits = config::Health { smallest_entropy: 0.0, most_repetition: 0.3, ..limits };
    let (why, _) = stopped_by(&limits, wild.clone());
    assert!(why.contains("of the bigrams") && why.contains("health.most_repetition"), "{why}");
    let (why, _) = stopped_by(&config::Health { smallest_variety: 0.99, ..unlimited() }, wild);
    assert!(why.contains("the responses became alike") && why.contains("health.smallest_variety"), "{why}");
}

#[test]
fn what_the_last_update_did_stops_the_run_too() {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    let [limits, none] = [5.0, 1e9].map(|largest_kl| config::Health { largest_kl, ..unlimited() });
    models.train_until(3, folder.path(), Interrupt::new(), config::Policy::default(), &none).unwrap();
    let wild = config::Policy { learning_rate: 20.0, ..config::Policy::default() };
    let error = models.train_until(4, folder.path(), Interrupt::new(), wild, &limits).unwrap_err();
    assert!(error.to_string().contains("stopped, because the KL is"), "{error}");
    let latest = preftune::run::checkpoints::latest(&folder.path().join("checkpoints")).unwrap().checkpoint;
    assert_eq!(latest.map(|checkpoint| checkpoint.step()), Some(3));
}

#[test]
fn a_run_that_stopped_itself_does_not_pass_when_it_is_repeated() {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    let limits = config::Health { largest_kl: 5.0, ..config::Health::default() };
    let wild = config::Policy { learning_rate: 2.0, ..config::Policy::default() };
    for _ in 0..2 {
        let stopped = models.train_until(1, folder.path(), Interrupt::new(), wild.clone(), &limits).unwrap_err();
        assert!(stopped.to_string().contains("stopped, because the KL is"), "{stopped}");
    }
}

#[test]
fn another_kl_setting_holds_from_the_resume_on() {
    let models = Models::new();
    let folder = tempfile::tempdir().unwrap();
    models.train(folder.path(), requested()).unwrap_err();
    let fixed = config::Kl { coefficient: 0.7, adaptive: false, ..config::Kl::default() };
    models.train_towards(folder.path(), Interrupt::new(), fixed).unwrap();
    let rows = preftune::run::metrics::read(&folder.path().join("metrics.jsonl")).unwrap();
    let coefficients: Vec<f64> = rows.iter().map(|row| row["objective/kl_coef"]).collect();
    assert_eq!(coefficients, [config::Kl::default().coefficient, 0.7, 0.7, 0.7]);
}

/// Trains four updates with adapters of rank 2, and returns the weights as they are exported. With a
/// requested interrupt, the run stops and resumes after each update.
fn trained_with_adapters(models: &Models, interrupt: Interrupt) -> Vec<NamedTensor> {
    let folder = tempfile::tempdir().unwrap();
    let settings = config::Policy { lora: config::Lora { rank: 2, alpha: 8.0 }, ..config::Policy::default() };
    loop {
        match models.train_with(folder.path(), interrupt.clone(), settings.clone()) {
            Err(Error::Interrupted { checkpoint: Some(_) }) => {}
            finished => break finished.unwrap(),
        }
    }
}

#[test]
fn adapters_begin_at_the_reference_and_move_only_the_matrices_inside_the_blocks() {
    tiny::configs().into_iter().for_each(check_what_adapters_move);
}

fn check_what_adapters_move(config: ModelConfig) {
    let models = Models::of(config, &devices::ndarray());
    let before = preftune::lm::network::parameters::read(&models.reference.transformer).unwrap();
    let trained = trained_with_adapters(&models, Interrupt::new());
    for (before, after) in before.iter().zip(&trained) {
        assert_eq!((&before.name, &before.shape), (&after.name, &after.shape));
        let is_in_a_block = [".h.", ".layers."].iter().any(|blocks| before.name.contains(blocks));
        let adapted = is_in_a_block && before.shape.len() == 2;
        assert_eq!(before.values != after.values, adapted, "{}", before.name);
        assert!(!adapted || after.values.iter().all(|value| value.is_finite()));
    }
    let after = preftune::lm::network::parameters::read(&models.reference.transformer).unwrap();
    assert!(before.iter().zip(&after).all(|(before, after)| before.values == after.values), "the reference moved");
}

#[test]
fn the_policy_reads_prefix_and_suffix_and_the_reward_model_does_not() {
    let models = Models::new();
    let policy = tiny::policy(models.reference.config(), 1, &devices::ndarray());
    let mut rollouts = models.judges();
    rollouts.task.query_prefix = vec![3, 4];
    rollouts.task.query_suffix = vec![5];
    let numbers = |row: usize| uniform(1, Stream::Sampling, 0, row as u64, RESPONSE_LENGTH);
    let drawn = rollouts.roll_out(&policy, models.queries.clone(), numbers, &Interrupt::new()).unwrap().responses;
    // The truncate token is in one response, so that not all get the penalty.
    rollouts.task.truncation.token = drawn[0][3];
    let rollout = rollouts.roll_out(&policy, models.queries.clone(), numbers, &Interrupt::new()).unwrap();
    for (context, query) in rollout.contexts.iter().zip(&models.queries) {
        assert_eq!(*context, [&[3, 4], query.as_slice(), &[5]].concat());
    }
    assert_eq!(rollout.scores, rollouts.score(&models.queries, &rollout.responses, &Interrupt::new()).unwrap().0);
    assert_ne!(rollout.scores, rollouts.score(&rollout.contexts, &rollout.responses, &Interrupt::new()).unwrap().0);
    let plain = models.judges().roll_out(&policy, rollout.contexts.clone(), numbers, &Interrupt::new()).unwrap();
    assert_eq!(plain.responses, rollout.responses);
}

#[test]
fn adapters_go_on_from_a_checkpoint() {
    for config in tiny::configs() {
        let models = Models::of(config, &devices::ndarray());
        let (straight, stopped) =
            (trained_with_adapters(&models, Interrupt::new()), trained_with_adapters(&models, requested()));
        for (straight, stopped) in straight.iter().zip(&stopped) {
            assert!(straight.values == stopped.values, "{} is not the same to the last bit", straight.name);
        }
    }
}

/// Burn's issue 5162 reports NaN on wgpu if trainable weights follow frozen ones.
#[test]
fn adapters_move_on_wgpu_as_they_do_on_ndarray() {
    let Some(wgpu) = devices::wgpu() else { return };
    let on = |device: &Device| trained_with_adapters(&Models::on(device), Interrupt::new());
    for (cpu, gpu) in on(&devices::ndarray()).iter().zip(on(&wgpu)) {
        let difference = tiny::largest_difference(&cpu.values, &gpu.values);
        assert!(difference < 1e-3, "{} differs by {difference:e}", cpu.name);
    }
}

/// The policy starts with the weights as they were, so that the KL before the first update is that of rounding alone.
#[test]
fn frozen_models_in_bf16_change_kl_and_score_by_their_rounding() {
    for config in tiny::configs() {
        let exact = Models::of(config, &devices::flex());
        let mut rounded = Models { start: Some(exact.reference.transformer.clone()), ..exact.clone() };
        rounded.reference.transformer = exact.reference.transformer.clone().to_bf16();
        rounded.reward_model = exact.reward_model.clone().to_bf16();
        let rows = |models: &Models| {
            let folder = tempfile::tempdir().unwrap();
            let trained = models.train(folder.path(), Interrupt::new()).unwrap();
            assert!(trained.iter().all(|weight| weight.values.iter().all(|value| value.is_finite())));
            preftune::run::metrics::read(&folder.path().join("metrics.jsonl")).unwrap()
        };
        let (exact, rounded) = (rows(&exact), rows(&rounded));
        let difference = |name: &str| (exact[0][name] - rounded[0][name]).abs();
        assert!(exact[0]["objective/kl"].abs() < 1e-4 && difference("objective/kl") > 0.0);
        assert!(difference("objective/kl") < 0.1, "{}", difference("objective/kl"));
        assert!(difference("objective/score") < 0.1, "{}", difference("objective/score"));
    }
}

/// The numbers need not agree to the last bit, because a graphics adapter chooses its kernels by their
/// measured times.
#[test]
fn an_interrupted_run_on_wgpu_goes_on_with_the_same_rows_and_numbers() {
    let Some(device) = devices::wgpu() else { return };
    let models = Models::on(&device);
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    models.train(straight.path(), Interrupt::new()).unwrap();
    models.train(stopped.path(), requested()).unwrap_err();
    models.train(stopped.path(), Interrupt::new()).unwrap();
    let rows = |folder: &Path| preftune::run::metrics::read(&folder.join("metrics.jsonl")).unwrap();
    let (straight, stopped) = (rows(straight.path()), rows(stopped.path()));
    assert_eq!((straight.len(), stopped.len()), (4, 4));
    for (straight, stopped) in straight.iter().zip(&stopped) {
        assert_eq!(straight["step"], stopped["step"]);
        for name in ["objective/kl", "objective/score", "objective/entropy", "ppo/loss/total"] {
            let (expected, found) = (straight[name], stopped[name]);
            assert!((expected - found).abs() <= 1e-3 * expected.abs().max(1.0), "{name}: {found}, not {expected}");
        }
    }
}

#[test]
fn training_moves_the_policy_and_leaves_the_reference_alone() {
    let models = Models::new();
    let before = preftune::lm::network::parameters::read(&models.reference.transformer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trained = models.train(folder.path(), Interrupt::new()).unwrap();
    let after = preftune::lm::network::parameters::read(&models.reference.transformer).unwrap();
    for ((before, after), trained) in before.iter().zip(&after).zip(&trained) {
        assert_eq!(before.values, after.values, "{}", before.name);
        assert_ne!(before.values, trained.values, "{}", trained.name);
    }
}

fn rollout(models: &Models, policy: &Policy) -> Rollout {
    let queries: Vec<Vec<u32>> = (0..16).map(|row| models.queries[row % models.queries.len()].clone()).collect();
    let numbers = |row: usize| uniform(9, Stream::Sampling, 0, row as u64, RESPONSE_LENGTH);
    models.judges().roll_out(policy, queries, numbers, &Interrupt::new()).unwrap()
}

#[test]
fn an_update_and_a_rollout_are_given_up_between_passes() {
    let models = Models::new();
    let interrupt = Interrupt::new();
    interrupt.request();
    assert!(updated_unless(&interrupt, &models, Backward::in_passes_of(4)).is_ok());
    interrupt.request_at_once();
    let given_up = updated_unless(&interrupt, &models, Backward::in_passes_of(4));
    assert!(matches!(given_up, Err(Error::Interrupted { .. })));

    let policy = tiny::policy(models.reference.config(), 1, &devices::ndarray());
    let numbers = |row: usize| uniform(9, Stream::Sampling, 0, row as u64, RESPONSE_LENGTH);
    let rollouts = models.judges();
    let drawn = rollouts.roll_out(&policy, models.queries.clone(), numbers, &interrupt);
    assert!(matches!(drawn, Err(Error::Interrupted { .. })));
    let responses = tiny::rows(models.reference.config(), &[8; 6], 4);
    assert!(matches!(rollouts.score(&models.queries, &responses, &interrupt), Err(Error::Interrupted { .. })));
}

fn updated(models: &Models, backward: Backward) -> (Vec<NamedTensor>, Vec<f64>) {
    updated_unless(&Interrupt::new(), models, backward).unwrap()
}

/// Returns the weights after one update of three epochs, and the logged statistics.
fn updated_unless(interrupt: &Interrupt, models: &Models, backward: Backward) -> Result<(Vec<NamedTensor>, Vec<f64>)> {
    let policy = tiny::policy(models.reference.config(), 1, &devices::ndarray()).train();
    let rollout = rollout(models, &policy);
    let shaped = shape(&rollout.scores, &rollout.log_probs, &rollout.reference_log_probs, 0.15);
    let settings = UpdateSettings { interrupt: interrupt.clone(), ..tiny::update_settings(backward) };
    let orders = vec![(0..16).collect(), (0..16).rev().collect(), (0..16).collect()];
    let mut optimizer = Adam::optimizer(AdamForm::TensorFlow, 1e-5);
    let updated = update(policy, &mut optimizer, &rollout, &shaped.rewards, &orders, &settings)?;
    let statistics = updated.steps.iter().flat_map(|step| step.named()).map(|(_, value)| value).collect();
    Ok((updated.policy.read()?, statistics))
}

#[test]
fn micro_batches_change_memory_and_not_results() {
    tiny::configs().into_iter().for_each(check_micro_batches);
}

fn check_micro_batches(config: ModelConfig) {
    let models = Models::of(config, &devices::ndarray());
    let backward =
        |parts, micro_batch_size, gradient_checkpointing| Backward { micro_batch_size, parts, gradient_checkpointing };
    let (whole, statistics) = updated(&models, backward(1, 16, false));
    // 3 and 6 cut the batch into parts of different sizes.
    for backward in [backward(1, 4, false), backward(2, 6, false), backward(3, 6, true)] {
        let (parts, part_statistics) = updated(&models, backward);
        for (whole, parts) in whole.iter().zip(&parts) {
            let difference = tiny::largest_difference(&whole.values, &parts.values);
            assert!(difference <= 1e-6, "{} differs by {difference:e}", whole.name);
        }
        assert!(tiny::largest_difference(&statistics, &part_statistics) < 1e-4);
    }
}

#[test]
fn sampling_and_training_agree_on_every_log_probability() {
    let models = Models::new();
    let policy = tiny::policy(models.reference.config(), 1, &devices::ndarray());
    let rollout = rollout(&models, &policy);
    let again = policy.train().analyze(Responses::new(&rollout.contexts, &rollout.responses), 0.7).unwrap();
    let again = preftune::device::read_floats(again.log_probs.inner()).unwrap();
    assert!(tiny::largest_difference(&rollout.log_probs.concat(), &again) <= 1e-4);
}

#[test]
fn a_response_that_cannot_be_cut_gets_the_penalty() {
    let models = Models::new();
    let queries = models.queries[..2].to_vec();
    let end = 13;
    let responses = vec![vec![end, end, 1, 2, 3, 4, 5, 6], vec![1, 2, 3, end, 5, 6, 7, 8]];
    let (scores, valid) = models.judges().score(&queries, &responses, &Interrupt::new()).unwrap();
    assert_eq!(valid, [false, true]);
    assert_eq!(scores[0], -1.0);
    let cut = vec![vec![1, 2, 3, end]];
    let alone = models.reward_model.score(Responses::new(&queries[1..], &cut), &MicroBatches::of(1)).unwrap();
    assert!((scores[1] - f64::from(alone[0])).abs() < 1e-5);
}
