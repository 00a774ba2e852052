//! Entries that are left out, shortened or tied are counted and reported; ambiguous entries are refused.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use preftune::config::Config;
use preftune::data::entries::Entries;
use preftune::data::{LeftOut, Reason};
use preftune::reward::{HeldOutAccuracy, NormalizationSamples, RewardData, TokenComparison, split, token_comparisons};
use preftune::task::Task;
use serde_json::{Value, json};

use crate::numerics::devices;
use crate::support::tiny;

fn preftune(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_preftune"))
        .args(["--quiet", "--device", "ndarray", "--json"])
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Returns the lines on stdout as JSON, and the text on stderr.
fn printed(folder: &Path, arguments: &str) -> (Vec<Value>, String) {
    let output = preftune(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
}

fn refused(folder: &Path, arguments: &str) -> String {
    let output = preftune(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    said
}

/// Makes pairs whose responses differ only beyond the response length of the task.
fn pairs_that_part_late(count: usize) -> String {
    let same = " The old man went slowly down to the sea and looked at the ships for a long while before he spoke.";
    let pair = |number: usize| {
        json!({"prompt": format!("Tale {number}."), "chosen": format!("{same} Good."),
        "rejected": format!("{same} Bad.")})
    };
    (0..count).map(|number| pair(number).to_string() + "\n").collect()
}

#[test]
fn pairs_that_are_the_same_after_cutting_are_no_accuracy_of_1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("late.jsonl"), pairs_that_part_late(9)).unwrap();
    let said = refused(folder, "train-reward late.jsonl --out reward");
    assert!(said.contains("late.jsonl: 0 comparisons; at least 2 are needed"), "{said}");
    assert!(said.contains("all their responses are the same tokens: 9"), "{said}");
    assert!(
        said.contains("responses shortened to 16 tokens (task.response_length_tokens): 18 of 18, the longest of"),
        "{said}"
    );
    assert!(!folder.join("reward").exists());

    // Beside other entries, such pairs are left out, and counted in a message and in JSON.
    let others = r#"{"query": "A.", "responses": [" b.", " c.", ""], "best": 0}
{"query": "D.", "responses": [" e.", " e.", " f."], "best": 1}
{"query": "G.", "responses": [" h.", " i."], "best": null}
"#;
    let own = |text: &str| {
        let line = |line: &str| {
            let pair: Value = serde_json::from_str(line).unwrap();
            json!({"query": pair["prompt"], "responses": [pair["chosen"], pair["rejected"]], "best": 0}).to_string()
                + "\n"
        };
        text.lines().map(line).collect::<String>()
    };
    fs::write(folder.join("both.jsonl"), own(&pairs_that_part_late(3)) + others).unwrap();
    let size = "--set reward.normalize_samples=4 --set reward.batch_size=2";
    let (outcome, said) = printed(folder, &format!("train-reward both.jsonl --out reward {size}"));
    let left_out = &outcome[0]["left_out"];
    assert_eq!(left_out["same_tokens"], 3);
    assert_eq!((&left_out["best_has_twin"], &left_out["empty_responses"]), (&1.into(), &1.into()));
    assert_eq!((&left_out["undecided"], &left_out["responses_cut"]["cut"]), (&1.into(), &6.into()));
    assert_eq!(outcome[0]["comparisons"].as_u64().unwrap() + outcome[0]["held_out_comparisons"].as_u64().unwrap(), 2);
    assert_eq!(outcome[0]["differs_from_guessing"], false);
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(said.contains("same tokens: 3") && said.contains("nobody chose: 1"), "{said}");
}

/// The labeler chooses one of several equal texts at random and reports how often. A reward model learns
/// nothing from such a choice.
#[test]
fn responses_that_are_the_same_text_are_counted_as_ties() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("queries.txt"), "The door opened.\n\nHe woke.\n").unwrap();
    let size = "--set labels.comparisons=6 --set task.temperature=0.001 --set task.response_length_tokens=4 --set task.truncate_after_tokens=2";
    let (outcome, said) = printed(folder, &format!("label --simulated --queries queries.txt --out l.jsonl {size}"));
    assert_eq!(outcome[0]["ties"], json!({"judged": 6, "tied": 6, "tied_with_same_text": 6}));
    assert_eq!(outcome[0]["left_out"], json!({"blank_lines": 1}));
    assert!(said.contains("queries: blank lines skipped: 1"), "{said}");
    assert!(said.contains("ties among the best responses: 6 of 6 labels"), "{said}");
    let labels: Vec<Value> = fs::read_to_string(folder.join("l.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(labels.iter().any(|label| label["best"] != labels[0]["best"]), "{labels:?}");
    let said = refused(folder, "train-reward l.jsonl --out reward");
    assert!(said.contains("all their responses are the same tokens: 6"), "{said}");
}

#[test]
fn spellings_that_differ_in_white_space_are_one_query_for_the_split() {
    let model = tiny::language_model(1, &devices::ndarray());
    let settings = Config::default();
    let task_of = |length| {
        let settings = preftune::config::Task {
            query_length_tokens: length,
            truncate_token: "a".into(),
            ..preftune::config::Task::default()
        };
        Task::new(&settings, &model).unwrap()
    };
    let mut lines = String::new();
    for number in 0..40 {
        for spaces in 0..4 {
            let query = format!("The house of number {number} stood by the sea.{}", " ".repeat(spaces));
            // The response is the number of the text that the query was made of.
            let line = json!({"query": query, "responses": [format!("{number}"), "a"], "best": spaces % 2});
            writeln!(lines, "{line}").unwrap();
        }
    }
    // Queries stay whole, or are truncated at the front, where trailing spaces change which tokens remain.
    for length in [24, 18] {
        let entries = Entries::new(lines.as_bytes(), Path::new("texts.jsonl"));
        let mut left_out = LeftOut::default();
        let all = token_comparisons(entries, None, &model, &task_of(length), &mut left_out).unwrap();
        assert_eq!(all.len(), 160);
        let (train, held_out) = split(all, &settings, 1, &mut left_out);
        let texts = |side: &[TokenComparison]| {
            side.iter().map(|one| one.responses[0].clone()).collect::<std::collections::HashSet<_>>()
        };
        assert!(texts(&train).is_disjoint(&texts(&held_out)), "{length} tokens");
        assert_eq!((texts(&train).len() + texts(&held_out).len(), train.len() + held_out.len()), (40, 160));
    }
    // Queries are truncated so far that all are the same.
    let entries = Entries::new(lines.as_bytes(), Path::new("texts.jsonl"));
    let mut left_out = LeftOut::default();
    let all = token_comparisons(entries, None, &model, &task_of(4), &mut left_out).unwrap();
    assert_eq!((left_out.queries_cut.cut, left_out.queries_cut.to_tokens), (160, 4));
    assert!(split(all, &settings, 1, &mut left_out).1.len() < 160);
}

#[test]
fn queries_that_are_cut_are_said_and_json_is_never_read_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("queries.json"), "[\n  {\n    \"query\": \"The door opened.\"\n  }\n]\n").unwrap();
    let (rows, said) = printed(folder, "sample --queries queries.json");
    assert_eq!((rows.len(), &rows[0]["query"], said.as_str()), (1, &"The door opened.".into(), ""));
    let long = "The old captain set down his glass and looked slowly round the room, and nobody spoke to him.";
    fs::write(folder.join("long.txt"), format!("{long}\nHe woke.\n")).unwrap();
    let (rows, said) = printed(folder, "sample --queries long.txt --set task.query_length_tokens=8");
    assert!(said.starts_with("queries: queries shortened to 8 tokens (task.query_length_tokens): 1 of 2, "), "{said}");
    assert_eq!((&rows[0]["left_out"]["queries_cut"]["cut"], rows[1].get("left_out")), (&1.into(), None));
    for (name, bytes, says) in [
        ("q.csv", b"id,query\n1,A.\n".as_slice(), "q.csv:1: this is a table with the columns id, query"),
        ("q.parquet", b"PAR1\x15\x04\x15", "q.parquet: this is a Parquet file, not text"),
        ("q.txt", b"\xff\xfeA\0.\0", "q.txt: this is text in UTF-16, not text"),
        ("q.json", b"[\n{\"query\": \"A.\"}\n", "q.json:3: not the JSON expected here"),
        ("t.txt", b"A.\0\n", "t.txt: byte 2 of the file is 0"),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
        let said = refused(folder, &format!("sample --queries {name}"));
        assert!(said.contains(says), "{said} should say {says}");
    }
}

