//! `label` as people use it: keys at a terminal, and the labels that are left when the program is killed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use preftune::data::comparisons::{Comparison, Record, parse_comparisons, parse_records};

fn label(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
    command.args(["label", "--device", "flex", "--out", "labels.jsonl"]).args(arguments.split_whitespace());
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn at_terminal(folder: &Path, keys: &str, arguments: &str) -> (Output, String) {
    let mut child = label(folder, &format!("--terminal --name ada {arguments}")).spawn().unwrap();
    child.stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stderr.clone()).unwrap();
    (output, shown)
}

fn comparisons(folder: &Path) -> Vec<Comparison> {
    parse_comparisons(&fs::read_to_string(folder.join("labels.jsonl")).unwrap(), Path::new("labels.jsonl")).unwrap()
}

#[test]
fn keys_at_a_terminal_choose_skip_undo_and_quit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = "--set labels.comparisons=3 --set labels.repeated_fraction=0 --instructions descriptiveness";
    // The keys are no key, the first response, a skip, cannot tell, undo, the fourth response, and quit.
    let (output, shown) = at_terminal(folder, "x9 1s0u4q", settings);
    assert!(output.status.success(), "{shown}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 comparisons in labels.jsonl\n");
    assert!(shown.contains("vividly descriptive") && shown.contains("1 of 3 labels, 1 yours, "), "{shown}");
    let labels = comparisons(folder);
    assert_eq!(labels.iter().map(|one| one.labeler.as_str()).collect::<Vec<_>>(), ["ada", "ada"]);
    assert_eq!((labels[0].best, labels[1].best), (labels[0].order[0], labels[1].order[3]));
    assert!(labels[0].ms.is_some() && labels[0].at.is_some() && labels[0].policy == "storyteller");
    let first = labels[0].responses[labels[0].order[0]].trim().replace('\n', "\n  ");
    assert!(shown.contains(&format!("\n1 {first}\n")), "{shown}");
    let records = parse_records(&fs::read_to_string(folder.join("labels.jsonl")).unwrap(), Path::new("l")).unwrap();
    assert!(matches!(records[..], [Record::Judged(_), Record::Undecided(_), Record::Undone(_), Record::Judged(_)]));

    // In the next session, the skipped question comes again, and the session ends after the last question.
    let (output, _) = at_terminal(folder, "2222", settings);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 comparisons in labels.jsonl\n");
    let labels = comparisons(folder);
    assert_eq!(labels.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["1-0", "1-2", "1-1"]);
}

#[test]
fn people_are_asked_the_same_questions_as_the_simulated_labeler() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = "--set labels.comparisons=5 --set labels.repeated_fraction=0";
    at_terminal(folder, "11111", settings);
    let people = comparisons(folder);
    fs::remove_file(folder.join("labels.jsonl")).unwrap();
    assert!(label(folder, &format!("--simulated {settings}")).output().unwrap().status.success());
    let simulated = comparisons(folder);
    let asked = |one: &Comparison| (one.id.clone(), one.query.clone(), one.responses.clone(), one.order.clone());
    assert_eq!(people.iter().map(asked).collect::<Vec<_>>(), simulated.iter().map(asked).collect::<Vec<_>>());
}

/// A running program with a page, and a client that answers.
#[cfg(feature = "web")]
pub struct Running {
    pub program: std::process::Child,
    address: String,
    cookie: String,
    /// Client that keeps its connection from one request to the next, as a browser does.
    agent: ureq::Agent,
}

