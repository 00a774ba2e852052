//! Extreme values of each setting and argument: each is refused, or the command stays within the memory that
//! it announced and can be stopped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use preftune::config::{Config, Range, Setting, bounds_of, settings};
use preftune::lm::Precision;
use preftune::platform::{Interrupt, Mode};
use preftune::reward::RewardModel;
use preftune::stages::Continuations;
use preftune::task::Task;

use crate::numerics::devices;
use crate::support::tiny;

/// Memory that a command may take beyond its estimate.
const MEMORY_TOLERANCE_MB: u64 = 500;

/// Memory that a command without an estimate may take, the tolerance included.
const SMALL_MB: u64 = 600;

/// Small values of all settings, so that one of them can be large.
const BASE: &str = "
task = { query_length_tokens = 12, response_length_tokens = 8 }
labels.comparisons = 4
reward = { batch_size = 4, normalize_samples = 8 }
policy = { updates = 2, batch_size = 4, kl.horizon_episodes = 10 }
health = { largest_kl = 1e9, smallest_entropy = 0, most_repetition = 1, least_above_chance = -1 }
train.rounds = 1
eval.pairs = 4
pretrain = { vocabulary_size = 300, layers = 1, width = 16, heads = 2, context_tokens = 8, batch_size = 2, steps = 2 }
sft.epochs = 1
";

/// Commands by name, with the arguments that they need.
const COMMANDS: &[(&str, &str)] = &[
    ("sample", "sample --model model --queries queries.txt -n 2"),
    ("label", "label --simulated --model model --queries queries.txt --out OUT.jsonl"),
    ("train-reward", "train-reward comparisons.jsonl --model model --run OUT --out OUT/out"),
    ("train-policy", "train-policy --reward reward --model model --queries queries.txt --run OUT --out OUT/out"),
    ("train", "train --model model --queries queries.txt --run OUT --out OUT/out"),
    ("pretrain", "pretrain book.txt --run OUT --out OUT/out"),
    ("sft", "sft comparisons.jsonl --model model --run OUT --out OUT/out"),
    ("eval", "eval --model model --baseline model --queries queries.txt --reward reward"),
];

/// Returns the commands that read a setting, the quickest first.
fn readers(key: &str) -> &'static [&'static str] {
    match key.split('.').next().unwrap() {
        "task" if key.ends_with("penalty_score") => &["train-policy", "eval", "train"],
        "task" => &["sample", "label", "train-reward", "train-policy", "train", "sft", "eval"],
        "labels" if key.ends_with("held_out_fraction") => &["train-reward", "sft", "train"],
        "labels" => &["label", "train"],
        "reward" => &["train-reward", "train"],
        "policy" => &["train-policy", "train"],
        "health" => &["train-policy", "train"],
        "train" => &["train"],
        "pretrain" => &["pretrain"],
        "sft" => &["sft"],
        "eval" => &["eval"],
        section => panic!("no command reads [{section}]: name one here"),
    }
}

/// Exit code, peak memory, time and messages of a command.
#[derive(Debug)]
struct Ended {
    what: String,
    /// Exit code; `None` for a command that a signal killed.
    code: Option<i32>,
    peak_mb: u64,
    seconds: f64,
    interrupted: bool,
    stderr: String,
}

/// Makes a folder with all files that the commands read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let device = devices::flex();
    let model = tiny::language_model(1, &device);
    let write = |name: &str, files: Vec<(String, Vec<u8>)>| {
        fs::create_dir(folder.path().join(name)).unwrap();
        files.iter().for_each(|(file, bytes)| fs::write(folder.path().join(name).join(file), bytes).unwrap());
    };
    write("model", model.to_files(Precision::F32).unwrap());
    let reward = RewardModel::new(model.transformer.clone(), tiny::head(model.config(), 2, &device));
    write("reward", reward.to_files(&model).unwrap());
    let line = |number: usize| {
        format!("{{\"query\":\"House {number} stood.\",\"responses\":[\" The sea.\",\" It was grey.\"],\"best\":0}}\n")
    };
    fs::write(folder.path().join("comparisons.jsonl"), (0..24).map(line).collect::<String>()).unwrap();
    fs::write(folder.path().join("queries.txt"), "The old house stood.\nThe sea was grey.\n").unwrap();
    fs::write(folder.path().join("book.txt"), "The old house stood by the sea. The sea was grey. ".repeat(200))
        .unwrap();
    fs::write(folder.path().join("base.toml"), BASE).unwrap();
    folder
}