#[test]
fn one_question_of_label_studio_is_named_where_there_are_several() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let answer = |name: &str, side: &str| json!({"from_name": name, "to_name": "a,b", "type": "pairwise", "value": {"selected": side}});
    let task = |id: usize, results: Vec<Value>| {
        json!({"data": {"prompt": format!("Tale {id}."), "a": "Good.", "b": "Bad."}, "predictions": [{}],
            "annotations": [{"id": id, "result": results}, {"id": 9 + id, "was_cancelled": true}]})
    };
    let two = [
        task(1, vec![answer("harmless", "right"), answer("helpful", "left")]),
        task(2, vec![answer("helpful", "left"), answer("harmless", "right")]),
    ];
    fs::write(folder.join("two.json"), Value::from(two.to_vec()).to_string()).unwrap();
    let said = refused(folder, "export two.json --format comparisons --out none.jsonl");
    assert!(
        said.contains("two.json:1: ") && said.contains("\"harmless\", \"helpful\"") && said.contains("--question"),
        "{said}"
    );
    assert!(!folder.join("none.jsonl").exists());
    for (question, best) in [("helpful", [0, 0]), ("harmless", [1, 1])] {
        let command = format!("export two.json --format comparisons --question {question} --out {question}.jsonl");
        let (outcome, said) = printed(folder, &command);
        assert_eq!(outcome[0]["left_out"], json!({"cancelled_annotations": 2, "predictions_and_drafts": 2}));
        assert!(said.contains("cancelled: 2"), "{said}");
        let text = fs::read_to_string(folder.join(format!("{question}.jsonl"))).unwrap();
        let chosen = |line: &str| serde_json::from_str::<Value>(line).unwrap()["best"].as_u64().unwrap();
        assert_eq!(text.lines().map(chosen).collect::<Vec<_>>(), best);
    }
    // The name is that of no question.
    for command in ["train-reward two.json --out reward", "export two.json --format trl --out none.jsonl"] {
        let said = refused(folder, &format!("{command} --question helpfull"));
        let expected = "two.json: there is no question \"helpfull\"; there are \"harmless\", \"helpful\"";
        assert!(said.contains(expected) && said.contains("--question"), "{said}");
    }
    // The first task has one question, and the second another.
    let mixed = [task(1, vec![answer("harmless", "right")]), task(2, vec![answer("helpful", "left")])];
    fs::write(folder.join("mixed.json"), Value::from(mixed.to_vec()).to_string()).unwrap();
    let said = refused(folder, "train-reward mixed.json --out reward");
    assert!(said.contains("\"harmless\", \"helpful\""), "{said}");
    let (outcome, _) = printed(folder, "export mixed.json --format comparisons --question helpful --out mixed.jsonl");
    let left_out = json!({"cancelled_annotations": 2, "other_questions": 1, "predictions_and_drafts": 2});
    assert_eq!((&outcome[0]["comparisons"], &outcome[0]["left_out"]), (&1.into(), &left_out));
}

