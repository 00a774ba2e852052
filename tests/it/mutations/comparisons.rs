//! Mutated files of this program's comparisons, and label logs.

use std::fs;
use std::path::Path;

use preftune::data::comparisons::{Comparison, Record, parse_records};
use preftune::data::entries::Entries;
use preftune::data::preferences::{PreferenceReader, Preferences};
use preftune::labels::LabelLog;

use super::documents::{self, Form, mutant};
use super::json::Json;
use super::trial::{Kind, Outcome, folder, outcome, run};

#[test]
fn damaged_comparisons_are_refused_or_read_to_the_letter() {
    comparisons("mutations::comparisons::damaged_comparisons_are_refused_or_read_to_the_letter", 1500);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_comparisons_are_refused_or_read_to_the_letter() {
    comparisons("mutations::comparisons::all_damaged_comparisons_are_refused_or_read_to_the_letter", 5000);
}

#[test]
fn a_damaged_label_log_is_refused_or_read_to_the_letter() {
    log("mutations::comparisons::a_damaged_label_log_is_refused_or_read_to_the_letter", 500);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_label_log_is_refused_or_read_to_the_letter() {
    log("mutations::comparisons::every_damaged_label_log_is_refused_or_read_to_the_letter", 4000);
}

fn comparisons(test: &'static str, mutants: u64) {
    let originals = originals();
    documents::test(test, mutants, &originals, &[Form::Lines, Form::Lines, Form::Array], &|bytes| {
        outcome(ours(bytes), theirs(bytes))
    });
}

/// Comparisons that count, and the number of entries without a decision.
pub type Read = (Vec<Comparison>, usize);

/// Name of the file, which is part of the ids.
const NAME: &str = "c.jsonl";

/// Reads a file of preferences of any format with the program's reader.
pub fn ours(bytes: &[u8]) -> preftune::Result<Read> {
    let read = Preferences::read(PreferenceReader::new(Entries::new(bytes, Path::new(NAME)), None));
    let undecided = read.undecided();
    Ok((read.into_result()?, undecided))
}

fn theirs(bytes: &[u8]) -> Result<Read, String> {
    let entries = documents::read(bytes)?;
    counted(entries.iter().map(|(line, entry)| Ok((*line, vec![record(entry)?]))))
}

/// Applies records in the order of the file: an undo takes back the last answer with its id and its labeler.
pub fn counted(records: impl Iterator<Item = Result<(usize, Vec<Record>), String>>) -> Result<Read, String> {
    let mut answers: Vec<Record> = Vec::new();
    let mut lines: Vec<usize> = Vec::new();
    for read in records {
        let (line, records) = read?;
        let of_line = lines.iter().filter(|&&other| other == line).count();
        lines.push(line);
        let place = if of_line == 0 { format!("{line}") } else { format!("{line}:{}", of_line + 1) };
        for mut record in records {
            match &mut record {
                Record::Undone(undone) => {
                    let is_meant = |one: &Record| {
                        let answer = one.answer().unwrap();
                        // An answer without an id cannot be taken back.
                        !answer.id.is_empty()
                            && answer.id == undone.undo
                            && (undone.labeler.is_empty() || undone.labeler == answer.labeler)
                    };
                    if let Some(place) = answers.iter().rposition(is_meant) {
                        answers.remove(place);
                    }
                    continue;
                }
                Record::Judged(answer) if answer.id.is_empty() => answer.id = format!("{NAME}:{place}"),
                _ => {}
            }
            answers.push(record);
        }
    }
    let undecided = answers.iter().filter(|answer| matches!(answer, Record::Undecided(_))).count();
    let judged = answers.into_iter().filter_map(|answer| match answer {
        Record::Judged(comparison) => Some(comparison),
        _ => None,
    });
    Ok((judged.collect(), undecided))
}

/// Reads one entry by the table of datasets/README.md.
fn record(entry: &Json) -> Result<Record, String> {
    entry.object()?;
    // A version that is no number belongs to another program.
    if entry.get("version").is_some_and(|version| version.number().is_ok_and(|version| version != 1.0)) {
        return Err("another version".into());
    }
    let text = |key: &str| entry.get(key).map_or(Ok(String::new()), |value| value.text().map(str::to_string));
    let number = |key: &str| entry.some(key).map(Json::count).transpose();
    if let Some(undo) = entry.get("undo") {
        let undo = undo.text()?.to_string();
        return Ok(Record::Undone(preftune::data::comparisons::Undone {
            undo,
            labeler: text("labeler")?,
            at: number("at")?,
        }));
    }
    let query = entry.get("query").ok_or("no query")?.text()?.to_string();
    if query.trim().is_empty() {
        return Err("a blank query".into());
    }
    let responses = entry.get("responses").ok_or("no responses")?.array()?;
    let responses: Vec<String> =
        responses.iter().map(|one| Ok(one.text()?.to_string())).collect::<Result<_, String>>()?;
    let best = match entry.get("best").ok_or("no best")? {
        Json::Null => None,
        best => Some(best.count()? as usize),
    };
    if responses.len() < 2 || best.is_some_and(|best| best >= responses.len()) {
        return Err(format!("best {best:?} of {} responses", responses.len()));
    }
    let order = entry.get("order").map_or(Ok(&[][..]), Json::array)?;
    let order: Vec<usize> = order.iter().map(|place| Ok(place.count()? as usize)).collect::<Result<_, String>>()?;
    let is_shown_once = |index| order.iter().filter(|&&place| place == index).count() == 1;
    if !order.is_empty() && (order.len() != responses.len() || !(0..order.len()).all(is_shown_once)) {
        return Err("not each response was shown once".into());
    }
    let comparison = Comparison {
        id: text("id")?,
        query,
        responses,
        best: best.unwrap_or(0),
        labeler: text("labeler")?,
        ms: number("ms")?,
        at: number("at")?,
        policy: text("policy")?,
        order,
    };
    Ok(if best.is_some() { Record::Judged(comparison) } else { Record::Undecided(comparison) })
}

fn originals() -> Vec<Json> {
    let example = include_str!("../../../datasets/comparisons-example.jsonl");
    let others = r#"{"query":"a","responses":["b","c"],"best":1}
{"version":1,"id":"1-0","query":"Der Käpt’n","responses":[" ging.\n"," kam.",""],"best":2,"labeler":"ada","ms":12,"at":1764583213,"order":[2,0,1]}
{"id":"1-0","query":"Der Käpt’n","responses":[" ging.\n"," kam.",""],"best":null,"labeler":"bob"}
{"undo":"1-0","labeler":"ada","at":1764583220}
{"id":"1-1","query":"a","responses":["b","c","d","e"],"best":3,"labeler":"bob","more":{"x":[1,2]}}
{"undo":"1-1"}
{"id":"1-0","query":"Der Käpt’n","responses":[" ging.\n"," kam.",""],"best":0,"labeler":"ada"}"#;
    let lines = others.lines().chain(example.lines().take(3));
    lines.map(|line| Json::read(line).unwrap()).collect()
}

/// Tests logs, which are read from the disk. An incomplete last line is moved to another file.
fn log(test: &'static str, mutants: u64) {
    let originals = originals();
    let folder = folder();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &documents::unchanged(&originals, &[Form::Lines]),
        mutant: &|dice| mutant(&originals, &[Form::Lines], dice),
        read: &|bytes| read_log(bytes, &folder),
    });
    fs::remove_dir_all(folder).unwrap();
}

