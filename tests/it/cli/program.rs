//! The program as a person runs it: its output, its errors, and the files that it leaves.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::numerics::devices;

fn preftune(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_preftune"))
        .args(["--quiet", "--device", "ndarray"])
        .args(arguments)
        .current_dir(folder)
        .envs(devices::TRY_FEW_KERNELS)
        .output()
        .unwrap()
}

/// Returns the exit code and the text on stderr, which must hold an error and a hint.
fn failure(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = preftune(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("error: ") && text.contains("hint: "), "{text}");
    assert!(output.stdout.is_empty(), "data on stdout of a failure");
    (output.status.code().unwrap(), text)
}

/// Copies the shipped model into the folder.
fn copied_model(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/storyteller");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(shipped.join(file), folder.join(file)).unwrap();
    }
}

/// `script`, of util-linux, runs a command on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_quiet_command_leaves_nothing_but_its_result_on_a_terminal() {
    let sample = "sample --query 'The old captain' -n 1";
    let program = env!("CARGO_BIN_EXE_preftune");
    let run = |command: String| {
        let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().expect("util-linux");
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    };
    let alone = preftune(Path::new("."), &["sample", "--query", "The old captain", "-n", "1"]);
    let on_terminal = run(format!("{program} --quiet --device ndarray {sample}"));
    assert_eq!(on_terminal, String::from_utf8(alone.stdout).unwrap());
    // A bar that is shown is drawn on the terminal, or the test would not notice a stray one.
    let shown = run(format!("{program} --device ndarray sample --query 'The old captain' -n 400"));
    assert!(shown.contains("responses"), "{shown}");
}

#[test]
fn a_device_that_does_not_exist_is_named_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--device", "quantum"]);
    assert_eq!(code, 3);
    assert!(text.contains("no device \"quantum\"") && text.contains("flex"), "{text}");
}

#[test]
fn a_model_that_is_not_there_is_a_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--model", "nowhere"]);
    assert_eq!(code, 4);
    assert!(text.contains("nowhere: no such model"), "{text}");
}

#[test]
fn a_truncated_weights_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    copied_model(folder.path());
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--model", "."]);
    assert_eq!(code, 4);
    assert!(text.contains("model.safetensors: not a readable safetensors file"), "{text}");
}

#[test]
fn a_config_that_disagrees_with_the_weights_is_named_with_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    copied_model(folder.path());
    let path = folder.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap().replace("\"n_embd\": 256", "\"n_embd\": 128");
    fs::write(&path, config).unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--model", "."]);
    assert_eq!(code, 4);
    assert!(text.contains("transformer.wte.weight has the shape [4096, 256]"), "{text}");
}

#[test]
fn an_empty_queries_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.txt"), "\n\n").unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--queries", "empty.txt"]);
    assert_eq!(code, 4);
    assert!(text.contains("empty.txt"), "{text}");
}

#[test]
fn a_comparison_that_is_not_json_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"{"query":"A.","responses":[" b."," c."],"best":0}"#;
    fs::write(folder.path().join("labels.jsonl"), format!("{good}\nnot json\n{good}\n")).unwrap();
    let (code, text) = failure(folder.path(), &["train-reward", "labels.jsonl", "--out", "reward"]);
    assert_eq!(code, 4);
    assert!(text.contains("labels.jsonl:2: "), "{text}");
    assert!(!folder.path().join("reward").exists());
}