#[test]
fn what_is_taken_back_later_in_a_file_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = |id: &str| {
        format!(
            "{{\"version\":1,\"id\":\"{id}\",\"query\":\"Q {id}.\",\"responses\":[\" a\",\" b\"],\"best\":0,\"labeler\":\"ada\"}}\n"
        )
    };
    let undo = |id: &str| format!("{{\"undo\":\"{id}\",\"labeler\":\"ada\"}}\n");
    let text = [line("1"), line("2"), undo("1"), line("3"), line("1"), undo("2"), undo("7"), line("3")].concat();
    fs::write(folder.join("log.jsonl"), text).unwrap();
    let (outcome, _) = printed(folder, "export log.jsonl --format comparisons --out out.jsonl");
    assert_eq!(fs::read_to_string(folder.join("out.jsonl")).unwrap(), [line("3"), line("1"), line("3")].concat());
    assert_eq!(outcome[0]["left_out"], json!({"taken_back": 2, "nothing_to_take_back": 1, "repeated_ids": 1}));
    // Once one of two entries with the same id is taken back, the other is no longer a repeated id.
    fs::write(folder.join("log.jsonl"), [line("1"), line("1"), undo("1")].concat()).unwrap();
    let (outcome, _) = printed(folder, "export log.jsonl --format comparisons --out again.jsonl");
    assert_eq!((&outcome[0]["comparisons"], &outcome[0]["left_out"]), (&1.into(), &json!({"taken_back": 1})));
}

