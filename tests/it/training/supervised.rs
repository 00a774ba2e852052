//! Next-token training on chosen responses: the loss that it minimizes, and interruptions.

use std::path::Path;

use burn::tensor::Device;
use preftune::config::Sft;
use preftune::lm::Responses;
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{LanguageModel, MicroBatches, Sampling};
use preftune::platform::{Interrupt, Mode};
use preftune::policy::response_log_probs;
use preftune::reward::TokenComparison;
use preftune::run::{Checkpoints, RunLogs};
use preftune::supervised::{Chosen, NextTokenTraining, SupervisedOptimizer, Trained};
use preftune::task::Task;
use preftune::training::Backward;
use preftune::{Error, Result};

use preftune::data::LeftOut;

use crate::numerics::devices;
use crate::support::tiny;

/// Makes comparisons with queries and responses of all lengths.
fn comparisons(model: &LanguageModel) -> Vec<TokenComparison> {
    let queries = tiny::rows(model.config(), &[3, 9, 1, 6, 12, 4, 5, 2, 8, 7], 3);
    let responses = tiny::rows(model.config(), &[4, 8, 2, 7, 1, 8, 5, 3, 6, 8], 4);
    let pairs = queries.into_iter().zip(responses);
    pairs.map(|(query, best)| TokenComparison::new(query, vec![vec![1, 2], best], 1)).collect()
}

fn task(model: &LanguageModel) -> Task {
    let settings = preftune::config::Task { query_length_tokens: 16, truncate_token: "a".into(), ..Default::default() };
    Task::new(&settings, model).unwrap()
}

fn train(device: &Device, folder: &Path, interrupt: Interrupt, settings: &Sft) -> Result<(Trained, f64)> {
    train_with(SupervisedOptimizer::AdamW, device, folder, interrupt, settings)
}

fn train_with(
    optimizer: SupervisedOptimizer,
    device: &Device,
    folder: &Path,
    interrupt: Interrupt,
    settings: &Sft,
) -> Result<(Trained, f64)> {
    let model = tiny::language_model(1, device);
    let chosen = Chosen::of(&comparisons(&model), &task(&model), &mut LeftOut::default()).repeated(settings.epochs);
    let held_out = chosen.clone().held_out(&model)?;
    let before = held_out.evaluate(&model, Mode::Quiet)?.unwrap().loss;
    let training = NextTokenTraining {
        name: "sft",
        schedule: settings.schedule(&chosen),
        examples: &chosen,
        held_out: &held_out,
        start: model,
        optimizer,
        weight_decay: 0.0,
        backward: Backward {
            micro_batch_size: settings.micro_batch_size,
            parts: 2,
            gradient_checkpointing: settings.gradient_checkpointing,
        },
        shown: vec![1, 2],
        sampling: Sampling { response_length: 6, temperature: 0.7, responses_per_query: 1 },
        seed: 1,
        run_logs: RunLogs::in_folder(folder)?,
        interrupt,
        progress: Mode::Quiet,
    };
    Ok((training.run()?, before))
}

fn settings() -> Sft {
    Sft {
        epochs: 3,
        batch_size: 4,
        micro_batch_size: 4,
        learning_rate: 3e-3,
        evaluate_every_steps: 2,
        ..Sft::default()
    }
}

fn weights(trained: &Trained) -> Vec<NamedTensor> {
    parameters::read(&trained.model.transformer).unwrap()
}

#[test]
fn the_loss_is_the_mean_over_the_tokens_of_the_chosen_responses() {
    for device in [devices::ndarray(), devices::flex()] {
        let model = tiny::language_model(1, &device);
        let comparisons = comparisons(&model);
        let held_out = Chosen::of(&comparisons, &task(&model), &mut LeftOut::default()).held_out(&model).unwrap();
        let found = held_out.evaluate(&model, Mode::Quiet).unwrap().unwrap();
        let row_alone = |one: &TokenComparison| {
            let (queries, responses) = ([one.query.clone()], [one.responses[one.best].clone()]);
            response_log_probs(&model.transformer, Responses::new(&queries, &responses), 1.0, &MicroBatches::of(1))
                .unwrap()
                .concat()
        };
        let alone: Vec<f64> = comparisons.iter().flat_map(row_alone).collect();
        let mean = -alone.iter().sum::<f64>() / alone.len() as f64;
        assert_eq!(found.tokens, alone.len());
        assert!((found.loss - mean).abs() < 1e-5, "{} is not {mean}", found.loss);
    }
}