#[test]
fn a_token_that_the_model_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    copied_model(folder.path());
    let path = folder.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap().replace("\"vocab_size\": 4096", "\"vocab_size\": 4000");
    fs::write(&path, config).unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--model", "."]);
    assert_eq!(code, 4);
    assert!(text.contains("has id 4095, unknown to a model of 4000 tokens"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_above_the_limit_on_the_size_of_files_leaves_nothing_half_written() {
    let (text, left) = fit_with_checkpoints("sh", "ulimit -f 8192");
    assert!(text.contains("cannot write run/checkpoints") && text.contains("File too large"), "{text}");
    assert!(text.contains("hint: raise the limit on the size of files"), "{text}");
    assert_eq!(left, "", "files of a checkpoint that was not finished");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_its_numbers_and_leaves_the_checkpoints_before() {
    if !may_mount() {
        return;
    }
    let mount = |size| format!("mount -t tmpfs -o size={size} none run");
    let (text, left) = fit_with_checkpoints("unshare -rm sh", &mount("6m"));
    assert!(text.contains("the checkpoints to come (2 are kept while the next is written) take 153.9 MB"), "{text}");
    assert!(text.contains(" MB are free in run") && text.contains("hint: free some disk space"), "{text}");
    assert_eq!(left, "");
    // Another program fills the disk during the run.
    let until_then =
        "n=0; until [ -d run/checkpoints/step-000001 ] || [ $n = 2000 ]; do sleep 0.01; n=$((n + 1)); done";
    let other = format!("({until_then}; head -c 100m /dev/zero > run/other) > /dev/null 2>&1 &");
    let (text, left) = fit_with_checkpoints("unshare -rm sh", &format!("{} && {{ {other} }}", mount("170m")));
    assert!(text.contains("cannot write run/checkpoints") && text.contains("No space left on device"), "{text}");
    assert!(text.contains(" MB, and ") && text.contains("hint: free some disk space"), "{text}");
    assert!(left.contains("manifest.json") && !left.contains("tmp"), "{left}");
}

/// The remains of a killed run are removed before the free space is checked, and a finished run needs no
/// space.
#[cfg(target_os = "linux")]
#[test]
fn a_run_on_an_almost_full_disk_goes_on_and_a_finished_one_is_finished() {
    if !may_mount() {
        return;
    }
    let train = fit_command("--set reward.checkpoint_every_steps=20");
    let left_by_a_kill = "mkdir -p run/checkpoints/.step-000003.tmp-1 && \
        head -c 60m /dev/zero > run/checkpoints/.step-000003.tmp-1/model.bpk";
    let fill = "rm -r reward && head -c 50m /dev/zero > run/other";
    let script =
        format!("mount -t tmpfs -o size=170m none run && {left_by_a_kill} && {train} && {train} && {fill} && {train}");
    let folder = folder_with_labels();
    let output =
        Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("reward/heads.safetensors").exists());
}

#[cfg(target_os = "linux")]
fn may_mount() -> bool {
    let may = Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|out| out.status.success());
    if !may {
        println!("no file system may be mounted here, so that none can be full");
    }
    may
}

/// Makes a folder with labels for a reward model, and an empty `run`.
#[cfg(target_os = "linux")]
fn folder_with_labels() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = |number| format!("{{\"query\":\"Door {number}.\",\"responses\":[\" b.\",\" c.\"],\"best\":0}}\n");
    fs::write(folder.path().join("labels.jsonl"), (0..24).map(line).collect::<String>()).unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    folder
}

#[cfg(target_os = "linux")]
fn fit_command(settings: &str) -> String {
    let program = env!("CARGO_BIN_EXE_preftune");
    let settings = format!("--set reward.normalize_samples=4 --set reward.batch_size=1 {settings}");
    format!("{program} --quiet --device ndarray train-reward labels.jsonl {settings} --run run --out reward")
}

/// Trains a reward model after the shell command `before`, and returns the text on stderr and the checkpoint
/// files that are left.
#[cfg(target_os = "linux")]
fn fit_with_checkpoints(shell: &str, before: &str) -> (String, String) {
    let folder = folder_with_labels();
    let train = fit_command("--set reward.checkpoint_every_steps=1");
    let script = format!("{before} && {train}; code=$?; find run/checkpoints -mindepth 1; exit $code");
    let mut words = shell.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!folder.path().join("reward").exists());
    (text, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_comparison_without_a_query_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let line = |query: &str| format!("{{\"query\":\"{query}\",\"responses\":[\" b.\",\" c.\"],\"best\":0}}\n");
    fs::write(folder.path().join("labels.jsonl"), line("A.") + &line(" ")).unwrap();
    let (code, text) = failure(folder.path(), &["train-reward", "labels.jsonl", "--out", "reward"]);
    assert_eq!(code, 4);
    assert!(text.contains("labels.jsonl:2: the query is blank"), "{text}");
}

#[test]
fn a_reward_model_for_other_tokens_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/exported");
    let one = r#"{"query":"A door.","responses":[" b."," c."],"best":0}"#;
    fs::write(folder.path().join("labels.jsonl"), format!("{one}\n{}\n", one.replace("door", "dog"))).unwrap();
    let fit = ["train-reward", "labels.jsonl", "--model", other.to_str().unwrap(), "--out", "reward"];
    let small = ["--set", "task.query_length_tokens=8", "--set", "task.response_length_tokens=8"];
    let output = preftune(folder.path(), &[fit.as_slice(), &small].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (code, text) = failure(folder.path(), &["train-policy", "--reward", "reward", "--out", "policy"]);
    assert_eq!(code, 4);
    assert!(text.contains("have different tokenizers"), "{text}");
}

#[test]
fn models_with_other_tokens_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/exported");
    let (code, text) = failure(folder.path(), &["eval", "--model", other.to_str().unwrap()]);
    assert_eq!(code, 4);
    assert!(text.contains("another tokenizer") && text.contains("--baseline"), "{text}");
}