/// Runs the program, and interrupts it after `patience` as Ctrl-C does.
fn run(folder: &Path, what: String, arguments: &[String], patience: Duration) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_preftune"))
        .args(["--device", "flex"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let (mut peak_mb, mut interrupted) = (0, false);
    let code = loop {
        peak_mb = peak_mb.max(peak_of(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if started.elapsed() > patience && !interrupted {
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            interrupted = true;
        }
        if started.elapsed() > patience + Duration::from_secs(60) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = started.elapsed().as_secs_f64();
    reading.join().unwrap();
    Ended { what, code, peak_mb, seconds, interrupted, stderr: errors.join().unwrap() }
}

/// Returns the peak memory of a process so far, in MB.
fn peak_of(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1000
}

impl Ended {
    /// Returns what the command did wrong.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let expected: &[i32] = if self.interrupted { &[130, 0, 1] } else { &[0, 1, 2, 4] };
        if !self.code.is_some_and(|code| expected.contains(&code)) {
            faults.push(format!("ended with {:?}", self.code));
        }
        if self.stderr.contains("panicked") || self.stderr.contains("memory allocation") {
            faults.push("panicked".into());
        }
        if matches!(self.code, Some(1 | 2 | 4)) && !self.stderr.contains("error: ") {
            faults.push("gives no reason".into());
        }
        let announced = self.announced_mb().map_or(SMALL_MB, |mb| mb + MEMORY_TOLERANCE_MB);
        if self.peak_mb > announced {
            faults.push(format!("took {} MB of {announced}", self.peak_mb));
        }
        faults
    }

    /// Returns the largest memory estimate that the command printed, in MB.
    fn announced_mb(&self) -> Option<u64> {
        let estimates = self.stderr.split("memory: about ").skip(1);
        estimates.filter_map(|rest| rest.split(' ').next()?.parse().ok()).max()
    }
}

/// Returns the extreme values that a setting accepts, as `--set` takes them.
fn accepted_extremes(setting: &Setting) -> Vec<String> {
    let Some(bounds) = &setting.bounds else {
        let switch = ["true", "false"].map(String::from);
        return if setting.choices.is_empty() { switch.into() } else { setting.choices.clone() };
    };
    match bounds.range {
        Range::Whole(least, most) => vec![most.to_string(), least.to_string()],
        Range::Number(least, most) => vec![format!("{most:e}"), format!("{least:e}")],
        Range::Inside(low, high) => vec![format!("{:e}", high - 1e-9), format!("{:e}", low + 1e-9)],
        Range::Bytes(least, most) => vec![format!("\"{}\"", "e".repeat(most)), format!("\"{}\"", "e".repeat(least))],
    }
}

/// Returns values beyond the bounds of a setting, all in valid syntax.
fn refused_extremes(key: &str) -> Vec<String> {
    let Some(bounds) = bounds_of(key) else { return Vec::new() };
    match bounds.range {
        Range::Whole(least, most) => {
            let beyond =
                [(most + 1).to_string(), "-1".into(), i64::MAX.to_string(), u64::MAX.to_string(), "1e3".into()];
            beyond.into_iter().chain((least > 0).then(|| (least - 1).to_string())).collect()
        }
        Range::Number(least, most) => {
            let below = if least < 0.0 { least * 1.001 } else { -1e-300 };
            let always = ["nan", "inf", "-inf", "1e308", "-1e308", "-1e38"].map(String::from);
            let tiny = ["1e-308", "0", "-0.0"].into_iter().filter(|_| least > 0.0).map(String::from);
            always.into_iter().chain(tiny).chain([format!("{:e}", most * 1.001), format!("{below:e}")]).collect()
        }
        Range::Inside(..) => ["nan", "inf", "0", "1", "-0.0", "-1", "1e308"].map(String::from).into(),
        Range::Bytes(least, most) => {
            let empty = (least > 0).then(|| "\"\"".to_string());
            empty.into_iter().chain([most + 1, 1 << 20].map(|bytes| format!("\"{}\"", "e".repeat(bytes)))).collect()
        }
    }
}

#[test]
fn what_is_beyond_its_bounds_is_wrong_usage_that_names_the_setting() {
    for setting in settings() {
        for value in refused_extremes(&setting.key) {
            let shown: String = value.chars().take(40).collect();
            let error = Config::layered(&[], &[format!("{}={value}", setting.key)]).expect_err(&shown);
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains(&setting.key) && text.len() < 500, "{text}");
            let range = setting.bounds.as_ref().unwrap().range.to_string();
            assert!(text.contains(&range), "{}={shown}: {text}", setting.key);
        }
        for value in accepted_extremes(setting) {
            // The value may contradict the default of another setting.
            if let Err(error) = Config::layered(&[], &[format!("{}={value}", setting.key)]) {
                assert!(error.exit_code() == 2 && error.to_string().contains("it must be"), "{error}");
            }
        }
    }
}

/// Runs all cases, and interrupts each after `patience`.
fn run_all(cases: Vec<(String, Vec<String>)>, patience: Duration) -> Vec<Ended> {
    let folder = folder();
    let (next, ended) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((what, arguments)) = cases.get(number) else { break };
                    let out = |argument: &String| argument.replace("OUT", &format!("out-{number}"));
                    let arguments: Vec<String> = arguments.iter().map(out).collect();
                    let one = run(folder.path(), what.clone(), &arguments, patience);
                    fs::remove_dir_all(folder.path().join(format!("out-{number}"))).ok();
                    ended.lock().unwrap().push(one);
                }
            });
        }
    });
    ended.into_inner().unwrap()
}

