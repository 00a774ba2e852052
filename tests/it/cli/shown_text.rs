//! Text from files and arguments, which never steers the terminal that shows it; paths may be any bytes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Text with colours, a link, an overwritten line, a reversed one, a C1 control, and a line that looks like
/// an error.
const HOSTILE: &str = "a\u{1b}[31m\u{1b}]8;;x\u{7}b\r\u{8}\u{202e}c\u{9b}2J\u{7f}\nerror: forged";

fn preftune<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    command.args(["--device", "flex"]).args(arguments).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap()
}

fn storyteller(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/storyteller").join(file)).unwrap()
}

/// Copies the shipped model into a folder called `name`, and changes one of its files.
fn changed_model(folder: &Path, name: impl AsRef<Path>, file: &str, change: impl FnOnce(&mut Value)) {
    let model = folder.join(name);
    fs::create_dir(&model).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::write(model.join(name), storyteller(name)).unwrap();
    }
    let mut value = serde_json::from_slice(&storyteller(file)).unwrap();
    change(&mut value);
    fs::write(model.join(file), value.to_string()).unwrap();
}

fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let is_harmful = |character: char| {
        (character.is_control() && character != '\n') || matches!(character, '\u{202a}'..='\u{202e}' | '\u{feff}')
    };
    assert!(!text.contains(is_harmful), "{what}: {text:?}");
    // Instructions may have several lines.
    let is_forged = what != "instructions" && text.lines().any(|line| line.starts_with("error: forged"));
    assert!(!is_forged, "{what}: {text}");
}

#[test]
fn no_text_of_a_file_or_an_argument_steers_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    changed_model(folder, "config", "config.json", |config| {
        config["activation_function"] = json!(format!("{HOSTILE}\0"))
    });
    changed_model(folder, "tokenizer", "tokenizer.json", |tokenizer| {
        tokenizer["model"]["merges"].as_array_mut().unwrap().push(json!([HOSTILE, "\0"]));
    });
    changed_model(folder, "token", "tokenizer.json", |tokenizer| {
        tokenizer["model"]["vocab"][HOSTILE] = json!(99_999);
    });
    let quoted = json!(HOSTILE).to_string();
    let toml = quoted.replace('\u{7f}', "\\u007f");
    let bad =
        |best: &str| format!(r#"{{"query":{quoted},"responses":[{quoted},"c"],"best":{best},"labeler":{quoted}}}"#);
    let hostile_name = format!("{HOSTILE}.jsonl");
    let files = [
        ("key.toml", format!("[policy]\n{toml} = 1\n")),
        ("section.toml", format!("{toml} = 1\n")),
        ("value.toml", format!("[task]\nlong_queries = {toml}\n")),
        ("token.toml", format!("[task]\ntruncate_token = {toml}\n")),
        ("syntax.toml", "[policy]\n\u{1b}[31m = \u{202e}\n".into()),
        ("best.jsonl", bad(&quoted)),
        ("field.jsonl", format!("{{{quoted}:1,\"prompt\":{quoted},\"chosen\":7,\"rejected\":{quoted}}}\n")),
        ("empty.txt", "\n".into()),
        ("instructions.txt", format!("Choose {HOSTILE}")),
        ("classifier.json", format!("{{{quoted}:1}}")),
        (hostile_name.as_str(), "not JSON".into()),
    ];
    for (name, text) in &files {
        fs::write(folder.join(name), text).unwrap();
    }
    let sample = |more: &[&str]| -> Vec<String> {
        ["sample", "--query", "A."].iter().chain(more).map(|text| (*text).to_string()).collect()
    };
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_string()).collect() };
    let cases = [
        ("config.json", 4, sample(&["--model", "config"])),
        ("a merge", 4, sample(&["--model", "tokenizer"])),
        ("a token", 4, sample(&["--model", "token"])),
        ("a key", 2, sample(&["--config", "key.toml"])),
        ("a section", 2, sample(&["--config", "section.toml"])),
        ("a value", 2, sample(&["--config", "value.toml"])),
        ("a token that there is not", 2, sample(&["--config", "token.toml"])),
        ("no TOML", 2, sample(&["--config", "syntax.toml"])),
        ("a key of --set", 2, sample(&["--set", &format!("policy.{HOSTILE}=1")])),
        ("a value of --set", 2, sample(&["--set", &format!("policy.epochs={HOSTILE}")])),
        ("a model", 4, sample(&["--model", HOSTILE])),
        ("a preset", 2, sample(&["--preset", HOSTILE])),
        ("a device", 3, sample(&["--device", HOSTILE])),
        ("a path that is not there", 4, words(&["sample", "--queries", HOSTILE])),
        ("a file of this name", 4, words(&["train-reward", &hostile_name, "--out", "o"])),
        ("a label", 4, words(&["train-reward", "best.jsonl", "--out", "o"])),
        ("a pair", 4, words(&["train-reward", "field.jsonl", "--out", "o"])),
        ("a classifier", 4, words(&["label", "--simulated", "--classifier", "classifier.json", "--out", "l"])),
        ("a run", 4, words(&["report", HOSTILE])),
        ("a target", 2, words(&["fetch", HOSTILE])),
        ("an option", 2, sample(&[&format!("--{HOSTILE}")])),
        ("a number", 2, sample(&["--seed", HOSTILE])),
        ("a command", 2, words(&[HOSTILE])),
        ("a word too many", 2, sample(&[HOSTILE])),
        ("instructions", 0, words(&["label", "--terminal", "--instructions", "instructions.txt", "--out", "l.jsonl"])),
        ("a result", 0, words(&["label", "--simulated", "--set", "labels.comparisons=2", "--out", HOSTILE])),
        ("a response", 0, words(&["sample", "--query", HOSTILE, "--model", "storyteller"])),
    ];
    for (what, code, arguments) in cases {
        let Output { status, stdout, stderr } = preftune(folder, &arguments);
        let text = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{what}: {text}");
        assert!(code == 0 || text.contains("error: "), "{what}: {text}");
        assert_harmless(what, &stderr);
        assert_harmless(what, &stdout);
    }
}