#[test]
fn a_context_longer_than_the_model_reads_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("book.txt"), "The sea was grey. ".repeat(500)).unwrap();
    let arguments =
        ["pretrain", "book.txt", "--model", "storyteller", "--out", "m", "--set", "pretrain.context_tokens=300"];
    let (code, text) = failure(folder.path(), &arguments);
    assert_eq!(code, 2);
    assert!(text.contains("the model reads 256 tokens at most, not 300"), "{text}");
}

#[test]
fn what_only_graphics_adapters_have_is_not_ignored_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--device", "flex:1"]);
    assert_eq!(code, 3);
    assert!(text.contains("flex:1"), "{text}");
}

#[test]
fn a_run_folder_that_a_command_does_not_use_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["sample", "presets", "doctor"] {
        let (code, text) = failure(folder.path(), &[command, "--run", "runs/mine"]);
        assert!(code == 2 && text.contains("this command has no run folder"), "{command}: {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn nothing_to_measure_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["--batch", "--query", "--response", "--reps"] {
        assert_eq!(preftune(folder.path(), &["bench", option, "0"]).status.code(), Some(2), "{option}");
    }
}

/// Every kernel that is sent to a GPU takes time, and so does every read that waits for it.
#[test]
fn bench_counts_what_it_asks_of_a_graphics_adapter() {
    if devices::wgpu().is_none() {
        return;
    }
    const LAYERS: u64 = 2;
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/exported");
    let arguments = "bench --device wgpu --batch 2 --query 4 --response 5 --reps 1 --json --model";
    let arguments: Vec<&str> = arguments.split(' ').chain(model.to_str()).collect();
    let output = preftune(folder.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let measured: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let asked = |what: &str, of: &str| measured["requests"][what][of].as_u64().unwrap();
    // A decoding step of separate small operations would take 65 kernels for each layer and 27 besides.
    let dispatches = asked("decoding_step", "dispatches");
    assert!((10 * LAYERS..20 * LAYERS + 20).contains(&dispatches), "{dispatches} dispatches a decoding step");
    assert_eq!(asked("decoding_step", "readbacks"), 0);
    // The reads are the sampled tokens and the results of two scorings.
    assert_eq!(asked("update", "readbacks"), 3);
}

/// Burn rebuilds optimizer states on its default device, which is a GPU.
#[cfg(target_os = "linux")]
#[test]
fn going_on_from_a_checkpoint_needs_no_graphics_driver() {
    let folder = tempfile::tempdir().unwrap();
    // These files are found before the real libraries, but are no libraries.
    for library in ["libvulkan.so.1", "libvulkan.so", "libEGL.so.1", "libEGL.so"] {
        fs::write(folder.path().join(library), "").unwrap();
    }
    fs::write(folder.path().join("book.txt"), "The sea was grey. ".repeat(500)).unwrap();
    let one = r#"{"query":"A door.","responses":[" b."," c."],"best":0}"#;
    fs::write(folder.path().join("labels.jsonl"), format!("{one}\n{}\n", one.replace("door", "dog"))).unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.args(["--quiet", "--device", "ndarray"]).args(arguments.split(' '));
        let output = command.current_dir(folder.path()).env("LD_LIBRARY_PATH", folder.path()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run("doctor").contains("graphics adapters:\n  none"), "a driver was found all the same");
    let small = "--set pretrain.vocabulary_size=300 --set pretrain.layers=1 --set pretrain.width=16";
    let pretrain = format!("pretrain book.txt --run run --out m {small} --set pretrain.context_tokens=16");
    run(&format!("{pretrain} --set pretrain.steps=2"));
    run(&format!("{pretrain} --set pretrain.steps=4"));
    let train_reward = "train-reward labels.jsonl --run reward --out r --set reward.normalize_samples=4";
    run(train_reward);
    run(train_reward);
}

#[test]
fn an_unknown_setting_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = failure(folder.path(), &["sample", "--query", "A.", "--set", "task.temprature=1"]);
    assert_eq!(code, 2);
    assert!(text.contains("temperature"), "{text}");
}

#[test]
fn a_run_folder_is_not_reused_for_other_work() {
    let folder = tempfile::tempdir().unwrap();
    let label = |seed: &str| {
        let few = ["--set", "labels.comparisons=2", "--run", "run"];
        preftune(folder.path(), &[&["label", "--simulated", "--seed", seed], &few[..]].concat())
    };
    assert!(label("1").status.success());
    let second = label("2");
    assert_eq!(second.status.code(), Some(2), "{}", String::from_utf8_lossy(&second.stderr));
}