fn case(command: &str, set: &str) -> (String, Vec<String>) {
    let (_, line) = COMMANDS.iter().find(|(name, _)| *name == command).unwrap();
    let arguments = line.split(' ').chain(["--config", "base.toml", "--set", set]).map(String::from);
    (format!("{command} {}", set.chars().take(60).collect::<String>()), arguments.collect())
}

fn check(ended: &[Ended]) {
    let faults: Vec<String> = ended
        .iter()
        .filter(|one| !one.faults().is_empty())
        .map(|one| format!("{}: {}\n{}", one.what, one.faults().join("; "), one.stderr))
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), ended.len(), faults.join("\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_largest_value_of_each_setting_is_refused_or_stays_within_the_memory_that_was_announced() {
    let largest = |setting: &Setting| {
        let value = accepted_extremes(setting).remove(0);
        case(readers(&setting.key)[0], &format!("{}={value}", setting.key))
    };
    let mut cases: Vec<_> = settings().iter().filter(|one| one.bounds.is_some()).map(largest).collect();
    cases.extend(arguments());
    check(&run_all(cases, Duration::from_secs(2)));
}

/// Returns commands with extreme arguments.
fn arguments() -> Vec<(String, Vec<String>)> {
    [
        "sample --model model --query The -n 1000000",
        "sample --model model --query The -n 4294967295 --json",
        "sample --model model --query The -n 4294967296",
        "sample --model model --query The -n 0",
        "sample --model model --query The --seed 18446744073709551615",
        "eval --model model --baseline model --queries queries.txt --reward reward --best-of 1024",
        "eval --model model --baseline model --queries queries.txt --reward reward --best-of 1025",
        "bench --model tiny --batch 65536",
        "bench --model tiny --batch 65537",
        "bench --model tiny --query 1048576",
        "bench --model tiny --response 1048576",
        "bench --model tiny --growth --batch 65536",
        "bench --model tiny --reps 18446744073709551615",
        "train --ask --go-on-after 18446744073709551615 --model model --out OUT/out",
        "train --ask --go-on-after 307445734561825861 --model model --out OUT/out",
        "label --model model --port 65536",
    ]
    .into_iter()
    .map(|line| {
        let arguments = line.split(' ').chain(["--config", "base.toml"]).map(String::from);
        (line.to_string(), arguments.collect())
    })
    .collect()
}

