//! A run that was killed and resumed equals one that never stopped, to the last bit of every file, with any
//! number of cores.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::tiny::{assert_same_files, copy_folder};

/// Copies the folder of the fixtures with tiny models.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compatibility/0.1");
    copy_folder(&fixture, folder.path());
    folder
}

/// A command that trains in the folder `run` and writes `out`, with a checkpoint after each step.
struct Training<'a> {
    folder: &'a Path,
    arguments: String,
}

impl Training<'_> {
    fn command(&self, run: &str, prefix: &[&str]) -> Command {
        let common = "--config tiny.toml --device flex --quiet --set pretrain.checkpoint_every_steps=1";
        let program = [prefix, &[env!("CARGO_BIN_EXE_preftune")]].concat();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(self.arguments.split(' ')).args(common.split(' '));
        command.args(["--run", run, "--out", &format!("{run}-out")]).current_dir(self.folder);
        command.stdout(Stdio::null());
        command
    }

    fn run(&self, run: &str, prefix: &[&str]) {
        let status = self.command(run, prefix).status().unwrap();
        assert!(status.success(), "{}: {status}", self.arguments);
    }

    /// Kills the command once the checkpoint of `step` is there. Returns false if the command ended before.
    fn kill_after(&self, run: &str, step: usize) -> bool {
        let mut program: Child = self.command(run, &[]).spawn().unwrap();
        let checkpoint = self.folder.join(run).join(format!("checkpoints/step-{step:06}"));
        let started = Instant::now();
        while !checkpoint.exists() && started.elapsed() < Duration::from_secs(20) {
            if program.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        program.kill().unwrap();
        program.wait().unwrap();
        true
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn assert_same(&self, run: &str) {
        assert_same_files(&self.path("straight"), &self.path(run));
        assert_same_files(&self.path("straight-out"), &self.path(&format!("{run}-out")));
    }
}

const TRAININGS: [&str; 4] = [
    "train-policy --model model --reward reward-model --queries queries.txt --set policy.updates=12",
    "train-reward label/comparisons.jsonl --model model",
    "sft label/comparisons.jsonl --model model --set sft.epochs=3",
    "pretrain book.txt --set pretrain.steps=16",
];

#[test]
fn runs_that_are_killed_again_and_again_leave_the_same_files() {
    for arguments in TRAININGS {
        let folder = folder();
        let training = Training { folder: folder.path(), arguments: arguments.into() };
        training.run("straight", &[]);
        let killed = [1, 2, 4].map(|step| training.kill_after("killed", step));
        assert!(killed.contains(&true), "{arguments}: each time it ended before it could be killed");
        training.run("killed", &[]);
        training.assert_same("killed");
    }
}

/// The rounding of sums depends on the number of parts that work is split into, which would be the number of
/// cores.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_goes_on_with_fewer_cores_leaves_the_same_files() {
    let one_core = ["taskset", "-c", "0"];
    if Command::new(one_core[0]).arg("--version").output().is_err() {
        println!("there is no taskset here");
        return;
    }
    for arguments in TRAININGS {
        let folder = folder();
        let training = Training { folder: folder.path(), arguments: arguments.into() };
        training.run("straight", &[]);
        assert!(training.kill_after("fewer", 2), "{arguments}");
        training.run("fewer", &one_core);
        training.assert_same("fewer");
    }
}

#[test]
fn a_run_folder_that_was_moved_goes_on_with_the_same_model_from_another_place() {
    let folder = folder();
    let folder = folder.path();
    let training = |model: &str| Training {
        folder,
        arguments: format!("train-policy --model {model} --reward reward-model --queries queries.txt"),
    };
    assert!(training("model").kill_after("here", 1));
    copy_folder(&folder.join("here"), &folder.join("there"));
    copy_folder(&folder.join("model"), &folder.join("elsewhere"));
    // The program does not read this file.
    std::fs::write(folder.join("elsewhere/README.txt"), "A model.").unwrap();
    training("elsewhere").run("there", &[]);
    training(folder.join("model").to_str().unwrap()).run("here", &[]);

    std::fs::copy(folder.join("policy-model/model.safetensors"), folder.join("elsewhere/model.safetensors")).unwrap();
    let output = training("elsewhere").command("there", &[]).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("not the same model: elsewhere (sha256 ") && !text.contains("seed is"), "{text}");
}
