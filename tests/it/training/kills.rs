//! A run that is ended at any instant resumes: no checkpoint is lost, the same model results, and no
//! temporary file is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use preftune::random::{Stream, below, generator};

use crate::support::small_runs::{
    LABEL, PRETRAIN, Result, SFT, TRAIN_POLICY, TRAIN_REWARD, command, files_in, folder, places, stranded,
};
use crate::support::tiny::copy_folder;

/// Ends the program at its `first` fault point, an instant between two changes on the disk, and then at every
/// `every`-th one after it. Each run starts in a folder as `before` leaves it. Returns how often the program
/// was ended, by the name of the fault point.
fn abort_at_fault_points(
    arguments: &str,
    before: fn(&Path),
    (first, every): (usize, usize),
) -> BTreeMap<String, usize> {
    let begun = folder();
    before(begun.path());
    let arguments = places(arguments);
    let started = || {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(begun.path(), folder.path());
        folder
    };
    let uninterrupted = started();
    assert!(command(uninterrupted.path(), &arguments).status().unwrap().success());
    let expected = Result::in_folder(uninterrupted.path());
    let mut points = BTreeMap::new();
    for point in (first..).step_by(every) {
        let folder = started();
        let mut aborting = command(folder.path(), &arguments);
        let output = aborting.env("PREFTUNE_ABORT_AT_FAULT_POINT", point.to_string()).output().unwrap();
        if output.status.success() {
            return points;
        }
        let text = String::from_utf8(output.stderr).unwrap();
        let name = text.split_once("aborted at fault point ").unwrap_or_else(|| panic!("{text}")).1;
        *points.entry(name.trim().split_once(": ").unwrap().1.to_string()).or_default() += 1;
        let checkpoints = files_in(&folder.path().join("run/checkpoints"));
        let output = command(folder.path(), &arguments).output().unwrap();
        assert!(output.status.success(), "after {name}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(Result::in_folder(folder.path()), expected, "after {name}, when {checkpoints:?} were there");
        assert_eq!(stranded(folder.path()), Vec::<std::path::PathBuf>::new(), "after {name}");
    }
    points
}

fn nothing(_: &Path) {}

/// Trains a run for two updates, so that the third replaces the model.
fn two_updates(folder: &Path) {
    let arguments = format!("{TRAIN_POLICY} --set policy.updates=2");
    assert!(command(folder, &places(&arguments)).status().unwrap().success());
}

/// Trains a run and damages its newest checkpoint, so that the same step is written again.
fn damaged_checkpoint(folder: &Path) {
    assert!(command(folder, &places(TRAIN_REWARD)).status().unwrap().success());
    let newest = files_in(&folder.join("run/checkpoints")).pop().unwrap();
    fs::write(folder.join("run/checkpoints").join(newest).join("model.bpk"), "cut").unwrap();
}

/// Makes a file of labels whose last line is incomplete.
fn cut_label(folder: &Path) {
    let few = places(&format!("{LABEL} --set labels.comparisons=6"));
    assert!(command(folder, &few).status().unwrap().success());
    let log = folder.join("run/comparisons.jsonl");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 20]).unwrap();
}

#[test]
fn a_run_ended_between_two_changes_on_the_disk_goes_on() {
    assert!(abort_at_fault_points(TRAIN_REWARD, nothing, (3, 29)).len() > 1);
    assert!(abort_at_fault_points(TRAIN_POLICY, two_updates, (11, 19)).len() > 1);
}

#[ignore = "minutes: every instant"]
#[test]
fn a_run_ended_at_any_instant_between_two_changes_on_the_disk_goes_on() {
    let mut points = BTreeMap::<String, usize>::new();
    for (arguments, before) in [
        (TRAIN_REWARD, nothing as fn(&Path)),
        (TRAIN_REWARD, damaged_checkpoint),
        (TRAIN_POLICY, two_updates),
        (SFT, nothing),
        (PRETRAIN, nothing),
        (LABEL, nothing),
        (LABEL, cut_label),
    ] {
        let of_this = abort_at_fault_points(arguments, before, (1, 1));
        println!("{arguments}: ended {} times", of_this.values().sum::<usize>());
        of_this.into_iter().for_each(|(name, count)| *points.entry(name).or_default() += count);
    }
    println!("{points:#?}");
    assert!(points.len() >= 15, "{points:?}");
}

/// Counts of the results of runs that were killed.
#[derive(Debug, Default)]
struct Tally {
    trials: usize,
    kills: usize,
    resumed: usize,
    other_models: usize,
    other_checkpoints: usize,
    other_logs: usize,
    stranded: usize,
}