/// The available memory decides how many responses are sampled together. It must not change them.
#[test]
fn a_response_depends_on_its_place_and_not_on_what_is_drawn_together() {
    let model = tiny::language_model(1, &devices::flex());
    let settings = Config::layered(&[("base".into(), BASE.into())], &[]).unwrap();
    let task = Task::new(&settings.task, &model).unwrap();
    let queries = ["The old house", "The sea was", "The"].map(String::from);
    let drawn = |rows: usize| {
        let interrupt = Interrupt::new();
        let work = Continuations {
            model: &model,
            task: &task,
            queries: &queries,
            responses: 5,
            seed: 7,
            interrupt,
            progress: Mode::Quiet,
        };
        let mut all: Vec<(String, Vec<Vec<u32>>)> = Vec::new();
        work.sample(rows, |part| {
            if part.is_first {
                all.push((part.query.into(), Vec::new()));
            }
            all.last_mut().unwrap().1.extend(part.responses.to_vec());
            assert_eq!(part.is_last, all.last().unwrap().1.len() == 5);
            Ok(true)
        })
        .unwrap();
        all
    };
    let together = drawn(64);
    assert_eq!(
        together.iter().map(|(query, responses)| (query, responses.len())).collect::<Vec<_>>(),
        queries.iter().map(|query| (query, 5)).collect::<Vec<_>>()
    );
    assert!([1, 2, 5, 7].iter().all(|&rows| drawn(rows) == together));
}

#[test]
fn many_responses_to_a_query_are_one_object_whose_reader_may_leave() {
    let folder = folder();
    let sample = |count: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.args([
            "--device",
            "flex",
            "-q",
            "sample",
            "--model",
            "model",
            "--query",
            "The \"sea\"",
            "--json",
            "-n",
            count,
        ]);
        command.args(["--config", "base.toml"]).current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let output = sample("300").wait_with_output().unwrap();
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((row["query"].as_str(), row["responses"].as_array().unwrap().len()), (Some("The \"sea\""), 300));
    let mut endless = sample("4294967295");
    let mut first = [0; 100];
    endless.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(endless.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "every setting at every extreme in every command that reads it takes two minutes and more"]
fn no_setting_at_an_extreme_takes_the_machine() {
    let mut cases = arguments();
    for setting in settings() {
        let values = accepted_extremes(setting);
        let refused = refused_extremes(&setting.key).into_iter().filter(|value| value.len() < 100_000).take(2);
        for value in values.into_iter().chain(refused) {
            let set = format!("{}={value}", setting.key);
            cases.extend(readers(&setting.key).iter().map(|command| case(command, &set)));
        }
    }
    let mut ended = run_all(cases, Duration::from_secs(8));
    ended.sort_by_key(|one| std::cmp::Reverse(one.peak_mb));
    let mut codes: BTreeMap<Option<i32>, usize> = BTreeMap::new();
    ended.iter().for_each(|one| *codes.entry(one.code).or_default() += 1);
    println!("{} cases, by exit code: {codes:?}", ended.len());
    for one in ended.iter().take(20) {
        let Ended { what, code, peak_mb, seconds, .. } = one;
        let announced = one.announced_mb().map_or("no estimate".into(), |mb| format!("announced {mb}"));
        println!("{peak_mb:>6} MB, {announced}, {seconds:.1} s, exit {code:?}: {what}");
    }
    check(&ended);
}