#[test]
fn json_is_exact_and_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let output = preftune(folder.path(), &["sample", "--json", "--query", HOSTILE]);
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["query"], HOSTILE);
    assert_harmless("JSON", &output.stdout);
}

#[cfg(unix)]
mod any_bytes {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn bytes(text: &[u8]) -> OsString {
        OsStr::from_bytes(text).to_os_string()
    }

    fn success(folder: &Path, arguments: &str, paths: &[(&str, &OsStr)]) -> Vec<u8> {
        let mut all: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
        all.extend(paths.iter().flat_map(|(option, path)| [OsString::from(option), path.to_os_string()]));
        let output = preftune(folder, &all);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn paths_may_be_any_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let model = bytes(b"mod\xe9l");
        changed_model(folder, &model, "config.json", |_| {});
        let (queries, instructions, labels, run) =
            (bytes(b"quer\xefes.txt"), bytes(b"t\xe4ste.txt"), bytes(b"l\xe4bels.jsonl"), bytes(b"r\xfcn"));
        fs::write(folder.join(&queries), "The door opened.\nThe lamp went out.\nIt rained.\nShe sang.\n").unwrap();
        fs::write(folder.join(&instructions), "Choose.").unwrap();
        let classifier = bytes(b"cl\xe4ssifier.json");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/sentiment/classifier.json");
        fs::copy(shipped, folder.join(&classifier)).unwrap();

        success(folder, "sample -n 1", &[("--model", &model), ("--queries", &queries)]);
        let asked = [("--instructions", &*instructions), ("--model", &*model), ("--out", &*bytes(b"\xff"))];
        success(folder, "label --terminal", &asked);
        let judged =
            [("--classifier", &*classifier), ("--model", &*model), ("--queries", &*queries), ("--out", &*labels)];
        let stdout = success(folder, "label --simulated --json --set labels.comparisons=8", &judged);
        let outcome: Value = serde_json::from_slice(&stdout).unwrap();
        assert_eq!(outcome["out"], "l\u{fffd}bels.jsonl");
        assert!(folder.join(&labels).exists());

        let reward = bytes(b"rew\xe4rd");
        let fitted = [("--run", &*run), ("--out", &*reward), ("--model", &*model), ("--queries", &*queries)];
        let mut arguments = vec!["train-reward".into(), labels.clone(), "--json".into()];
        arguments.extend(["--set", "reward.normalize_samples=4"].map(OsString::from));
        arguments.extend(fitted.iter().flat_map(|(option, path)| [OsString::from(option), path.to_os_string()]));
        for _ in 0..2 {
            let output = preftune(folder, &arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(outcome["out"], "rew\u{fffd}rd");
        }
        let drawing = bytes(b"dr\xe4wing.svg");
        let output = preftune(folder, &["report".into(), run, "--svg".into(), drawing, "--json".into()]);
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["svg"], "dr\u{fffd}wing.svg");
        let (pairs, baseline) = (bytes(b"p\xe4irs.jsonl"), &*model);
        let judged = [("--model", &*model), ("--baseline", baseline), ("--reward", &*reward), ("--pairs", &*pairs)];
        let stdout = success(folder, "eval --json --set eval.pairs=2", &judged);
        assert_eq!(serde_json::from_slice::<Value>(&stdout).unwrap()["contests"][0]["baseline"], "mod\u{fffd}l (2)");
    }

    #[test]
    fn what_must_be_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let paths_too = ["sample", "--model"].map(OsString::from).into_iter().chain([bytes(b"\xe9")]);
        let paths_too: Vec<OsString> = paths_too.collect();
        let cases: [(&str, Vec<OsString>); 4] = [
            ("--preset is not UTF-8: \"quick\u{fffd}\"", vec!["--preset".into(), bytes(b"quick\xff")]),
            ("--set is not UTF-8: \"a=\u{fffd}\"", vec!["--set".into(), bytes(b"a=\xe9")]),
            ("--query is not UTF-8: \"A\u{fffd}\"", vec![bytes(b"--query=A\xe9")]),
            ("--seed is not UTF-8: \"\u{fffd}\"", vec!["--seed".into(), bytes(b"\xe9")]),
        ];
        for (expected, arguments) in cases {
            let output = preftune(folder.path(), &[paths_too.clone(), arguments].concat());
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }
}