fn read_log(bytes: &[u8], folder: &Path) -> Outcome {
    let path = folder.join(NAME);
    let torn = folder.join("c.jsonl.torn");
    fs::write(&path, bytes).unwrap();
    fs::remove_file(&torn).ok();
    let ours = LabelLog::open(&path).and_then(|log| log.records(usize::MAX));
    let was_read = ours.is_ok();
    let result = outcome(ours, log_of(bytes));
    // All bytes must still be in one of the two files.
    let mut left = fs::read(&path).unwrap();
    left.extend(fs::read(&torn).unwrap_or_default());
    let mut whole = bytes.to_vec();
    if was_read && bytes.last().is_some_and(|last| *last != b'\n') {
        whole.push(b'\n');
    }
    if left == whole { result } else { Outcome::Different(format!("left: {}", left.escape_ascii())) }
}

/// Reads all lines of a log. The last line counts only if it is complete, or if only its line end is missing.
fn log_of(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let complete = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let (complete, last) = bytes.split_at(complete);
    let lines = |bytes: &[u8], may_be_marked: bool| {
        let text = if may_be_marked {
            documents::text(bytes)?
        } else {
            std::str::from_utf8(bytes).map_err(|e| e.to_string())?
        };
        let lines = documents::read_lines(text)?;
        lines.iter().map(|(_, entry)| record(entry)).collect::<Result<Vec<_>, String>>()
    };
    let mut records = lines(complete, true)?;
    records.extend(lines(last, complete.is_empty()).unwrap_or_default());
    Ok(records)
}

/// Judgments are also read line by line, without being opened for writing.
#[test]
fn damaged_records_are_refused_or_read_to_the_letter() {
    let originals = originals();
    run(&Kind {
        test: "mutations::comparisons::damaged_records_are_refused_or_read_to_the_letter",
        mutants: 500,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &documents::unchanged(&originals, &[Form::Lines]),
        mutant: &|dice| mutant(&originals, &[Form::Lines], dice),
        read: &|bytes| {
            let path = Path::new(NAME);
            let text = std::str::from_utf8(bytes).map_err(|error| preftune::Error::input(path, error.to_string(), ""));
            let ours = text.and_then(|text| parse_records(text, path));
            let lines = documents::text(bytes).and_then(documents::read_lines);
            let theirs = lines.and_then(|lines| lines.iter().map(|(_, entry)| record(entry)).collect());
            outcome::<Vec<Record>>(ours, theirs)
        },
    });
}