#[test]
fn a_run_folder_in_which_nothing_was_done_is_free_for_other_work() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    fs::write(folder.path().join("run/begun-for.txt"), "label\nseed 7\n").unwrap();
    let output = preftune(folder.path(), &["label", "--simulated", "--set", "labels.comparisons=2", "--run", "run"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_run_folder_notices_that_an_input_file_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let label = || {
        let few = ["--queries", "queries.txt", "--set", "labels.comparisons=2", "--run", "run"];
        preftune(folder.path(), &[&["label", "--simulated"], &few[..]].concat())
    };
    fs::write(folder.path().join("queries.txt"), "The door opened.\n").unwrap();
    assert!(label().status.success());
    assert!(label().status.success());
    fs::write(folder.path().join("queries.txt"), "The door was shut.\n").unwrap();
    assert_eq!(label().status.code(), Some(2));
}

#[test]
fn the_demo_at_its_smallest_makes_a_model_that_is_preferred() {
    let folder = tempfile::tempdir().unwrap();
    let output = preftune(folder.path(), &["demo", "--quick", "--json", "--run", "demo"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| result.get(name).and_then(serde_json::Value::as_f64).unwrap();
    assert!(number("win_rate") > 0.5, "{result}");
    assert!(number("score_after") > number("score_before"), "{result}");
    assert_eq!(result["resumed"], false, "{result}");
    assert!(result["label_ties"]["judged"].as_u64() > Some(0), "{result}");
    let report = fs::read_to_string(folder.path().join("demo/report.html")).unwrap();
    assert!(report.contains("<svg") && !report.contains("<script"));
    assert!(folder.path().join("demo/policy/model/model.safetensors").exists());
    the_tuned_model_meets_others(folder.path());
}

/// Compares the tuned model with supervised training on the same choices and with the best of four by the
/// reward model.
fn the_tuned_model_meets_others(folder: &Path) {
    let json = |arguments: &str| -> serde_json::Value {
        let output = preftune(folder, &arguments.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let sft = json("sft demo/comparisons.jsonl --preset quick --json --run sft --out sft/model");
    let loss = |name: &str| sft[name].as_f64().unwrap();
    assert!(loss("held_out_loss") < loss("held_out_loss_before"), "{sft}");
    let contestants = "--model demo/policy/model --baseline storyteller --baseline sft/model --best-of 4";
    let eval = format!("eval {contestants} --reward demo/reward/model --preset quick --json --run demo");
    let outcome = json(&format!("{eval} --pairs pairs.jsonl"));
    let contests = outcome["contests"].as_array().unwrap();
    let pairs: u64 = contests.iter().map(|contest| contest["pairs"].as_u64().unwrap()).sum();
    assert_eq!((contests.len() as u64, pairs), (3, 3 * contests[0]["pairs"].as_u64().unwrap()));
    let [_, zero_shot, sft, best_of_4] = outcome["contestants"].as_array().unwrap().as_slice() else {
        panic!("{outcome}")
    };
    assert_eq!(best_of_4["name"], "best of 4 of storyteller");
    assert!(best_of_4["score"].as_f64() > zero_shot["score"].as_f64(), "{outcome}");
    assert!(zero_shot["kl"].as_f64().unwrap().abs() < 1e-3 && sft["kl"].as_f64().unwrap() > 0.0, "{outcome}");
    let lines = fs::read_to_string(folder.join("pairs.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, pairs);
    let everybody = json(&format!("{eval} --by-reward --all-pairs"));
    assert_eq!(everybody["contests"].as_array().unwrap().len(), 6);
    assert_eq!(everybody["labeler"], "the reward model");
}

#[test]
fn the_papers_first_table_comes_out_of_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let table = |labels: usize| {
        let labels = format!("labels.comparisons={labels}");
        let small = ["--set", "policy.updates=2", "--set", "eval.pairs=20", "--set", &labels];
        preftune(folder.path(), &[&["demo", "--table", "--quick", "--json", "--run", "table"], &small[..]].concat())
    };
    let too_few = table(8);
    assert_eq!(too_few.status.code(), Some(2), "{}", String::from_utf8_lossy(&too_few.stderr));
    let result = || -> serde_json::Value { serde_json::from_slice(&table(64).stdout).unwrap() };
    let first = result();
    let names = |field: &str, name: &str| -> Vec<String> {
        first[field].as_array().unwrap().iter().map(|one| one[name].to_string()).collect()
    };
    let others = [
        "zero-shot",
        "supervised on 64 labels",
        "best of 4 by the reward model",
        "tuned on 16 labels",
        "tuned on 4 labels",
    ];
    assert_eq!(names("contests", "baseline"), others.map(|name| format!("{name:?}")));
    assert_eq!(names("contests", "candidate"), vec!["\"tuned on 64 labels\""; 5]);
    assert_eq!(names("reward_models", "labels"), ["64", "16", "4"]);
    let report = fs::read_to_string(folder.path().join("table/report.html")).unwrap();
    assert!(others.iter().all(|name| report.contains(name)), "{report}");
    // The second call uses the models that were trained in the first.
    assert_eq!(result()["contests"], first["contests"]);
    assert_eq!(table(128).status.code(), Some(2), "the same folder with other labels");
}
