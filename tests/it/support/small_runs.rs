//! Short runs of every training command, for tests that end them again and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use preftune::lm::Precision;

use crate::support::tiny;

/// Settings with which a step or an update takes a few milliseconds, and each leaves a checkpoint.
const SETTINGS: &str = r#"
[task]
query_length_tokens = 8
response_length_tokens = 4
truncate_after_tokens = 2
[labels]
comparisons = 20
[reward]
batch_size = 4
micro_batch_size = 4
normalize_samples = 4
checkpoint_every_steps = 1
[policy]
updates = 3
batch_size = 4
micro_batch_size = 4
checkpoint_every_updates = 1
[health]
largest_kl = 100000.0
smallest_entropy = 0.0
most_repetition = 1.0
[sft]
epochs = 1
batch_size = 4
checkpoint_every_steps = 1
evaluate_every_steps = 2
[pretrain]
vocabulary_size = 300
layers = 1
width = 16
heads = 2
context_tokens = 16
batch_size = 4
steps = 4
checkpoint_every_steps = 1
evaluate_every_steps = 2
"#;

/// Arguments of each command without those for its run and its output, which [`places`] adds.
pub const TRAIN_REWARD: &str = "train-reward comparisons.jsonl --model model";
pub const TRAIN_POLICY: &str = "train-policy --model model --reward reward --queries queries.txt";
pub const SFT: &str = "sft comparisons.jsonl --model model";
pub const PRETRAIN: &str = "pretrain book.txt";
pub const LABEL: &str = "label --simulated --model model --queries queries.txt";

/// Makes a folder with all files that these commands read.
pub fn folder() -> tempfile::TempDir {
    let made = tempfile::tempdir().unwrap();
    let path = |name: &str| made.path().join(name);
    let model = tiny::language_model(1, &preftune::device::host());
    fs::create_dir(path("model")).unwrap();
    for (name, bytes) in model.to_files(Precision::F32).unwrap() {
        fs::write(path("model").join(name), bytes).unwrap();
    }
    fs::write(path("settings.toml"), SETTINGS).unwrap();
    fs::write(path("book.txt"), "The old house stood by the sea. The sea was grey. ".repeat(60)).unwrap();
    let places = ["house", "sea", "door", "hill", "road", "field", "stone", "tree"];
    let queries: Vec<String> = places.iter().map(|place| format!("The old {place} was grey.")).collect();
    fs::write(path("queries.txt"), queries.join("\n")).unwrap();
    let comparison = |index: usize| {
        let (query, best) = (format!("The {} {index}.", places[index % places.len()]), index % 2);
        format!("{}\n", serde_json::json!({"query": query, "responses": [" the sea", " a house"], "best": best}))
    };
    fs::write(path("comparisons.jsonl"), (0..20).map(comparison).collect::<String>()).unwrap();
    let fitted = command(made.path(), &format!("{TRAIN_REWARD} --run fit --out reward")).output().unwrap();
    assert!(fitted.status.success(), "{}", String::from_utf8_lossy(&fitted.stderr));
    made
}

/// Returns the command that runs the program in a folder, with these settings.
pub fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    command.args(["--quiet", "--device", "flex", "--config", "settings.toml"]).args(arguments.split_whitespace());
    command.current_dir(folder);
    command
}

/// Adds the folders of the run and of the model to a command's arguments.
pub fn places(arguments: &str) -> String {
    match arguments.starts_with("label") {
        true => format!("{arguments} --run run"),
        false => format!("{arguments} --run run --out out"),
    }
}

/// The files that a run left.
#[derive(Debug, Clone, PartialEq)]
pub struct Result {
    /// Files of the model, or the labels without the time at which each was made.
    pub made: BTreeMap<String, Vec<u8>>,
    pub checkpoints: Vec<String>,
    /// Contents of the metrics and samples files.
    pub logs: Vec<Vec<u8>>,
}

impl Result {
    pub fn in_folder(folder: &Path) -> Self {
        let mut made: BTreeMap<String, Vec<u8>> = files_in(&folder.join("out"))
            .into_iter()
            .map(|name| (name.clone(), bytes(&folder.join("out").join(name))))
            .collect();
        let labels = folder.join("run/comparisons.jsonl");
        if labels.exists() {
            let choice = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                format!("{} {} {}\n", line["id"], line["responses"], line["best"])
            };
            let choices: String = fs::read_to_string(labels).unwrap().lines().map(choice).collect();
            made.insert("labels".into(), choices.into_bytes());
        }
        let logs = ["metrics.jsonl", "samples.jsonl"].map(|name| bytes(&folder.join("run").join(name)));
        Self { made, checkpoints: files_in(&folder.join("run/checkpoints")), logs: logs.into() }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

/// Returns the names in a folder, sorted, or none if there is no such folder.
pub fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Returns the temporary files that a killed process left below a folder.
pub fn stranded(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in files_in(folder) {
        let path = folder.join(&name);
        let is_of_a_checkpoint = name.starts_with(".step-");
        if name.starts_with(".preftune-") || name.ends_with(".tmp") || is_of_a_checkpoint {
            found.push(path.clone());
        }
        if path.is_dir() {
            found.extend(stranded(&path));
        }
    }
    found
}