#[cfg(feature = "web")]
impl Running {
    pub fn start(mut command: Command) -> Self {
        use std::io::{BufRead, BufReader};
        let mut program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("open ")).unwrap();
        // The rest of stderr is read, so that the program never blocks on its messages.
        std::thread::spawn(move || lines.for_each(drop));
        let (address, token) = line["open ".len()..].split_once("/?token=").unwrap();
        let port = address.rsplit(':').next().unwrap();
        let agent = ureq::Agent::new_with_defaults();
        Self { program, address: address.into(), cookie: format!("preftune-{port}={token}"), agent }
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub fn post(&self, path: &str, body: &serde_json::Value) -> serde_json::Value {
        let send = || {
            let request = self.agent.post(format!("{}{path}", self.address)).header("origin", &self.address);
            let request = request.header("cookie", &self.cookie).content_type("application/json");
            request.send(body.to_string())
        };
        let mut sent = send();
        // With many connections, one may end before it was served. The page then sends again, as people do.
        // An answer that comes twice counts once.
        for _ in 0..20 {
            if !matches!(sent, Err(ureq::Error::Io(_))) || !["/api/next", "/api/answer"].contains(&path) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            sent = send();
        }
        let text = sent.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Answers questions until `count` answers were acknowledged.
    pub fn answer(&self, count: usize) -> usize {
        let next = || self.post("/api/next", &serde_json::json!({"labeler": "ada"}));
        let mut view = next();
        let mut acknowledged = 0;
        let mut last = std::time::Instant::now();
        while acknowledged < count {
            let Some(id) = view["question"]["id"].as_str() else {
                assert!(last.elapsed().as_secs() < 120, "no question comes: {view}");
                std::thread::sleep(std::time::Duration::from_millis(20));
                view = next();
                continue;
            };
            last = std::time::Instant::now();
            let count = view["question"]["responses"].as_array().unwrap().len();
            let body = serde_json::json!({"labeler": "ada", "id": id, "choice": acknowledged % count, "ms": 1});
            view = self.post("/api/answer", &body);
            acknowledged += 1;
        }
        acknowledged
    }
}

#[cfg(feature = "web")]
#[test]
fn no_label_of_a_thousand_is_lost_when_the_program_is_killed_straight_after_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut acknowledged = 0;
    for sitting in [1, 7, 100, 392, 500] {
        let mut running =
            Running::start(label(folder, "--set labels.comparisons=3000 --set task.response_length_tokens=8"));
        acknowledged += running.answer(sitting);
        // On Unix this is SIGKILL, after which the system still writes what it was given. After a power cut,
        // the answers are on the disk because of `sync_data` before each acknowledgment.
        running.program.kill().unwrap();
        running.program.wait().unwrap();
        assert_eq!(comparisons(folder).len(), acknowledged);
    }
    assert_eq!(acknowledged, 1000);
    let labels = comparisons(folder);
    let again = labels.iter().filter(|one| one.id.contains("-again-")).count();
    assert!((20..90).contains(&again), "{again} of 1000 questions were asked again");
}

#[cfg(feature = "web")]
#[test]
fn people_judge_two_models_blind_and_go_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        command.args([
            "eval",
            "--model",
            "storyteller",
            "--ask",
            "--device",
            "flex",
            "--json",
            "--set",
            "eval.pairs=6",
        ]);
        command.args(["--pairs", "pairs.jsonl"]).current_dir(folder);
        command
    };
    let mut running = Running::start(command());
    running.answer(3);
    running.program.kill().unwrap();
    running.program.wait().unwrap();
    let running = Running::start(command());
    // Bob takes a question and never answers, so that Ada gets it at last.
    while running.post("/api/next", &serde_json::json!({"labeler": "bob"}))["state"] != "question" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ada = serde_json::json!({"labeler": "ada"});
    running.answer(2);
    running.post("/api/undo", &ada);
    let view = running.post("/api/next", &ada);
    let tie = serde_json::json!({"labeler": "ada", "id": view["question"]["id"], "choice": null, "ms": 1});
    running.post("/api/answer", &tie);
    running.answer(1);
    let output = running.program.wait_with_output().unwrap();
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let contest = &outcome["contests"][0];
    assert_eq!((&contest["pairs"], &contest["ties"], &outcome["labeler"]), (&6.into(), &1.into(), &"people".into()));
    // The choices are the first, the second, the first, the first, a tie and the first: four of five for the
    // response shown first.
    assert_eq!(contest["first_shown_rate"], (4.0 + 0.5) / 6.0);
    let judgments = fs::read_to_string(folder.join("judgments.jsonl")).unwrap();
    assert!(!judgments.contains("storyteller") && !judgments.contains("\"policy\""), "not blind: {judgments}");
    assert_eq!(fs::read_to_string(folder.join("pairs.jsonl")).unwrap().lines().count(), 6);

    let output = command().output().unwrap();
    assert_eq!(output.status.code(), Some(2), "pairs are not written over");
    fs::remove_file(folder.join("pairs.jsonl")).unwrap();

    // Pairs that were judged are not asked again when more are wanted: a second contest takes six more.
    let mut more = command();
    more.args(["--baseline", "storyteller", "--baseline", "storyteller"]);
    let running = Running::start(more);
    running.answer(6);
    let output = running.program.wait_with_output().unwrap();
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_each = |field: &str| [0, 1].map(|contest: usize| outcome["contests"][contest][field].as_u64().unwrap());
    assert_eq!((of_each("pairs"), of_each("ties")), ([6, 6], [1, 0]));
}

#[cfg(feature = "web")]
#[test]
fn labelling_in_a_browser_ends_when_all_labels_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(label(folder.path(), "--quiet --json --set labels.comparisons=12 --port 0"));
    running.answer(12);
    let output = running.program.wait_with_output().unwrap();
    assert!(output.status.success());
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["comparisons"], 12);

    // No page is opened when all labels are there.
    let again = label(folder.path(), "--set labels.comparisons=12").output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && !said.contains("open http") && said.contains("all 12 labels are made"), "{said}");
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("12 comparisons in "));
}