/// A comparison with a choice is not undecided, even if some of its pairs have equal responses.
#[test]
fn pairs_of_the_same_text_are_not_undecided_entries() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lines = r#"{"query": "A.", "responses": [" b.", " c.", " b."], "best": 0}
{"query": "D.", "responses": [" e.", " f."], "best": null}
"#;
    fs::write(folder.join("c.jsonl"), lines).unwrap();
    let (outcome, said) = printed(folder, "export c.jsonl --format trl --out pairs.jsonl");
    assert_eq!((&outcome[0]["entries"], &outcome[0]["undecided"]), (&1.into(), &1.into()));
    assert_eq!(outcome[0]["left_out"], json!({"same_pairs": 1, "undecided": 1}));
    assert!(said.contains("pairs left out whose two responses are the same text: 1"), "{said}");
}

/// Files may be larger than the memory of the machine.
#[cfg(target_os = "linux")]
#[test]
fn an_export_takes_less_memory_than_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = |number: usize| {
        let response = format!(" {number} went down to the sea and looked at the ships.").repeat(100);
        json!({"id": number.to_string(), "query": "Tale.", "responses": [response, "b"], "best": 1}).to_string()
    };
    for name in ["lines.jsonl", "array.json"] {
        let [small, large] = [4_000_000, 40_000_000].map(|bytes| {
            let lines: Vec<String> = (0..bytes / line(10_000).len()).map(line).collect();
            let is_array = name == "array.json";
            let text = if is_array { format!("[{}]", lines.join(",")) } else { lines.join("\n") };
            fs::write(folder.join(name), text).unwrap();
            let most = most_memory_of_export(folder, name);
            let out = folder.join("out.jsonl");
            assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), lines.len());
            fs::remove_file(out).unwrap();
            most
        });
        assert!(small > 0 && large < small + 8_000, "{name}: {small} kB for 4 MB, {large} kB for 40 MB");
    }
}

/// Returns the peak memory of an export to `out.jsonl`, in kB.
#[cfg(target_os = "linux")]
fn most_memory_of_export(folder: &Path, name: &str) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_preftune"))
        .args(["export", name, "--format", "comparisons", "--json", "--out", "out.jsonl"])
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let now = fs::read_to_string(&status).unwrap_or_default();
        let line = now.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(most);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[test]
fn sentences_of_both_kinds_and_blank_lines_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lines = |word: &str| (0..30).map(|number| format!("a {word} story {number}\n")).collect::<String>();
    fs::write(folder.join("pos.txt"), lines("lovely") + "\nthe same .\n").unwrap();
    fs::write(folder.join("neg.txt"), lines("dull") + "The same.\n").unwrap();
    let (outcome, _) = printed(folder, "train-labeler --positive pos.txt --negative neg.txt --out c.json");
    assert_eq!(outcome[0]["left_out"], json!({"blank_lines": 1, "sentences_of_both_kinds": 1}));
    fs::write(folder.join("neg.jsonl"), "{\"text\": \"bad\"}\n").unwrap();
    let said = refused(folder, "train-labeler --positive pos.txt --negative neg.jsonl --out d.json");
    assert!(said.contains("neg.jsonl:1: this line is JSON, but"), "{said}");
}

