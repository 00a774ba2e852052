//! Programs in other languages that choose and score (`--labeler-command`, `--reward-command`).
#![cfg(unix)]

use std::fs;
use std::path::Path;

use preftune::data::comparisons::{Comparison, parse_comparisons};

use crate::support::small_runs::{command, files_in, folder, places};

const LABEL: &str = "label --model model --queries queries.txt --out labels.jsonl --labeler-command ./choose.sh";
/// Arguments to train a policy with responses so long that some can be truncated, and so are scored.
const TRAIN_POLICY: &str = "train-policy --queries queries.txt --set task.response_length_tokens=12 \
    --set policy.batch_size=12 --reward-command ./score.sh";

fn run(folder: &Path, arguments: &str) -> (i32, String) {
    let output = command(folder, arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn script(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(folder.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn labels(folder: &Path) -> Vec<Comparison> {
    let path = folder.join("labels.jsonl");
    parse_comparisons(&fs::read_to_string(&path).unwrap(), &path).unwrap()
}

/// Script that answers `answer` to each line, and ends after `most` lines.
fn answering(answer: &str, most: usize) -> String {
    format!("n=0; while read -r line; do n=$((n+1)); [ $n -gt {most} ] && exit 3; echo \"{answer}\"; done")
}

#[test]
fn a_program_chooses_and_what_it_chose_before_it_crashed_is_kept() {
    let folder = folder();
    let folder = folder.path();
    script(folder, "choose.sh", &answering("1", 7));
    let (code, text) = run(folder, LABEL);
    assert!(code == 1 && text.contains("ended after 7 answers (exit status: 3)"), "{code} {text}");
    let before = labels(folder);
    assert_eq!(before.len(), 7);
    script(folder, "choose.sh", &answering("1", 100));
    assert_eq!(run(folder, LABEL).0, 0);
    let all = labels(folder);
    assert_eq!((all.len(), &all[..7]), (20, &before[..]));
    assert!(all.iter().all(|label| label.labeler == "command" && label.best == label.order[1]));
    for (answer, expected) in [("4", "from 0 to 3"), ("null", "from 0 to 3"), ("best", "one line of JSON")] {
        fs::remove_file(folder.join("labels.jsonl")).unwrap();
        script(folder, "choose.sh", &answering(answer, 100));
        let (code, text) = run(folder, LABEL);
        assert!(code == 1 && text.contains(expected) && text.contains("hint: "), "{code} {text}");
        assert!(labels(folder).is_empty());
    }
}

#[test]
fn a_program_scores_and_a_run_goes_on_after_it_crashed() {
    let folder = folder();
    let folder = folder.path();
    // The score is the length of the line, so that longer responses are better.
    script(folder, "score.sh", &answering("[${#line}]", 1000));
    let whole = format!("{TRAIN_POLICY} --run whole --out whole/out --set policy.checkpoint_every_updates=100");
    let (code, text) = run(folder, &whole);
    assert_eq!(code, 0, "{text}");
    let metrics = preftune::run::metrics::read(&folder.join("whole/metrics.jsonl")).unwrap();
    assert!(metrics.len() == 3 && metrics.iter().all(|row| row["objective/score"] > -1.0), "{metrics:?}");

    // The script ends in the third rollout.
    script(folder, "score.sh", &answering("[${#line}]", 30));
    let again = whole.replace("whole", "run");
    let (code, text) = run(folder, &again);
    assert!(code == 1 && text.contains("ended after 30 answers"), "{code} {text}");
    assert_eq!(files_in(&folder.join("run/checkpoints")), ["step-000002"], "the updates before it are kept");
    script(folder, "score.sh", &answering("[${#line}]", 1000));
    assert_eq!(run(folder, &again).0, 0);
    for file in ["out/model.safetensors", "metrics.jsonl"] {
        let read = |run: &str| fs::read(folder.join(run).join(file)).unwrap();
        assert!(read("run") == read("whole"), "{file}");
    }
    // A run cannot be resumed with another program.
    let (code, text) = run(folder, &again.replace("./score.sh", "./other.sh"));
    assert!(code == 2 && text.contains("reward"), "{code} {text}");
    for (answer, says) in [
        ("1", "with 1"),
        ("[1,2]", "with [1,2]"),
        ("[]", "with []"),
        ("[1e999]", "one line of JSON"),
        ("[1e300]", "with [1e+300]"),
    ] {
        script(folder, "score.sh", &answering(answer, 1000));
        let (code, text) = run(folder, &places(TRAIN_POLICY));
        assert!(code == 1 && text.contains(says), "{answer}: {code} {text}");
        fs::remove_dir_all(folder.join("run")).unwrap();
    }
}

#[test]
fn who_scores_is_one_of_two() {
    let folder = folder();
    let (code, text) = run(folder.path(), "train-policy --model model --queries queries.txt --out out");
    assert!(code == 2 && text.contains("--reward"), "{text}");
    let both = "train-policy --model model --reward reward --reward-command cat --out out";
    assert_eq!(run(folder.path(), both).0, 2);
}

#[test]
fn a_program_that_writes_more_lines_than_it_is_asked_labels_nothing() {
    let folder = folder();
    let folder = folder.path();
    let twice = "while read -r line; do echo 1; echo 2; done";
    let banner = "echo 0; while read -r line; do echo 1; done";
    for text in [twice, banner] {
        script(folder, "choose.sh", text);
        let (code, text) = run(folder, LABEL);
        assert!(code == 1 && text.contains("belongs to no question"), "{code} {text}");
        assert!(labels(folder).is_empty());
    }
}
