//! Mutated exports of Label Studio.

use preftune::data::comparisons::{Comparison, Record};

use super::comparisons::{Read, counted, ours};
use super::documents::{self, Form, mutant};
use super::json::Json;
use super::trial::{Kind, outcome, run};

#[test]
fn a_damaged_export_of_label_studio_is_refused_or_read_to_the_letter() {
    test("mutations::label_studio::a_damaged_export_of_label_studio_is_refused_or_read_to_the_letter", 700);
}

#[test]
#[ignore = "takes half a minute"]
fn every_damaged_export_of_label_studio_is_refused_or_read_to_the_letter() {
    test("mutations::label_studio::every_damaged_export_of_label_studio_is_refused_or_read_to_the_letter", 3000);
}

fn test(test: &'static str, mutants: u64) {
    let originals: Vec<Json> = ORIGINALS.lines().map(|line| Json::read(line).unwrap()).collect();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        mutant: &|dice| mutant(&originals, &[Form::Array, Form::Array, Form::Lines], dice),
        read: &|bytes| outcome(ours(bytes), theirs(bytes)),
    });
}

const ORIGINALS: &str = r#"{"id":7,"data":{"prompt":"The quick brown fox","answer1":"jumps over the lazy dog.","answer2":"bags few lynx."},"annotations":[{"id":31,"completed_by":2,"was_cancelled":false,"lead_time":4.25,"result":[{"from_name":"comparison","to_name":"answer1,answer2","type":"pairwise","value":{"selected":"right"}}]},{"id":33,"completed_by":2,"was_cancelled":true,"result":[]}]}
{"id":8,"data":{"query":"Two.","a":" one","b":" two"},"annotations":[{"id":34,"completed_by":{"id":3,"email":"ada@example.org"},"result":[{"from_name":"c","to_name":"a, b","type":"pairwise","value":{"selected":"left"}},{"from_name":"r","to_name":"a","type":"rating","value":{"rating":4}}]}]}
{"id":9,"data":{"text":"Three ","a":"one","b":"two"},"annotations":[{"id":35,"lead_time":0.19808613744640002,"result":[{"to_name":"b,a","type":"pairwise","value":{"selected":"a"}}]},{"id":36,"completed_by":5,"result":[{"to_name":"a,b","type":"pairwise","value":{"selected":"right"}}]}]}"#;

fn theirs(bytes: &[u8]) -> Result<Read, String> {
    let entries = documents::read(bytes)?;
    counted(entries.iter().map(|(line, entry)| Ok((*line, task(entry)?))))
}

fn optional<'a, T>(of: &'a Json, key: &str, read: impl Fn(&'a Json) -> Result<T, String>) -> Result<Option<T>, String> {
    of.some(key).map(read).transpose()
}

/// One comparison an annotation, by the table of datasets/README.md.
fn task(entry: &Json) -> Result<Vec<Record>, String> {
    let data = entry.get("data").ok_or("no data")?;
    data.object()?;
    let annotations = entry.get("annotations").ok_or("no annotations")?.array()?;
    let mut found = Vec::new();
    for annotation in annotations {
        annotation.object()?;
        let id = optional(annotation, "id", Json::count)?;
        let seconds = optional(annotation, "lead_time", Json::number)?;
        let cancelled = annotation.get("was_cancelled").unwrap_or(&Json::Bool(false));
        let Json::Bool(cancelled) = cancelled else { return Err("cancelled or not?".into()) };
        let results = annotation.get("result").map_or(Ok(&[][..]), Json::array)?;
        results.iter().try_for_each(|result| result.object().map(drop))?;
        let kind = |result: &Json| result.get("type").map_or(Ok(""), Json::text).map(|kind| kind == "pairwise");
        let mut pairwise = Vec::new();
        for result in results {
            if kind(result)? {
                pairwise.push(result);
            }
        }
        let [result] = pairwise[..] else {
            if pairwise.is_empty() || *cancelled {
                continue;
            }
            return Err("two questions in one annotation".into());
        };
        if *cancelled {
            continue;
        }
        let names = result.get("to_name").map_or(Ok(""), Json::text)?;
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        let [left, right] = names[..] else { return Err("no two fields".into()) };
        let text = |name: &str| data.get(name).and_then(|value| value.text().ok());
        let responses = [text(left).ok_or("no left response")?, text(right).ok_or("no right response")?];
        let fields = ["prompt", "query", "question", "text"].into_iter().filter(|name| !names.contains(name));
        let query = fields.filter_map(text).next().ok_or("no query")?;
        let selected = result.get("value").and_then(|value| value.get("selected")).ok_or("nothing selected")?.text()?;
        let best = match selected {
            "left" => 0,
            "right" => 1,
            name if name == left => 0,
            name if name == right => 1,
            _ => return Err("selected neither".into()),
        };
        if query.trim().is_empty() {
            return Err("a blank query".into());
        }
        let apart = |response: &&str| {
            let is_apart = query.ends_with(char::is_whitespace) || response.starts_with(char::is_whitespace);
            format!("{}{response}", if is_apart { "" } else { " " })
        };
        found.push(Record::Judged(Comparison {
            id: id.map_or(String::new(), |id| format!("label-studio-{id}")),
            query: query.into(),
            responses: responses.iter().map(apart).collect(),
            best,
            labeler: labeler(annotation.get("completed_by")),
            ms: seconds.and_then(milliseconds),
            ..Comparison::default()
        }));
    }
    Ok(found)
}

/// Of a time that can have passed.
fn milliseconds(seconds: f64) -> Option<u64> {
    let time = seconds * 1000.0;
    (0.0..1e15).contains(&time).then_some(time as u64)
}

fn labeler(completed_by: Option<&Json>) -> String {
    match completed_by {
        Some(Json::Number(digits)) => match digits.parse::<i128>() {
            Ok(number) => number.to_string(),
            Err(_) => format!("{:?}", digits.parse::<f64>().unwrap()),
        },
        Some(person) => person.get("email").and_then(|email| email.text().ok()).unwrap_or_default().into(),
        None => String::new(),
    }
}