/// The pairs are noise: the chosen response always comes first, as in TRL's pairs, and in half of the pairs
/// both responses are the same.
#[test]
fn noise_of_which_half_is_tied_is_right_in_about_a_half() {
    let config = tiny::config();
    let model = tiny::reward_model(&config, 1, &devices::ndarray());
    let queries = tiny::rows(&config, &[4; 600], 5);
    let [chosen, rejected] = [6, 7].map(|seed| tiny::rows(&config, &[5; 600], seed));
    let pair = |(number, query): (usize, Vec<u32>)| {
        let rejected = if number % 2 == 0 { &rejected[number] } else { &chosen[number] };
        TokenComparison::new(query, vec![chosen[number].clone(), rejected.clone()], 0)
    };
    let all: Vec<TokenComparison> = queries.into_iter().enumerate().map(pair).collect();
    let step = preftune::reward::judge(&model, &all, &preftune::lm::MicroBatches::of(50)).unwrap();
    let accuracy = HeldOutAccuracy { accuracy: step.accuracy, comparisons: all.len(), chance: 0.5 };
    let interval = accuracy.interval();
    assert!((interval.low..interval.high).contains(&0.5) && (step.accuracy - 0.5).abs() < 0.06, "{step:?}");
}

/// Guessing is right in one half, not in a quarter, if one response is the best and the three others are the
/// same.
#[test]
fn guessing_knows_of_rejected_responses_that_are_the_same() {
    let config = tiny::config();
    let model = tiny::reward_model(&config, 1, &devices::ndarray());
    let queries = tiny::rows(&config, &[4; 600], 5);
    let [one, other] = [6, 7].map(|seed| tiny::rows(&config, &[5; 600], seed));
    let comparisons = |responses: &dyn Fn(usize) -> Vec<Vec<u32>>, best: usize| -> Vec<TokenComparison> {
        let comparison =
            |(number, query): (usize, &Vec<u32>)| TokenComparison::new(query.clone(), responses(number), best);
        queries.iter().enumerate().map(comparison).collect()
    };
    let rejected_alike = |number: usize| {
        let other: &Vec<u32> = &other[number];
        vec![other.clone(), other.clone(), one[number].clone(), other.clone()]
    };
    let chosen_alike = |number: usize| {
        let one: &Vec<u32> = &one[number];
        vec![one.clone(), other[number].clone(), one.clone()]
    };
    for (held_out, chance) in [(comparisons(&rejected_alike, 2), 0.5), (comparisons(&chosen_alike, 0), 0.25)] {
        let step = preftune::reward::judge(&model, &held_out, &preftune::lm::MicroBatches::of(50)).unwrap();
        let data = RewardData { train: Vec::new(), held_out, normalization: NormalizationSamples::default() };
        assert!((data.chance() - chance).abs() < 1e-12, "{}", data.chance());
        let accuracy = HeldOutAccuracy { accuracy: step.accuracy, comparisons: data.held_out.len(), chance };
        assert!(accuracy.may_be_guessing(), "{accuracy}");
    }
}

#[test]
fn queries_that_are_cut_are_not_counted_as_comparisons() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let long = "The old captain set down his glass and looked slowly round the room, and nobody spoke to him.";
    fs::write(folder.join("queries.txt"), format!("{long}\n\n{long} He woke.\n")).unwrap();
    let line = |number: usize| json!({"query": format!("{number}."), "responses": [" b.", " c."], "best": 0});
    fs::write(folder.join("c.jsonl"), (0..6).map(|number| line(number).to_string() + "\n").collect::<String>())
        .unwrap();
    let size = "--set task.query_length_tokens=8 --set reward.normalize_samples=4 --set reward.batch_size=1";
    let command = format!("train-reward c.jsonl --queries queries.txt --out reward {size}");
    let (outcome, said) = printed(folder, &command);
    assert_eq!(outcome[0]["left_out"], json!({}));
    let of_queries = &outcome[0]["queries_left_out"];
    assert_eq!((&of_queries["blank_lines"], &of_queries["queries_cut"]["cut"]), (&1.into(), &2.into()));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("queries: queries shortened to 8 tokens (task.query_length_tokens): 2 of 2, "), "{said}");
}

