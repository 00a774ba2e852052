//! Files of earlier states of the program are read, reported and resumed, in whatever folder they are now.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::tiny::copy_folder;

/// Files from before there were format versions, in another folder than that in which they were made.
struct Left {
    folder: tempfile::TempDir,
}

impl Left {
    fn by_0_1() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compatibility/0.1");
        copy_folder(&fixture, &folder.path().join("moved"));
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("moved").join(name)
    }

    /// Runs the program beside the folder, so that every path in `arguments` differs from that of the
    /// original call.
    fn run(&self, arguments: &str) -> Output {
        let common = ["--config", "moved/tiny.toml", "--device", "flex", "--quiet"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.args(arguments.split(' ')).args(common).current_dir(self.folder.path()).output().unwrap()
    }

    fn success(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn steps(&self, run: &str) -> Vec<f64> {
        let rows = preftune::run::metrics::read(&self.path(run).join("metrics.jsonl")).unwrap();
        rows.iter().map(|row| row["step"]).collect()
    }
}

const POLICY: &str = "train-policy --model moved/model --reward moved/reward-model --queries moved/queries.txt";

#[test]
fn half_done_runs_of_0_1_go_on() {
    let left = Left::by_0_1();
    let done = left.steps("policy-half").len();
    left.success(&format!("{POLICY} --run moved/policy-half --out p --set policy.updates={}", done + 2));
    assert_eq!(left.steps("policy-half"), (1..=done + 2).map(|step| step as f64).collect::<Vec<_>>());
    assert!(left.path("policy-half/run.json").exists());

    let reward = "train-reward moved/label/comparisons.jsonl --model moved/model --run moved/reward-half --out r";
    let done = left.steps("reward-half").len();
    left.success(&format!("{reward} --set reward.batch_size=2"));
    assert!(left.steps("reward-half").len() > done);

    let sft = "sft moved/label/comparisons.jsonl --model moved/model --run moved/sft-half --out s";
    left.success(&format!("{sft} --set sft.epochs=2"));
    let pretrain = "pretrain moved/book.txt --run moved/pretrain --out m --set pretrain.steps=8";
    left.success(pretrain);
    assert_eq!(left.steps("pretrain").last(), Some(&8.0));
    for run in ["policy-half", "reward-half", "sft-half", "pretrain"] {
        left.success(&format!("report moved/{run}"));
        // The files are now of this version.
        left.success(&format!("report moved/{run}"));
    }
}

#[test]
fn finished_runs_labels_and_models_of_0_1_are_read() {
    let left = Left::by_0_1();
    let before = left.steps("policy");
    left.success(&format!("{POLICY} --run moved/policy --out p"));
    assert_eq!(left.steps("policy"), before, "finished is finished");
    let page = fs::read_to_string({
        left.success("report moved/policy");
        left.path("policy/report.html")
    });
    assert!(page.unwrap().contains("policy-model, preferred to model"), "the judgment");

    let rounds = "train --model moved/model --queries moved/queries.txt --run moved/rounds --out t";
    left.success(&format!("{rounds} --set policy.updates=3"));
    left.success("report moved/rounds");
    let label = "label --simulated --model moved/model --queries moved/queries.txt";
    assert!(left.success(&format!("{label} --run moved/label")).contains("24 comparisons"));
    let classified = format!("{label} --out moved/labels.jsonl --classifier moved/classifier.json");
    left.success(&format!("{classified} --set labels.comparisons=4"));
    // The log has an answer, a "cannot tell" that was taken back, and later answers.
    let exported = left.success("export moved/labels.jsonl --format comparisons --out labels.jsonl --json");
    assert!(exported.contains("\"comparisons\":4"), "{exported}");
    let eval = "eval --model moved/policy-model --baseline moved/model --reward moved/reward-model --queries \
                moved/queries.txt --run moved/policy";
    left.success(&format!("{eval} --pairs pairs.jsonl"));
    left.success("report moved/policy");
    left.success("sample --model moved/policy-model --query A.");
}

#[test]
fn a_run_of_0_1_is_not_gone_on_with_other_work() {
    let left = Left::by_0_1();
    for (arguments, what) in [
        (format!("{POLICY} --seed 2"), "the seed is 2, and it was begun with 1"),
        (POLICY.replace("moved/model", "moved/policy-model"), "not the same model: moved/policy-model"),
        (POLICY.replace("queries.txt", "book.txt"), "not the same queries: moved/book.txt"),
    ] {
        let output = left.run(&format!("{arguments} --run moved/policy-half --out p"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && text.contains(what), "{what}: {text}");
    }
}
