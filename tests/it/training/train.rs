//! `train`: labels, reward model and policy, in rounds.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use preftune::data::comparisons::{Comparison, parse_comparisons};

const SETTINGS: [&str; 20] = [
    "--preset",
    "quick",
    "--device",
    "flex",
    "--json",
    "--quiet",
    "--set",
    "train.rounds=3",
    "--set",
    "labels.comparisons=96",
    "--set",
    "reward.normalize_samples=16",
    "--set",
    "policy.updates=3",
    "--set",
    "policy.batch_size=8",
    "--set",
    "policy.checkpoint_every_updates=1",
    "--set",
    "health.least_above_chance=0.0",
];

fn train(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    command.arg("train").args(SETTINGS).args(["--run", "run", "--out", "model"]).args(more).current_dir(folder);
    command.output().unwrap()
}

fn comparisons(folder: &Path) -> Vec<Comparison> {
    let path = folder.join("run/comparisons.jsonl");
    parse_comparisons(&fs::read_to_string(&path).unwrap(), &path).unwrap()
}

#[test]
fn each_round_labels_the_policy_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = train(folder, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rounds = outcome["rounds"].as_array().unwrap();
    assert_eq!(rounds.iter().map(|round| round["comparisons"].as_u64().unwrap()).collect::<Vec<_>>(), [32, 64, 96]);
    assert_eq!(rounds.iter().map(|round| round["updates"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(rounds.iter().all(|round| round["label_ties"]["judged"] == 32), "{rounds:?}");
    let labels = comparisons(folder);
    let ids: std::collections::HashSet<&str> = labels.iter().map(|one| one.id.as_str()).collect();
    assert!(ids.len() == 96 && ids.contains("1-0") && ids.contains("1-32-update-1"), "{ids:?}");
    let policies: Vec<&str> = labels.iter().map(|one| one.policy.as_str()).collect();
    assert_eq!(policies, [vec!["pretrained"; 32], vec!["update-1"; 32], vec!["update-2"; 32]].concat());
    let metrics = preftune::run::metrics::read(&folder.join("run/policy/metrics.jsonl")).unwrap();
    assert_eq!(metrics.len(), 3, "one run of the policy through all rounds");

    // A round does not resume with fewer labels than it began with.
    let log = folder.join("run/comparisons.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    fs::write(&log, whole.lines().take(90).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let output = train(folder, &["--set", "policy.updates=6"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("the file has 90 lines, but this round's reward model was trained on 96"), "{text}");
    fs::write(&log, whole).unwrap();

    // The finished run asks nothing again, and gives the same model.
    let model = fs::read(folder.join("model/model.safetensors")).unwrap();
    let output = train(folder, &[]);
    assert!(output.status.success());
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["rounds"][0].get("label_ties"), None);
    assert_eq!(comparisons(folder), labels);
    assert!(fs::read(folder.join("model/model.safetensors")).unwrap() == model);
}

#[test]
fn a_finished_run_that_is_trained_longer_goes_on_with_its_newest_reward_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(train(folder, &[]).status.success());
    // The reward models were trained before updates 1, 2 and 3. Now the first round would have the first four
    // updates.
    let output = train(folder, &["--set", "policy.updates=12"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_round = |round: usize| [&outcome["rounds"][round]["comparisons"], &outcome["rounds"][round]["updates"]];
    assert_eq!(of_round(0), [96, 4], "the first reward model learned 32 labels, the last all");
    assert_eq!(of_round(2), [96, 12]);
    let fits = preftune::stages::fits_of(&folder.join("run")).unwrap();
    assert_eq!(fits.iter().map(|(update, _)| *update).collect::<Vec<_>>(), [0, 1, 2, 4, 8]);
    assert!(outcome["reward_model"].as_str().unwrap().contains("reward-at-000008"));
}

#[test]
fn a_run_of_rounds_that_is_killed_goes_on_as_if_nothing_had_been() {
    let (straight, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(train(straight.path(), &[]).status.success());
    for wait_ms in [400, 900, 1500, 2500] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.arg("train").args(SETTINGS).args(["--run", "run", "--out", "model"]).current_dir(killed.path());
        let mut program = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let output = train(killed.path(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let without_times = |folder: &Path| -> Vec<Comparison> {
        comparisons(folder).into_iter().map(|one| Comparison { at: None, ..one }).collect()
    };
    assert_eq!(without_times(killed.path()), without_times(straight.path()));
    let model = |folder: &Path| fs::read(folder.join("model/model.safetensors")).unwrap();
    assert!(model(killed.path()) == model(straight.path()), "not the same model to the last bit");
}

#[test]
fn a_reward_model_that_only_guesses_stops_the_run_before_it_misleads_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let many_held_out = ["--set", "labels.comparisons=240", "--set", "labels.held_out_fraction=0.7"];
    let one_round = [&many_held_out[..], &["--set", "train.rounds=1"]].concat();
    let output = train(folder.path(), &[&one_round[..], &["--set", "health.least_above_chance=0.74"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("stopped, because the reward model is right on"), "{text}");
    assert!(!folder.path().join("run/policy/metrics.jsonl").exists() && !folder.path().join("model").exists());
    let events = fs::read_to_string(folder.path().join("run/reward-at-000000/events.jsonl")).unwrap();
    assert!(events.contains("the reward model is right on"), "{events}");

    let other_settings = ["--set", "reward.learning_rate=1e-30", "--set", "health.least_above_chance=-0.5"];
    // The same command trains the reward model anew, so that settings which the hint advises take effect.
    let accuracy = |folder: &Path| -> f64 {
        let output = train(folder, &[&one_round[..], &other_settings].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        outcome["rounds"][0]["held_out_accuracy"].as_f64().unwrap()
    };
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(accuracy(folder.path()), accuracy(fresh.path()));
}

/// They stayed in f32, and the estimate of the memory counted them as if they were in bf16.
#[test]
fn frozen_models_in_bf16_are_refused_where_nothing_would_round_them() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), &["--set", "policy.frozen_precision=bf16"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("policy.frozen_precision is bf16, which is for `train-policy` only"), "{error}");
}

#[test]
fn another_labeler_is_refused_in_a_folder_that_was_begun() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), &["--set", "train.rounds=1", "--set", "policy.updates=1"]).status.success());
    let output = train(folder.path(), &["--ask", "--instructions", "descriptiveness"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2)
            && text.contains("not the same labeler: people choose by instructions (sha256 "),
        "{text}"
    );
}

#[cfg(feature = "web")]
#[test]
fn people_are_asked_again_in_the_next_round_and_their_labels_survive_a_kill() {
    use crate::labelling::label::Running;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        let rounds =
            "--set train.rounds=2 --set policy.updates=2 --set labels.comparisons=16 --set labels.repeated_fraction=0";
        command.args(["train", "--ask", "--run", "run", "--out", "model"]).args(SETTINGS).args(rounds.split(' '));
        command.current_dir(folder);
        Running::start(command)
    };
    let mut running = start();
    running.answer(5);
    running.program.kill().unwrap();
    running.program.wait().unwrap();
    let mut running = start();
    running.answer(3);
    let started = std::time::Instant::now();
    // Round 2 asks about responses of the policy after the first round.
    while !folder.join("run/policy/checkpoints/step-000001").exists() {
        assert!(started.elapsed().as_secs() < 60, "the first round does not end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    running.answer(2);
    running.program.kill().unwrap();
    running.program.wait().unwrap();
    let running = start();
    running.answer(6);
    let output = running.program.wait_with_output().unwrap();
    assert!(output.status.success());
    let labels = comparisons(folder);
    let of = |policy: &str| labels.iter().filter(|one| one.policy == policy).count();
    assert_eq!((labels.len(), of("pretrained"), of("update-1")), (16, 8, 8));
    let settled = fs::read_to_string(folder.join("run/reward-at-000000/lines-of-labels.json")).unwrap();
    assert_eq!(settled, "{\"version\":1,\"lines\":8}");
    assert!(folder.join("model/model.safetensors").exists());
}

#[cfg(feature = "web")]
#[test]
fn a_round_goes_on_with_the_labels_that_there_are_when_it_is_told_to() {
    use crate::labelling::label::Running;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    let rounds = "--set train.rounds=1 --set policy.updates=1 --set labels.comparisons=500 --go-on-after 0";
    command.args(["train", "--ask", "--run", "run", "--out", "model"]).args(SETTINGS).args(rounds.split(' '));
    command.current_dir(folder);
    let running = Running::start(command);
    running.answer(2);
    let output = running.program.wait_with_output().unwrap();
    assert!(output.status.success());
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!((2..20).contains(&outcome["rounds"][0]["comparisons"].as_u64().unwrap()), "{outcome}");
}

#[cfg(feature = "web")]
#[test]
fn people_hear_that_the_last_labels_are_learned_from_and_that_a_run_stopped_itself() {
    use crate::labelling::label::Running;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    let limits = "--set train.rounds=1 --set labels.comparisons=16 --set health.largest_kl=0.000001";
    command.args(["train", "--ask", "--run", "run", "--out", "model"]).args(SETTINGS).args(limits.split(' '));
    command.current_dir(folder);
    let mut running = Running::start(command);
    running.answer(16);
    let mut states = Vec::new();
    while states.last().is_none_or(|last| last != "stopped") {
        let view = running.post("/api/next", &serde_json::json!({"labeler": "ada"}));
        states.push(view["state"].as_str().unwrap().to_string());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(states.contains(&"training".into()) && !states.contains(&"done".into()), "{states:?}");
    assert_eq!(running.program.wait().unwrap().code(), Some(1));
}

#[cfg(feature = "web")]
#[test]
fn people_label_each_round_and_any_of_them_can_stop_the_run() {
    use crate::labelling::label::Running;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.args(["train", "--ask", "--run", "run", "--out", "model"]).args(SETTINGS).args(more);
        command.current_dir(folder);
        command
    };
    // There are too many updates to wait for their end.
    let long = ["--set", "policy.updates=3000", "--set", "labels.repeated_fraction=0", "--set", "policy.batch_size=64"];
    let mut running = Running::start(command(&long));
    running.answer(32);
    let ada = serde_json::json!({"labeler": "ada"});
    let started = std::time::Instant::now();
    let checkpoints = folder.join("run/policy/checkpoints");
    let newest = || preftune::run::checkpoints::latest(&checkpoints).unwrap().checkpoint;
    while newest().is_none() {
        let view = running.post("/api/next", &ada);
        assert_eq!(
            (&view["state"], &view["progress"]["stop_switch"]),
            (&serde_json::json!("later"), &serde_json::json!(true))
        );
        assert!(started.elapsed().as_secs() < 60, "the policy does not get on");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    running.post("/api/stop", &ada);
    assert_eq!(running.program.wait().unwrap().code(), Some(130));
    let events = fs::read_to_string(folder.join("run/events.jsonl")).unwrap();
    assert!(events.contains("ada stopped the run"), "{events}");
    assert!(newest().is_some());
    assert_eq!(comparisons(folder).len(), 32);
}