#[test]
fn what_is_taken_back_is_not_counted_as_cut() {
    let model = tiny::language_model(1, &devices::ndarray());
    let settings = preftune::config::Task {
        query_length_tokens: 8,
        response_length_tokens: 8,
        truncate_token: "a".into(),
        ..preftune::config::Task::default()
    };
    let task = Task::new(&settings, &model).unwrap();
    let long = "The old captain set down his glass and looked slowly round the room.";
    let line = |id: &str, query: &str, response: &str| {
        json!({"id": id, "query": query, "responses": [response, ""], "best": 0}).to_string() + "\n"
    };
    let text = [line("1", long, long), line("2", "A.", "b"), "{\"undo\": \"1\"}\n".into()].concat();
    let mut left_out = LeftOut::default();
    let entries = Entries::new(text.as_bytes(), Path::new("log.jsonl"));
    let read = token_comparisons(entries, None, &model, &task, &mut left_out).unwrap();
    assert_eq!((read.len(), left_out.number(Reason::TakenBack), left_out.number(Reason::EmptyResponses)), (1, 1, 1));
    assert_eq!((left_out.queries_cut.cut, left_out.queries_cut.of), (0, 1));
    assert_eq!((left_out.responses_cut.cut, left_out.responses_cut.of), (0, 2));
}

#[test]
fn preferences_that_say_something_else_are_refused_by_name() {
    let read = |text: &str| preftune::data::preferences::read_text(text, Path::new("p.jsonl"));
    for (text, says) in [
        (r#"{"prompt": "a", "completion": "b", "label": true}"#, "unpaired preferences"),
        (r#"{"prompt": "a", "chosen": "b", "rejected": "c", "margin": 0.5}"#, "the field \"margin\" would change"),
        (
            r#"{"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": 1, "score_rejected": 2.5}"#,
            "lower score (1)",
        ),
        (
            r#"{"chosen": "\n\nHuman: A\n\nAssistant: x", "rejected": "\n\nHuman: B\n\nAssistant: y"}"#,
            "first turns differ",
        ),
        (r#"{"query": "a", "responses": ["b", "c"], "best": 1.0}"#, "invalid type: floating point"),
        (r#"{"query": "a", "responses": ["b", "c"], "best": "1"}"#, "invalid type: string"),
        (r#"{"query": "a", "responses": ["b", "c"], "best": 0, "best": 1}"#, "the field \"best\" is there twice"),
        (r#"{"query": "a", "responses": ["b", 3], "best": 0}"#, "invalid type: integer"),
        (r#"{"query": "\ud800", "responses": ["b", "c"], "best": 0}"#, "hex escape"),
        (r#"{"question": "a", "response_j": "b", "response_k": "c"}"#, "the fields are [\"question\""),
        ("prompt,chosen,rejected\na,b,c\n", "this is a table with the columns prompt, chosen, rejected"),
    ] {
        let error = read(text).into_result().unwrap_err();
        assert!(
            error.to_string().starts_with("p.jsonl:1: ") && error.to_string().contains(says),
            "{error} should say {says}"
        );
    }
    let equal = read(
        r#"{"prompt": "a", "chosen": "b\n\nHuman: c", "rejected": "d", "score_chosen": 2, "score_rejected": 2.0}"#,
    );
    assert_eq!([Reason::EqualScores, Reason::FurtherTurns].map(|reason| equal.left_out.number(reason)), [1, 1]);
}