/// Kills the command at random moments, one to three times a trial, until there were `kills` kills.
fn kill_at_random(arguments: &str, kills: usize, seed: u64) -> Tally {
    let begun = folder();
    let arguments = places(arguments);
    let started = Instant::now();
    let uninterrupted = tempfile::tempdir().unwrap();
    copy_folder(begun.path(), uninterrupted.path());
    assert!(command(uninterrupted.path(), &arguments).status().unwrap().success());
    let (expected, milliseconds) = (Result::in_folder(uninterrupted.path()), started.elapsed().as_millis() as usize);
    let mut rng = generator(seed, Stream::Data, 0, 0);
    let mut tally = Tally::default();
    while tally.kills < kills {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(begun.path(), folder.path());
        tally.trials += 1;
        for _ in 0..=below(3, &mut rng) {
            let mut program = command(folder.path(), &arguments).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(below(milliseconds, &mut rng) as u64));
            // Killing a program that has ended is no error.
            program.kill().unwrap();
            tally.kills += usize::from(!program.wait().unwrap().success());
        }
        let output = command(folder.path(), &arguments).output().unwrap();
        tally.resumed += usize::from(output.status.success());
        if !output.status.success() {
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let found = Result::in_folder(folder.path());
        tally.other_models += usize::from(found.made != expected.made);
        tally.other_checkpoints += usize::from(found.checkpoints != expected.checkpoints);
        tally.other_logs += usize::from(found.logs != expected.logs);
        tally.stranded += stranded(folder.path()).len();
    }
    tally
}

#[ignore = "minutes: 200 kills at random moments"]
#[test]
fn a_run_killed_at_any_moment_goes_on() {
    for (seed, arguments) in [TRAIN_POLICY, TRAIN_REWARD, SFT, PRETRAIN, LABEL].into_iter().enumerate() {
        let tally = kill_at_random(arguments, 40, seed as u64);
        println!("{arguments}: {tally:?}");
        let Tally { trials, resumed, other_models, other_checkpoints, stranded, .. } = tally;
        assert_eq!((resumed, other_models, other_checkpoints, stranded), (trials, 0, 0, 0), "{arguments}");
    }
}

/// Sends two signals, as `timeout` does with one to the program and one to its group.
#[cfg(unix)]
fn two_signals_leave_a_checkpoint(tries: usize) {
    let folder = folder();
    for attempt in 0..tries {
        let run = format!("run-{attempt}");
        let many = "--set policy.updates=100000 --set policy.checkpoint_every_updates=100000";
        let arguments = format!("{TRAIN_POLICY} {many} --run {run} --out out-{attempt}");
        let mut program = command(folder.path(), &arguments).stderr(Stdio::piped()).spawn().unwrap();
        while !folder.path().join(&run).join("metrics.jsonl").exists() {
            assert!(program.try_wait().unwrap().is_none(), "{arguments}: ended before it began");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(7 * attempt as u64));
        let pause = ["0", "0.01", "0.1", "0.3"][attempt % 4];
        let script = format!("kill -TERM {0}; sleep {pause}; kill -TERM {0}", program.id());
        std::process::Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap();
        let output = program.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{text}");
        assert!(text.contains(&format!("what is kept is in {run}/checkpoints/step-")), "{text}");
        assert_eq!(files_in(&folder.path().join(&run).join("checkpoints")).len(), 1, "{text}");
    }
}

#[cfg(unix)]
#[test]
fn two_signals_at_once_are_one_wish_to_stop() {
    two_signals_leave_a_checkpoint(3);
}

#[cfg(unix)]
#[ignore = "many tries"]
#[test]
fn two_signals_at_once_are_one_wish_to_stop_each_time() {
    two_signals_leave_a_checkpoint(20);
}

#[test]
fn a_demo_that_is_interrupted_between_its_stages_says_where_its_labels_are() {
    let folder = folder();
    let settings = "--set reward.normalize_samples=65536 --set task.response_length_tokens=24";
    let arguments = &format!("demo --model model --run run {settings}");
    let mut command = command(folder.path(), arguments);
    let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    // This file is written immediately before responses are sampled for normalization.
    while !folder.path().join("run/reward/passes.json").exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "the reward model's training does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(300));
    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let output = running.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted; what is kept is in run\n"), "{text}");
    assert!(text.contains("run the same command again"), "{text}");
}
