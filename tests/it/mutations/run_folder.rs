//! Mutated logs and judgments in the folder of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use preftune::report::RunReportInput;
use preftune::run::work::Work;
use preftune::run::{StepLog, metrics};

use super::documents::{self, Form};
use super::json::Json;
use super::trial::{Kind, folder, outcome, run};
use super::{bytes, structure};

#[test]
fn damaged_metrics_are_refused_or_read_to_the_bit() {
    rows("mutations::run_folder::damaged_metrics_are_refused_or_read_to_the_bit", 500);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_metrics_are_refused_or_read_to_the_bit() {
    rows("mutations::run_folder::all_damaged_metrics_are_refused_or_read_to_the_bit", 5000);
}

#[test]
fn a_damaged_judgment_is_refused_or_reported_to_the_bit() {
    judgments("mutations::run_folder::a_damaged_judgment_is_refused_or_reported_to_the_bit", 400);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_judgment_is_refused_or_reported_to_the_bit() {
    judgments("mutations::run_folder::every_damaged_judgment_is_refused_or_reported_to_the_bit", 5000);
}

#[test]
fn a_damaged_run_json_is_refused_or_read_to_the_letter() {
    work("mutations::run_folder::a_damaged_run_json_is_refused_or_read_to_the_letter", 300);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_run_json_is_refused_or_read_to_the_letter() {
    work("mutations::run_folder::every_damaged_run_json_is_refused_or_read_to_the_letter", 5000);
}

const WORK: &str = r#"{"version":1,"command":"train-policy","seed":7,"parts":2,"inputs":[{"role":"model","name":"storyteller","sha256":"ba7816bf"},{"role":"labeler","name":"simulated","sha256":null}]}"#;

fn work(test: &'static str, mutants: u64) {
    let original = Json::read(WORK).unwrap();
    let folder = folder();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.0,
        originals: &[WORK.into()],
        mutant: &|dice| {
            let mut json = original.clone();
            structure::mutate(&mut json, dice);
            let mut bytes = json.written().into_bytes();
            if dice.one_in(4) {
                bytes::mutate(&mut bytes, &[WORK.as_bytes().to_vec()], dice);
            }
            bytes
        },
        read: &|bytes| {
            fs::write(folder.join("run.json"), bytes).unwrap();
            let ours = Work::of_run(&folder).map(|work| {
                let work = work.unwrap();
                let inputs = work.inputs.into_iter().map(|input| (input.role, input.name, input.sha256)).collect();
                (work.command, work.seed, work.parts as u64, inputs)
            });
            outcome(ours, work_of(bytes))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

/// Command, seed, parts, and role, name and hash of each input.
type Begun = (String, u64, u64, Vec<(String, String, Option<String>)>);

fn work_of(bytes: &[u8]) -> Result<Begun, String> {
    let json = Json::read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?;
    let parts = member(&json, "parts")?.count()?;
    if !json.is_of_version_1() || !(1..=1 << 16).contains(&parts) {
        return Err("another version, or too many parts".into());
    }
    let text = |json: &Json, key: &str| Ok::<_, String>(member(json, key)?.text()?.to_string());
    let input = |input: &Json| {
        let hash = input.some("sha256").map(|hash| hash.text().map(String::from)).transpose()?;
        Ok((text(input, "role")?, text(input, "name")?, hash))
    };
    let inputs = member(&json, "inputs")?.array()?.iter().map(input).collect::<Result<_, String>>()?;
    Ok((text(&json, "command")?, member(&json, "seed")?.count()?, parts, inputs))
}

const ROWS: &str = r#"{"version":1,"step":1,"objective/kl":1.5,"ppo/loss/total":null}
{"step":2,"objective/kl_coef":0.19808613744640002,"objective/kl":-0.25}
{"step":3}
{"step":4,"objective/kl":1e-5,"objective/score":12}"#;

/// Rows of metrics: the bits of each number by its name.
type Rows = Vec<BTreeMap<String, u64>>;

fn rows(test: &'static str, mutants: u64) {
    let originals: Vec<Json> = ROWS.lines().map(|line| Json::read(line).unwrap()).collect();
    let folder = folder();
    let path = folder.join("metrics.jsonl");
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.03,
        originals: &documents::unchanged(&originals, &[Form::Lines]),
        mutant: &|dice| documents::mutant(&originals, &[Form::Lines], dice),
        read: &|bytes| {
            fs::write(&path, bytes).unwrap();
            let ours = rows_here(&path).and_then(|rows| {
                // A log that a run opens for writing stays the same, except for an incomplete last line.
                drop(StepLog::open(&path, None)?);
                Ok((rows, fs::read(&path).unwrap()))
            });
            outcome(ours, rows_of(bytes))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

fn rows_here(path: &Path) -> preftune::Result<Rows> {
    let with_bits = |row: BTreeMap<String, f64>| row.into_iter().map(|(name, value)| (name, value.to_bits())).collect();
    Ok(metrics::read(path)?.into_iter().map(with_bits).collect())
}

/// Reads rows and the bytes that are kept. Every line is a row with a step, except that an incomplete last
/// line, which is no JSON, is ignored.
fn rows_of(bytes: &[u8]) -> Result<(Rows, Vec<u8>), String> {
    let mut rows = Rows::new();
    let mut kept = Vec::new();
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    for (index, line) in lines.iter().enumerate() {
        match row(line) {
            Ok(row) => {
                rows.push(row);
                kept.extend_from_slice(line);
                kept.push(b'\n');
            }
            Err(_) if index + 1 == lines.len() && !is_json(line) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((rows, kept))
}

fn is_json(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| Json::read(line).is_ok_and(|value| value.can_be_held()))
}

fn row(line: &[u8]) -> Result<BTreeMap<String, u64>, String> {
    let json = Json::read(std::str::from_utf8(line).map_err(|error| error.to_string())?)?;
    if !json.can_be_held() {
        return Err("no reader can hold it".into());
    }
    json.get("step").ok_or("no step")?.count()?;
    if !json.is_of_version_1() {
        return Err("another version".into());
    }
    let number = |value: &Json| match value {
        Json::Null => Ok(f64::NAN),
        number => number.number(),
    };
    let values = json.object()?.iter().filter(|(name, _)| name != "version");
    values.map(|(name, value)| Ok((name.clone(), number(value)?.to_bits()))).collect()
}

const JUDGMENTS: &str = r#"[{"version":1,"by":"people sha256 12","contests":[{"candidate":"policy","baseline":"storyteller","win_rate":{"labeler":"simulated","rate":0.75,"low":0.30064,"high":0.95441,"pairs":4,"wins":3,"losses":1,"ties":0,"first_shown_rate":0.5,"first_shown":{"low":0.15,"high":0.85},"judged":[{"outcome":"win","candidate_shown_first":true},{"outcome":"loss","candidate_shown_first":false}]},"queries":4,"is_the_papers":false}],"samples":[{"query":"Käpt’n","before":" a","after":" b","before_score":0.5,"after_score":null}],"contestants":[{"name":"policy","kl":0.19808613744640002,"score":1.5},{"name":"storyteller","kl":0.0}],"environment":[["device","flex"],["seed","1"]]},{"by":"simulated","contests":[],"samples":[],"contestants":[],"environment":[]}]"#;

fn judgments(test: &'static str, mutants: u64) {
    let original = Json::read(JUDGMENTS).unwrap();
    let folder = folder();
    fs::write(folder.join("metrics.jsonl"), ROWS).unwrap();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.0,
        originals: &[JUDGMENTS.into()],
        mutant: &|dice| {
            let mut json = original.clone();
            let wild = dice.one_in(4);
            if !wild {
                structure::mutate(&mut json, dice);
            }
            let mut bytes = json.written().into_bytes();
            if wild {
                bytes::mutate(&mut bytes, &[JUDGMENTS.as_bytes().to_vec()], dice);
            }
            bytes
        },
        read: &|bytes| {
            fs::write(folder.join("judgment.json"), bytes).unwrap();
            outcome(judged_here(&folder), judged_of(bytes))
        },
    });
    fs::remove_dir_all(folder).unwrap();
}

/// Contests, contestants, samples and environment, each as text.
type Judged = [Vec<String>; 4];

fn judged_here(folder: &Path) -> preftune::Result<Judged> {
    let input = RunReportInput::of_run(folder)?;
    let contests = input.contests.iter().map(|verdict| {
        let rate = &verdict.win_rate;
        let numbers =
            [rate.rate, rate.low, rate.high, rate.first_shown_rate, rate.first_shown.low, rate.first_shown.high];
        let counts = [rate.pairs, rate.wins, rate.losses, rate.ties, verdict.queries];
        let judged: Vec<String> = rate
            .judged
            .iter()
            .map(|one| format!("{:?}{}", one.outcome, one.candidate_shown_first).to_lowercase())
            .collect();
        let names = [&verdict.candidate, &verdict.baseline, &rate.labeler];
        format!("{names:?} {numbers:?} {counts:?} {judged:?} {}", verdict.is_the_papers)
    });
    let standings = input.contestants.iter().flat_map(|one| &one.standings);
    let standings = standings.map(|one| format!("{:?} {:?} {:?}", one.name, one.kl, one.score));
    let samples = input.samples.iter().map(|row| {
        format!("{:?} {:?} {:?} {:?} {:?}", row.query, row.before, row.after, row.before_score, row.after_score)
    });
    let environment = input.environment.iter().map(|(name, value)| format!("{name:?} {value:?}"));
    Ok([contests.collect(), standings.collect(), samples.collect(), environment.collect()])
}

fn judged_of(bytes: &[u8]) -> Result<Judged, String> {
    let json = Json::read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?;
    let mut all = Judged::default();
    for (index, judgment) in json.array()?.iter().enumerate() {
        member(judgment, "by")?.text()?;
        if !judgment.is_of_version_1() {
            return Err("another version".into());
        }
        for contest in member(judgment, "contests")?.array()? {
            all[0].push(contest_of(contest)?);
        }
        for one in member(judgment, "contestants")?.array()? {
            let score = one.some("score").map(Json::number).transpose()?;
            all[1].push(format!("{:?} {:?} {score:?}", member(one, "name")?.text()?, member(one, "kl")?.number()?));
        }
        for row in member(judgment, "samples")?.array()? {
            let texts = ["query", "before", "after"].map(|key| member(row, key).and_then(Json::text));
            let [query, before, after] = texts;
            let scores = ["before_score", "after_score"].map(|key| row.some(key).map(Json::number).transpose());
            let [before_score, after_score] = scores;
            let written = format!("{:?} {:?} {:?} {:?} {:?}", query?, before?, after?, before_score?, after_score?);
            if index == 0 {
                all[2].push(written);
            }
        }
        for fact in member(judgment, "environment")?.array()? {
            let [name, value] = fact.array()? else { return Err("no name and value".into()) };
            let written = format!("{:?} {:?}", name.text()?, value.text()?);
            if index == 0 {
                all[3].push(written);
            }
        }
    }
    Ok(all)
}

fn member<'a>(json: &'a Json, key: &str) -> Result<&'a Json, String> {
    json.object()?;
    json.get(key).ok_or(format!("no {key}"))
}

fn contest_of(json: &Json) -> Result<String, String> {
    let rate = member(json, "win_rate")?;
    let first_shown = member(rate, "first_shown")?;
    let number = |of: &Json, key: &str| member(of, key)?.number();
    let count = |of: &Json, key: &str| Ok::<_, String>(member(of, key)?.count()? as usize);
    let boolean = |of: &Json, key: &str| match member(of, key)? {
        Json::Bool(value) => Ok(*value),
        other => Err(format!("neither true nor false: {other:?}")),
    };
    let names =
        [member(json, "candidate")?.text()?, member(json, "baseline")?.text()?, member(rate, "labeler")?.text()?];
    let numbers = [
        number(rate, "rate")?,
        number(rate, "low")?,
        number(rate, "high")?,
        number(rate, "first_shown_rate")?,
        number(first_shown, "low")?,
        number(first_shown, "high")?,
    ];
    let counts = [
        count(rate, "pairs")?,
        count(rate, "wins")?,
        count(rate, "losses")?,
        count(rate, "ties")?,
        count(json, "queries")?,
    ];
    let judged = member(rate, "judged")?.array()?.iter().map(|one| {
        let outcome = member(one, "outcome")?.text()?;
        if !["win", "loss", "tie"].contains(&outcome) {
            return Err(format!("outcome {outcome}"));
        }
        Ok(format!("{outcome}{}", boolean(one, "candidate_shown_first")?))
    });
    let judged = judged.collect::<Result<Vec<String>, String>>()?;
    Ok(format!("{names:?} {numbers:?} {counts:?} {judged:?} {}", boolean(json, "is_the_papers")?))
}