#[test]
fn training_makes_the_chosen_responses_likelier_however_a_batch_is_cut() {
    let cut = |micro_batch_size, gradient_checkpointing| {
        let folder = tempfile::tempdir().unwrap();
        let settings = Sft { micro_batch_size, gradient_checkpointing, ..settings() };
        train(&devices::flex(), folder.path(), Interrupt::new(), &settings).unwrap()
    };
    let (whole, before) = cut(4, false);
    let loss = |trained: &Trained| trained.held_out.unwrap().loss;
    assert!(loss(&whole) < before - 0.1, "{before} before, {} after", loss(&whole));
    for (micro_batch_size, gradient_checkpointing) in [(1, false), (2, true)] {
        let (parts, _) = cut(micro_batch_size, gradient_checkpointing);
        assert!((loss(&parts) - loss(&whole)).abs() < 1e-4, "{} is not {}", loss(&parts), loss(&whole));
    }
}

#[test]
fn interrupted_supervised_training_goes_on_as_if_it_had_never_stopped() {
    let device = devices::ndarray();
    let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (expected, _) = train(&device, straight.path(), Interrupt::new(), &settings()).unwrap();
    for step in 1..=3 {
        let requested = Interrupt::new();
        requested.request();
        let error = train(&device, stopped.path(), requested, &settings()).unwrap_err();
        let Error::Interrupted { checkpoint: Some(path) } = &error else { panic!("{error}") };
        assert!(path.ends_with(format!("step-{step:06}")), "{}", path.display());
    }
    let (found, _) = train(&device, stopped.path(), Interrupt::new(), &settings()).unwrap();
    for (expected, found) in weights(&expected).iter().zip(weights(&found)) {
        assert!(expected.values == found.values, "{} is not the same to the last bit", expected.name);
    }
}

/// An interruption at any time neither adds a row to the logs nor loses one.
#[test]
fn training_that_is_stopped_after_every_step_leaves_the_same_files() {
    let device = devices::flex();
    for optimizer in [SupervisedOptimizer::AdamW, SupervisedOptimizer::MuonAndAdamW] {
        for checkpoint_every_steps in [1, 5] {
            let settings = Sft { epochs: 5, checkpoint_every_steps, ..settings() };
            let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            train_with(optimizer, &device, straight.path(), Interrupt::new(), &settings).unwrap();
            let mut stops = 0;
            loop {
                let requested = Interrupt::new();
                requested.request();
                match train_with(optimizer, &device, stopped.path(), requested, &settings) {
                    Err(Error::Interrupted { .. }) => stops += 1,
                    finished => break drop(finished.unwrap()),
                }
            }
            assert!(stops > 10);
            if checkpoint_every_steps == 1 {
                tiny::assert_same_files(straight.path(), stopped.path());
            }
            for log in ["metrics.jsonl", "samples.jsonl"] {
                let read = |folder: &Path| std::fs::read_to_string(folder.join(log)).unwrap();
                assert_eq!(read(straight.path()), read(stopped.path()));
            }
        }
    }
}

#[test]
fn a_checkpoint_with_a_number_that_is_not_finite_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let requested = Interrupt::new();
    requested.request();
    train(&devices::flex(), folder.path(), requested, &settings()).unwrap_err();
    let checkpoints = Checkpoints::new(&folder.path().join("checkpoints"), 2).unwrap();
    let whole = checkpoints.latest().unwrap().unwrap();
    let names = ["model.bpk", "optimizer.bpk", "state.json"];
    let files = names.map(|name| (name, whole.read(name).unwrap()));
    for (damaged, number) in [("model.bpk", f32::NAN), ("optimizer.bpk", f32::INFINITY)] {
        let contents = files.clone().map(|(name, mut bytes)| {
            // The numbers of the last tensor are at the end of a record.
            let last = bytes.len() - 4;
            if name == damaged {
                bytes[last..].copy_from_slice(&number.to_le_bytes());
            }
            Ok((name.to_string(), bytes))
        });
        checkpoints.save(1, contents).unwrap();
        let error = train(&devices::flex(), folder.path(), Interrupt::new(), &settings()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(damaged) && error.to_string().contains(&format!("is {number}")), "{error}");
    }
    checkpoints.save(1, files.map(|(name, bytes)| Ok((name.to_string(), bytes)))).unwrap();
    train(&devices::flex(), folder.path(), Interrupt::new(), &settings()).unwrap();
}

#[test]
fn training_that_diverges_fails_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Sft { learning_rate: 1e3, ..settings() };
    let error = train(&devices::flex(), folder.path(), Interrupt::new(), &settings).unwrap_err();
    assert!(error.to_string().contains("training has diverged") && error.exit_code() == 1, "{error}");
    assert!(error.hint().contains("another --run folder"), "{}", error.hint());
}
